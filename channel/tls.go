package channel

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

var tlsLayer = &layerDef{
	name: "tls",
	options: []optionDef{
		{name: "credentials", check: isText},
		{name: "servername", check: isText},
		{name: "verify", check: isBool},
	},
	client: tlsClientLayer,
	server: tlsServerLayer,
}

// errTruncated is what crypto/tls is told when the channel below ends: it would
// make an orderly end of any end between two records, but only close_notify is
// one (RFC 8446 §6.1), else whoever can cut a connection can shorten a stream.
var errTruncated = errors.New("tls: the stream ended without close_notify")

// A tlsWire is the channel below as crypto/tls gets to see it.
type tlsWire struct {
	Channel

	// The lock is the order of the records, so it is held while one is written.
	mu   sync.Mutex
	held []byte // the records that go out together; nil: each goes at once

	alert tls.AlertError // the last that came in the clear, 0: none; owned by who reads
}

func (w *tlsWire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	return w.Channel.Write(p)
}

// hold gathers records in buf until release.
func (w *tlsWire) hold(buf []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = buf[:0]
}

// release writes what was gathered since hold, and gives the buffer back.
func (w *tlsWire) release() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	buf := w.held
	w.held = nil
	_, err := w.Channel.Write(buf)
	return buf, err
}

func (w *tlsWire) Read(p []byte) (int, error) {
	n, err := w.Channel.Read(p)
	switch {
	case n > 0:
		w.noteAlert(p[:n])
		return n, nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, fmt.Errorf("%w: %w", errTruncated, io.ErrUnexpectedEOF)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, timeoutError{"read"}
	}
	return 0, err
}

// noteAlert takes down an alert in the clear at the end of what was read. OpenSSL
// sends it so when it refuses the certificate of a server of TLS 1.3, and crypto/tls,
// which expects the alert encrypted then, tells of a bad record. Data may look like it
// by chance; the note counts only when a handshake has failed.
func (w *tlsWire) noteAlert(p []byte) {
	const alertRecord, size = 21, 7 // type, version, length 2; level, description (RFC 8446 §5.1 and §6)
	if len(p) < size {
		return
	}
	if p = p[len(p)-size:]; p[0] == alertRecord && p[1] == 3 && p[3] == 0 && p[4] == 2 {
		w.alert = tls.AlertError(p[6])
	}
}

// SetWriteDeadline does nothing: the only caller is crypto/tls around its
// close_notify, which would wait for 5 s and leave a deadline in the past on the
// channel below, where a websocket has pongs to send even after a half close. The
// deadlines of the user do not come this way.
func (*tlsWire) SetWriteDeadline(time.Time) error { return nil }

// A tlsChannel is TLS on a channel. Its unusual trait is that of all record
// protocols: a write that failed has left half a record out, and ends all writes.
//
// Close sends close_notify and CloseWrite sends only that; the channel below is
// not half-closed, because TLS itself may have something to say.
type tlsChannel struct {
	layered
	wire *tlsWire  // fixed at construction
	conn *tls.Conn // above it

	// The lock is the order of the writes, so it is held while one waits. Close
	// gets it, because its deadline ends the waiting.
	write sync.Mutex
}

// tlsRecord is how much user data goes into one record (RFC 8446 §5.1).
const tlsRecord = 16 << 10

var tlsBuffers = sync.Pool{New: func() any { return new([tlsRecord]byte) }}

func (c *tlsChannel) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.conn.Read(p)
	if n > 0 { // and the end, if that came too, the next time
		return n, nil
	}
	switch {
	case c.closed.Load():
		return 0, net.ErrClosed
	case errors.Is(err, errTruncated):
		return 0, io.ErrUnexpectedEOF
	}
	return 0, plain("read", err)
}

func (c *tlsChannel) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	return c.send(p)
}

// send is Write with the lock held.
func (c *tlsChannel) send(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if err := c.dead.check(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	done := 0
	for {
		n, err := c.sendSome(p[done:min(len(p), done+tlsTogether)])
		done += n
		if err != nil && c.closed.Load() {
			err = net.ErrClosed
		}
		if err != nil || done == len(p) {
			return done, c.dead.note(plain("write", err))
		}
	}
}

// tlsTogether is how much user data goes out at once (measured: a fifth of the time
// under full load is that of records which go out one by one).
const tlsTogether = Segment

// tlsGathers are for the records of tlsTogether.
var tlsGathers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// sendSome sends up to tlsTogether bytes.
func (c *tlsChannel) sendSome(p []byte) (int, error) {
	if len(p) <= tlsRecord {
		return c.conn.Write(p)
	}
	buf := tlsGathers.Get().(*[]byte)
	defer tlsGathers.Put(buf)
	c.wire.hold(*buf)
	_, err := c.conn.Write(p)
	var werr error
	if *buf, werr = c.wire.release(); err == nil {
		err = werr
	}
	if err != nil {
		return 0, err // nobody knows how much is out
	}
	return len(p), nil
}

// Writev fills records: small slices are gathered in a buffer, of big ones only
// the ends are, and whole records go out from where they are.
func (c *tlsChannel) Writev(bufs [][]byte) (int64, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if len(bufs) == 1 {
		n, err := c.send(bufs[0])
		return int64(n), err
	}
	buf := tlsBuffers.Get().(*[tlsRecord]byte)
	defer tlsBuffers.Put(buf)
	var done int64
	fill := 0
	out := func(p []byte) error {
		n, err := c.send(p)
		done += int64(n)
		return err
	}
	for _, b := range bufs {
		for len(b) > 0 {
			if whole := len(b) &^ (tlsRecord - 1); fill == 0 && whole > 0 {
				if err := out(b[:whole]); err != nil {
					return done, err
				}
				b = b[whole:]
				continue
			}
			n := copy(buf[fill:], b)
			fill += n
			b = b[n:]
			if fill == tlsRecord {
				if err := out(buf[:fill]); err != nil {
					return done, err
				}
				fill = 0
			}
		}
	}
	return done, out(buf[:fill])
}

// CloseWrite sends close_notify; writes after it fail. A peer that speaks TLS 1.2
// or is OpenSSL's s_client may answer by closing its side as well.
func (c *tlsChannel) CloseWrite() error {
	c.write.Lock()
	defer c.write.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	if err := c.dead.check(); errors.Is(err, errShut) {
		return nil
	} else if err != nil {
		return err
	}
	if err := c.conn.CloseWrite(); err != nil {
		return c.dead.note(plain("close", err))
	}
	c.dead.note(errShut)
	return nil
}

// Close sends close_notify, if nothing is in its way for long, and closes the
// channel below. Blocked reads end at once, a blocked write after goodbye.
func (c *tlsChannel) Close() error {
	return c.close(func() {
		c.write.Lock()
		defer c.write.Unlock()
		if c.dead.check() == nil {
			// That it could not be sent is no matter: the channel goes.
			_ = c.conn.CloseWrite()
			c.dead.note(net.ErrClosed)
		}
	})
}

// ConnectionState is who the peer has shown to be, and what was agreed upon.
func (c *tlsChannel) ConnectionState() tls.ConnectionState { return c.conn.ConnectionState() }

var _ Secured = (*tlsChannel)(nil)
