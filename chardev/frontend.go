package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"chardevd/channel"
)

// A frontend is one way in: it listens for clients, or connects to one.
type frontend struct {
	supervisor
	hub     *hub
	cfg     FrontendConfig
	clients atomic.Int64
}

// defaultMaxClients is how many a frontend serves at once.
const defaultMaxClients = 256

func newFrontend(h *hub, env *channel.Env, cfg FrontendConfig) *frontend {
	f := &frontend{hub: h, cfg: cfg}
	f.supervisor = newSupervisor(env, cfg.Endpoint, cmp.Or(cfg.Reconnect, usualReconnect(cfg.Endpoint)), f.tellNews)
	return f
}

func (f *frontend) tellNews(state string, err error) {
	text := f.cfg.Address.String() + " " + state
	if err != nil {
		text += ": " + reason(err)
	}
	f.hub.note("frontend", text)
}

// run keeps the frontend open until ctx ends, then waits for its clients.
func (f *frontend) run(ctx context.Context) {
	if !f.cfg.Listen {
		f.open(ctx, func(ctx context.Context, ch channel.Channel) error {
			f.clients.Add(1)
			return f.serve(ctx, ch)
		})
		return
	}
	var clients sync.WaitGroup
	defer clients.Wait()
	most := int64(defaultMaxClients)
	if n, err := strconv.ParseInt(f.cfg.Address.Get("max_clients"), 10, 64); err == nil {
		most = n
	}
	f.listen(ctx, func(ch channel.Channel) {
		if f.clients.Load() >= most {
			f.hub.note("refused", fmt.Sprintf("%s on %s: max_clients = %d", peerName(ch), f.cfg.Address, most))
			clients.Go(func() { closeWith(ch, errFull) })
			return
		}
		f.clients.Add(1)
		clients.Go(func() { f.serve(ctx, ch) })
	})
}

var errFull = errors.New("as many clients as max_clients allows are here already")

// serve makes a channel, which is counted already, a client and serves it to its
// end.
func (f *frontend) serve(ctx context.Context, ch channel.Channel) error {
	defer f.clients.Add(-1)
	c := &client{
		hub:       f.hub,
		ch:        ch,
		frontend:  f.cfg.Address.String(),
		peer:      peerName(ch),
		readOnly:  f.cfg.Mode == "read-only",
		onLag:     f.cfg.OnLag,
		halfClose: f.cfg.HalfClose,
	}
	c.out, _ = channel.As[*channel.Outbox](ch)
	if f.cfg.Listen && rawToPages(f.cfg.Address) {
		c.guard = new(requestGuard)
	}
	return c.serve(ctx, f.cfg.Replay, -1)
}

// peerName is who is at the other end, as far as the channel can tell.
func peerName(ch channel.Channel) string {
	name := ""
	if s, ok := channel.As[channel.Secured](ch); ok {
		if certs := s.ConnectionState().PeerCertificates; len(certs) > 0 {
			name = certs[0].Subject.String() + " "
		}
	}
	if l, ok := channel.As[channel.Local](ch); ok {
		if p, err := l.PeerCred(); err == nil {
			return name + fmt.Sprintf("uid=%d pid=%d", p.UID, p.PID)
		}
	}
	return name + addrText(ch.RemoteAddr())
}

func addrText(a net.Addr) string { return cmp.Or(a.String(), a.Network()) }
