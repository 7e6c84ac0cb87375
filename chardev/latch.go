package chardev

import "sync/atomic"

// What a console and its clients may have to wait for is a pointer here until somebody
// does wait: a channel is 96 bytes, and an idle console would have nine of them.

// A latch is something that is over once, and for ever. The zero latch is not over.
type latch struct {
	c atomic.Pointer[chan struct{}] // nil: nobody waits for it; &over: it is over
}

// over is such a channel that is closed, the same for all.
var over = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// end has it be over; the first call returns true.
func (l *latch) end() (first bool) {
	c := l.c.Swap(&over)
	if c != nil && c != &over {
		close(*c)
	}
	return c != &over
}

func (l *latch) isOver() bool { return l.c.Load() == &over }

// done is closed when it is over.
func (l *latch) done() <-chan struct{} {
	c := l.c.Load()
	if c == nil {
		c = new(make(chan struct{}))
		if !l.c.CompareAndSwap(nil, c) {
			c = l.c.Load()
		}
	}
	return *c
}

// An ending is a latch that says why it is over.
type ending struct {
	latch
	cause atomic.Pointer[error] // set before it is over
}

// because has it be over because of why; only the first call counts, and returns true.
func (e *ending) because(why error) (first bool) {
	if first = e.cause.CompareAndSwap(nil, &why); first {
		e.end()
	}
	return first
}

// why is what because was told; it is over.
func (e *ending) why() error { return *e.cause.Load() }

// A bell tells one who waits for it, or will, that it was rung, however often.
type bell struct {
	c atomic.Pointer[chan struct{}] // of capacity 1. nil: nobody waits; &rang: so, and it was rung
}

var rang chan struct{}

func (b *bell) ring() {
	for {
		switch c := b.c.Load(); c {
		case nil:
			if b.c.CompareAndSwap(nil, &rang) {
				return
			}
		case &rang:
			return
		default:
			select {
			case *c <- struct{}{}:
			default:
			}
			return
		}
	}
}

// rung has a value when the bell was rung.
func (b *bell) rung() <-chan struct{} {
	for {
		c := b.c.Load()
		if c != nil && c != &rang {
			return *c
		}
		fresh := make(chan struct{}, 1)
		if c == &rang {
			fresh <- struct{}{}
		}
		if b.c.CompareAndSwap(c, &fresh) {
			return fresh
		}
	}
}

// hush forgets that the bell was rung.
func (b *bell) hush() {
	if c := b.c.Load(); c == &rang {
		b.c.CompareAndSwap(&rang, nil)
	} else if c != nil {
		select {
		case <-*c:
		default:
		}
	}
}

// A queue is of those who want what only one has at a time, in the order of coming.
type queue struct {
	c atomic.Pointer[chan struct{}] // of capacity 1; nil: nobody came yet
}

// head takes a value from who is the first, who takes it out again for the next one.
func (q *queue) head() chan struct{} {
	c := q.c.Load()
	if c == nil {
		c = new(make(chan struct{}, 1))
		if !q.c.CompareAndSwap(nil, c) {
			c = q.c.Load()
		}
	}
	return *c
}
