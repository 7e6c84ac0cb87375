package channel

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// An Outbox stands below all layers of a channel whose writers must never wait.
// A write gives the medium what it takes at once and keeps the rest, in order,
// for a goroutine that lives only while there is a rest. So a record or a frame
// is never cut short by a deadline, and whatever the layers have to say (data,
// pong, close, key update) goes the same way.
//
// Its unusual traits: writes do not wait, write deadlines are ignored, and what
// it keeps is bounded by OutboxLimit: a write past that fails and ends the
// channel. Who writes much waits for Drained between writes.
type Outbox struct {
	NoFiles // they would overtake what is kept

	under Channel
	try   TryWriter // nil: everything goes by way of the goroutine

	kept atomic.Int64 // bytes that the medium has not taken; changed under mu

	mu      sync.Mutex    // held over writes that do not wait: they must stay whole
	left    []byte        // kept, and not in the hands of flush
	drained chan struct{} // not nil while something is kept, or held; closed when nothing is
	half    bool          // CloseWrite was called
	held    bool          // Hold: what is kept waits
	parking bool          // what flush could not write stays kept
	writing bool          // flush runs
	closing bool          // Close was called
	err     error         // why writes fail from now on

	flushing sync.WaitGroup
}

// OutboxLimit is how many bytes an outbox keeps: a chunk of 64 KiB of data, and
// 32 KiB for what layers add to it and say on their own.
const OutboxLimit = 96 << 10

// outboxLinger is how long Close goes on writing what is kept.
const outboxLinger = time.Second

var errOutboxFull = errors.New("the peer takes nothing, and more is not kept for it")

// NewOutbox puts an outbox on a channel, which it owns from then on.
func NewOutbox(under Channel) *Outbox {
	try, _ := under.(TryWriter)
	return &Outbox{under: under, try: try}
}

// Unwrap is the channel below.
func (o *Outbox) Unwrap() Channel { return o.under }

func (o *Outbox) Read(p []byte) (int, error) { return o.under.Read(p) }

func (o *Outbox) Write(p []byte) (int, error) { return writeOne(o, p) }

// Writev never waits. A nil error means that all of bufs is on its way.
func (o *Outbox) Writev(bufs [][]byte) (int64, error) { return o.WriteUnits(bufs, SizeOf(bufs)) }

// WriteUnits is Writev of as much as the medium takes at once, and of what that
// lacks to whole units, at least one: bufs hold units of the given size, of which
// the last may be a part. It returns how many bytes are on their way; less than
// all with a nil error means that the medium is full.
func (o *Outbox) WriteUnits(bufs [][]byte, unit int64) (int64, error) {
	total := SizeOf(bufs)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if o.half { // what is kept goes out yet
		return 0, errShut
	}
	taken := int64(0)
	if o.drained == nil && o.try != nil {
		if taken, o.err = o.try.TryWritev(bufs); o.err != nil {
			return taken, o.err
		}
	}
	if taken == total {
		return total, nil
	}
	end := min(total, max(1, (taken+unit-1)/unit)*unit)
	if end == taken {
		return taken, nil
	}
	if o.kept.Load()+end-taken > OutboxLimit {
		o.err = errOutboxFull
		o.under.Close() // so that whoever reads learns it too
		return taken, o.err
	}
	o.keep(bufs, taken, end)
	return end, nil
}

// keep takes over the bytes of bufs from one offset in them to another. Called
// with mu held.
func (o *Outbox) keep(bufs [][]byte, from, to int64) {
	o.kept.Add(to - from)
	var few [4][]byte
	for _, b := range SlicesOf(few[:0], bufs, from, to-from) {
		o.left = append(o.left, b...)
	}
	if o.drained == nil {
		o.drained = make(chan struct{})
	}
	o.flushLater()
}

// flushLater starts flush, if it may run and does not. Called with mu held.
func (o *Outbox) flushLater() {
	if !o.held && !o.writing {
		o.writing = true
		o.flushing.Go(o.flush)
	}
}

// Hold makes what is written from now on wait, as if the medium took nothing, until
// it is called with false. Close does not wait for that.
func (o *Outbox) Hold(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = on
	switch {
	case on && o.drained == nil:
		o.drained = make(chan struct{})
	case !on && o.drained != nil:
		o.flushLater()
	}
}

// flush writes what is kept until nothing is.
func (o *Outbox) flush() {
	var buf []byte
	o.mu.Lock()
	for len(o.left) > 0 && o.err == nil && !o.held {
		buf, o.left = o.left, buf[:0]
		o.mu.Unlock()
		n, err := o.under.Write(buf)
		o.mu.Lock()
		o.kept.Add(-int64(n))
		if err != nil {
			o.left = append(buf[n:len(buf):len(buf)], o.left...)
			if o.err == nil {
				o.err = err
			}
		}
	}
	o.writing = false
	if o.parking || o.held && o.err == nil {
		o.mu.Unlock()
		return
	}
	half := o.half && o.err == nil
	close(o.drained)
	o.drained, o.left = nil, nil
	o.kept.Store(0)
	o.mu.Unlock()
	if half {
		o.under.CloseWrite()
	}
}

// Kept is how many bytes wait for the medium. It is 0 when a write was taken
// whole, or when the write side is dead.
func (o *Outbox) Kept() int { return int(o.kept.Load()) }

// closed is a channel that is.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Drained returns a channel that is closed when nothing that was written so far
// is kept any more, because the medium took it or because it never will.
func (o *Outbox) Drained() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.drained == nil {
		return closed
	}
	return o.drained
}

// CloseWrite half-closes the channel below behind what is kept. That it can not
// is told only while nothing is kept.
func (o *Outbox) CloseWrite() error {
	o.mu.Lock()
	if o.err != nil {
		defer o.mu.Unlock()
		return o.err
	}
	later := o.drained != nil // flush does it
	o.half = later
	o.mu.Unlock()
	if later {
		return nil
	}
	return o.under.CloseWrite()
}

// Abort closes the channel below at once; what is kept is lost. It may be called
// by anyone; the owner still calls Close.
func (o *Outbox) Abort() { o.under.Close() }

// Close goes on writing what is kept for up to a second, then closes the channel
// below.
func (o *Outbox) Close() error {
	o.Hold(false)
	o.mu.Lock()
	if !o.closing && o.err == nil && o.drained != nil { // the second is that of the first who closes
		o.under.SetWriteDeadline(time.Now().Add(outboxLinger))
	}
	o.closing = true
	busy := o.drained
	o.mu.Unlock()
	if busy != nil {
		<-busy
	}
	o.mu.Lock()
	if o.err == nil {
		o.err = net.ErrClosed
	}
	o.mu.Unlock()
	err := o.under.Close()
	o.flushing.Wait()
	return err
}

// LocalAddr is that of the channel below.
func (o *Outbox) LocalAddr() net.Addr { return o.under.LocalAddr() }

// RemoteAddr is that of the channel below.
func (o *Outbox) RemoteAddr() net.Addr { return o.under.RemoteAddr() }

// SetDeadline sets the read deadline: no write ever waits.
func (o *Outbox) SetDeadline(t time.Time) error { return o.under.SetReadDeadline(t) }

// SetReadDeadline is that of the channel below.
func (o *Outbox) SetReadDeadline(t time.Time) error { return o.under.SetReadDeadline(t) }

// SetWriteDeadline does nothing: no write ever waits.
func (o *Outbox) SetWriteDeadline(time.Time) error { return nil }
