package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"chardevd/chardev"
)

// An attached is a client of the API's websocket: it knows the offset of every
// byte that it gets.
type attached struct {
	conn  net.Conn
	br    *bufio.Reader
	hello chardev.Message
	at    int64 // of the next byte
	gaps  []gap // what it was told as lost
}

// A gap is a run of offsets, from the first to before the last, that is lost.
type gap struct{ from, to int64 }

// attachAt attaches to a chardev with the parameters of a query, and waits for
// the hello.
func (d *daemon) attachAt(name string, query url.Values) *attached {
	d.t.Helper()
	w := dialSilent(d.t, "unix", d.path(d.control))
	answer, br := upgrade(d.t, w.Conn, "http://localhost/api/v1/chardevs/"+name+"/ws?"+query.Encode(),
		map[string]string{"Sec-WebSocket-Protocol": chardev.AttachProtocol})
	if answer.StatusCode != http.StatusSwitchingProtocols {
		var p chardev.Problem
		json.NewDecoder(answer.Body).Decode(&p)
		d.t.Fatalf("attach %s?%s: %s: %s", name, query.Encode(), answer.Status, p.Detail)
	}
	a := &attached{conn: w.Conn, br: br}
	for a.hello.Type == "" {
		if _, err := a.next(); err != nil {
			d.t.Fatalf("attach %s?%s: %v before the hello", name, query.Encode(), err)
		}
	}
	return a
}

// next reads one frame. Of data it returns the bytes, which end at a.at.
func (a *attached) next() ([]byte, error) {
	op, payload, err := readFrame(a.conn, a.br)
	if err != nil {
		return nil, err
	}
	switch op {
	case opBinary, 0:
		a.at += int64(len(payload))
		return payload, nil
	case opClose:
		return nil, fmt.Errorf("closed with %q", payload)
	case opText:
		var m chardev.Message
		if err := json.Unmarshal(payload, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", payload, err)
		}
		switch m.Type {
		case "hello":
			a.hello, a.at = m, m.Offset
		case "gap":
			if m.Offset-m.Size != a.at {
				return nil, fmt.Errorf("%d bytes before %d are told as lost, and the last byte was before %d", m.Size, m.Offset, a.at)
			}
			a.gaps = append(a.gaps, gap{a.at, m.Offset})
			a.at = m.Offset
		}
	}
	return nil, nil
}

// A copy of a console is what somebody got of it, by offset: stretches of bytes that
// do not touch, in order.
type consoleCopy struct {
	mu        sync.Mutex
	stretches []stretch
}

type stretch struct {
	at   int64
	data []byte
}

func (r stretch) end() int64 { return r.at + int64(len(r.data)) }

// add takes bytes that follow all that is there.
func (c *consoleCopy) add(at int64, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.stretches); n > 0 {
		l := &c.stretches[n-1]
		switch end := l.end(); {
		case at < end:
			return fmt.Errorf("bytes at %d come after those up to %d", at, end)
		case at == end:
			l.data = append(l.data, data...)
			return nil
		}
	}
	c.stretches = append(c.stretches, stretch{at, bytes.Clone(data)})
	return nil
}

// end is the offset behind the last byte, 0 if there is none.
func (c *consoleCopy) end() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stretches) == 0 {
		return 0
	}
	return c.stretches[len(c.stretches)-1].end()
}

// forget drops what is before an offset.
func (c *consoleCopy) forget(before int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.stretches) > 0 && c.stretches[0].end() <= before {
		c.stretches = c.stretches[1:]
	}
	if len(c.stretches) > 0 && c.stretches[0].at < before {
		r := &c.stretches[0]
		r.data, r.at = bytes.Clone(r.data[before-r.at:]), before
	}
}

// same compares what both have and returns how many bytes that is.
func (c *consoleCopy) same(other *consoleCopy) (n int64, err error) {
	for _, a := range c.stretches {
		for _, b := range other.stretches {
			from, to := max(a.at, b.at), min(a.end(), b.end())
			if from >= to {
				continue
			}
			x, y := a.data[from-a.at:to-a.at], b.data[from-b.at:to-b.at]
			if i := firstDifference(x, y); i >= 0 {
				return n, fmt.Errorf("at offset %d: %q is now %q", from+int64(i), x[i:min(i+40, len(x))], y[i:min(i+40, len(y))])
			}
			n += to - from
		}
	}
	return n, nil
}

// firstDifference is where two slices begin to differ, -1 if they do not.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// copyTo reads up to an offset into a copy.
func (a *attached) copyTo(t testing.TB, c *consoleCopy, to int64) {
	t.Helper()
	for a.at < to {
		data, err := a.next()
		if err == nil && len(data) > 0 {
			err = c.add(a.at-int64(len(data)), data)
		}
		if err != nil {
			t.Fatalf("at offset %d of %d: %v", a.at, to, err)
		}
	}
}
