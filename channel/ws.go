package channel

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

var wsLayer = &layerDef{
	name: "ws",
	options: []optionDef{
		{name: "path", check: isRequestPath},
		{name: "origin", check: CheckOrigin, repeat: true},
		{name: "host", check: CheckHostName, repeat: true},
	},
	client: wsClientLayer,
	server: wsServerLayer,
}

// wsProtocol is the subprotocol of plain bytes in binary frames: what websockify,
// noVNC and QEMU call it.
const wsProtocol = "binary"

// wsPingInterval is how often a server pings, so that proxies, which cut what is
// idle for a minute, keep the connection. Dead peers are noticed below, by TCP.
const wsPingInterval = 30 * time.Second

// WebsocketOptions are for both ends of a websocket. The zero value works.
type WebsocketOptions struct {
	// Path: a server serves this path only; "" any. A client asks for it; it may
	// have a query, and "" is "/".
	Path string

	// Host is what a client calls the server; "" is localhost.
	Host string

	// Hosts are the names by which clients may call a server, besides localhost
	// and any IP address: a name of somebody else that leads here is the way of
	// web pages past the same-origin policy (DNS rebinding).
	Hosts []string

	// Origins are the sites whose pages may connect to a server, as in
	// https://ops.example, besides pages of the server itself.
	Origins []string

	// Protocols are the subprotocols that a client offers, or that a server
	// speaks, the best first. Without any in common the connection has none.
	Protocols []string

	// OnText, if not nil, gets the text messages, which are no part of the stream
	// then: in order with it, from within Read, with no lock held. A message is
	// at most 64 KiB, is UTF-8, and is OnText's to keep. A client with OnText
	// insists on one of Protocols. nil: text is stream, as it comes from browsers.
	OnText func([]byte)

	// Admit, if not nil, is asked by WebsocketServer about a request in which all
	// else is right: it returns why not, or what it has found out about whoever
	// made it, which Admitted tells then. It has as long as ctx, and may ask under
	// who is there, but not read it or write to it.
	Admit func(ctx context.Context, under Channel, r *http.Request) (who any, refusal *HandshakeError)

	// Header is what a client sends besides.
	Header http.Header

	// PingInterval is how often to ping; 0 means 30 s for a server and never for a
	// client, below 0 never.
	PingInterval time.Duration
}

func wsClientLayer(_ *Env, a Address) (Layer, error) {
	for _, o := range []string{"origin", "host"} {
		if a.Get(o) != "" {
			return nil, fmt.Errorf("ws: %s= says who may connect; it is for listening", o)
		}
	}
	o := WebsocketOptions{Path: wsPath(a), Protocols: []string{wsProtocol}}
	if a.ServerName() != "" {
		o.Host = a.Where
	}
	return func(ctx context.Context, under Channel) (Channel, error) {
		c, err := WebsocketClient(ctx, under, o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}, nil
}

func wsServerLayer(e *Env, a Address) (Layer, error) {
	path := cmp.Or(a.Path, a.Get("path")) // unescaped, as that of a request is compared
	if strings.Contains(path, "?") {
		return nil, errors.New("ws: a path with a query cannot be served; give the path alone")
	}
	o := WebsocketOptions{Path: path, Hosts: a.All("host"), Origins: a.All("origin"), Protocols: []string{wsProtocol}, Admit: e.Admit}
	return func(ctx context.Context, under Channel) (Channel, error) {
		c, err := WebsocketServer(ctx, under, o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}, nil
}

// A Websocket is a channel whose bytes travel in the frames of RFC 6455. Writes
// become binary messages of up to 64 KiB, and any data message that comes is
// stream, whatever its boundaries.
//
// Its unusual traits: there is no half close; Read has no buffer but the caller's,
// in which it takes the frames apart; and Read answers pings, so a side that
// never reads never answers.
//
// The reader never writes, since the other side's may be doing the same, and both
// would wait for ever: pings are answered by a goroutine that lives as long as
// the answer takes.
type Websocket struct {
	layered

	// fixed at construction
	onText func([]byte)
	encode func(f *wsFrame, op ws.OpCode, payload [][]byte, size int) [][]byte
	out    *Outbox       // that a server's frames go to; nil: they do not, or are not a server's
	every  time.Duration // between pings; 0: never
	who    any           // see Admitted

	read  sync.Mutex // owns the reading side, also while it waits
	dec   wsDecoder
	early []byte // read from below and not decoded yet
	err   error  // why nothing more can be read

	// The lock is the order of the frames, so it is held while one waits. Close
	// gets it, because its deadline ends the waiting.
	write sync.Mutex
	shut  bool // a close frame is out

	beside besideFrames
}

// NewWebsocket makes the server's side of a websocket whose handshake is done.
// It owns under; early is what came behind the request's head. Of o it needs
// OnText and PingInterval.
func NewWebsocket(under Channel, early []byte, o WebsocketOptions) *Websocket {
	c := &Websocket{layered: layered{under: under}, onText: o.OnText, early: early, encode: encodePlain}
	c.out, _ = under.(*Outbox)
	c.dec.side, c.dec.messages = ws.StateServerSide, o.OnText != nil
	c.startPings(o.PingInterval, wsPingInterval)
	return c
}

// newWebsocketClient is NewWebsocket for the other side.
func newWebsocketClient(under Channel, early []byte, o WebsocketOptions) *Websocket {
	c := &Websocket{layered: layered{under: under}, onText: o.OnText, early: early, encode: encodeMasked}
	c.dec.side, c.dec.messages = ws.StateClientSide, o.OnText != nil
	c.startPings(o.PingInterval, 0)
	return c
}

// Admitted is what Admit of the options has returned; nil if it was not asked.
func (c *Websocket) Admitted() any { return c.who }

// Read reads frames into p and decodes them there.
//
//  1. fill: raw bytes into p, from below (or what is left in early)
//  2. decode: payload to the front of p; pings and text messages on the way
//  3. return the payload, or go on if there was none
func (c *Websocket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, text, err := c.readOnce(p)
		if text != nil {
			c.onText(text)
			continue
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readOnce does steps 1 and 2 once. It returns at most one of its three.
func (c *Websocket) readOnce(p []byte) (n int, text []byte, err error) {
	c.read.Lock()
	defer c.read.Unlock()
	if c.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	if c.err != nil {
		return 0, nil, c.err
	}
	raw, err := c.fill(p)
	if err != nil {
		return 0, nil, err
	}
	for {
		m, used, ev := c.dec.next(p[n:], raw)
		n += m
		raw = raw[used:]
		switch ev {
		case wsMore:
			return n, nil, nil
		case wsPing:
			c.beside.pong(c, c.dec.control[:c.dec.controlLen])
		case wsTextHead:
			if n > 0 { // first what came before it
				c.keep(raw)
				return n, nil, nil
			}
		case wsText:
			c.keep(raw)
			return 0, c.dec.takeText(), nil
		case wsClose:
			c.err = io.EOF
			c.beside.goodbye(c, closeBody(c.dec.code, ""))
			return n, nil, c.endOf(n)
		case wsFail:
			c.err = c.dec.err()
			c.beside.goodbye(c, closeBody(c.dec.code, c.dec.reason))
			return n, nil, c.endOf(n)
		}
	}
}

// endOf is the final error, unless there are bytes to return first.
func (c *Websocket) endOf(n int) error {
	if n > 0 {
		return nil
	}
	return c.err
}

// fill reads raw bytes into p and returns them.
func (c *Websocket) fill(p []byte) ([]byte, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		if len(c.early) == 0 {
			c.early = nil
		}
		return p[:n], nil
	}
	n, err := c.under.Read(p)
	switch {
	case n > 0: // an error comes again
		return p[:n], nil
	case c.closed.Load():
		return nil, net.ErrClosed
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		// Whoever ends the stream says so in a close frame (§7.1.1).
		c.err = io.ErrUnexpectedEOF
		return nil, c.err
	}
	return nil, plain("read", err)
}

// keep puts raw bytes back in front of those that are to be decoded.
func (c *Websocket) keep(raw []byte) {
	if len(raw) > 0 {
		c.early = append(append(make([]byte, 0, len(raw)+len(c.early)), raw...), c.early...)
	}
}

// Write sends p as one binary message, a longer one than 64 KiB as several.
func (c *Websocket) Write(p []byte) (int, error) {
	one := [1][]byte{p}
	n, err := c.Writev(one[:])
	return int(n), err
}

// Writev sends bufs as Write would send them joined. A server hands them down as
// they are, behind the frame's head.
func (c *Websocket) Writev(bufs [][]byte) (int64, error) {
	return c.message(ws.OpBinary, bufs)
}

// SendText sends a text message, in order with the stream's writes. It must be
// UTF-8 and at most 64 KiB.
func (c *Websocket) SendText(text []byte) error {
	if len(text) > wsMaxText {
		return fmt.Errorf("websocket: a text message of %d bytes; at most %d go", len(text), wsMaxText)
	}
	_, err := c.message(ws.OpText, [][]byte{text})
	return err
}

var wsFrames = sync.Pool{New: func() any { return new(wsFrame) }}

// message sends the frames of one write, with nothing between them.
func (c *Websocket) message(op ws.OpCode, bufs [][]byte) (int64, error) {
	total := SizeOf(bufs)
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.mayWrite(); err != nil {
		return 0, err
	}
	if total == 0 && op == ws.OpBinary { // an empty text message is one
		return 0, nil
	}
	f := wsFrames.Get().(*wsFrame)
	defer f.release()
	var done int64
	for {
		size := min(total-done, wsMaxSend)
		n, err := c.send(f, op, bufs, done, size)
		done += n
		if err != nil || done == total {
			return done, err
		}
	}
}

// mayWrite is why nothing more can be written. The lock is held.
func (c *Websocket) mayWrite() error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.shut:
		return errShut
	}
	return c.dead.check()
}

// send writes size bytes of bufs, from skip on, as one frame. The lock is held.
func (c *Websocket) send(f *wsFrame, op ws.OpCode, bufs [][]byte, skip, size int64) (int64, error) {
	if err := c.dead.check(); err != nil {
		return 0, err
	}
	f.payload = SlicesOf(f.payload[:0], bufs, skip, size)
	out := c.encode(f, op, f.payload, int(size))
	return c.sendEncoded(out, size)
}

// encodePlain makes a server's frame: the payload stays where it is.
func encodePlain(f *wsFrame, op ws.OpCode, payload [][]byte, size int) [][]byte {
	f.iov = append(append(f.iov[:0], f.putHead(op, nil, size)), payload...)
	return f.iov
}

// encodeMasked makes a client's frame: the payload is masked in a copy, with a key
// that nobody can guess (§10.3).
func encodeMasked(f *wsFrame, op ws.OpCode, payload [][]byte, size int) [][]byte {
	var mask [4]byte
	rand.Read(mask[:]) // never fails
	f.buf = append(f.buf[:0], f.putHead(op, &mask, size)...)
	start := len(f.buf)
	for _, b := range payload {
		f.buf = append(f.buf, b...)
	}
	ws.Cipher(f.buf[start:], mask, 0)
	f.iov = append(f.iov[:0], f.buf)
	return f.iov
}

// CloseWrite is not possible: a close frame ends both directions (§5.5.1).
func (c *Websocket) CloseWrite() error {
	return fmt.Errorf("a websocket has no half close: %w", errors.ErrUnsupported)
}

// Close is CloseWith(1000, "").
func (c *Websocket) Close() error { return c.CloseWith(int(ws.StatusNormalClosure), "") }

// CloseWith sends a close frame with one of the codes of RFC 6455 §7.4 and a
// reason of up to 123 bytes, unless one was sent before or something is in its way
// for long, and closes the channel below. Only the first close counts.
func (c *Websocket) CloseWith(code int, reason string) error {
	return c.close(func() {
		c.beside.end()
		c.write.Lock()
		defer c.write.Unlock()
		// That it could not be sent is no matter: the channel goes.
		_ = c.sendClose(closeBody(ws.StatusCode(code), reason))
		c.dead.note(net.ErrClosed)
	})
}
