package chardev

import (
	"bytes"
	"errors"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// The reasons for which input is not taken; each is counted under its name.
const (
	refusedReadOnly = iota
	refusedOff
	refusedNotWriter
	refusedDown
	refusedBusy
	refusedHTTP
	refusedAccess
)

var reasons = [...]string{
	refusedReadOnly:  "read_only",     // the client's frontend is read-only
	refusedOff:       "input_off",     // the chardev takes no input
	refusedNotWriter: "not_writer",    // somebody else has the exclusive input
	refusedDown:      "device_down",   // stale keys must not run after a reconnect
	refusedBusy:      "device_busy",   // the device took nothing for busyAfter
	refusedHTTP:      "http_request",  // a web page's request to a raw port
	refusedAccess:    "not_permitted", // by the access rules
}

// inWords are the reasons as people are told them.
var inWords = [...]string{
	refusedReadOnly:  "this way in is read-only",
	refusedOff:       "the console takes no input",
	refusedNotWriter: "somebody else has the input",
	refusedDown:      "the device is down",
	refusedBusy:      "the device takes nothing; it is stopped, or hangs",
	refusedHTTP:      "it is a web page's request",
	refusedAccess:    "the access rules do not permit it",
}

// busyAfter is how long input waits for a device that takes none.
const busyAfter = 30 * time.Second

// inputMax is how much input is given to the device at once. It is little, so
// that a slow line shows progress and a break comes soon.
const inputMax = 2 << 10

// A session is one connection to the device, from up to down.
type session struct {
	// fixed
	hub   *hub
	since time.Time
	out   *channel.Outbox // below all layers of the device
	tie   tie             // to what it is within
	ended func(error)

	untaken *untaken // of its own

	going ending  // its end has come
	in    reading // owned by read

	turn queue // of who gives the device something
	gone latch // the device takes no more
}

var (
	errBusy = errors.New("the device takes no input")
	errGone = errors.New("the device is gone")
)

// take gives what a client typed to the device; it returns when the bytes are
// given or refused, so a device that takes none is felt by those who type. If
// anything was refused, ok is false and why tells the reason.
func (h *hub) take(c *client, p []byte) (why int, ok bool) {
	if why, ok = h.takeWriter(c); !ok {
		h.refuse(c, why, len(p))
		return why, false
	}
	s := h.device.Load()
	if s == nil && h.saves(c, p) {
		return 0, true
	}
	if s == nil {
		h.refuse(c, refusedDown, len(p))
		return refusedDown, false
	}
	for len(p) > 0 {
		n := min(len(p), inputMax)
		switch err := s.give(c, p[:n]); err {
		case nil:
			h.bytesIn.Add(int64(n))
			c.typed.Add(int64(n))
		case errBusy:
			if h.saves(c, p) {
				return 0, true
			}
			h.refuse(c, refusedBusy, n)
			why, ok = refusedBusy, false
		default:
			if err == errGone && h.saves(c, p) {
				return 0, true
			}
			why = refusedDown
			if r, is := err.(refusal); is {
				why = int(r)
			}
			h.refuse(c, why, len(p))
			return why, false
		}
		p = p[n:]
	}
	return why, ok
}

// tryTake is take that does not wait. It returns false if it has done nothing.
func (h *hub) tryTake(c *client, p []byte) bool {
	s := h.device.Load()
	if s == nil || s.in.attended == nil {
		return false
	}
	select {
	case s.turn.head() <- struct{}{}:
		defer func() { <-s.turn.head() }()
	default:
		return false
	}
	if s.out.Kept() > 0 || s.put(c, p) != nil {
		return false
	}
	h.bytesIn.Add(int64(len(p)))
	c.typed.Add(int64(len(p)))
	return true
}

// A refusal is that a client lost the right to type while it waited for the device:
// one of the reasons.
type refusal int

func (r refusal) Error() string { return "input not taken: " + inWords[r] }

// give gives what c typed to the device when it is its turn and the device has taken
// what it was given before. It returns errBusy when it has not for busyAfter, or when
// c is going, errGone, and a refusal.
func (s *session) give(c *client, p []byte) error {
	if err := s.awaitTurn(c); err != nil {
		return err
	}
	defer func() { <-s.turn.head() }()
	if err := s.awaitDevice(c); err != nil {
		return err
	}
	return s.put(c, p)
}

// put gives the device, which has taken what it was given before, what c typed. Whoever
// calls it has the turn.
func (s *session) put(c *client, p []byte) error {
	s.hub.writer.pen.Lock()
	defer s.hub.writer.pen.Unlock()
	if why, ok := s.hub.mayGive(c); !ok {
		return refusal(why)
	}
	s.watchTaken()
	if _, err := s.in.ch.Write(p); err != nil {
		if s.endInput() {
			s.hub.log.Warn("the device takes no input any more", "error", err)
		}
		return errGone
	}
	return nil
}

// awaitTurn waits until it is c's turn.
func (s *session) awaitTurn(c *client) error {
	select {
	case s.turn.head() <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.turn.head() <- struct{}{}:
		return nil
	case <-s.gone.done():
		return errGone
	case <-c.going.done():
		return errBusy
	}
}

// waits says whether the device has not taken all that it was given.
func (s *session) waits() bool {
	u, ok := channel.As[channel.Untaken](s.in.ch)
	return s.out.Kept() > 0 || ok && u.Untaken()
}

// endInput ends who gives something or wants to; it returns false if that was so
// before.
func (s *session) endInput() (first bool) { return s.gone.end() }

// takeControl is takeWriter for a break, or a change of the line.
func (h *hub) takeControl(c *client) (why int, ok bool) {
	what := access.Control
	if why = refusedAccess; c.may(what) {
		what = access.Write
		why, ok = h.takeWriter(c)
	}
	if !ok {
		h.audit.didNot(c, "to send a break or set the line", h.whyNot(c, what, why))
	}
	return why, ok
}

// refuse counts input that is thrown away. A person is told the first time, and again
// when it is somebody else's turn that keeps him from typing.
func (h *hub) refuse(c *client, why, n int) {
	h.refused[why].Add(int64(n))
	text := refusal(why).Error()
	first := c.refused.Add(int64(n)) == int64(n)
	if first {
		h.noteSome(&h.denied, "refused", c.String()+": "+text)
		if why != refusedDown && why != refusedBusy { // of these nobody is to blame
			h.audit.didNot(c, "to type", h.whyNot(c, access.Write, why))
		}
	}
	if why == refusedNotWriter {
		h.mu.Lock()
		if h.writer.holder != nil {
			text = "input not taken: " + h.writer.holder.String() + " has it"
		}
		first = c.refusedAt != h.writer.turn
		c.refusedAt = h.writer.turn
		h.mu.Unlock()
	}
	if first {
		c.tell(Message{Type: "notice", Code: reasons[why], Text: text})
	}
}

// awaitDevice waits until the device took what it was given; c has the turn. Once it
// has taken nothing for busyAfter nobody waits until it has.
func (s *session) awaitDevice(c *client) error {
	drained := s.out.Drained()
	select {
	case <-drained:
		s.untaken.stuck = false
		return nil
	default:
	}
	switch {
	case s.gone.isOver():
		return errGone
	case s.untaken.stuck:
		return errBusy
	}
	t := time.NewTimer(busyAfter)
	defer t.Stop()
	select {
	case <-drained:
		return nil
	case <-s.gone.done():
		return errGone
	case <-c.going.done():
		return errBusy
	case <-t.C:
		s.untaken.stuck = true
		s.hub.sign.raise(happened)
		return errBusy
	}
}

var errHTTPRequest = errors.New("an HTTP request, or a handshake of TLS, on a raw port (http=allow lets such bytes in)")

// A requestGuard tells whether a stream begins like an HTTP request or a handshake of
// TLS, however it is cut. A web page can make any browser connect to a port of this host
// and send one; it must not type into a console. (In the handshake is a session ticket,
// in which a page's server, that has moved here by DNS rebinding, can have put any lines.)
type requestGuard struct {
	head [16]byte
	n    int
}

var requestLines = [][]byte{
	[]byte("GET /"), []byte("POST /"), []byte("PUT /"), []byte("HEAD /"), []byte("DELETE /"), []byte("PATCH /"),
	[]byte("OPTIONS /"), []byte("OPTIONS *"), []byte("TRACE /"), []byte("CONNECT "), []byte("PRI * HTTP/"),
	// requests in absolute form, as to a proxy
	[]byte("GET http"), []byte("POST http"), []byte("PUT http"), []byte("HEAD http"),
}

// isRequest looks at the next bytes of the stream.
func (g *requestGuard) isRequest(p []byte) bool {
	if g.n == len(g.head) {
		return false
	}
	g.n += copy(g.head[g.n:], p)
	for _, l := range requestLines {
		if bytes.HasPrefix(g.head[:g.n], l) {
			g.n = len(g.head)
			return true
		}
	}
	if beginsTLS(g.head[:g.n]) {
		g.n = len(g.head)
		return true
	}
	return false
}

// beginsTLS says whether a stream begins with a record that has a ClientHello (RFC 8446
// sections 4 and 5.1): the handshake, version 3 of SSL or later, a length, the hello.
func beginsTLS(head []byte) bool {
	return len(head) > 5 && head[0] == 22 && head[1] == 3 && head[5] == 1
}
