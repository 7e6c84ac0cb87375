package channel

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Env is what an address leaves to whoever uses it. The zero value works: it
// has no named credentials and puts nothing below the layers.
type Env struct {
	// Dir is the folder that relative paths are relative to; "" is the current one.
	Dir string

	// Credentials finds named TLS identities; nil knows none. It is asked for each
	// handshake again, so that what it answers can change; it must not wait.
	Credentials func(name string) (*Credentials, error)

	// SelfSigned gives the certificate of a tls listener on loopback (or on no
	// network) that names no credentials; nil: such a listener is an error.
	SelfSigned func() (*tls.Certificate, error)

	// Inherited are sockets that are to be listened on instead of making them; nil:
	// none are.
	Inherited *Inherited

	// Passed are descriptors that are handed over while the process runs; nil: none are.
	Passed *Passed

	// Below, if not nil, wraps each transport channel before the first layer is
	// put on it. It owns the channel from then on.
	Below func(Channel) Channel

	// Admit is that of WebsocketOptions, for ws listeners.
	Admit func(ctx context.Context, under Channel, r *http.Request) (who any, refusal *HandshakeError)

	// Handshake bounds the handshakes of all layers of one connection together;
	// 0 means 10 s. (Dialling is bounded by the context besides.)
	Handshake time.Duration

	// Unfinished is how many connections of a listener may be in handshakes at
	// once; one more cuts the oldest. 0 means 1024.
	Unfinished int

	// Refused is told of each connection of a listener that was not let in: by a
	// handshake, or by from=. It is called by many goroutines at once, maybe thousands
	// of times a second, and must not wait. nil: they go to Log, each of them.
	Refused func(peer net.Addr, err error)

	// Log gets what nobody else is told. nil means slog.Default.
	Log *slog.Logger
}

func (e *Env) handshake() time.Duration { return cmp.Or(e.Handshake, 10*time.Second) }
func (e *Env) unfinished() int          { return cmp.Or(e.Unfinished, 1024) }
func (e *Env) log() *slog.Logger        { return cmp.Or(e.Log, slog.Default()) }

// refused tells of somebody who was not let in at a listener's address.
func (e *Env) refused(at, peer net.Addr, err error) {
	if e.Refused != nil {
		e.Refused(peer, err)
		return
	}
	e.log().Info("connection refused", "listener", at.String(), "peer", peer.String(), "error", err)
}

// Dial opens the address with a zero Env.
func Dial(ctx context.Context, a Address) (Channel, error) { return new(Env).Dial(ctx, a) }

// Listen listens on the address with a zero Env.
func Listen(ctx context.Context, a Address) (Listener, error) { return new(Env).Listen(ctx, a) }

// Dial opens the transport and puts the layers on it, innermost first. ctx
// bounds all of it, and the layers have Env.Handshake besides.
func (e *Env) Dial(ctx context.Context, a Address) (Channel, error) {
	t, ok := transportNamed(a.Transport)
	if !ok {
		return nil, unknown("transport", a.Transport, transportNames())
	}
	if t.dial == nil {
		return nil, errors.New(t.name + " cannot be dialled, only listened on")
	}
	layer, err := e.DialLayers(a)
	if err != nil {
		return nil, err
	}
	a = a.In(e.Dir)
	ch, err := t.dial(ctx, e, a)
	if err != nil {
		return nil, err
	}
	if e.Below != nil {
		ch = e.Below(ch)
	}
	return layer(ctx, ch)
}

// DialLayers is the layers of the address, for the side that dials, as one that can be
// put on any channel: one that Dial does not know how to open. The transport is not
// opened; the layers take from it what they take when it is (the server's name, the
// Host header). What is wrong with them, as credentials that are missing, is told now.
// The handshakes are bounded by ctx, and have Env.Handshake besides.
func (e *Env) DialLayers(a Address) (Layer, error) {
	return e.asOne(a, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.client })
}

// ListenLayers is DialLayers for the side that was dialled.
func (e *Env) ListenLayers(a Address) (Layer, error) {
	return e.asOne(a, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.server })
}

// asOne is one side of the layers of an address, with the time limit of handshakes.
func (e *Env) asOne(a Address, side func(*layerDef) func(*Env, Address) (Layer, error)) (Layer, error) {
	ls, err := e.layers(a, side)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, under Channel) (Channel, error) {
		ctx, cancel := context.WithTimeout(ctx, e.handshake())
		defer cancel()
		return stack(ctx, under, ls)
	}, nil
}

// layers makes the layers of an address, innermost first.
func (e *Env) layers(a Address, side func(*layerDef) func(*Env, Address) (Layer, error)) ([]Layer, error) {
	var ls []Layer
	for _, name := range slices.Backward(a.Layers) {
		def := layerNamed(name)
		if def == nil {
			return nil, unknown("layer", name, layerNames())
		}
		l, err := side(def)(e, a)
		if err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// stack puts layers on a channel, innermost first. It owns ch.
func stack(ctx context.Context, ch Channel, ls []Layer) (Channel, error) {
	var err error
	for _, l := range ls {
		if ch, err = l(ctx, ch); err != nil {
			return nil, err
		}
	}
	return ch, nil
}

// Listen listens on the transport; every connection's handshakes run in a
// goroutine of its own, so a silent one holds up nobody. ctx bounds only the
// call itself.
func (e *Env) Listen(ctx context.Context, a Address) (Listener, error) {
	t, ok := transportNamed(a.Transport)
	if !ok {
		return nil, unknown("transport", a.Transport, transportNames())
	}
	if t.listen == nil {
		return nil, errors.New(t.name + " cannot be listened on, only opened")
	}
	ls, err := e.layers(a, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.server })
	if err != nil {
		return nil, err
	}
	l, err := t.listen(ctx, e, a.In(e.Dir))
	if err != nil {
		return nil, err
	}
	return e.serve(l, ls), nil
}

// serve runs the handshakes of ls for what l accepts. It owns l.
func (e *Env) serve(l accepter, ls []Layer) *listener {
	s := &listener{accepter: l, env: e, layers: ls}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// An accepter is what a transport listens with: a Listener without Serve. It may
// be a Rester.
type accepter interface {
	Accept() (Channel, error) // Close ends it
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

	ctx    context.Context // its cause is errParked, or that it is closed
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	short time.Time // since when there is a shortage; zero: there is none; owned by accept

	mu         sync.Mutex
	unfinished []*handshake // oldest first

	// for Accept
	accepting sync.Once // made the rest
	ready     chan Channel
	broken    chan struct{} // closed when the transport accepts no more
	err       error         // why; before broken is closed
}

type handshake struct{ cancel context.CancelFunc }

func (s *listener) Serve(use func(Channel), failed func(error)) {
	s.use, s.failed = use, failed
	// Under the lock with which Close cancels: either it waits for what begins
	// here, or nothing begins.
	s.mu.Lock()
	closed := s.ctx.Err() != nil
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
		case s.ctx.Err() != nil:
			if err == nil {
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
		if !s.short.IsZero() {
			s.env.log().Info("accepting again", "listener", s.Addr().String(), "after", time.Since(s.short).Round(time.Millisecond))
			s.short = time.Time{}
		}
		s.give(ch)
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
	if context.Cause(s.ctx) == errParked {
		s.give(ch)
		return
	}
	ch.Close()
}

// awaitMeans waits a little for what accept(2) was short of. That is told once:
// many listeners try many times.
func (s *listener) awaitMeans(err error) {
	if s.short.IsZero() {
		s.short = time.Now()
		s.env.log().Error("cannot accept, trying on", "listener", s.Addr().String(), "error", err)
	}
	select {
	case <-time.After(100 * time.Millisecond): // nothing tells when there is a descriptor again
	case <-s.ctx.Done():
	}
}

// begin starts the handshakes of a connection, in a goroutine of their own.
func (s *listener) begin(ch Channel) {
	ctx, cancel := context.WithTimeout(s.ctx, s.env.handshake())
	h := &handshake{cancel}
	s.mu.Lock()
	s.unfinished = append(s.unfinished, h)
	if len(s.unfinished) > s.env.unfinished() {
		s.unfinished[0].cancel()
		s.unfinished = slices.Delete(s.unfinished, 0, 1)
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
	if i := slices.Index(s.unfinished, h); i >= 0 {
		s.unfinished = slices.Delete(s.unfinished, i, i+1)
	}
	if len(s.unfinished) == 0 {
		s.unfinished = nil
	}
	s.mu.Unlock()
	if err != nil {
		if s.ctx.Err() == nil {
			s.env.refused(s.Addr(), remote, err)
		}
		return
	}
	s.use(ch)
}

// serveAccept lets Accept have what Serve gives.
func (s *listener) serveAccept() {
	s.ready, s.broken = make(chan Channel), make(chan struct{})
	s.Serve(func(ch Channel) {
		select {
		case s.ready <- ch:
		case <-s.ctx.Done():
			ch.Close()
		}
	}, func(err error) {
		s.err = err
		close(s.broken)
	})
}

func (s *listener) Accept(ctx context.Context) (Channel, error) {
	s.accepting.Do(s.serveAccept)
	select {
	case ch := <-s.ready:
		return ch, nil
	case <-s.broken:
		return nil, s.err
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *listener) Close() error {
	s.mu.Lock()
	s.cancel(nil) // which is not the cause if it was parked
	parked := context.Cause(s.ctx) == errParked
	s.mu.Unlock()
	var err error
	if !parked { // else Park closes it, and its name stays
		err = s.accepter.Close()
	}
	s.wg.Wait()
	return err
}
