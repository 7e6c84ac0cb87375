package chardev

import (
	"sync"

	"chardevd/channel"
)

// An outlet is how a client's bytes leave. Only await waits, and give within
// patience. Its user gives one thing at a time, and nothing while it waits.
type outlet interface {
	// give writes what of bufs is taken at once and returns how much that was, and
	// whether more would be.
	give(bufs [][]byte) (n int64, room bool, err error)

	// bear makes give wait for room up to patience, or no longer.
	bear(on bool)

	// weight is about how long a byte takes, in that of a plain one.
	weight() int

	// await waits until there is room. It returns false after abort, or when there
	// will never be any.
	await() bool

	// abort ends await for ever. It may be called from anywhere, at any time.
	abort()
}

// withOutbox puts an outbox on a channel, for the layers to stand on. It has one
// already if it has layers.
func withOutbox(ch channel.Channel) channel.Channel {
	if _, ok := channel.As[*channel.Outbox](ch); ok {
		return ch
	}
	return channel.NewOutbox(ch)
}

// withoutWaiting is withOutbox for a client's channel without layers: it needs none if it
// is a medium.
func withoutWaiting(ch channel.Channel) channel.Channel {
	if _, ok := ch.(medium); ok {
		return ch
	}
	return withOutbox(ch)
}

// newOutlet is the outlet of a client's channel. What a medium does not take of
// plain bytes is still in the history; of a record or a frame the rest has to be
// kept, so a channel with layers has an outbox below them.
func newOutlet(ch channel.Channel) outlet {
	out, layered := channel.As[*channel.Outbox](ch)
	patient, _ := channel.As[channel.Patient](ch)
	plain := ch
	if ch == channel.Channel(out) { // somebody logged in
		plain, layered = out.Unwrap(), false
	}
	if m, ok := plain.(medium); ok && !layered {
		return &direct{bearing{patient}, m}
	}
	b := &boxed{bearing: bearing{patient}, ch: ch, out: out, perByte: 1, stop: make(chan struct{})}
	b.some, _ = ch.(channel.SomeWriter)
	if _, ok := channel.As[channel.Secured](ch); ok {
		b.perByte = 6 // with AES in hardware
	}
	return b
}

// bearing is the patience of a medium that can have some.
type bearing struct{ patient channel.Patient }

func (b bearing) bear(on bool) {
	switch {
	case b.patient == nil:
	case on:
		b.patient.SetPatience(patience)
	default:
		b.patient.SetPatience(0)
	}
}

// A medium takes what it can without waiting.
type medium interface {
	channel.Channel
	channel.TryWriter
}

// A direct outlet is the medium itself.
type direct struct {
	bearing
	medium
}

func (d *direct) give(bufs [][]byte) (int64, bool, error) {
	n, err := d.TryWritev(bufs)
	return n, n == channel.SizeOf(bufs), err
}

func (d *direct) weight() int { return 1 }

func (d *direct) await() bool { return d.AwaitWrite() == nil }

func (d *direct) abort() { d.SetWriteDeadline(longAgo) }

// A boxed outlet is a channel above an outbox, which keeps what the medium does
// not take.
type boxed struct {
	bearing
	ch      channel.Channel
	some    channel.SomeWriter // ch, if it is one, else nil
	out     *channel.Outbox
	perByte int
	stop    chan struct{}
	once    sync.Once
}

// boxedMax is how much a boxed client is given at once, unless its channel decides
// that itself: its outbox can keep as much.
const boxedMax = channel.Segment

func (b *boxed) give(bufs [][]byte) (int64, bool, error) {
	var few [4][]byte
	total, done := channel.SizeOf(bufs), int64(0)
	for b.out.Kept() == 0 {
		if done == total {
			return done, true, nil
		}
		n, err := b.write(channel.SlicesOf(few[:0], bufs, done, total-done))
		done += n
		if err != nil {
			return done, false, err
		}
	}
	return done, false, nil
}

// write gives the channel as much from the front of bufs as it is to get at once.
func (b *boxed) write(bufs [][]byte) (int64, error) {
	if b.some != nil {
		return b.some.WriteSome(bufs)
	}
	var few [4][]byte
	n := min(channel.SizeOf(bufs), boxedMax)
	if _, err := b.ch.Writev(channel.SlicesOf(few[:0], bufs, 0, n)); err != nil {
		return 0, err
	}
	return n, nil
}

func (b *boxed) weight() int { return b.perByte }

func (b *boxed) await() bool {
	select {
	case <-b.out.Drained():
	case <-b.stop:
	}
	select {
	case <-b.stop:
		return false
	default:
		return true
	}
}

func (b *boxed) abort() { b.once.Do(func() { close(b.stop) }) }
