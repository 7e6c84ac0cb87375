package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"chardevd/channel"
)

// A device is the guest's side of a chardev: it is kept open, and what it says
// goes into the hub.
type device struct {
	supervisor
	hub *hub

	inherits *channel.Parked // the guest, or what was opened, that start goes on with; nil: nothing

	// of one that is listened for
	mu    sync.Mutex
	busy  bool            // a guest is there, or about to be
	guest *life           // its stay
	next  channel.Channel // who takes its place then; nil: nobody
}

func newDevice(h *hub, env *channel.Env, ep *Endpoint) *device {
	d := &device{hub: h}
	d.init(h.audit.refusals(env, ep, h.stir), ep, usualReconnect(ep), d.tellNews)
	d.status.moved = func() { h.sign.raise(happened) }
	return d
}

// start begins the device's life, and keeps it open until that ends.
func (d *device) start(within context.Context) {
	d.begin(within)
	d.work.Add(1)
	first := d.regain()
	if d.ep.Listen {
		if first != nil {
			d.goOn(first)
		}
		d.listen(d.come, d.work.Done)
		return
	}
	use := func(ch channel.Channel, ended func(error)) { d.hub.session(&d.life, ch, ended) }
	if first != nil {
		d.goOnWith(first, func(ch channel.Channel, ended func(error)) {
			s := d.hub.begin(&d.life, ch, nil, ended)
			go s.read()
		}, use, d.work.Done)
		return
	}
	d.open(use, d.work.Done)
}

var errReplaced = errors.New("a newer guest took its place")

// come is called for each guest that comes. A newer one replaces the older, as
// soon as that is gone; of several that wait for this only the newest does.
func (d *device) come(ch channel.Channel) {
	d.mu.Lock()
	older, guest, busy := d.next, d.guest, d.busy
	d.next, d.busy = ch, true
	d.mu.Unlock()
	if older != nil {
		older.Close()
	}
	switch {
	case !busy:
		d.work.Add(1)
		go d.serveNext() // for as long as the guest talks
	case guest != nil:
		guest.ask(errReplaced)
	}
}

// serveNext serves the guest that waits, and when that is gone the next one.
func (d *device) serveNext() {
	d.mu.Lock()
	ch := d.next
	d.next, d.guest = nil, nil
	d.busy = ch != nil
	if ch == nil {
		d.mu.Unlock()
		d.work.Done()
		return
	}
	d.guest = new(life)
	d.guest.begin(&d.life)
	d.mu.Unlock()
	d.hub.noteSome(&d.hub.guestEvents().came, StateUp, "a guest came: "+peerName(identify(ch), ch))
	d.hub.session(d.guest, ch, d.guestLeft)
}

// guestLeft tells that the guest is gone, and has the next one served.
func (d *device) guestLeft(err error) {
	d.guest.ask(nil)
	if err != errHandover {
		d.hub.noteSome(&d.hub.guestEvents().left, StateDown, "the guest left: "+reason(err))
	}
	go d.serveNext() // not from within the session
}

// reopen has the device opened anew: what is open is closed, with a reason, and who
// waits for the next try waits no longer. Of a device that is listened for the guest
// is to come again; it returns false if none is there.
func (d *device) reopen(why error) bool {
	d.retry.soon()
	s := d.hub.device.Load()
	if s != nil {
		s.leave(why)
	}
	state, _, _ := d.status.get()
	return s != nil || !d.ep.Listen || state != StateUp
}

// state is how the device is. One that is listened for is up while a guest is
// there.
func (d *device) state() (state, err string, since time.Time) {
	state, err, since = d.status.get()
	if !d.ep.Listen || state != StateUp {
		return state, err, since
	}
	if s := d.hub.device.Load(); s != nil {
		return StateUp, "", s.since
	}
	return StateOpening, "waiting for the guest to connect", since
}

func (d *device) tellNews(state string, err error) {
	text := d.ep.Address.String()
	if err != nil {
		text += ": " + reason(err)
	}
	d.hub.note(state, text)
}

// session begins the time from up to down: bytes move both ways until the device
// ends, or what it is within; then ended is called with the reason. It owns dev.
func (h *hub) session(within context.Context, dev channel.Channel, ended func(error)) {
	h.begin(within, dev, nil, ended).read()
}

// begin is session of a device that is there since then (nil: now); its result is still
// to read.
func (h *hub) begin(within context.Context, dev channel.Channel, since *time.Time, ended func(error)) *session {
	s := &session{hub: h, since: time.Now(), ended: ended, untaken: new(untaken)}
	if since != nil {
		s.since = *since
	}
	s.in = newReading(dev, &s.going.latch, s.read)
	s.in.attendPlainBy(s.attend, s.giveOut, h.crowd)
	s.out, _ = channel.As[*channel.Outbox](dev)
	s.tie.to(within, func(why error) { go s.leave(orShutdown(why)) })
	h.device.Store(s)
	h.sessions.Add(1)
	h.sign.raise(happened)
	h.watchLine()
	h.lineCame()
	h.tell(Message{Type: "device", State: StateUp})
	return s
}

// read reads the device until it is silent, and is called again when it is not, or
// until its end.
func (s *session) read() {
	for {
		switch err := s.hub.readDevice(s); err {
		case errSilent:
			s.hub.hist.Rest()
		case errTakenOver:
			return
		default:
			s.end(err)
			return
		}
		if s.in.rest() {
			return
		}
	}
}

// attend reads what one of many devices has said, which giveOut writes to those who keep
// up. It runs in the goroutine that attends to all of them, so it returns false, which has
// read called, when there is more to do than a moment's work: the device speaks fast,
// somebody is to be waited for, or there are many clients.
func (s *session) attend() bool {
	h := s.hub
	space := h.hist.Space()
	space = space[:min(len(space), attendedChunk)]
	if h.standApart(false); !h.isMoment(len(space)) ||
		h.scribe != nil && !h.scribe.ready(h.hist.Head()+int64(len(space))) {
		return false
	}
	n, ok := s.in.tryRead(space)
	if n > 0 && n == len(space) && ok {
		space, ok = s.readOn(space, attendedChunk)
		n = len(space)
	}
	if n > 0 {
		h.publish(space[:n])
	}
	return ok && n < attendedChunk && (!h.mixed || s.in.stays())
}

// giveOut writes what attend has read.
func (s *session) giveOut() { s.hub.giveOut(nil) }

// readOn reads what else the device has said, behind the space that it has filled, up to
// most bytes in all, and returns all of it as one chunk. A small chunk, before the blocks have
// grown, costs thousands of clients as much as a large one: measured for 4000 of them, a
// twelfth of the time of the first 3 MB. After an error, which is for read, it returns false.
func (s *session) readOn(space []byte, most int) (all []byte, ok bool) {
	h, n := s.hub, len(space)
	if n >= most || s.in.attended == nil {
		return space, true
	}
	b, known := channel.As[channel.Buffered](s.in.ch)
	if !known {
		return space, true
	}
	most = min(most, n+b.Buffered())
	if n >= most || h.somebodyLags() || h.scribe != nil && !h.scribe.ready(h.hist.Head()+int64(most)) {
		return space, true
	}
	all = h.hist.Widen(space, most)
	m, ok := s.in.tryRead(all[n:])
	return all[:n+m], ok
}

// isMoment says whether n more bytes can be read and be written to those who keep up in a
// moment.
func (h *hub) isMoment(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.live) <= attendedMost && h.turnOf(n, 0) < 0
}

const (
	attendedMost  = 8        // clients who keep up
	attendedChunk = 16 << 10 // bytes at once
)

// leave asks the session to end, and says why; only the first call counts.
func (s *session) leave(why error) {
	if s.going.because(why) {
		s.in.end()
	}
}

// end is the end of the session, whose device's output ended with err.
func (s *session) end(err error) {
	h, dev := s.hub, s.in.ch
	s.in.calm()
	s.tie.cut()
	if s.in.isOver() {
		err = s.going.why()
	}
	h.device.Store(nil)
	h.sign.raise(happened)
	h.lineGone()
	s.endInput()
	s.untaken.end()
	h.helpers.Wait()
	if s.parkDevice(err) != nil {
		h.dropped[droppedDevice].Add(int64(s.out.Kept()))
		s.out.Abort() // what the device did not take until now it will not
		dev.Close()
	}
	if err == io.EOF {
		err = endOf(dev)
	}
	h.tell(Message{Type: "device", State: StateDown, Text: reason(err)})
	s.ended(err)
}

var (
	errDeviceEnded = errors.New("the device closed the connection")
	errHungUp      = errors.New("the serial port is gone: it was unplugged, or hung up")
)

// endOf is why a device's stream has ended in an orderly way.
func endOf(dev channel.Channel) error {
	if x, ok := channel.As[channel.Exiter](dev); ok {
		if status, ok := x.Exited(); ok {
			return fmt.Errorf("the command ended: %s", status)
		}
	}
	if p, ok := channel.As[channel.HangUpper](dev); ok && p.HungUp() {
		return errHungUp
	}
	return errDeviceEnded
}
