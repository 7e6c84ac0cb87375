package chardev

import (
	"bytes"
	"context"
	"errors"
	"time"

	"chardevd/channel"
)

// The reasons for which input is not taken; each is counted under its name.
const (
	refusedReadOnly = iota
	refusedOff
	refusedNotWriter
	refusedDown
	refusedBusy
	refusedHTTP
)

var reasons = [...]string{
	refusedReadOnly:  "read_only",    // the client's frontend is read-only
	refusedOff:       "input_off",    // the chardev takes no input
	refusedNotWriter: "not_writer",   // somebody else has the exclusive input
	refusedDown:      "device_down",  // stale keys must not run after a reconnect
	refusedBusy:      "device_busy",  // the device took nothing for busyAfter
	refusedHTTP:      "http_request", // a web page's request to a raw port
}

// busyAfter is how long input waits for a device that takes none.
const busyAfter = 30 * time.Second

// gatherMax is how much input is given to the device at once. It is little, so
// that a slow line shows progress and a break comes soon.
const gatherMax = 2 << 10

// A session is one connection to the device, from up to down.
type session struct {
	since time.Time
	dev   channel.Channel
	out   *channel.Outbox // below all layers of dev
	input chan keys       // unbuffered: who comes first is served first
	gone  chan struct{}   // closed when the session ends
}

// keys is input on its way: the bytes stay the client's until done says how it
// went.
type keys struct {
	bytes []byte
	done  chan error
}

var errBusy = errors.New("the device takes no input")

// take gives what a client typed to the device; it returns when the bytes are
// given or refused, so a device that takes none is felt by those who type.
func (h *hub) take(c *client, p []byte) {
	if why, ok := h.takeWriter(c); !ok {
		h.refuse(c, why, len(p))
		return
	}
	s := h.device.Load()
	if s == nil {
		h.refuse(c, refusedDown, len(p))
		return
	}
	for len(p) > 0 {
		k := keys{p[:min(len(p), gatherMax)], c.keysDone}
		select {
		case s.input <- k:
		case <-s.gone:
			h.refuse(c, refusedDown, len(p))
			return
		case <-c.ctx.Done():
			h.refuse(c, refusedBusy, len(p))
			return
		}
		switch err := <-k.done; err {
		case nil:
			h.bytesIn.Add(int64(len(k.bytes)))
			c.typed.Add(int64(len(k.bytes)))
		case errBusy:
			h.refuse(c, refusedBusy, len(k.bytes))
		default:
			h.refuse(c, refusedDown, len(p))
			return
		}
		p = p[len(k.bytes):]
	}
}

// mayType says whether a client's input would go to the device, or why not.
func (h *hub) mayType(c *client) (why int, ok bool) {
	switch {
	case c.readOnly:
		return refusedReadOnly, false
	case h.input == "off":
		return refusedOff, false
	case h.input == "exclusive":
		h.mu.Lock()
		defer h.mu.Unlock()
		return refusedNotWriter, h.writer == nil || h.writer == c
	}
	return 0, true
}

// takeWriter is mayType for one who types now: with an exclusive input, who types
// while it is free has it.
func (h *hub) takeWriter(c *client) (why int, ok bool) {
	if why, ok = h.mayType(c); !ok || h.input != "exclusive" {
		return why, ok
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer == nil {
		h.writer = c
	}
	return why, h.writer == c
}

// refuse counts input that is thrown away.
func (h *hub) refuse(c *client, why, n int) {
	h.refused[why].Add(int64(n))
	if c.refused.Add(int64(n)) == int64(n) { // the first time
		h.note("refused", c.String()+": input not taken: "+reasons[why])
		c.tell(Message{Type: "notice", Text: "input not taken: " + reasons[why]})
	}
}

// writeDevice gives the device what clients type until the session ends.
func (h *hub) writeDevice(ctx context.Context, s *session) error {
	defer close(s.gone)
	gather := make([][]byte, 0, 8)
	waiting := make([]keys, 0, 8)
	for {
		if err := s.awaitDevice(ctx); err != nil {
			return err
		}
		select {
		case k := <-s.input:
			waiting = append(waiting, k)
		case <-ctx.Done():
			return ctx.Err()
		}
		n := len(waiting[0].bytes)
		for more := true; more && n < gatherMax; {
			select {
			case k := <-s.input:
				waiting = append(waiting, k)
				n += len(k.bytes)
			default:
				more = false
			}
		}
		for _, k := range waiting {
			gather = append(gather, k.bytes)
		}
		_, err := s.dev.Writev(gather)
		for _, k := range waiting {
			k.done <- err
		}
		clear(gather)
		clear(waiting)
		gather, waiting = gather[:0], waiting[:0]
		if err != nil {
			return err
		}
	}
}

// awaitDevice waits until the device took what it was given. While it takes
// nothing for busyAfter, input is refused.
func (s *session) awaitDevice(ctx context.Context) error {
	drained := s.out.Drained()
	select {
	case <-drained:
		return nil
	default:
	}
	t := time.NewTimer(busyAfter)
	defer t.Stop()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	for {
		select {
		case <-drained:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case k := <-s.input:
			k.done <- errBusy
		}
	}
}

var errHTTPRequest = errors.New("an HTTP request on a raw port (http=allow lets such bytes in)")

// A requestGuard tells whether a stream begins like an HTTP request, however it
// is cut. A web page can make any browser connect to a port of this host and
// send one; it must not type into a console.
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
	return false
}
