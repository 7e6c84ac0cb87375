package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// A printer is a guest by hand: the test says what it prints, and how fast. It
// connects to a chardev vm whose device is { listen = "unix:vm.guest" }.
type printer struct {
	net.Conn
	printed int64 // bytes, since the console's first one
}

func newPrinter(t testing.TB, d *daemon, name string) *printer {
	t.Helper()
	p := &printer{Conn: dialSilent(t, "unix", d.path(name+".guest")).Conn}
	d.is(name, "up")
	return p
}

// prints prints the next n bytes of the page (see fill).
func (p *printer) prints(n int64) error {
	buf := make([]byte, 64<<10)
	for n > 0 {
		b := buf[:min(n, int64(len(buf)))]
		fill(b, p.printed)
		m, err := p.Write(b)
		p.printed += int64(m)
		if n -= int64(m); err != nil {
			return err
		}
	}
	return nil
}

// paced prints n bytes at a rate, in bytes a second, a piece each 5 ms.
func (p *printer) paced(n, rate int64) error {
	const each = 5 * time.Millisecond
	tick := time.NewTicker(each)
	defer tick.Stop()
	for piece := max(1, rate*int64(each)/int64(time.Second)); n > 0; {
		<-tick.C
		m := min(piece, n)
		if err := p.prints(m); err != nil {
			return err
		}
		n -= m
	}
	return nil
}

// shows prints n bytes at a rate, which somebody reads meanwhile, and checks.
func (p *printer) shows(t testing.TB, n, rate int64, to *wire, seen *pageChecker) {
	t.Helper()
	failed := make(chan error, 1)
	go func() { failed <- p.paced(n, rate) }()
	if err := seen.reads(to.Conn, n); err != nil {
		t.Error(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// pageSize is how often the number in the page changes.
const pageSize = 4096

// page is a page of lines like those of a log, without its number; it ends with
// the end of a line.
var page = func() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"usb", "link up", "eth0:", "systemd[1]:", "Started", "Stopped", "session", "kernel:", "audit", "ok", "timeout", "0x1f", "retry"}
	var b bytes.Buffer
	for b.Len() < pageSize {
		fmt.Fprintf(&b, "[%5d.%06d]", random.IntN(99999), random.IntN(1e6))
		for range 2 + random.IntN(8) {
			b.WriteString(" " + words[random.IntN(len(words))])
		}
		b.WriteString("\r\n")
	}
	b.Truncate(pageSize - 2)
	return append(b.Bytes(), "\r\n"...)
}()

// fill fills p with what is printed at an offset: pages, each of which begins with
// a line that has its number.
func fill(p []byte, at int64) {
	for len(p) > 0 {
		in := at % pageSize
		n := copy(p, page[in:])
		if number := fmt.Appendf(nil, "page %015x\r\n", at/pageSize); in < int64(len(number)) {
			copy(p, number[in:])
		}
		p, at = p[n:], at+int64(n)
	}
}

// printed is what is printed from one offset to another.
func printed(from, to int64) []byte {
	p := make([]byte, max(0, to-from))
	fill(p, from)
	return p
}

// A pageChecker reads what a printer printed and finds the first byte that is
// another than what was printed there.
type pageChecker struct {
	at   int64 // of the next byte
	want []byte
}

func (c *pageChecker) Write(p []byte) (int, error) {
	if len(c.want) < len(p) {
		c.want = make([]byte, len(p))
	}
	want := c.want[:len(p)]
	fill(want, c.at)
	if i := firstDifference(p, want); i >= 0 {
		return i, fmt.Errorf("at offset %d: %q came and %q was printed", c.at+int64(i), p[i:min(i+40, len(p))], want[i:min(i+40, len(p))])
	}
	c.at += int64(len(p))
	return len(p), nil
}

// reads reads n bytes of what was printed and checks them.
func (c *pageChecker) reads(r net.Conn, n int64) error {
	r.SetReadDeadline(time.Now().Add(6 * patience))
	_, err := io.CopyN(c, r, n)
	return err
}
