package chardev

import (
	"bytes"
	"context"
	"net/http"
)

// A bulk is answers that tell of all consoles, each of which may be some MB where there are
// thousands: they are made one at a time and then sent. Only so many are being sent at once,
// and wait in memory until their readers have taken them; for one more the one that is at it
// for the longest is cut.
type bulk struct {
	turn    oneByOne
	sending waitingConns
}

func newBulk(most int) *bulk {
	return &bulk{turn: newOneByOne(), sending: waitingConns{most: most}}
}

// send sends an answer that was made.
func (b *bulk) send(w http.ResponseWriter, r *http.Request, page *bytes.Buffer) {
	if p, ok := r.Context().Value(peerKey{}).(peer); ok {
		if cut := b.sending.add(p.ch); cut != nil {
			cut.Close()
		}
		defer b.sending.remove(p.ch)
	}
	page.WriteTo(w) // a reader who is gone needs none
}

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
