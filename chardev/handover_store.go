package chardev

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"chardevd/channel"
)

// A daemon that ends can leave everything in the descriptor store of its service manager
// (systemd's "File Descriptor Store"), who gives it to the next one that it starts. That
// is another process: it can not go on with commands, which are children of this one. And
// nobody knows whether there will be a next one: if the service is stopped for good, the
// manager closes what it keeps.

// storePrefix is what the names of all descriptors begin with that Store stores.
const storePrefix = "chardevd-"

// storedDocument is the name of the one that has the document. It is stored last: where
// it is, everything is.
const storedDocument = storePrefix + "handover"

// storedName is the name of any other one: a number is another one in each process.
func storedName(fd int) string { return storePrefix + strconv.Itoa(fd) }

// Store leaves what is parked to a store that takes most descriptors, by put, and closes
// it here. Clients are given first what they take at once, as this may be the end: commands
// end. When the store has no room for all, the clients go that do not fit, then the devices
// and the listeners; gone is how many of all that went. On error nothing is left.
func (h *Handover) Store(most int, put func(name string, fd int) error) (gone int, err error) {
	defer h.Drop()
	h.settle()
	gone = h.fit(most - 1)
	for _, p := range h.parked() {
		for _, fd := range p.FDs {
			if err := put(storedName(fd), fd); err != nil {
				return gone, err
			}
		}
	}
	doc, err := h.document()
	if err != nil {
		return gone, err
	}
	defer doc.Close()
	return gone, put(storedDocument, int(doc.Fd()))
}

// FromStore is what Store has left, by the names of the descriptors, which it owns from the
// call on; nil if there are none.
func FromStore(stored map[string]int) (*Handover, error) {
	if len(stored) == 0 {
		return nil, nil
	}
	stored = maps.Clone(stored)
	defer func() {
		for _, fd := range stored {
			unix.Close(fd)
		}
	}()
	fd, ok := stored[storedDocument]
	if !ok {
		return nil, errors.New("what the daemon before has stored is not complete: it is closed")
	}
	delete(stored, storedDocument)
	doc := os.NewFile(uintptr(fd), "handover")
	defer doc.Close()
	h, err := readHandover(io.NewSectionReader(doc, 0, 1<<62)) // from its beginning, wherever it was left at
	if err != nil {
		return nil, fmt.Errorf("what the daemon before has stored: %w", err)
	}
	for _, p := range h.parked() {
		was := p.FDs
		p.FDs = nil
		for _, old := range was {
			if fd, ok := stored[storedName(old)]; ok { // else whoever is to go on with it sees that
				delete(stored, storedName(old))
				p.FDs = append(p.FDs, fd)
			}
		}
	}
	return h, nil
}

// End ends what nobody goes on with: clients have what they take at once, commands end, and
// everything is closed.
func (h *Handover) End() {
	h.settle()
	h.endRest(&channel.Env{Dir: h.dir})
}

// settle makes what is parked ready for an end that may be the last.
func (h *Handover) settle() {
	for _, c := range h.Consoles {
		for i := range c.Frontends {
			c.settle(&c.Frontends[i])
		}
		c.settle(&c.Device)
	}
}

func (c *consoleHandover) settle(e *endpointHandover) {
	a, err := channel.ParseAddress(e.Address)
	if err != nil {
		return
	}
	if e.Channel != nil && e.Channel.PID != 0 {
		e.end(new(channel.Env))
		e.Channel = nil
	}
	kept := e.Clients[:0]
	for _, cl := range e.Clients {
		if cl.Parked.PID != 0 {
			(endpointHandover{Address: e.Address, Channel: &cl.Parked}).end(new(channel.Env))
			continue
		}
		if !a.Is("notices") {
			c.give(cl)
		}
		kept = append(kept, cl)
	}
	e.Clients = kept
}

// give gives a client of what it is owed as much as it takes at once.
func (c *consoleHandover) give(cl *clientHandover) {
	if len(cl.Parked.FDs) != 1 {
		return
	}
	fd := cl.Parked.FDs[0]
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		return
	}
	for len(cl.Parked.Unsent) > 0 {
		n, err := writeAtOnce(fd, cl.Parked.Unsent)
		if err != nil {
			return
		}
		cl.Parked.Unsent = cl.Parked.Unsent[n:]
	}
	first := c.Head - int64(len(c.window))
	for cl.Cursor >= first && cl.Cursor < c.Head {
		n, err := writeAtOnce(fd, c.window[cl.Cursor-first:])
		if err != nil {
			return
		}
		cl.Cursor += int64(n)
		cl.Got += int64(n)
	}
}

func writeAtOnce(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// fit closes what is beyond most descriptors, and counts it.
func (h *Handover) fit(most int) (gone int) {
	var listeners, devices, clients []*channel.Parked
	for _, l := range h.Listeners {
		listeners = append(listeners, l.Parked)
	}
	for _, c := range h.Consoles {
		for _, e := range append([]endpointHandover{c.Device}, c.Frontends...) {
			if e.Listener != nil {
				listeners = append(listeners, e.Listener)
			}
			if e.Channel != nil {
				devices = append(devices, e.Channel)
			}
			for _, cl := range e.Clients {
				clients = append(clients, &cl.Parked)
			}
		}
	}
	for _, p := range slices.Concat(listeners, devices, clients) {
		if most >= len(p.FDs) {
			most -= len(p.FDs)
			continue
		}
		p.Drop()
		gone++
	}
	return gone
}

// IsStored says whether a descriptor with a name is one that Store has stored.
func IsStored(name string) bool { return strings.HasPrefix(name, storePrefix) }
