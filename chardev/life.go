package chardev

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A life is the time from begin to end of what can be ended alone: a device, a frontend,
// an address of [http]. It ends with what it was begun within, too, and what is tied to it
// ends with it. It may not be copied.
//
// It is a context, which ends when the life is asked to, and whose cause is why. What
// package context needs for that is made when it is asked for: idle consoles ask for none,
// and contexts with all that hangs on them were a tenth of what they held in memory.
type life struct {
	work   sync.WaitGroup // of what was begun in it
	within tie

	mu   sync.Mutex
	ties *tie            // that are not cut; not changed any more when it has ended
	why  error           // it has ended; nil: it lasts
	std  *cancellableCtx // nil: nobody has asked for one
}

// A cancellableCtx is a context of package context, and what ends it.
type cancellableCtx struct {
	context.Context
	cancel context.CancelCauseFunc
}

// begin begins the life within that of a parent. It may be called once.
func (l *life) begin(within context.Context) {
	if within.Err() != nil {
		l.ask(context.Cause(within))
		return
	}
	l.mu.Lock() // ask may come before this returns
	defer l.mu.Unlock()
	if l.why == nil {
		l.within.to(within, l.ask)
	}
}

// ask asks all that was begun in it to end because of why, and does not wait for that. nil
// is context.Canceled.
func (l *life) ask(why error) {
	if why == nil {
		why = context.Canceled
	}
	l.mu.Lock()
	if l.why != nil {
		l.mu.Unlock()
		return
	}
	l.why = why
	std := l.std
	l.mu.Unlock()
	if std != nil {
		std.cancel(why)
	}
	for t := l.ties; t != nil; t = t.next {
		t.ended(why)
	}
	l.within.cut()
}

// stop is ask, and returns when all has ended.
func (l *life) stop(why error) {
	l.ask(why)
	l.work.Wait()
}

// ctx is the life for package context.
func (l *life) ctx() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.std == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		l.std = &cancellableCtx{ctx, cancel}
		if l.why != nil {
			cancel(l.why)
		}
	}
	return l.std
}

// Done, Err, Value and Deadline make it a context.Context.
func (l *life) Done() <-chan struct{} { return l.ctx().Done() }

// Err is context.Canceled when the life has ended, as of any context; see context.Cause.
func (l *life) Err() error {
	l.mu.Lock()
	std, why := l.std, l.why
	l.mu.Unlock()
	switch {
	case std != nil:
		return std.Err()
	case why != nil:
		return context.Canceled
	}
	return nil
}

// Value is how package context finds the cause, and its own contexts within this one
// whose Done it has asked for. There are no other values.
func (l *life) Value(key any) any {
	l.mu.Lock()
	lasts := l.std == nil && l.why == nil
	l.mu.Unlock()
	if lasts {
		return nil
	}
	return l.ctx().Value(key)
}

func (l *life) Deadline() (time.Time, bool) { return time.Time{}, false }

// A tie has somebody end with a life, or with a context. Its owner does not call its methods
// at the same time.
type tie struct {
	// of a life
	of         *life // nil: of none
	prev, next *tie  // of the same one; guarded by its mu
	ended      func(why error)

	keep func() bool // of another context: keeps ended from being called
}

// to ties: ended is called once, with the cause, at the end of within. It must not wait,
// and may be called at once.
func (t *tie) to(within context.Context, ended func(why error)) {
	l, ok := within.(*life)
	if !ok {
		t.keep = context.AfterFunc(within, func() { ended(context.Cause(within)) })
		return
	}
	t.of, t.ended = l, ended
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		go ended(l.why)
		return
	}
	t.prev, t.next = nil, l.ties
	if t.next != nil {
		t.next.prev = t
	}
	l.ties = t
}

// cut unties, and says whether that keeps ended from being called: else it was, or is.
func (t *tie) cut() bool {
	if t.keep != nil {
		return t.keep()
	}
	l := t.of
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		return false
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.ties = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.of, t.prev, t.next = nil, nil, nil
	return true
}

// whyEnded is the cause of a context's end, which is the daemon's if nobody gave
// one.
func whyEnded(ctx context.Context) error { return orShutdown(context.Cause(ctx)) }

// orShutdown is whyEnded of a cause.
func orShutdown(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return errShutdown
	}
	return cause
}
