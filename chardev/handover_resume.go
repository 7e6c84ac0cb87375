package chardev

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

// What a successor takes over: each part goes on where it was.

// history is what a console begins with: what it was left with, if that is of the same
// epoch and ends where the journal does (nil: there is none).
func (s *Server) history(con *console, cc *ChardevConfig, was *consoleHandover, j *journal.Journal) *history.History {
	start, spare := int64(0), (*history.Spare)(nil)
	if j != nil {
		start, spare = j.Start(), s.spare
	}
	if was == nil || was.Epoch != con.epoch || j != nil && start != was.Head {
		return history.New(cc.History, start, spare)
	}
	return history.Restore(cc.History, was.window, was.Head, spare)
}

// resume has the hub be as it was left. Nobody else knows it yet.
func (h *hub) resume(c *consoleHandover) {
	h.before = c.Printed
	h.lastOut.Store(c.LastOut)
	h.bytesIn.Store(c.BytesIn)
	storeAll(h.refused[:], c.Refused)
	storeAll(h.dropped[:], c.Dropped)
	h.nextID = c.LastID
	h.times = timesOf(c.Marks, c.Fresh)
	h.events, h.happened = c.Events, len(c.Events)
}

// storeAll takes over counts, of which the one who left them may have had fewer or more.
func storeAll(counts []atomic.Int64, left []int64) {
	for i := range min(len(counts), len(left)) {
		counts[i].Store(left[i])
	}
}

// inherit takes over the listener that was parked, if there is one.
func (s *supervisor) inherit() (channel.Listener, bool) {
	p := s.inherited
	if p == nil {
		return nil, false
	}
	s.inherited = nil
	l, session, err := s.env.AdoptListener(s.ep.Address, p)
	if err != nil {
		s.env.Log.Warn("it is listened on anew: it could not be taken over", "endpoint", s.ep.Address.String(), "error", err)
		return nil, false
	}
	s.session = session
	return l, true
}

// resume makes a client again of what one was; it is attached where it was, and reads
// nothing yet. nil: it is gone, which is told.
func (f *frontend) resume(was *clientHandover, ch channel.Channel) *client {
	cfg := f.cfg.Load()
	c := &client{
		hub: f.hub, ch: ch, frontend: f.ep.Address.String(), via: f,
		who: access.Identity{Names: was.Names, Operator: was.Operator}, peer: was.Peer,
		halfClose: cfg.HalfClose,
		lineEnd:   was.LineEnd, id: was.ID, since: was.Since, unread: was.Input,
	}
	if f.guards() && !was.Unguarded {
		c.guard = new(requestGuard)
		c.guard.n = copy(c.guard.head[:], was.Guard)
	}
	c.typed.Store(was.Typed)
	c.got.Store(was.Got)
	c.missed.Store(was.Missed)
	c.refused.Store(was.Refused)
	return c
}

// regain is the channel of a client that was parked.
func (f *frontend) regain(was *clientHandover) (ch channel.Channel, err error) {
	if len(was.Parked.FDs) > 0 {
		return f.env.Adopt(f.ep.Address, &was.Parked)
	}
	if ch, f.session = f.session, nil; ch != nil {
		_, err = ch.Write(was.Parked.Unsent)
		return ch, err
	}
	return nil, errLeftMeanwhile
}

var errLeftMeanwhile = errors.New("it left during the upgrade")

// goOn begins the life of a client again; start then has it read. ended is called at
// its end.
func (f *frontend) goOn(was *clientHandover, ch channel.Channel, ended func(error)) (start func()) {
	c := f.resume(was, ch)
	c.begin(&f.life, func(why error) {
		f.clients.Add(-1)
		f.leftOne(why)
		ended(why)
	})
	f.clients.Add(1)
	if err := f.hub.attach(c, 0, was.Cursor); err != nil {
		c.turnAway(err)
		return func() {}
	}
	if was.Writer {
		f.hub.rehand(c)
	}
	c.beside()
	return func() {
		go func() {
			if saved := c.unread; saved != nil {
				c.unread = nil
				c.hub.take(c, saved)
			}
			c.read()
		}()
	}
}

// rehand gives a client the input back that it had.
func (h *hub) rehand(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.mayHold(c); ok && h.writer.holder == nil && h.inputMode() == "exclusive" {
		h.handTo(c, "")
	}
}

// goOnAll begins the lives of the clients again that a listening frontend was left with.
func (f *frontend) goOnAll() (start []func()) {
	clients := f.inherits
	f.inherits = nil
	for _, was := range clients {
		ch, err := f.regain(was)
		if err != nil {
			f.hub.note("detach", fmt.Sprintf("client %d %s on %s: %s", was.ID, was.Peer, f.ep.Address, reason(err)))
			f.leftOne(err)
			continue
		}
		f.work.Add(1)
		start = append(start, f.goOn(was, ch, func(error) { f.work.Done() }))
	}
	if f.session != nil { // nobody's
		f.session.Close()
		f.session = nil
	}
	return start
}

// takeOver lets the endpoints of a console, which are not started, go on with what was
// left of those at the same addresses. The rest is closed.
func (con *console) takeOver(c *consoleHandover) {
	if c.Epoch == con.epoch {
		con.hub.resume(c)
	} else { // its offsets mean nothing here: everybody goes on with what comes
		con.hub.nextID = c.LastID
		for _, f := range c.Frontends {
			for _, cl := range f.Clients {
				cl.Cursor = math.MaxInt64
			}
		}
	}
	d := con.device.Load()
	devices := []endpointHandover{c.Device}
	of := endpoint(&devices, d.ep)
	d.inherited, d.inherits = of.Listener, of.Channel
	if !of.Since.IsZero() { // nobody else knows the status yet
		if of.Channel != nil || of.Listener != nil {
			d.status.cameUp = &of.Since
		} else {
			d.status.since = of.Since
		}
	}
	for _, f := range con.frontends() {
		of := endpoint(&c.Frontends, f.ep)
		f.inherited, f.inherits = of.Listener, of.Clients
	}
	for _, left := range append(devices, c.Frontends...) {
		left.end(con.env)
	}
}

// end closes what is left of an endpoint that is there no more. A command is ended as
// when it is closed, which may take a moment.
func (e endpointHandover) end(env *channel.Env) {
	if e.Listener != nil {
		endListener(env, e.Address, e.Listener)
	}
	if a, err := channel.ParseAddress(e.Address); err == nil && e.Channel != nil && e.Channel.PID != 0 {
		if ch, err := env.Adopt(a, e.Channel); err == nil {
			ch.Close()
		}
	}
	(&Handover{Consoles: []*consoleHandover{{Device: e}}}).Drop()
}

// endListener closes what is listened on at an address: its name goes with it.
func endListener(env *channel.Env, at string, p *channel.Parked) {
	a, err := channel.ParseAddress(at)
	if err != nil {
		p.Drop()
		return
	}
	a.Layers = nil // nobody comes any more
	l, session, err := env.AdoptListener(a, p)
	if err != nil {
		return // it is dropped
	}
	if session != nil {
		session.Close()
	}
	l.Close()
}

// regain is the device's channel that was parked; nil: there is none.
func (d *device) regain() channel.Channel {
	p := d.inherits
	if p == nil {
		return nil
	}
	d.inherits = nil
	ch, err := d.env.Adopt(d.ep.Address, p)
	if err != nil {
		d.hub.log.Warn("the device is opened anew: it could not be taken over", "error", err)
		d.status.cameUp = nil
		return nil
	}
	return ch
}

// goOn serves the guest again that a device which is listened for had.
func (d *device) goOn(ch channel.Channel) {
	d.work.Add(1)
	d.mu.Lock()
	d.busy, d.guest = true, new(life)
	d.guest.begin(&d.life)
	d.mu.Unlock()
	s := d.hub.begin(d.guest, ch, d.status.cameUp, d.guestLeft)
	d.status.cameUp = nil // the guest's, and not the listener's
	go s.read()
}

// endRest closes what is left that the config has no place for.
func (h *Handover) endRest(env *channel.Env) {
	if h == nil {
		return
	}
	for _, c := range h.Consoles {
		for _, e := range append(c.Frontends, c.Device) {
			e.end(env)
		}
	}
	for _, l := range h.Listeners {
		endListener(env, l.At, l.Parked)
	}
	h.Consoles, h.Listeners = nil, nil
}

// listenControl listens on the control socket, or goes on with that.
func (s *Server) listenControl(ctx context.Context) (channel.Listener, error) {
	at := s.config().Control
	if p := s.control; p != nil {
		s.control = nil
		l, _, err := new(channel.Env).AdoptListener(at, p)
		if err == nil {
			return l, nil
		}
		s.log.Warn("the control socket is listened on anew: it could not be taken over", "error", err)
	}
	l, err := s.newEnv(s.log).Listen(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", at, err)
	}
	return l, nil
}
