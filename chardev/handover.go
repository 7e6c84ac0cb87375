package chardev

import (
	"fmt"
	"io/fs"
	"slices"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/journal"
)

// A daemon hands over to its successor, which may be the same process after execve(2), or
// the same daemon again if that failed: what the kernel holds (descriptors) and what the
// daemon knows (a document, and the windows of the histories).
//
// What can be parked is: devices, listeners and clients without layers. Nobody at their
// other ends notices more than a pause. Everybody else is told errHandover, and comes
// back at the offset where he was.

// handoverVersion is that of the document. A daemon takes over from one of the same
// version only.
const handoverVersion = 1

// A Handover is what a daemon leaves to its successor. It owns descriptors until they
// are taken over or dropped.
type Handover struct {
	Version   int                `json:"version"`
	Taken     int                `json:"taken"` // how many successors there were
	Epoch     string             `json:"epoch"` // of chardevs without a journal
	Listeners []parkedListener   `json:"listeners"`
	Consoles  []*consoleHandover `json:"consoles"`
	Found     []foundHandover    `json:"found,omitempty"` // of which there are chardevs

	Passed     []ChardevRequest `json:"passed,omitempty"` // chardevs whose devices were
	LastPassed int              `json:"last_passed,omitempty"`

	dir string // of relative addresses; "" to a successor, who knows that of its config
}

// A foundHandover is where a chardev was found.
type foundHandover struct {
	Path       string            `json:"path"`
	Kind       fs.FileMode       `json:"kind"`
	Gone       time.Time         `json:"gone,omitzero"`
	Properties map[string]string `json:"properties,omitempty"`
}

// A parkedListener is the control socket or an address of [http].
type parkedListener struct {
	Address string          `json:"address"` // see keyOf
	Parked  *channel.Parked `json:"parked"`
	At      string          `json:"at"`
}

func newParkedListener(what string, at channel.Address, p *channel.Parked) parkedListener {
	return parkedListener{keyOf(what, at), p, at.String()}
}

// keyOf is what a listener is found by that belongs to no chardev.
func keyOf(what string, a channel.Address) string { return what + " " + a.String() }

// A consoleHandover is what one chardev was.
type consoleHandover struct {
	Name    string         `json:"name"`
	Epoch   string         `json:"epoch"`
	Head    int64          `json:"head"`
	Window  int            `json:"window"` // so many bytes before the head follow the document
	Printed int64          `json:"printed,omitempty"`
	LastOut int64          `json:"last_out"`
	BytesIn int64          `json:"bytes_in"`
	Refused []int64        `json:"refused"`
	Dropped []int64        `json:"dropped,omitempty"`
	LastID  int            `json:"last_id"` // of clients
	Marks   []journal.Mark `json:"marks"`
	Fresh   bool           `json:"fresh"` // of times
	Events  []Event        `json:"events"`

	Device    endpointHandover   `json:"device"`
	Frontends []endpointHandover `json:"frontends"`
	Passed    []wantedFrontend   `json:"passed,omitempty"` // of these frontends

	window []byte
}

// An endpointHandover is what was parked of a device, or of a frontend.
type endpointHandover struct {
	Address  string            `json:"address"`
	Listens  bool              `json:"listens"`
	Listener *channel.Parked   `json:"listener,omitempty"`
	Channel  *channel.Parked   `json:"channel,omitempty"` // of a device
	Since    time.Time         `json:"since,omitzero"`    // of a device: when it became as it is; zero: it is cut
	Clients  []*clientHandover `json:"clients,omitempty"`
}

// A clientHandover is what one client was.
type clientHandover struct {
	ID        int            `json:"id"`
	Since     time.Time      `json:"since"`
	Names     []access.Name  `json:"names,omitempty"` // its proven ones
	Operator  bool           `json:"operator,omitempty"`
	Peer      string         `json:"peer"`
	Cursor    int64          `json:"cursor"`
	Typed     int64          `json:"typed"`
	Got       int64          `json:"got"`
	Missed    int64          `json:"missed"`
	Refused   int64          `json:"refused"`
	Input     []byte         `json:"input,omitempty"`     // was read and not given to the device
	Guard     []byte         `json:"guard,omitempty"`     // what of its input a requestGuard has seen
	Unguarded bool           `json:"unguarded,omitempty"` // there is none, whatever its frontend tells
	LineEnd   bool           `json:"line_end,omitempty"`
	Writer    bool           `json:"writer,omitempty"` // has an exclusive input
	Parked    channel.Parked `json:"parked"`           // empty: it is the session of the listener's pty
}

// errHandover is why everything ends for a successor.
var errHandover = fmt.Errorf("%w for an upgrade: come back in a moment", errShutdown)

// Drop closes what nobody has taken over.
func (h *Handover) Drop() {
	for _, p := range h.parked() {
		p.Drop()
	}
}

// parked is everything that has descriptors.
func (h *Handover) parked() []*channel.Parked {
	var all []*channel.Parked
	add := func(p *channel.Parked) {
		if p != nil {
			all = append(all, p)
		}
	}
	for _, l := range h.Listeners {
		add(l.Parked)
	}
	for _, c := range h.Consoles {
		for _, e := range append([]endpointHandover{c.Device}, c.Frontends...) {
			add(e.Listener)
			add(e.Channel)
			for _, cl := range e.Clients {
				add(&cl.Parked)
			}
		}
	}
	return all
}

// listener takes the parked listener of an address; nil: there is none.
func (h *Handover) listener(address string) *channel.Parked {
	if h == nil {
		return nil
	}
	i := slices.IndexFunc(h.Listeners, func(l parkedListener) bool { return l.Address == address })
	if i < 0 {
		return nil
	}
	p := h.Listeners[i].Parked
	h.Listeners = slices.Delete(h.Listeners, i, i+1)
	return p
}

// console takes what the chardev of a name was; nil: there was none.
func (h *Handover) console(name string) *consoleHandover {
	if h == nil {
		return nil
	}
	i := slices.IndexFunc(h.Consoles, func(c *consoleHandover) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	c := h.Consoles[i]
	h.Consoles = slices.Delete(h.Consoles, i, i+1)
	return c
}

// endpoint takes what was parked of an address; the zero one if nothing was.
func endpoint(from *[]endpointHandover, ep *Endpoint) endpointHandover {
	i := slices.IndexFunc(*from, func(e endpointHandover) bool { return e.Address == ep.Address.String() && e.Listens == ep.Listen })
	if i < 0 {
		return endpointHandover{}
	}
	e := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return e
}
