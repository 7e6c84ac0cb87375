package channel

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// An Env is what an address leaves to whoever uses it. The zero value works: it
// has no named credentials and puts nothing below the layers.
type Env struct {
	// Dir is the folder that relative paths are relative to; "" is the current one.
	Dir string

	// Credentials finds named TLS identities; nil knows none.
	Credentials func(name string) (*Credentials, error)

	// SelfSigned gives the certificate of a tls listener on loopback (or on no
	// network) that names no credentials; nil: such a listener is an error.
	SelfSigned func() (*tls.Certificate, error)

	// Below, if not nil, wraps each transport channel before the first layer is
	// put on it. It owns the channel from then on.
	Below func(Channel) Channel

	// Handshake bounds the handshakes of all layers of one connection together;
	// 0 means 10 s. (Dialling is bounded by the context besides.)
	Handshake time.Duration

	// Unfinished is how many connections of a listener may be in handshakes at
	// once; one more cuts the oldest. 0 means 1024.
	Unfinished int

	// Log gets what nobody else is told: refused connections, failed handshakes.
	// nil means slog.Default.
	Log *slog.Logger
}

func (e *Env) handshake() time.Duration { return cmp.Or(e.Handshake, 10*time.Second) }
func (e *Env) unfinished() int          { return cmp.Or(e.Unfinished, 1024) }
func (e *Env) log() *slog.Logger        { return cmp.Or(e.Log, slog.Default()) }

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
	ls, err := e.layers(a, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.client })
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
	ctx, cancel := context.WithTimeout(ctx, e.handshake())
	defer cancel()
	return stack(ctx, ch, ls)
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
func (e *Env) serve(l Listener, ls []Layer) *listener {
	s := &listener{Listener: l, env: e, layers: ls, ready: make(chan Channel), failed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.accept)
	return s
}

// A listener runs the handshakes of what a transport's listener accepts.
type listener struct {
	Listener
	env    *Env
	layers []Layer
	ready  chan Channel

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	failed chan struct{} // closed when the transport accepts no more
	err    error         // why; before failed is closed

	mu         sync.Mutex
	unfinished []*handshake // oldest first
}

type handshake struct{ cancel context.CancelFunc }

// accept is the one goroutine that accepts from the transport.
func (s *listener) accept() {
	defer close(s.failed)
	short := time.Time{} // since when there is a shortage; zero: there is none
	for {
		ch, err := s.Listener.Accept(s.ctx)
		if isShortage(err) {
			if short.IsZero() { // told once: many listeners try many times
				short = time.Now()
				s.env.log().Error("cannot accept, trying on", "listener", s.Addr().String(), "error", err)
			}
			select {
			case <-time.After(100 * time.Millisecond): // nothing tells when there is a descriptor again
			case <-s.ctx.Done():
			}
			continue
		}
		if s.ctx.Err() != nil && err != nil {
			err = net.ErrClosed
		}
		if err != nil {
			s.err = err
			return
		}
		if !short.IsZero() {
			s.env.log().Info("accepting again", "listener", s.Addr().String(), "after", time.Since(short).Round(time.Millisecond))
			short = time.Time{}
		}
		if s.env.Below != nil {
			ch = s.env.Below(ch)
		}
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
}

// finish runs one connection's handshakes and waits until it is accepted.
func (s *listener) finish(ctx context.Context, h *handshake, ch Channel) {
	remote := ch.RemoteAddr()
	ch, err := stack(ctx, ch, s.layers)
	h.cancel()
	s.mu.Lock()
	if i := slices.Index(s.unfinished, h); i >= 0 {
		s.unfinished = slices.Delete(s.unfinished, i, i+1)
	}
	s.mu.Unlock()
	if err != nil {
		if s.ctx.Err() == nil {
			s.env.log().Info("handshake failed", "listener", s.Addr().String(), "peer", remote.String(), "error", err)
		}
		return
	}
	select {
	case s.ready <- ch:
	case <-s.ctx.Done():
		ch.Close()
	}
}

func (s *listener) Accept(ctx context.Context) (Channel, error) {
	select {
	case ch := <-s.ready:
		return ch, nil
	case <-s.failed:
		return nil, s.err
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *listener) Close() error {
	s.cancel()
	err := s.Listener.Close()
	s.wg.Wait()
	return err
}
