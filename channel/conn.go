package channel

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// FromConn makes a channel of a connection that somebody else has made: net.Pipe, an
// ssh channel, a proxy's. It owns c, which must keep the contract of net.Conn; a
// Channel is returned as it is. CloseWrite is c's, if it has one. The peer's end is
// what c says it is: one whose Read returns io.EOF for a stream that was cut makes a
// channel that does too.
//
// It is no TryWriter; NewOutbox makes one of it that is.
func FromConn(c net.Conn) Channel {
	if ch, ok := c.(Channel); ok {
		return ch
	}
	return &connChannel{conn: c, close: sync.OnceValue(c.Close)}
}

// A connChannel is any net.Conn. Its unusual trait is that it knows nothing of what
// is below.
type connChannel struct {
	conn  net.Conn // fixed at construction
	close func() error

	closed atomic.Bool
	dead   deadWrite

	// The lock is the order of the writes, so it is held while one waits. Close does
	// not take it.
	write sync.Mutex
}

func (c *connChannel) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := c.conn.Read(p)
		if n > 0 {
			return n, nil // the error comes again
		}
		if err != nil {
			return 0, c.plain("read", err)
		}
	}
}

func (c *connChannel) Write(p []byte) (int, error) {
	return writeOne(c, p)
}

// Writev is one writev(2) where c is a socket of package net, and else one Write of
// all: bufs are joined for it.
func (c *connChannel) Writev(bufs [][]byte) (int64, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.dead.check(); err != nil {
		return 0, err
	}
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if SizeOf(bufs) == 0 {
		return 0, nil // net.Pipe would hand it to the reader
	}
	var n int64
	var err error
	switch c.conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		left := net.Buffers(slices.Clone(bufs)) // WriteTo uses it up
		n, err = left.WriteTo(c.conn)
	default:
		p := bufs[0]
		if len(bufs) > 1 {
			p = slices.Concat(bufs...)
		}
		var some int
		some, err = c.conn.Write(p)
		if n = int64(some); err == nil && some < len(p) {
			err = io.ErrShortWrite
		}
	}
	return n, c.dead.note(c.plain("write", err))
}

// CloseWrite does not wait for a write that is under way.
func (c *connChannel) CloseWrite() error {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	if err := half.CloseWrite(); err != nil {
		return c.plain("shutdown", err)
	}
	c.dead.note(errShut)
	return nil
}

func (c *connChannel) Close() error {
	c.closed.Store(true)
	return c.close()
}

// plain is plain for c, which may have words of its own for that it is closed.
func (c *connChannel) plain(op string, err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return plain(op, err)
}

func (c *connChannel) LocalAddr() net.Addr                { return c.conn.LocalAddr() }
func (c *connChannel) RemoteAddr() net.Addr               { return c.conn.RemoteAddr() }
func (c *connChannel) SetDeadline(t time.Time) error      { return c.set(c.conn.SetDeadline, t) }
func (c *connChannel) SetReadDeadline(t time.Time) error  { return c.set(c.conn.SetReadDeadline, t) }
func (c *connChannel) SetWriteDeadline(t time.Time) error { return c.set(c.conn.SetWriteDeadline, t) }

func (c *connChannel) set(deadline func(time.Time) error, t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return deadline(t)
}
