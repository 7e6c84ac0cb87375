package chardev

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
)

// What a daemon leaves: each part is parked where it ends because of errHandover.

// parks says whether the endpoint lives on when the daemon hands over.
func (s *supervisor) parks() bool { return s.ep.Address.Parks() }

// shut closes a listener, or parks it for a successor.
func (s *supervisor) shut(l channel.Listener, why error) {
	p, ok := l.(channel.Parker)
	if !ok || why != errHandover {
		l.Close()
		return
	}
	parked, err := p.Park()
	if err != nil {
		s.env.Log.Warn("it will be listened on anew", "endpoint", s.ep.Address.String(), "error", err)
		return
	}
	s.parked = parked
}

// park is the end of a client that goes on with the successor. It returns false if that
// can not be: the client is to be told. What it typed is kept, and not what it is owed:
// that is in the history.
func (c *client) park() bool {
	if !c.parks() {
		return false
	}
	c.out.abort()
	c.pumps.Wait()
	c.noteGaps()
	writer := c.hub.unhand(c)
	c.hub.detach(c)
	parked, err := channel.Park(c.ch)
	if err != nil {
		c.hub.note("detach", c.String()+": "+reason(err))
		c.hub.audit.went(c, err)
		c.ch.Close()
		return true
	}
	left := &clientHandover{
		ID: c.id, Since: c.since, Names: c.who.Names, Operator: c.who.Operator, Peer: c.peer, Cursor: c.cursor.Load(),
		Typed: c.typed.Load(), Got: c.got.Load(), Missed: c.missed.Load(), Refused: c.refused.Load(),
		Input: c.unread, LineEnd: c.lineEnd, Writer: writer, Parked: *parked,
		Unguarded: c.guard == nil,
	}
	if c.guard != nil {
		left.Guard = c.guard.head[:c.guard.n]
	}
	c.via.leaving.Lock()
	defer c.via.leaving.Unlock()
	c.via.left = append(c.via.left, left)
	return true
}

// parks says whether the client goes on with a successor. That does not know of accounts,
// one of which whoever logged in has.
func (c *client) parks() bool { return c.via != nil && c.via.parks() && len(c.who.Accounts) == 0 }

// unhand takes the input from c without telling anybody, and says whether c had it.
func (h *hub) unhand(c *client) bool {
	h.writer.pen.Lock()
	defer h.writer.pen.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer.holder != c {
		return false
	}
	h.writer.holder = nil
	h.writer.disarm()
	return true
}

// saves keeps input of c that the device can not be given any more, for the successor;
// false: it is not handed over.
func (h *hub) saves(c *client, p []byte) bool {
	if !h.parking.Load() || !c.parks() {
		return false
	}
	c.unread = append(c.unread, p...)
	return true
}

// awaitEnd waits, with input that was saved, for the client's end, which is near.
func (c *client) awaitEnd() error {
	if c.unread == nil {
		return nil
	}
	<-c.going.done()
	return errHandover
}

// parkDevice parks the device's channel if that is why the session ends.
func (s *session) parkDevice(why error) error {
	if why != errHandover {
		return errors.ErrUnsupported
	}
	parked, err := channel.Park(s.in.ch)
	if err != nil {
		return err
	}
	if older := s.hub.parked; older != nil {
		older.Drop() // a newer guest took its place
	}
	s.hub.parked, s.hub.parkedSince = parked, s.since
	return nil
}

// handOver is what the console leaves, whose device and frontends have all ended. Its
// journal is still open.
func (con *console) handOver() *consoleHandover {
	h := con.hub
	h.mu.Lock() // the scribe may be writing still
	c := &consoleHandover{
		Name: con.name, Epoch: con.epoch, Head: h.hist.Head(), Printed: h.printed(), LastOut: h.lastOut.Load(),
		BytesIn: h.bytesIn.Load(), LastID: h.nextID,
		Marks: slices.Clone(h.times.marks), Fresh: h.times.fresh, Events: slices.Clone(h.events),
	}
	h.mu.Unlock()
	c.Refused, c.Dropped = loadAll(h.refused[:]), loadAll(h.dropped[:])
	r := h.hist.Reader()
	at := h.hist.Oldest()
	bufs, missing := r.Next(at, int(c.Head-at))
	for missing > 0 { // the scribe needs less by now
		at += missing
		bufs, missing = r.Next(at, int(c.Head-at))
	}
	c.window = slices.Concat(bufs...)
	r.Release()
	c.Window = len(c.window)

	c.Passed = con.leavePassed()
	d := con.device.Load()
	c.Device = endpointHandover{Address: d.ep.Address.String(), Listens: d.ep.Listen, Listener: d.parked, Channel: h.parked, Since: d.lasts()}
	for _, f := range con.frontends() {
		c.Frontends = append(c.Frontends, endpointHandover{Address: f.ep.Address.String(), Listens: f.ep.Listen, Listener: f.parked, Clients: f.left})
	}
	return c
}

func loadAll(counts []atomic.Int64) (all []int64) {
	for i := range counts {
		all = append(all, counts[i].Load())
	}
	return all
}

// lasts is since when the device, whose life has ended, is as it goes on; zero: it does not.
func (d *device) lasts() time.Time {
	switch state, _, since := d.status.get(); {
	case d.hub.parked != nil && d.ep.Listen:
		return d.hub.parkedSince
	case state != StateUp, d.hub.parked != nil, d.parked != nil:
		return since
	}
	return time.Time{}
}

// parkControl parks the control socket.
func parkControl(l channel.Listener, at channel.Address, log *slog.Logger) []parkedListener {
	p, ok := l.(channel.Parker)
	if !ok {
		return nil
	}
	parked, err := p.Park()
	if err != nil {
		log.Warn("the control socket is listened on anew: it could not be parked", "error", err)
		return nil
	}
	return []parkedListener{newParkedListener("control", at, parked)}
}

// endUnparked ends what can not be parked, while all else goes on. work is of what does
// not belong to a console, and is ending.
func (s *Server) endUnparked(work *sync.WaitGroup) {
	var ending []*life
	for _, con := range s.all() {
		for _, f := range con.frontends() {
			if !f.parks() {
				ending = append(ending, &f.life)
			}
		}
		if d := con.device.Load(); !d.parks() {
			con.hub.parking.Store(true) // what is typed from now on is for the next one
			ending = append(ending, &d.life)
		}
	}
	for _, l := range ending {
		l.ask(errHandover)
	}
	work.Wait()
	for _, l := range ending {
		l.work.Wait()
	}
}

// parkDevices parks the devices: from now on nothing is printed, and what is typed is
// kept.
func (s *Server) parkDevices() {
	for _, con := range s.all() {
		con.hub.parking.Store(true)
		con.device.Load().ask(errHandover)
	}
	for _, con := range s.all() {
		con.device.Load().work.Wait()
	}
}

// handOver makes what Run leaves, when all is parked or has ended.
func (s *Server) handOver() {
	for _, con := range s.all() {
		s.left.Consoles = append(s.left.Consoles, con.handOver())
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.left.Found = s.discovery.handOver()
	s.left.LastPassed = s.passing.last
	for i := range s.cfg.Chardevs {
		if want := s.cfg.Chardevs[i].passed; want != nil {
			s.left.Passed = append(s.left.Passed, *want)
		}
	}
	for _, d := range s.httpDoors() {
		<-d.shut
		if d.parked != nil {
			s.left.Listeners = append(s.left.Listeners, newParkedListener("http", d.ep.Address, d.parked))
		}
	}
	for _, st := range s.allStreams() {
		for _, d := range st.doors {
			if d.parked != nil {
				s.left.Listeners = append(s.left.Listeners, newParkedListener("stream "+st.name, d.ep.Address, d.parked))
			}
		}
	}
}

// Leave has Run park what can be parked, and return. Left is what it has left then.
func (s *Server) Leave() {
	select {
	case s.leaving <- struct{}{}:
	default: // it is about to
	}
}

// Left is what Run has left for a successor, nil if it was to end otherwise.
func (s *Server) Left() *Handover { return s.left }
