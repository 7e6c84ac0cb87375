package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A wire is a connection made by hand.
type wire struct {
	user
	net.Conn
	read chan struct{} // closed when nothing reads it any more
}

// dial connects and reads all the time.
func dial(t testing.TB, network, address string) *wire {
	t.Helper()
	w := dialSilent(t, network, address)
	w.drain(w.Conn)
	return w
}

// dialSilent connects and reads nothing.
func dialSilent(t testing.TB, network, address string) *wire {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, c, network+" "+address)
}

// dialTLS connects with TLS, verifying against roots (nil: not at all), and reads.
func dialTLS(t testing.TB, address string, config *tls.Config) *wire {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, c, "tls "+address)
	w.drain(c)
	return w
}

func newWire(t testing.TB, c net.Conn, name string) *wire {
	w := &wire{Conn: c, read: make(chan struct{})}
	close(w.read)
	w.name, w.in, w.out = name, c, newOutput()
	t.Cleanup(func() {
		c.Close()
		<-w.read
		if t.Failed() {
			t.Logf("%s saw %q", w.name, last([]byte(w.out.text()), 500))
		}
	})
	return w
}

// drain reads all the time from r into the wire's output.
func (w *wire) drain(r io.Reader) {
	w.read = make(chan struct{})
	go func() {
		defer close(w.read)
		_, err := io.Copy(w.out, r)
		if err == nil {
			err = io.EOF
		}
		w.out.end(err)
	}()
}

// isCut waits for the other side to end the connection, in whatever way.
func (w *wire) isCut(t testing.TB, within time.Duration) {
	t.Helper()
	if _, ended := w.out.ends(within); !ended {
		t.Fatalf("%s: not cut within %v", w.name, within)
	}
}

// abort closes a TCP connection with a reset (SO_LINGER 0, socket(7)).
func abort(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// A reader reads the counter guest from a connection and checks it.
type reader struct {
	conn net.Conn
	mu   sync.Mutex
	c    Checker
	more chan struct{}
	done chan struct{}
	err  error // of the read; after done
}

// check starts to read conn, which it closes in the end.
func check(t testing.TB, conn net.Conn) *reader {
	t.Helper()
	r := newReader(conn)
	go func() {
		defer close(r.done)
		_, r.err = io.Copy(r, conn)
	}()
	t.Cleanup(func() { conn.Close(); <-r.done })
	return r
}

func newReader(conn net.Conn) *reader {
	return &reader{conn: conn, more: make(chan struct{}), done: make(chan struct{})}
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.c.Write(p)
	close(r.more)
	r.more = make(chan struct{})
	return len(p), nil
}

// checker is a copy of the state of the check.
func (r *reader) checker() Checker { r.mu.Lock(); defer r.mu.Unlock(); return r.c }

// until waits until is, told what was read so far, says true.
func (r *reader) until(t testing.TB, within time.Duration, is func(*Checker) bool) {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		r.mu.Lock()
		yes, more := is(&r.c), r.more
		r.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-more:
		case <-r.done:
			t.Fatalf("the counter's stream ended (%v) after %d bytes", r.err, r.c.Bytes)
		case <-timer.C:
			c := r.checker()
			t.Fatalf("the counter's stream: not so after %v; %d bytes, last line %08x, faults %v", within, c.Bytes, c.Last, c.Err())
		}
	}
}

// gets waits for n bytes more.
func (r *reader) gets(t testing.TB, n int64) {
	t.Helper()
	want := r.checker().Bytes + n
	r.until(t, patience, func(c *Checker) bool { return c.Bytes >= want })
}

// whole fails the test if the stream was not whole so far.
func (r *reader) whole(t testing.TB) {
	t.Helper()
	c := r.checker()
	if err := c.Err(); err != nil {
		t.Error(err)
	}
	if c.Lines == 0 {
		t.Error("not one line of the counter was read")
	}
}

// rate is how many lines a second arrive during d.
func (r *reader) rate(t testing.TB, d time.Duration) float64 {
	t.Helper()
	r.gets(t, 1)
	c, t0 := r.checker(), time.Now()
	r.until(t, d+patience, func(*Checker) bool { return time.Since(t0) >= d })
	return float64(r.checker().Last-c.Last) / time.Since(t0).Seconds()
}

// The websocket by hand, RFC 6455: for what no client would send.

// handshake sends a websocket request for / with further headers over c and
// returns the answer.
func handshake(t testing.TB, c net.Conn, host string, headers map[string]string) (*http.Response, *bufio.Reader) {
	t.Helper()
	return upgrade(t, c, "http://"+host+"/", headers)
}

// upgrade is handshake with any URL.
func upgrade(t testing.TB, c net.Conn, url string, headers map[string]string) (*http.Response, *bufio.Reader) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	c.SetDeadline(time.Now().Add(patience))
	defer c.SetDeadline(time.Time{})
	if err := r.Write(c); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	answer, err := http.ReadResponse(br, r)
	if err != nil {
		t.Fatalf("websocket handshake: %v", err)
	}
	return answer, br
}

// dialWS connects a websocket over TCP, without reading frames.
func dialWS(t testing.TB, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	w := dialSilent(t, "tcp", address)
	answer, br := handshake(t, w.Conn, address, nil)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("websocket %s: %s", address, answer.Status)
	}
	return w.Conn, br
}

// Opcodes, RFC 6455 §5.2.
const (
	opText, opBinary, opClose, opPing, opPong = 1, 2, 8, 9, 10
)

// frame is a masked frame with FIN set.
func frame(op byte, payload string) []byte {
	mask := [4]byte{1, 2, 3, 4}
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// readFrame reads one frame of a server.
func readFrame(c net.Conn, br *bufio.Reader) (op byte, payload []byte, err error) {
	c.SetReadDeadline(time.Now().Add(patience))
	var h [2]byte
	if _, err = io.ReadFull(br, h[:]); err != nil {
		return 0, nil, err
	}
	if h[1]&0x80 != 0 {
		return 0, nil, errors.New("a server's frame is masked")
	}
	n := uint64(h[1])
	if n >= 126 {
		ext := make([]byte, map[uint64]int{126: 2, 127: 8}[n])
		if _, err = io.ReadFull(br, ext); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-len(ext)), ext...))
	}
	if n > 1<<24 {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(br, payload)
	return h[0] & 15, payload, err
}

// framesUntil reads frames until data of all of them contains want, and
// returns the payloads of the pongs.
func framesUntil(t testing.TB, c net.Conn, br *bufio.Reader, want string) (pongs []string) {
	t.Helper()
	var data []byte
	for !bytes.Contains(data, []byte(want)) {
		op, payload, err := readFrame(c, br)
		if err != nil {
			t.Fatalf("websocket: %v; data so far %q", err, data)
		}
		switch op {
		case opPong:
			pongs = append(pongs, string(payload))
		case opBinary, opText, 0:
			data = append(data, payload...)
		case opClose:
			t.Fatalf("websocket: closed with %q", payload)
		}
	}
	return pongs
}

// checkTLS checks what comes through TLS, checkWS what comes in a websocket's
// frames.
func checkTLS(t testing.TB, address string, ca *authority) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := (&tls.Dialer{Config: ca.client()}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return check(t, c)
}

func checkWS(t testing.TB, address string) *reader {
	t.Helper()
	conn, br := dialWS(t, address)
	r := newReader(conn)
	go func() {
		defer close(r.done)
		for {
			op, payload, err := readFrame(conn, br)
			if r.err = err; err != nil {
				return
			}
			switch op {
			case opBinary, 0:
				r.Write(payload)
			case opClose:
				r.err = io.EOF
				return
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-r.done })
	return r
}
