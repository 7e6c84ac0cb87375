package chardev

import "context"

// A oneByOne lets one at a time do something, in the order in which they come. Whoever tells
// of all consoles makes that so, and not while it is sent: of thousands it takes many ms, and
// hundreds who do so at the same time would take the processors from the consoles.
type oneByOne chan struct{}

func newOneByOne() oneByOne { return make(oneByOne, 1) }

// enter waits for its turn, or for the end of ctx. If that is not the error then leave must
// follow.
func (o oneByOne) enter(ctx context.Context) error {
	select {
	case o <- struct{}{}: // at once, whatever has ended
		return nil
	default:
	}
	select {
	case o <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o oneByOne) leave() { <-o }
