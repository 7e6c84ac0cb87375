package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// A frontend is one way in: it listens for clients, or connects to one.
type frontend struct {
	supervisor
	hub     *hub
	cfg     atomic.Pointer[FrontendConfig] // its address is always ep's
	vouch   func(ctx context.Context, from place, user, password string) (access.Identity, error)
	logins  waitingConns
	clients atomic.Int64

	passed *passage // its descriptor was passed (passing.go); nil: it is configured

	inherits []*clientHandover // whom start goes on with

	leaving sync.Mutex
	left    []*clientHandover // who was parked; guarded by leaving
}

// defaultMaxClients is how many a frontend serves at once.
const defaultMaxClients = 256

func newFrontend(h *hub, env *channel.Env, cfg *FrontendConfig) *frontend {
	f := &frontend{hub: h}
	f.cfg.Store(cfg)
	f.init(h.audit.refusals(env, &cfg.Endpoint, h.stir), &cfg.Endpoint, cmp.Or(cfg.Reconnect, usualReconnect(&cfg.Endpoint)), f.tellNews)
	return f
}

func (f *frontend) tellNews(state string, err error) {
	text := f.ep.Address.String() + " " + state
	if err != nil {
		text += ": " + reason(err)
	}
	level := slog.LevelInfo
	if f.ep.Listen && err != nil {
		level = slog.LevelWarn
	}
	f.hub.keep(level, "frontend", text)
}

// start begins the frontend's life, and keeps it open until that ends. When the device
// is there, read is to be called: whom the frontend goes on with is attached, and types
// from then on.
func (f *frontend) start(within context.Context) (read []func()) {
	f.begin(within)
	f.work.Add(1)
	if !f.ep.Listen {
		return f.startOpening()
	}
	f.listen(func(ch channel.Channel) {
		a := &arrival{ch: ch, shown: admitted(ch)}
		if f.guards() {
			a.guard = new(requestGuard)
		}
		if !f.cfg.Load().Login || len(a.shown.Names) > 0 {
			f.come(a)
			return
		}
		f.work.Go(func() {
			if f.logIn(&f.life, a) {
				f.come(a)
			} else {
				f.leftOne(errLoginLeft)
			}
		})
	}, f.work.Done)
	return f.goOnAll()
}

// guards says whether who comes is cut if he speaks HTTP (requestGuard). No web page can have
// a browser be at the other end of what the frontend opens, or of what was opened for a caller.
func (f *frontend) guards() bool {
	return f.ep.Listen && typedByPages(f.ep.Address) && f.wanted().as == nil
}

// startOpening is start of a frontend that does not listen.
func (f *frontend) startOpening() (read []func()) {
	use := func(ch channel.Channel, ended func(error)) {
		f.clients.Add(1)
		f.serve(&arrival{ch: ch}, ended)
	}
	for _, was := range f.inherits { // one at most
		if ch, err := f.regain(was); err == nil {
			f.goOnWith(ch, func(ch channel.Channel, ended func(error)) {
				read = append(read, f.goOn(was, ch, ended))
			}, use, f.work.Done)
			return read
		}
	}
	f.open(use, f.work.Done)
	return nil
}

// come makes an arrival a client, if there is room for one more.
func (f *frontend) come(a *arrival) {
	most := mostClients(f.ep.Address)
	if f.clients.Add(1) > most {
		f.clients.Add(-1)
		who := comer{frontend: f.ep.Address.String(), peer: addrText(a.ch.RemoteAddr())}
		f.hub.noteSome(&f.hub.denied, "refused", fmt.Sprintf("%s: max_clients = %d", who, most))
		f.hub.audit.didNot(who, "to attach", errFull)
		f.work.Go(func() { closeWith(a.ch, errFull) })
		return
	}
	f.work.Add(1)
	go f.serve(a, func(error) { f.work.Done() })
}

var errFull = errors.New("as many clients as max_clients allows are here already")

// serve makes an arrival, which is counted already, a client, and calls ended at its
// end.
func (f *frontend) serve(a *arrival, ended func(error)) {
	who, ch, cfg := f.identify(a), a.ch, f.cfg.Load()
	c := &client{
		hub:       f.hub,
		ch:        ch,
		frontend:  f.ep.Address.String(),
		via:       f,
		who:       who,
		peer:      cmp.Or(f.wanted().peer, peerName(who, ch)),
		halfClose: cfg.HalfClose,
		person:    notices(f.ep.Address, ch),
		guard:     a.guard,
		lineEnd:   a.lineEnd,
	}
	c.serve(&f.life, cfg.Replay, -1, func(why error) {
		f.clients.Add(-1)
		f.leftOne(why)
		ended(why)
	})
}

// leftOne notes that somebody who came is gone.
func (f *frontend) leftOne(why error) {
	if f.passed != nil && f.passed.gone != nil {
		f.passed.gone(why)
	}
}
