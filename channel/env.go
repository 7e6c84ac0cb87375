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

	// OwnLinks, if it is not nil and says so, has a socket or a serial port be dialled only
	// by way of symbolic links of root, of this process's user, or of whoever has what they
	// lead to: a link of somebody else could lead to what he himself may not open.
	OwnLinks func() bool

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
