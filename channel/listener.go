package channel

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// serve runs the handshakes of ls for what l accepts. It owns l.
func (e *Env) serve(l accepter, ls []Layer) *listener {
	return &listener{accepter: l, env: e, layers: ls}
}

// An accepter is what a transport listens with: a Listener without Serve. It may
// be a Rester.
type accepter interface {
	// Accept waits for the next channel; nil, nil: who came is not let in, or gone.
	// Close ends it.
	Accept() (Channel, error)
	Addr() net.Addr
	Close() error
}

// A listener runs the handshakes of what a transport's accepter accepts.
type listener struct {
	// fixed before anything is accepted
	accepter
	env    *Env
	layers []Layer
	use    func(Channel)
	failed func(error)

	wg    sync.WaitGroup
	short instant // since when there is a shortage; 0: there is none; owned by accept

	mu    sync.Mutex
	over  error          // errParked, or that it is closed: nobody comes any more
	waits *listenerWaits // nil: nobody, yet
}

// A listenerWaits is who waits with a listener for others: in handshakes, or in Accept.
// Thousands of listeners have nobody.
type listenerWaits struct {
	ctx    context.Context // ends with the listener
	cancel context.CancelFunc

	unfinished []*handshake // oldest first; guarded by mu of the listener

	// for Accept
	ready  chan Channel  // nil: nobody has called it; guarded by mu of the listener
	broken chan struct{} // closed when the transport accepts no more
	err    error         // why; before broken is closed
}

// waiting is who waits, from now on. Called with mu held.
func (s *listener) waiting() *listenerWaits {
	if s.waits == nil {
		s.waits = new(listenerWaits)
		s.waits.ctx, s.waits.cancel = context.WithCancel(context.Background())
		if s.over != nil {
			s.waits.cancel()
		}
	}
	return s.waits
}

// end has nobody come any more, and ends who waits. It returns why that was so before.
func (s *listener) end(why error) (before error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before = s.over; before == nil {
		s.over = why
		if s.waits != nil {
			s.waits.cancel()
		}
	}
	return before
}

// ended is why nobody comes any more.
func (s *listener) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

type handshake struct{ cancel context.CancelFunc }

func (s *listener) Serve(use func(Channel), failed func(error)) {
	s.use, s.failed = use, failed
	// Under the lock of end: either Close waits for what begins here, or nothing begins.
	s.mu.Lock()
	closed := s.over != nil
	if !closed {
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if closed {
		return
	}
	if !s.rest() {
		go s.accept()
	}
}

// rest waits for the next connection without a goroutine, if that can be.
func (s *listener) rest() bool {
	r, ok := s.accepter.(Rester)
	return ok && r.Rest(s.accept)
}

// accept accepts from the transport until it can rest; only one runs at a time.
// The last one counts itself off.
func (s *listener) accept() {
	for {
		ch, err := s.accepter.Accept()
		switch {
		case s.ended() != nil:
			if ch != nil {
				s.late(ch)
			}
			s.wg.Done()
			return
		case isShortage(err):
			s.awaitMeans(err)
			continue
		case err != nil:
			s.wg.Done()
			s.failed(err)
			return
		}
		if s.short != 0 {
			s.env.log().Info("accepting again", "listener", s.Addr().String(), "after", time.Since(s.short.time()).Round(time.Millisecond))
			s.short = 0
		}
		if ch != nil {
			s.give(ch)
		}
		if s.rest() {
			return
		}
	}
}

// give hands out a connection, when its handshakes are done.
func (s *listener) give(ch Channel) {
	if s.env.Below != nil {
		ch = s.env.Below(ch)
	}
	if len(s.layers) == 0 {
		s.use(ch)
	} else {
		s.begin(ch)
	}
}

// late ends a connection that came at the end, unless it can be parked.
func (s *listener) late(ch Channel) {
	if s.ended() == errParked {
		s.give(ch)
		return
	}
	ch.Close()
}

// awaitMeans waits a little for what accept(2) was short of. That is told once:
// many listeners try many times.
func (s *listener) awaitMeans(err error) {
	if s.short == 0 {
		s.short = instantOf(time.Now())
		s.env.log().Error("cannot accept, trying on", "listener", s.Addr().String(), "error", err)
	}
	s.mu.Lock()
	w := s.waiting()
	s.mu.Unlock()
	select {
	case <-time.After(100 * time.Millisecond): // nothing tells when there is a descriptor again
	case <-w.ctx.Done():
	}
}

// begin starts the handshakes of a connection, in a goroutine of their own.
func (s *listener) begin(ch Channel) {
	s.mu.Lock()
	w := s.waiting()
	ctx, cancel := context.WithTimeout(w.ctx, s.env.handshake())
	h := &handshake{cancel}
	w.unfinished = append(w.unfinished, h)
	if len(w.unfinished) > s.env.unfinished() {
		w.unfinished[0].cancel()
		w.unfinished = slices.Delete(w.unfinished, 0, 1)
	}
	s.mu.Unlock()
	s.wg.Go(func() { s.finish(ctx, h, ch) })
}

// finish runs one connection's handshakes and hands it out.
func (s *listener) finish(ctx context.Context, h *handshake, ch Channel) {
	remote := ch.RemoteAddr()
	ch, err := stack(ctx, ch, s.layers)
	h.cancel()
	s.mu.Lock()
	w := s.waits
	if i := slices.Index(w.unfinished, h); i >= 0 {
		w.unfinished = slices.Delete(w.unfinished, i, i+1)
	}
	if len(w.unfinished) == 0 {
		w.unfinished = nil
	}
	s.mu.Unlock()
	if err != nil {
		if s.ended() == nil {
			s.env.refused(s.Addr(), remote, err)
		}
		return
	}
	s.use(ch)
}

// accepting lets Accept have what Serve gives.
func (s *listener) accepting() *listenerWaits {
	s.mu.Lock()
	w := s.waiting()
	first := w.ready == nil
	if first {
		w.ready, w.broken = make(chan Channel), make(chan struct{})
	}
	s.mu.Unlock()
	if !first {
		return w
	}
	s.Serve(func(ch Channel) {
		select {
		case w.ready <- ch:
		case <-w.ctx.Done():
			ch.Close()
		}
	}, func(err error) {
		w.err = err
		close(w.broken)
	})
	return w
}

func (s *listener) Accept(ctx context.Context) (Channel, error) {
	w := s.accepting()
	select {
	case ch := <-w.ready:
		return ch, nil
	case <-w.broken:
		return nil, w.err
	case <-w.ctx.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *listener) Close() error {
	var err error
	if s.end(net.ErrClosed) != errParked { // else Park closes it, and its name stays
		err = s.accepter.Close()
	}
	s.wg.Wait()
	return err
}
