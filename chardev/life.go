package chardev

import (
	"context"
	"sync"
)

// A life is the time from begin to stop of what can be ended alone: a device, a frontend,
// an address of [http]. It ends with its parent, too.
type life struct {
	end  context.CancelCauseFunc // nil: it was never begun
	work sync.WaitGroup          // of what was begun in it
}

// begin returns what lasts as long as the life, and what counts what is begun in it. It
// may be called once.
func (l *life) begin(parent context.Context) (context.Context, *sync.WaitGroup) {
	ctx, end := context.WithCancelCause(parent)
	l.end = end
	return ctx, &l.work
}

// ask asks all that was begun in it to end because of why, and does not wait for that.
func (l *life) ask(why error) {
	if l.end != nil {
		l.end(why)
	}
}

// stop is ask, and returns when all has ended.
func (l *life) stop(why error) {
	l.ask(why)
	l.work.Wait()
}
