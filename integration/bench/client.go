package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A client is one attached reader. What it reads is given to take, piece by
// piece; whoever reads is the only one to call it.
type client struct {
	kind string // tcp, unix, tls, ws, telnet
	fd   int
	tls  *tls.Conn    // kind tls
	wire *tlsWire     // below it
	ws   wsReader     // kind ws
	tel  telnetReader // kind telnet
	chk  checker
	take func(p []byte)

	// what others may look at meanwhile
	heard atomic.Bool
	got   atomic.Int64
	last  atomic.Int64          // when the last bytes came, ns since began
	fault atomic.Pointer[error] // why it ended
}

var began = time.Now()

// clock is the time since the program began, in ns.
func clock() int64 { return int64(time.Since(began)) }

// dial connects a client to a console's frontend, with the handshake of its kind.
func dial(f front, deadline time.Time) (*client, error) {
	c := &client{kind: f.kind}
	c.take = c.check
	var err error
	if c.fd, err = connect(f.kind, f.addr, deadline); err != nil {
		return nil, err
	}
	switch {
	case f.greet != nil:
		var attached fdConn
		attached, err = f.greet(fdConn(c.fd))
		c.fd = int(attached)
	case f.kind == "tls":
		c.wire = &tlsWire{fdConn(c.fd), fdConn.Read}
		c.tls = tls.Client(c.wire, tlsConfig)
		err = c.tls.Handshake()
	case f.kind == "ws":
		err = c.upgrade(f.addr)
	case f.kind == "telnet":
		err = askBinary(fdConn(c.fd))
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s handshake: %w", f.kind, err)
	}
	return c, nil
}

// The targets' certificates are their own or made here; who they are does not matter.
var tlsConfig = &tls.Config{InsecureSkipVerify: true}

// upgrade is the websocket's handshake (RFC 6455 section 4.1).
func (c *client) upgrade(port string) error {
	req := "GET / HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
	if _, err := fdConn(c.fd).Write([]byte(req)); err != nil {
		return err
	}
	r := bufio.NewReader(oneByOne{fdConn(c.fd)})
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// oneByOne reads no byte too many.
type oneByOne struct{ r io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// received takes what was read from the descriptor (under tls: from that).
func (c *client) received(p []byte) error {
	switch c.kind {
	case "ws":
		return c.ws.feed(p, c.take)
	case "telnet":
		c.tel.feed(p, c.take)
	default:
		c.take(p)
	}
	return nil
}

// check is how a client takes what it reads, unless it is told otherwise.
func (c *client) check(p []byte) {
	c.chk.feed(p)
	c.got.Store(c.chk.got + int64(len(c.chk.torn)))
	if c.chk.heard && !c.heard.Load() {
		c.heard.Store(true)
	}
	c.last.Store(clock())
}

// read reads once, waiting as long as it takes.
func (c *client) read(buf []byte) error {
	n, err := c.conn().Read(buf)
	if err != nil {
		return err
	}
	return c.received(buf[:n])
}

// readReady reads what is there, without waiting.
func (c *client) readReady(buf []byte) error {
	if c.tls == nil {
		n, err := fdConn(c.fd).readNow(buf)
		if err == nil {
			err = c.received(buf[:n])
		}
		return unlessNotYet(err)
	}
	c.wire.read = fdConn.readNow
	for { // until nothing is left, as what tls holds back wakes nobody
		if err := c.read(buf); err != nil {
			return unlessNotYet(err)
		}
	}
}

func unlessNotYet(err error) error {
	if err == errNotYet {
		return nil
	}
	return err
}

// fail notes why a client reads no more.
func (c *client) fail(err error) { c.fault.CompareAndSwap(nil, &err) }

func (c *client) failed() error {
	if p := c.fault.Load(); p != nil {
		return *p
	}
	return nil
}

// conn is what the stream, or its frames, go through.
func (c *client) conn() io.ReadWriter {
	if c.tls != nil {
		return c.tls
	}
	return fdConn(c.fd)
}

// typeBytes sends some bytes as keys.
func (c *client) typeBytes(p []byte) error {
	if c.kind == "ws" {
		p = wsFrame(p)
	}
	_, err := c.conn().Write(p)
	return err
}

// wsFrame is a masked binary frame of at most 125 bytes.
func wsFrame(p []byte) []byte {
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	f := append([]byte{0x82, 0x80 | byte(len(p))}, mask[:]...)
	for i, b := range p {
		f = append(f, b^mask[i%4])
	}
	return f
}

// A wsReader takes frames from a server apart. Control frames are passed over.
type wsReader struct {
	head []byte // of the frame that begins
	left uint64 // of its payload
	data bool   // it is one of the stream
}

// feed takes the next piece and hands on the payload in it.
func (w *wsReader) feed(p []byte, take func([]byte)) error {
	for len(p) > 0 {
		if w.left > 0 {
			n := int(min(uint64(len(p)), w.left))
			if w.data {
				take(p[:n])
			}
			w.left -= uint64(n)
			p = p[n:]
			continue
		}
		w.head = append(w.head, p[0])
		p = p[1:]
		h := w.head
		need := 2
		if len(h) >= 2 {
			need = map[byte]int{126: 4, 127: 10}[h[1]]
			if need == 0 {
				need = 2
			}
		}
		if len(h) < need || len(h) < 2 {
			continue
		}
		switch need {
		case 2:
			w.left = uint64(h[1])
		case 4:
			w.left = uint64(binary.BigEndian.Uint16(h[2:]))
		case 10:
			w.left = binary.BigEndian.Uint64(h[2:])
		}
		switch h[0] & 15 {
		case 0, 1, 2:
			w.data = true
		case 8:
			return fmt.Errorf("the target ends the websocket")
		default:
			w.data = false
		}
		w.head = h[:0]
	}
	return nil
}

// shut ends a client's connection; who reads it notices.
func (c *client) shut() { unix.Shutdown(c.fd, unix.SHUT_RDWR) }

func (c *client) close() {
	if c.fd >= 0 {
		abort(c.fd)
		c.fd = -1
	}
}

// A front is how clients reach a console.
type front struct {
	kind, addr string // tcp tls ws telnet and a port, unix and a path
	// greet is what the target wants to hear first; it returns the connection that
	// then carries the stream, and closes the other one.
	greet func(c fdConn) (fdConn, error)
}

// tempDir makes a folder with a path short enough for UNIX sockets.
func tempDir() (string, error) { return os.MkdirTemp("", "cdbench") }
