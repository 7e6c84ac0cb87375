package chardev

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
)

// A status is how an endpoint is, for whoever asks.
type status struct {
	moved func() // called when the state or the error may be another; fixed, may be nil

	cameUp *time.Time // when what comes up next did in truth, for a daemon before; nil: then

	mu    sync.Mutex
	state string
	err   string
	since time.Time // when it came up, or went down
	first latch     // the first try
	ups   int64     // how often it went up
}

func newStatus() *status {
	return &status{state: StateDown, since: time.Now()}
}

// set notes a state and reports whether anything is new about it: trying again
// is not.
func (s *status) set(state string, err error) bool {
	text := ""
	if err != nil {
		text = reason(err)
	}
	if s.moved != nil {
		defer s.moved()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != StateOpening {
		s.first.end()
	}
	if state == StateOpening {
		text = s.err // why it is not up is still the last failure
	}
	news := state != s.state && state != StateOpening && !(s.state == StateOpening && state == StateDown) || !sameReason(text, s.err)
	if (state == StateUp) != (s.state == StateUp) { // a try to open it changes nothing of how long it is down
		s.since = time.Now()
		if state == StateUp {
			s.ups++
			if s.cameUp != nil {
				s.since, s.cameUp = *s.cameUp, nil
			}
		}
	}
	s.state, s.err = state, text
	return news
}

// sameReason says whether two errors tell a person the same. Numbers make no
// difference: a port of ours, a time or the name of a temporary file is another
// one with each try.
func sameReason(a, b string) bool {
	noDigits := func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}
	return strings.Map(noDigits, a) == strings.Map(noDigits, b)
}

// tried returns a channel that is closed when the first try is over.
func (s *status) tried() <-chan struct{} { return s.first.done() }

// opened is how often it was open.
func (s *status) opened() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ups
}

func (s *status) get() (state, err string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.err, s.since
}

// A retry spaces the tries to open something: doubling from min to max, with
// jitter, so that a thousand consoles do not come back in one moment.
type retry struct {
	limits atomic.Pointer[Reconnect]
	now    bell // the next try is not to be waited for
	wait   time.Duration
}

// soon has the next try made at once.
func (r *retry) soon() { r.now.ring() }

// made notes that a try has succeeded: the one after that waits again.
func (r *retry) made() { r.now.hush() }

// lived is how long a session must have held to begin with min again.
const lived = 2 * time.Second

// usualReconnect is how to try an endpoint again where the config says nothing:
// what is local at most 1 s apart (and when its node appears), what is behind a
// network gently. A port or path to listen on is local. What can be opened once is not
// tried again.
func usualReconnect(e *Endpoint) Reconnect {
	if e.Address.Once() {
		return Reconnect{Min: never, Max: never}
	}
	if e.Address.Network() && !e.Listen {
		return Reconnect{Min: 100 * time.Millisecond, Max: 30 * time.Second}
	}
	return Reconnect{Min: 20 * time.Millisecond, Max: time.Second}
}

// never is longer than any daemon runs, and can be doubled.
const never = 100 * 365 * 24 * time.Hour

// pause waits until the next try is due, or wanted now, or something new is at the path
// that is watched, which both begin with min again; it reports whether ctx still holds.
func (r *retry) pause(ctx context.Context, node <-chan struct{}) bool {
	limits := r.limits.Load()
	r.wait = min(max(2*r.wait, limits.Min), limits.Max)
	t := time.NewTimer(r.wait/2 + rand.N(r.wait/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-node:
		r.wait = 0
	case <-r.now.rung():
		r.wait = 0
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// ended notes how long a session held.
func (r *retry) ended(after time.Duration) {
	if after >= lived {
		r.wait = 0
	}
}

// A supervisor keeps one endpoint open: it listens or opens, and again when
// that fails or ends, until its life does.
type supervisor struct {
	life
	env    *channel.Env
	ep     *Endpoint
	retry  retry // owned by who opens or listens
	status *status
	news   func(state string, err error) // told about each new state; no lock is held

	// See handover.go.
	inherited *channel.Parked // the listener to go on with; nil: none
	session   channel.Channel // of a pty's listener that was taken over; nil: none
	parked    *channel.Parked // the listener, at the end; nil: none
}

// init makes the supervisor of ep, which is tried as r says.
func (s *supervisor) init(env *channel.Env, ep *Endpoint, r Reconnect, news func(state string, err error)) {
	s.env, s.ep, s.status, s.news = env, ep, newStatus(), news
	s.retry.limits.Store(&r)
}

func (s *supervisor) set(state string, err error) {
	if s.status.set(state, err) {
		s.news(state, err)
	}
}

// A nodeWatch watches for what an endpoint opens while that is not open; one that
// is open, or that nothing tells of, costs nothing.
type nodeWatch struct {
	env   *channel.Env
	of    *channel.Address
	none  bool           // nothing can be watched
	watch *channel.Watch // nil: not while it is open
}

func (s *supervisor) node() nodeWatch {
	return nodeWatch{env: s.env, of: &s.ep.Address}
}

// start starts the watch. It returns true if it does so only now: what came
// between the last try and this moment is not told, so try at once.
func (n *nodeWatch) start() bool {
	if n.none || n.watch != nil {
		return false
	}
	w, err := n.of.Watch()
	if err != nil {
		n.env.Log.Warn("cannot watch for it, trying every second instead", "endpoint", n.of.String(), "error", err)
	}
	n.watch, n.none = w, w == nil
	return w != nil
}

func (n *nodeWatch) stop() {
	if n.watch != nil {
		n.watch.Close()
		n.watch = nil
	}
}

// news has a value when something may have changed there.
func (n *nodeWatch) news() <-chan struct{} {
	if n.watch == nil {
		return nil
	}
	return n.watch.C
}

// open opens the endpoint again and again, until the life ends and the last channel is
// done with; then done is called. It returns at once; the first try of what can be opened
// at once is that of who calls it, as of thousands of goroutines the descriptors stay in
// memory for ever. Each channel is given to use, which owns it, need not wait for its end,
// and calls ended then, with the reason.
func (s *supervisor) open(use func(ch channel.Channel, ended func(error)), done func()) {
	o := &opener{supervisor: s, use: use, done: s.over(done), node: s.node()}
	if !instant(&s.ep.Address) {
		go o.run()
		return
	}
	ch, err := o.try()
	go o.goOn(ch, err)
}

// over is done, and closes before that what was passed for the endpoint and never opened.
func (s *supervisor) over(done func()) func() {
	if !s.ep.Address.Once() {
		return done
	}
	return func() {
		s.env.Passed.Drop(s.ep.Address)
		done()
	}
}

// instant says whether a try to open an address waits for nobody: connect(2) on a UNIX
// socket succeeds or fails at once.
func instant(a *channel.Address) bool { return a.Transport == "unix" && len(a.Layers) == 0 }

// goOnWith is open that goes on with a channel that is open already, which it gives to
// begin before it returns.
func (s *supervisor) goOnWith(ch channel.Channel, begin, use func(ch channel.Channel, ended func(error)), done func()) {
	o := &opener{supervisor: s, use: use, done: done, node: s.node(), began: thisMoment()}
	o.settled = o.up(false)
	begin(ch, o.ended)
}

// An opener is a supervisor that opens. Its fields belong to run, and to ended,
// which take turns.
type opener struct {
	*supervisor
	use  func(channel.Channel, func(error))
	done func()
	node nodeWatch

	began   moment
	settled func() bool // says whether it was told that the endpoint is open
	short   int         // sessions in a row that did not live
	last    string      // why the last one ended
	gone    moment      // when it ended
	failing string      // what was last told of why it cannot be opened again
}

// run tries until the endpoint is open.
func (o *opener) run() { o.goOn(o.try()) }

// goOn is run after a try.
func (o *opener) goOn(ch channel.Channel, err error) {
	for err != nil {
		if !o.node.start() && !o.failed(err) {
			return
		}
		ch, err = o.try()
	}
	o.node.stop()
	o.retry.made()
	o.began, o.failing = thisMoment(), ""
	o.settled = o.up(o.short >= shortTold)
	o.use(ch, o.ended)
}

// try tries once.
func (o *opener) try() (channel.Channel, error) {
	o.set(StateOpening, nil)
	if instant(&o.ep.Address) {
		return o.env.Dial(context.Background(), o.ep.Address)
	}
	dialing, cancel := context.WithTimeout(&o.life, dialTimeout)
	defer cancel()
	ch, err := o.env.Dial(dialing, o.ep.Address)
	if err != nil && dialing.Err() != nil && o.Err() == nil {
		err = errNoAnswer
	}
	return ch, err
}

// ended is called when the endpoint is not open any more.
func (o *opener) ended(err error) {
	told := o.settled()
	after := thisMoment().since(o.began)
	o.retry.ended(after)
	o.short++
	if after >= lived {
		o.short = 0
	}
	if o.Err() == nil {
		if o.ep.Address.Numbered() {
			err = o.byHand(err)
		}
		text := reason(err)
		if o.status.set(StateDown, err) && (told || !sameReason(text, o.last)) {
			if o.short == shortTold {
				err = fmt.Errorf("%s; it comes and goes, and is told again when it stays for %v or ends in another way", text, lived)
			}
			o.news(StateDown, err)
		}
		o.last, o.gone = text, thisMoment()
	}
	if o.again() {
		go o.run() // not from within use
	}
}

// byHand has the endpoint not be opened again but when it is asked for, and says so: what its
// address names from now on may be the terminal that somebody works at.
func (o *opener) byHand(err error) error {
	o.retry.limits.Store(&Reconnect{Min: never, Max: never})
	o.node.none = true
	return fmt.Errorf("%s; the next program that wants a terminal may get its number, so it is opened again only when you have it so (a device: from its page, or POST …/reconnect): a link or a socket would stay the guest's", reason(err))
}

// failed notes why a try to open the endpoint failed; its result is that of again.
// Of what comes and goes it is told only when that lasts: whatever is gone for a
// moment cannot be opened in it.
func (o *opener) failed(err error) bool {
	if o.Err() == nil {
		news := o.status.set(StateDown, err)
		if o.short >= shortTold {
			news = thisMoment().since(o.gone) >= lived && !sameReason(reason(err), o.failing)
		}
		if news {
			o.failing = reason(err)
			o.news(StateDown, err)
		}
	}
	return o.again()
}

// again waits until the endpoint is to be tried again; it returns false if it is
// not.
func (o *opener) again() bool {
	if o.Err() == nil && o.retry.pause(&o.life, o.node.news()) {
		return true
	}
	o.node.stop()
	o.done()
	return false
}

// shortTold is how many sessions in a row that did not live are told of: what
// comes and goes every second must not fill the log and push out other events.
const shortTold = 3

// up notes that the endpoint is open. If it is to be quiet then that is told only
// when it has lived. settled must be called at the end; it says whether that was
// told.
func (s *supervisor) up(quiet bool) (settled func() bool) {
	if !quiet {
		s.set(StateUp, nil)
		return func() bool { return true }
	}
	s.status.set(StateUp, nil)
	done := make(chan struct{})
	t := time.AfterFunc(lived, func() {
		defer close(done)
		s.news(StateUp, nil)
	})
	return func() bool {
		if t.Stop() {
			return false
		}
		<-done
		return true
	}
}

var errNoAnswer = fmt.Errorf("no answer within %v: is the other end there, and does it speak the same layers?", dialTimeout)

// dialTimeout bounds one try to open an endpoint, layers and all.
const dialTimeout = 15 * time.Second

// listen listens on the endpoint, and again when that fails, until the life ends; then
// the listener is closed and done is called. It returns when that was tried once, but does
// not wait for a name server. Each channel that comes is given to use, as by
// channel.Listener.
func (s *supervisor) listen(use func(channel.Channel), done func()) {
	l := &listening{supervisor: s, use: use, done: s.over(done)}
	if s.inherited == nil && s.ep.Address.Named() || l.try() != nil {
		go l.run()
	}
}

// A listening is a supervisor that listens. Its fields belong to run, and to failed
// and ended, of which one follows when it listens.
type listening struct {
	*supervisor
	use  func(channel.Channel)
	done func()

	l   channel.Listener
	tie tie
}

// run tries until it listens.
func (l *listening) run() {
	node := l.node()
	defer node.stop()
	for {
		err := l.try()
		if err == nil {
			return
		}
		if !node.start() && !l.down(err, node.news()) {
			return
		}
	}
}

// try tries once. The first try is that of who calls listen: a goroutine for each
// of thousands would cost more than they ever need again.
func (l *listening) try() (err error) {
	l.set(StateOpening, nil)
	var ok bool
	if l.l, ok = l.inherit(); !ok {
		if l.l, err = l.env.Listen(&l.life, l.ep.Address); err != nil {
			return err
		}
	}
	l.set(StateUp, nil)
	l.retry.made()
	l.retry.wait = 0
	l.tie.to(&l.life, func(why error) { go l.ended(why) })
	l.l.Serve(l.use, l.failed)
	return nil
}

// failed is called when the listener accepts no more.
func (l *listening) failed(err error) {
	if !l.tie.cut() {
		return
	}
	l.l.Close()
	if l.down(err, nil) {
		go l.run()
	}
}

// ended is called when the life has.
func (l *listening) ended(why error) {
	l.shut(l.l, why)
	l.done()
}

// down notes why it does not listen and waits until it is to be tried again; it
// returns false if it is not.
func (l *listening) down(err error, node <-chan struct{}) bool {
	if l.Err() == nil {
		l.set(StateDown, err)
		if l.retry.pause(&l.life, node) {
			return true
		}
	}
	l.done()
	return false
}
