package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"chardevd/channel"
)

// A frontend is one way in: it listens for clients, or connects to one.
type frontend struct {
	supervisor
	hub     *hub
	cfg     *FrontendConfig
	clients atomic.Int64
}

// defaultMaxClients is how many a frontend serves at once.
const defaultMaxClients = 256

func newFrontend(h *hub, env *channel.Env, cfg *FrontendConfig) *frontend {
	f := &frontend{hub: h, cfg: cfg}
	f.supervisor = newSupervisor(env, &cfg.Endpoint, cmp.Or(cfg.Reconnect, usualReconnect(&cfg.Endpoint)), f.tellNews)
	return f
}

func (f *frontend) tellNews(state string, err error) {
	text := f.cfg.Address.String() + " " + state
	if err != nil {
		text += ": " + reason(err)
	}
	f.hub.note("frontend", text)
}

// start keeps the frontend open until ctx ends. What it starts, its clients too, is
// counted by wg.
func (f *frontend) start(ctx context.Context, wg *sync.WaitGroup) {
	wg.Add(1)
	if !f.cfg.Listen {
		f.open(ctx, func(ctx context.Context, ch channel.Channel, ended func(error)) {
			f.clients.Add(1)
			f.serve(ctx, ch, ended)
		}, wg.Done)
		return
	}
	most := mostClients(f.cfg.Address)
	f.listen(ctx, func(ch channel.Channel) {
		if f.clients.Add(1) > most {
			f.clients.Add(-1)
			f.hub.note("refused", fmt.Sprintf("%s on %s: max_clients = %d", addrText(ch.RemoteAddr()), f.cfg.Address, most))
			wg.Go(func() { closeWith(ch, errFull) })
			return
		}
		wg.Add(1)
		go f.serve(ctx, ch, func(error) { wg.Done() })
	}, wg.Done)
}

var errFull = errors.New("as many clients as max_clients allows are here already")

// serve makes a channel, which is counted already, a client, and calls ended at its
// end.
func (f *frontend) serve(ctx context.Context, ch channel.Channel, ended func(error)) {
	who := f.identify(ch)
	c := &client{
		hub:       f.hub,
		ch:        ch,
		frontend:  f.cfg.Address.String(),
		who:       who,
		peer:      peerName(who, ch),
		readOnly:  f.cfg.Mode == "read-only",
		onLag:     f.cfg.OnLag,
		halfClose: f.cfg.HalfClose,
		person:    notices(f.cfg.Address, ch),
	}
	if f.cfg.Listen && rawToPages(f.cfg.Address) {
		c.guard = new(requestGuard)
	}
	c.serve(ctx, f.cfg.Replay, -1, func(why error) {
		f.clients.Add(-1)
		ended(why)
	})
}
