package channel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A uevent is what the kernel says about a device (kobject-uevent): that it came,
// went or changed.
type uevent struct {
	action    string // add, remove, change, bind, unbind, move, online, offline
	subsystem string // tty, usb, …
	devname   string // below /dev; "" if it has no node
}

// parseUevent reads one message of the kernel: action@devpath, then KEY=value
// pairs, each ended by a NUL. It says false to anything else; udev's own messages,
// which begin with libudev, are that.
func parseUevent(b []byte) (uevent, bool) {
	head, rest, ok := bytes.Cut(b, []byte{0})
	action, path, at := strings.Cut(string(head), "@")
	if !ok || !at || action == "" || !strings.HasPrefix(path, "/") {
		return uevent{}, false
	}
	u := uevent{action: action}
	for pair := range bytes.SplitSeq(rest, []byte{0}) {
		key, value, _ := strings.Cut(string(pair), "=")
		switch key {
		case "SUBSYSTEM":
			u.subsystem = value
		case "DEVNAME":
			u.devname = value
		}
	}
	return u, true
}

// bringsTTY says whether after u there may be a terminal that was not there
// before, or one that can be opened now.
func (u uevent) bringsTTY() bool { return u.subsystem == "tty" && u.action != "remove" }

// All watches of the process share one netlink socket. It is made with the first
// watch and ends, its goroutine waited for, with the last.
var ueventer struct {
	mu      sync.Mutex
	running *uevents // nil: no watch, no socket
}

// uevents is the socket (netlink(7), NETLINK_KOBJECT_UEVENT) and its watches.
type uevents struct {
	f    *os.File
	done chan struct{} // closed when read has ended

	watches map[*ueventWatch]bool // guarded by ueventer.mu
}

// A ueventWatch tells a channel when a terminal may have come.
type ueventWatch struct {
	tell chan<- struct{}
	of   *uevents
}

// kernelGroup is the multicast group of the kernel's own messages; udev repeats
// them to group 2 when its rules have run.
const kernelGroup = 1

// watchTTYs starts to watch. tell, of capacity 1, has a value when a terminal may
// have come, or events were lost, since the last receive. In a network namespace
// that does not belong to the first user namespace, as in most containers,
// nothing ever comes and nothing says so.
func watchTTYs(tell chan<- struct{}) (*ueventWatch, error) {
	ueventer.mu.Lock()
	defer ueventer.mu.Unlock()
	u := ueventer.running
	if u == nil {
		var err error
		if u, err = newUevents(); err != nil {
			return nil, err
		}
		ueventer.running = u
		go u.read()
	}
	w := &ueventWatch{tell, u}
	u.watches[w] = true
	return w, nil
}

func newUevents() (*uevents, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevents: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("uevents: bind: %w", err)
	}
	return &uevents{f: os.NewFile(uintptr(fd), "uevents"), done: make(chan struct{}), watches: map[*ueventWatch]bool{}}, nil
}

// Close ends the watch; the last one waits for the end of the socket. It may be
// called more than once.
func (w *ueventWatch) Close() {
	u := w.of
	ueventer.mu.Lock()
	last := u.watches[w] && len(u.watches) == 1
	delete(u.watches, w)
	if last {
		ueventer.running = nil
	}
	ueventer.mu.Unlock()
	if last {
		u.f.Close()
		<-u.done
	}
}

// read is the one goroutine of the socket: it tells the watches. watchTTYs
// starts it; closing the last watch waits for it.
func (u *uevents) read() {
	defer close(u.done)
	buf := make([]byte, 8<<10) // the kernel's messages have at most 2 KiB of pairs
	for {
		n, err := u.f.Read(buf)
		if errors.Is(err, unix.ENOBUFS) { // some were lost
			u.tell()
			continue
		}
		if err != nil {
			return // closed
		}
		if e, ok := parseUevent(buf[:n]); ok && e.bringsTTY() {
			u.tell()
		}
	}
}

// tell never waits.
func (u *uevents) tell() {
	ueventer.mu.Lock()
	defer ueventer.mu.Unlock()
	for w := range u.watches {
		select {
		case w.tell <- struct{}{}:
		default:
		}
	}
}
