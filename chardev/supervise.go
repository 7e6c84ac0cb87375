package chardev

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"chardevd/channel"
)

// A status is how an endpoint is, for whoever asks.
type status struct {
	mu    sync.Mutex
	state string
	err   string
	since time.Time

	firstOnce sync.Once
	first     chan struct{} // closed when the first try is over
}

func newStatus() *status {
	return &status{state: StateDown, since: time.Now(), first: make(chan struct{})}
}

// set notes a state and reports whether anything is new about it: trying again
// is not.
func (s *status) set(state string, err error) bool {
	text := ""
	if err != nil {
		text = reason(err)
	}
	if state != StateOpening {
		defer s.firstOnce.Do(func() { close(s.first) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == StateOpening {
		text = s.err // why it is not up is still the last failure
	}
	news := state != s.state && state != StateOpening && !(s.state == StateOpening && state == StateDown) || !sameReason(text, s.err)
	if state != s.state {
		s.since = time.Now()
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

func (s *status) get() (state, err string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.err, s.since
}

// A retry spaces the tries to open something: doubling from min to max, with
// jitter, so that a thousand consoles do not come back in one moment.
type retry struct {
	Reconnect
	wait time.Duration
}

// lived is how long a session must have held to begin with min again.
const lived = 2 * time.Second

// usualReconnect is how to try an endpoint again where the config says nothing:
// what is local at most 1 s apart (and when its node appears), what is behind a
// network gently. A port or path to listen on is local.
func usualReconnect(e Endpoint) Reconnect {
	if e.Address.Network() && !e.Listen {
		return Reconnect{Min: 100 * time.Millisecond, Max: 30 * time.Second}
	}
	return Reconnect{Min: 20 * time.Millisecond, Max: time.Second}
}

// pause waits until the next try is due, or something new is at the path that
// is watched, which begins with min again; it reports whether ctx still holds.
func (r *retry) pause(ctx context.Context, node <-chan struct{}) bool {
	r.wait = min(max(2*r.wait, r.Min), r.Max)
	t := time.NewTimer(r.wait/2 + rand.N(r.wait/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-node:
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
// that fails or ends, until its context ends.
type supervisor struct {
	env    *channel.Env
	ep     Endpoint
	retry  retry // owned by open or listen
	status *status
	news   func(state string, err error) // told about each new state; no lock is held
}

func newSupervisor(env *channel.Env, ep Endpoint, r Reconnect, news func(string, error)) supervisor {
	return supervisor{env: env, ep: ep, retry: retry{Reconnect: r}, status: newStatus(), news: news}
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
	of    channel.Address
	none  bool           // nothing can be watched
	watch *channel.Watch // nil: not while it is open
}

func (s *supervisor) node() *nodeWatch {
	return &nodeWatch{env: s.env, of: s.ep.Address}
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

// open opens the endpoint again and again and gives each channel to use, which
// owns it and returns when it is done with it and why.
func (s *supervisor) open(ctx context.Context, use func(context.Context, channel.Channel) error) {
	node := s.node()
	defer node.stop()
	short, last := 0, "" // sessions in a row that did not live; why the last one ended
	for {
		s.set(StateOpening, nil)
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		ch, err := s.env.Dial(dialing, s.ep.Address)
		if err != nil && dialing.Err() != nil && ctx.Err() == nil {
			err = errNoAnswer
		}
		cancel()
		if err != nil && node.start() {
			continue
		}
		told := true
		if err == nil {
			node.stop()
			began := time.Now()
			settled := s.up(short >= shortTold)
			err = use(ctx, ch)
			told = settled()
			after := time.Since(began)
			s.retry.ended(after)
			short++
			if after >= lived {
				short = 0
			}
		}
		if ctx.Err() != nil {
			return
		}
		text := reason(err)
		if s.status.set(StateDown, err) && (told || !sameReason(text, last)) {
			if short == shortTold {
				err = fmt.Errorf("%s; it comes and goes, and is told again when it stays for %v or ends in another way", text, lived)
			}
			s.news(StateDown, err)
		}
		last = text
		if !s.retry.pause(ctx, node.news()) {
			return
		}
	}
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

// listen listens on the endpoint and gives each channel to use, which owns it
// and must not keep the caller. When ctx ends, it closes the listener.
func (s *supervisor) listen(ctx context.Context, use func(channel.Channel)) {
	node := s.node()
	defer node.stop()
	for {
		s.set(StateOpening, nil)
		l, err := s.env.Listen(ctx, s.ep.Address)
		if err != nil && node.start() {
			continue
		}
		if err == nil {
			node.stop()
			s.set(StateUp, nil)
			s.retry.wait = 0
			err = s.accept(ctx, l, use)
			l.Close()
		}
		if ctx.Err() != nil {
			return
		}
		s.set(StateDown, err)
		if !s.retry.pause(ctx, node.news()) {
			return
		}
	}
}

func (s *supervisor) accept(ctx context.Context, l channel.Listener, use func(channel.Channel)) error {
	for {
		ch, err := l.Accept(ctx)
		if err != nil {
			return err
		}
		use(ch)
	}
}
