package channeltest

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"chardevd/channel"
)

// OneByte reads one byte at a time, as a slow line gives them.
type OneByte struct{ channel.Channel }

func (c OneByte) Read(p []byte) (int, error) { return c.Channel.Read(p[:min(len(p), 1)]) }

// Unwrap is the channel below.
func (c OneByte) Unwrap() channel.Channel { return c.Channel }

// Scribble uses all of the buffer given to Read as scratch space, which an
// io.Reader may: what lies behind the n bytes is garbage afterwards.
type Scribble struct{ channel.Channel }

func (c Scribble) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	fill(p[max(n, 0):], 0xEE)
	return n, err
}

// Unwrap is the channel below.
func (c Scribble) Unwrap() channel.Channel { return c.Channel }

// Stutter, once On, gives one byte a Read, and lets every other Read fail as if
// a read deadline had passed right there: who sits on it must go on at any byte.
type Stutter struct {
	channel.Channel
	On  atomic.Bool
	odd atomic.Bool
}

type stutterError struct{ error }

func (stutterError) Timeout() bool   { return true }
func (stutterError) Temporary() bool { return true }
func (e stutterError) Unwrap() error { return e.error }

func (c *Stutter) Read(p []byte) (int, error) {
	if !c.On.Load() {
		return c.Channel.Read(p)
	}
	if odd := c.odd.Load(); !odd {
		c.odd.Store(true)
		return 0, stutterError{os.ErrDeadlineExceeded}
	}
	n, err := c.Channel.Read(p[:min(len(p), 1)])
	if n > 0 {
		c.odd.Store(false)
	}
	return n, err
}

// Unwrap is the channel below.
func (c *Stutter) Unwrap() channel.Channel { return c.Channel }

// A FailAfter fails after a number of bytes: Read after Reads of them with
// ReadErr, writes after Writes of them with WriteErr. An error that is nil never
// comes. The bytes up to there are read and written.
type FailAfter struct {
	channel.Channel
	Reads    int64
	ReadErr  error
	Writes   int64
	WriteErr error

	mu        sync.Mutex
	isRead    int64
	isWritten int64
	closed    bool
}

func (c *FailAfter) Read(p []byte) (int, error) {
	if c.ReadErr != nil {
		c.mu.Lock()
		left := c.Reads - c.isRead
		c.mu.Unlock()
		if left <= 0 && len(p) > 0 {
			if c.Closed() {
				return 0, net.ErrClosed
			}
			return 0, c.ReadErr
		}
		p = p[:min(int64(len(p)), left)]
	}
	n, err := c.Channel.Read(p)
	c.mu.Lock()
	c.isRead += int64(n)
	c.mu.Unlock()
	return n, err
}

func (c *FailAfter) Write(p []byte) (int, error) {
	n, err := c.Writev([][]byte{p})
	return int(n), err
}

// Writev writes up to the byte where it is to fail.
func (c *FailAfter) Writev(bufs [][]byte) (int64, error) {
	total := int64(0)
	for _, b := range bufs {
		total += int64(len(b))
	}
	c.mu.Lock()
	allowed := total
	if c.WriteErr != nil {
		allowed = max(min(total, c.Writes-c.isWritten), 0)
	}
	c.isWritten += allowed
	c.mu.Unlock()
	if allowed == total {
		return c.Channel.Writev(bufs)
	}
	n, err := c.Channel.Writev(head(bufs, allowed))
	if err == nil {
		err = c.WriteErr
	}
	return n, err
}

// head is the first n bytes of bufs.
func head(bufs [][]byte, n int64) [][]byte {
	var out [][]byte
	for _, b := range bufs {
		b = b[:min(int64(len(b)), n)]
		n -= int64(len(b))
		out = append(out, b)
	}
	return out
}

func (c *FailAfter) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.Channel.Close()
}

// Closed says whether Close was called.
func (c *FailAfter) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Counts is how many bytes were read and written so far.
func (c *FailAfter) Counts() (read, written int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isRead, c.isWritten
}

// Unwrap is the channel below.
func (c *FailAfter) Unwrap() channel.Channel { return c.Channel }

// Wrapped makes a maker's two ends anew with wrap.
func Wrapped(make Maker, wrap func(channel.Channel) channel.Channel) Maker {
	return func(t testing.TB) (a, b channel.Channel) {
		a, b = make(t)
		a = wrap(a)
		if b != nil {
			b = wrap(b)
		}
		return a, b
	}
}
