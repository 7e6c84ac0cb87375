package channel

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Pipe makes a channel in memory and returns its two ends. size is how many
// bytes each direction holds; below 1 counts as 1. It keeps the whole contract of Channel,
// has no goroutine and no descriptor, and can be stalled and broken at will,
// which makes it the fake that tests are written against. It is the buffer in memory as well
// (QEMU's QIOChannelBuffer): no write waits while size has room for it all, and the other
// end reads it back.
//
// Closing an end lets the peer read what is buffered and then io.EOF; what the
// peer writes from then on fails with EPIPE, as on a UNIX socket.
func Pipe(size int) (a, b *PipeEnd) {
	size = max(size, 1)
	p := new(sync.Mutex)
	ab, ba := newFlow(p, size), newFlow(p, size)
	a = &PipeEnd{mu: p, in: ba, out: ab, local: addr{"pipe", "a"}, remote: addr{"pipe", "b"}}
	b = &PipeEnd{mu: p, in: ab, out: ba, local: addr{"pipe", "b"}, remote: addr{"pipe", "a"}}
	return a, b
}

// A PipeEnd is one end of a Pipe.
type PipeEnd struct {
	mu            *sync.Mutex // of both ends and both flows; never held while waiting
	in, out       *flow
	local, remote net.Addr
}

// Read reads what has arrived.
func (e *PipeEnd) Read(p []byte) (int, error) { return e.in.read(p) }

// Write writes all of p, waiting for room.
func (e *PipeEnd) Write(p []byte) (int, error) {
	one := [1][]byte{p}
	n, err := e.out.write(one[:], true)
	return int(n), err
}

// Writev writes all of bufs, waiting for room.
func (e *PipeEnd) Writev(bufs [][]byte) (int64, error) { return e.out.write(bufs, true) }

// TryWritev writes what there is room for. While another write waits it takes
// nothing, so that nothing comes between the parts of that one.
func (e *PipeEnd) TryWritev(bufs [][]byte) (int64, error) { return e.out.write(bufs, false) }

// AwaitWrite waits until there is room.
func (e *PipeEnd) AwaitWrite() error { return e.out.awaitRoom() }

// CloseWrite lets the peer read io.EOF after what was written. A write that is
// waiting fails; what it had written is delivered.
func (e *PipeEnd) CloseWrite() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out.writerClosed {
		return net.ErrClosed
	}
	e.out.ended = true
	e.out.moved.Broadcast()
	return nil
}

// Close ends both directions. It never waits.
func (e *PipeEnd) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.writerClosed, e.out.ended = true, true
	e.out.writeBy.set(e.out, time.Time{})
	e.in.readerClosed = true
	e.in.readBy.set(e.in, time.Time{})
	e.in.ring, e.in.n = nil, 0 // nobody can read it any more
	e.out.moved.Broadcast()
	e.in.moved.Broadcast()
	return nil
}

// LocalAddr is a name for this end.
func (e *PipeEnd) LocalAddr() net.Addr { return e.local }

// RemoteAddr is a name for the other end.
func (e *PipeEnd) RemoteAddr() net.Addr { return e.remote }

// SetDeadline sets both deadlines.
func (e *PipeEnd) SetDeadline(t time.Time) error {
	if err := e.SetReadDeadline(t); err != nil {
		return err
	}
	return e.SetWriteDeadline(t)
}

// SetReadDeadline bounds the reads, also those that wait now.
func (e *PipeEnd) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.in.readerClosed {
		return net.ErrClosed
	}
	e.in.readBy.set(e.in, t)
	return nil
}

// SetWriteDeadline bounds the writes, also those that wait now.
func (e *PipeEnd) SetWriteDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out.writerClosed {
		return net.ErrClosed
	}
	e.out.writeBy.set(e.out, t)
	return nil
}

// Stall stops what comes towards this end: when it has returned, no byte goes
// into that direction and none, nor an end, comes out of it. Closing, breaking
// and deadlines still free whoever waits. The other direction moves on.
func (e *PipeEnd) Stall() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.stalled = true
}

// Resume undoes Stall.
func (e *PipeEnd) Resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.stalled = false
	e.in.moved.Broadcast()
}

// Discard makes this end throw away what comes towards it, now and from now
// on: the peer's writes succeed and never wait, and Read here gives only the end.
func (e *PipeEnd) Discard() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.discard = true
	e.in.ring, e.in.n = nil, 0
	e.in.moved.Broadcast()
}

// Buffered is how many bytes a Read would find at once.
func (e *PipeEnd) Buffered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.in.n
}

// Break breaks both directions as a reset connection does: all writes, and all
// reads after what is buffered, fail with ECONNRESET at both ends.
func (e *PipeEnd) Break() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.cut()
	e.out.cut()
}

// BreakAfter breaks both directions, as Break does, as soon as this end has
// written n more bytes. The write that would exceed them is cut there.
func (e *PipeEnd) BreakAfter(n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.credit, e.out.back = n, e.in
	e.out.spend(0)
}

// A flow is one direction of a pipe: a ring of bytes between one end's writes
// and the other end's reads. All fields are guarded by the pipe's mutex.
type flow struct {
	mu    *sync.Mutex
	moved *sync.Cond // something that a waiting read or write may look at changed

	size    int
	ring    []byte // made by the first write
	head, n int    // the bytes are ring[head:head+n], wrapped

	writing bool  // a write is under way, perhaps waiting: others queue behind it
	dead    error // the first error of a write
	writeBy deadline
	readBy  deadline

	ended        bool // no more bytes: half or whole close of the writer
	writerClosed bool
	readerClosed bool
	stalled      bool
	discard      bool
	broken       bool
	credit       int64 // bytes until it breaks, if back is not nil
	back         *flow // the other direction, which breaks too
}

func newFlow(mu *sync.Mutex, size int) *flow {
	return &flow{mu: mu, moved: sync.NewCond(mu), size: size}
}

func (f *flow) cut() {
	f.broken = true
	f.moved.Broadcast()
}

// spend counts n written bytes towards BreakAfter.
func (f *flow) spend(n int) {
	if f.back == nil {
		return
	}
	if f.credit -= int64(n); f.credit <= 0 {
		f.cut()
		f.back.cut()
	}
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.readerClosed:
			return 0, net.ErrClosed
		case len(p) == 0:
			return 0, nil
		case f.readBy.passed:
			return 0, timeoutError{"read"}
		case f.stalled:
		case f.n > 0:
			n := f.take(p)
			f.moved.Broadcast()
			return n, nil
		case f.broken:
			return 0, plain("read", syscall.ECONNRESET)
		case f.ended:
			return 0, io.EOF
		}
		f.moved.Wait()
	}
}

// take moves bytes out of the ring.
func (f *flow) take(p []byte) int {
	n := 0
	for n < len(p) && f.n > 0 {
		k := copy(p[n:], f.ring[f.head:min(f.head+f.n, f.size)])
		f.head = (f.head + k) % f.size
		f.n -= k
		n += k
	}
	return n
}

// write writes bufs; if wait is false, only what there is room for.
func (f *flow) write(bufs [][]byte, wait bool) (int64, error) {
	total := SizeOf(bufs)
	f.mu.Lock()
	defer f.mu.Unlock()
	if total == 0 {
		if f.writerClosed {
			return 0, net.ErrClosed
		}
		return 0, f.dead
	}
	for f.writing {
		if err := f.writeError(); err != nil || !wait {
			return 0, err
		}
		f.moved.Wait()
	}
	f.writing = true
	defer func() {
		f.writing = false
		f.moved.Broadcast()
	}()
	done := int64(0)
	for _, b := range bufs {
		for len(b) > 0 {
			if err := f.writeError(); err != nil {
				return done, err
			}
			n := f.put(b)
			if n > 0 {
				b, done = b[n:], done+int64(n)
				f.moved.Broadcast()
			} else if wait {
				f.moved.Wait()
			} else {
				return done, nil
			}
		}
	}
	return done, nil
}

// awaitRoom waits until a write of at least one byte would take some, or fail.
func (f *flow) awaitRoom() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.writeBy.passed, f.writerClosed, f.dead != nil:
			return f.writeError()
		case f.broken, f.readerClosed, f.ended:
			return nil // it would fail
		case !f.writing && !f.stalled && (f.discard || f.n < f.size):
			return nil
		}
		f.moved.Wait()
	}
}

// writeError is why a write of at least one byte must fail now. Any reason
// kills the write side for ever.
func (f *flow) writeError() error {
	switch {
	case f.writerClosed: // before dead: after Close every write is net.ErrClosed
		f.dead = net.ErrClosed
	case f.dead != nil:
	case f.broken:
		f.dead = plain("write", syscall.ECONNRESET)
	case f.readerClosed, f.ended:
		f.dead = errShut
	case f.writeBy.passed:
		f.dead = timeoutError{"write"}
	}
	return f.dead
}

// put moves what there is room for into the ring and returns how much it was.
func (f *flow) put(b []byte) int {
	if f.stalled {
		return 0
	}
	if f.back != nil {
		b = b[:min(int64(len(b)), f.credit)]
	}
	n := len(b)
	if !f.discard {
		if f.ring == nil {
			f.ring, f.head = make([]byte, f.size), 0
		}
		n = 0
		for n < len(b) && f.n < f.size {
			at, end := (f.head+f.n)%f.size, f.size
			if at < f.head {
				end = f.head
			}
			k := copy(f.ring[at:end], b[n:])
			f.n += k
			n += k
		}
	}
	f.spend(n)
	return n
}

// A deadline is one side's; guarded by its flow's mutex.
type deadline struct {
	passed bool
	timer  *time.Timer
}

// set replaces the deadline; a timer of the old one that fires late is ignored.
func (d *deadline) set(f *flow, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		f.moved.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if d.timer == timer {
			d.passed = true
			f.moved.Broadcast()
		}
	})
	d.timer = timer
}
