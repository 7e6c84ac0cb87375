package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// A stream is one [[stream]] at run time: each of its clients is joined with a connection
// of its own, by a channel.Relay. Nothing of it is kept.
type stream struct {
	life

	// fixed
	name     string
	cfg      *StreamConfig
	log      *slog.Logger
	env      *channel.Env // of the other side
	gate     *gate
	audit    auditor
	noteSome func(what, text string) // tells the log, in floods the first ones
	doors    []*streamDoor

	refused  atomic.Int64 // who was not let in
	failures atomic.Int64 // of dialling, once a client

	mu      sync.Mutex // held for moments
	clients map[int]*streamClient
	nextID  int
	in, out int64 // bytes of those who are gone
}

// A streamDoor is one address where a stream listens.
type streamDoor struct {
	supervisor
	clients atomic.Int64
}

// A streamClient is somebody who came to a stream.
type streamClient struct {
	stream *stream
	ch     channel.Channel
	door   *streamDoor
	who    access.Identity
	peer   string
	id     int
	since  time.Time
	end    context.CancelCauseFunc
	relay  atomic.Pointer[channel.Relay] // nil: the other side is not there yet
}

func (s *Server) allStreams() []*stream {
	if all := s.streams.Load(); all != nil {
		return *all
	}
	return nil
}

// newStream makes a stream ready to start.
func (s *Server) newStream(cfg *StreamConfig) *stream {
	log := s.log.With("stream", cfg.Name)
	st := &stream{
		name: cfg.Name, cfg: cfg, log: log, env: s.newEnv(log), gate: &s.gate,
		audit: auditor{s.audit.log, cfg.Name}, clients: map[int]*streamClient{},
	}
	var told flood
	told.most = crowdMost
	st.noteSome = func(what, text string) {
		if untold, ok := told.pass(thisMoment()); ok {
			log.Info(what+untold, "client", text)
		}
	}
	front := *st.env
	front.Admit = s.admit
	for i := range cfg.Listen {
		d, ep := &streamDoor{}, &cfg.Listen[i]
		d.init(st.audit.refusals(&front, ep, s.lull.stir), ep, usualReconnect(ep), func(state string, err error) {
			if err != nil {
				log.Warn("listener", "address", ep.Address.String(), "state", state, "error", err)
				return
			}
			log.Info("listener", "address", ep.Address.String(), "state", state)
		})
		d.inherited = s.inherits.listener(keyOf("stream "+cfg.Name, ep.Address))
		st.doors = append(st.doors, d)
	}
	return st
}

// start keeps the stream open until run ends, or stop is called.
func (st *stream) start(run *running) {
	st.begin(&run.front)
	for _, d := range st.doors {
		d.begin(&st.life)
		st.work.Add(1)
		d.listen(func(ch channel.Channel) {
			st.work.Go(func() { st.come(d, ch) })
		}, st.work.Done)
	}
}

// come lets somebody in who may read and write, and finds him the other side.
func (st *stream) come(d *streamDoor, ch channel.Channel) {
	c := &streamClient{stream: st, ch: ch, door: d, since: time.Now()}
	c.who = admitted(ch).And(identify(ch))
	c.peer = peerName(c.who, ch)
	var ctx context.Context
	ctx, c.end = context.WithCancelCause(&st.life)
	if err := st.enter(c); err != nil {
		st.refused.Add(1)
		why := err.Error()
		if e, ok := errors.AsType[*notPermitted](err); ok {
			why = e.because()
		}
		st.noteSome("refused", c.String()+": "+why)
		st.audit.didNot(c, "to connect", err)
		closeWith(ch, err)
		c.end(nil)
		return
	}
	st.noteSome("attach", c.String())
	st.audit.did(c, audit.Attach, "")
	far, err := st.dial(ctx)
	if err != nil {
		st.failures.Add(1)
		st.leave(c, fmt.Errorf("%w, %s: %w", errOtherSide, st.cfg.Connect.Address, err))
		return
	}
	r := channel.NewRelay(ch, far)
	if rawToPages(d.ep.Address) {
		guard := new(requestGuard)
		r.Look = func(p []byte) (bool, error) {
			if guard.isRequest(p) {
				return true, errHTTPRequest
			}
			return guard.n == len(guard.head), nil
		}
	}
	c.relay.Store(r)
	st.work.Add(1)
	gone := context.AfterFunc(ctx, func() { r.Break(whyEnded(ctx)) })
	r.Start(func(why error) {
		defer st.work.Done()
		gone()
		st.leave(c, why)
	})
}

var errOtherSide = errors.New("the other side")

// enter takes a client into the list, if there is room and it may.
func (st *stream) enter(c *streamClient) error {
	if n := c.door.clients.Add(1); n > mostClients(c.door.ep.Address) {
		c.door.clients.Add(-1)
		return errFull
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.may(c.who); err != nil { // with the list held, so that no change of the rules passes it by
		c.door.clients.Add(-1)
		return err
	}
	st.nextID++
	c.id = st.nextID
	st.clients[c.id] = c
	return nil
}

// may returns a *notPermitted if somebody may not use the stream, which takes to read and
// to write: its bytes go both ways.
func (st *stream) may(who access.Identity) error {
	if d := st.gate.decide(who, st.name); !d.May.Has(access.Read | access.Write) {
		return &notPermitted{access.Read | access.Write, d}
	}
	return nil
}

// dial connects to the other side; as long as the client may wait it is tried again.
func (st *stream) dial(ctx context.Context) (channel.Channel, error) {
	deadline := time.Now().Add(st.cfg.Wait)
	var again retry
	again.limits.Store(new(usualReconnect(&st.cfg.Connect)))
	node := nodeWatch{env: st.env, of: &st.cfg.Connect.Address}
	defer node.stop()
	for {
		trying, cancel := context.WithTimeout(ctx, streamDial)
		ch, err := st.env.Dial(trying, st.cfg.Connect.Address)
		late := trying.Err() != nil
		cancel()
		switch {
		case err == nil:
			return ch, nil
		case ctx.Err() != nil:
			return nil, whyEnded(ctx)
		case late:
			err = fmt.Errorf("no answer within %v", streamDial)
		}
		if time.Until(deadline) <= 0 {
			return nil, err
		}
		if node.start() {
			continue
		}
		waiting, cancel := context.WithDeadline(ctx, deadline)
		again.pause(waiting, node.news())
		cancel()
	}
}

// streamDial bounds one try to reach the other side.
const streamDial = 10 * time.Second

// leave is the end of a client.
func (st *stream) leave(c *streamClient, why error) {
	c.end(nil)
	c.door.clients.Add(-1)
	in, out := c.counts()
	st.mu.Lock()
	delete(st.clients, c.id)
	st.in += in
	st.out += out
	st.mu.Unlock()
	st.noteSome("detach", c.String()+": "+reason(why))
	r := c.record()
	r.What, r.Chardev, r.Why = audit.Detach, st.name, reason(why)
	r.Seconds, r.BytesIn, r.BytesOut = time.Since(c.since).Seconds(), in, out
	st.audit.note(r)
	if c.relay.Load() == nil { // else it is closed
		closeWith(c.ch, why)
	}
}

// review cuts who may use the stream no longer, and returns how many these were.
func (st *stream) review() (cut int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, c := range st.clients {
		if err := st.may(c.who); err != nil {
			st.audit.didNot(c, "cut, as the rules have changed", err)
			c.end(errRulesChanged)
			cut++
		}
	}
	return cut
}

// kick cuts a client; false: there is none of this number.
func (st *stream) kick(id int) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	c := st.clients[id]
	if c != nil {
		c.end(errKicked)
	}
	return c != nil
}

// totals are who is there now, and the bytes from and to all clients that ever were.
func (st *stream) totals() (clients int, in, out int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	in, out = st.in, st.out
	for _, c := range st.clients {
		i, o := c.counts()
		in, out = in+i, out+o
	}
	return len(st.clients), in, out
}

func (st *stream) info() StreamInfo {
	i := StreamInfo{Name: st.name, From: st.cfg.Pos, Connect: st.cfg.Connect.Address.String(), Refused: st.refused.Load(), Failures: st.failures.Load()}
	i.Clients, i.BytesIn, i.BytesOut = st.totals()
	for _, d := range st.doors {
		state, err, _ := d.status.get()
		i.Listen = append(i.Listen, StreamListenInfo{Address: d.ep.Address.String(), State: state, Error: err, Clients: int(d.clients.Load())})
	}
	return i
}

func (st *stream) clientInfos() []ClientInfo {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := []ClientInfo{}
	for _, c := range st.clients {
		in, out := c.counts()
		all = append(all, ClientInfo{
			ID: strconv.Itoa(c.id), Frontend: c.door.ep.Address.String(), Who: c.who.String(), Peer: c.peer,
			Since: c.since, Mode: "read-write", BytesIn: in, BytesOut: out,
		})
	}
	slices.SortFunc(all, func(a, b ClientInfo) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return all
}

// counts are the bytes from and to the client.
func (c *streamClient) counts() (in, out int64) {
	if r := c.relay.Load(); r != nil {
		return r.Counts()
	}
	return 0, 0
}

func (c *streamClient) String() string {
	return clientText(c.id, c.peer, c.door.ep.Address.String())
}

func (c *streamClient) record() audit.Record {
	r := audit.Record{Who: namesOf(c.who), Peer: from(c.who, c.peer), Frontend: c.door.ep.Address.String()}
	if c.id > 0 {
		r.Client = strconv.Itoa(c.id)
	}
	return r
}

// streams is about the pass-through streams.
func (c *Changes) streams(old, next []StreamConfig) {
	find := func(in []StreamConfig, name string) *StreamConfig {
		if i := slices.IndexFunc(in, func(o StreamConfig) bool { return o.Name == name }); i >= 0 {
			return &in[i]
		}
		return nil
	}
	for i := range old {
		if name := old[i].Name; find(next, name) == nil {
			c.streamsGone = append(c.streamsGone, name)
			c.say("- stream %s", name)
		}
	}
	for i := range next {
		one := &next[i]
		was := find(old, one.Name)
		if was != nil && was.same(one) {
			continue
		}
		c.streamsCome = append(c.streamsCome, one)
		if was == nil {
			c.say("+ stream %s: to %s", one.Name, one.Connect.Address)
			continue
		}
		c.streamsGone = append(c.streamsGone, one.Name)
		c.say("~ stream %s: it is begun anew, to %s", one.Name, one.Connect.Address)
	}
}
