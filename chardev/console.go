package chardev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

// A console is one chardev at run time. It comes and goes while the daemon runs, and so
// do its frontends; its device may be given another address. Who changes any of that
// holds Server.changing.
type console struct {
	// fixed
	name  string
	hub   *hub
	epoch string
	noLog error        // why it has no journal; nil: it has, or none is wanted
	env   *channel.Env // of the device
	front *channel.Env // of the frontends
	vouch func(ctx context.Context, from place, user, password string) (access.Identity, error)

	device atomic.Pointer[device]
	fronts atomic.Pointer[[]*frontend] // of which none is ever changed in its place
	from   atomic.Pointer[origin]
	passed passedFrontends
}

// A running is what lasts from the beginning of Run to its end.
type running struct {
	front life            // of the frontends
	api   context.Context // of what belongs to no console: the API, and what looks after accounts
	away  life            // of the devices, which go last
	work  sync.WaitGroup  // of what ends with api
}

// newConsole makes a console ready to start. Its journal is open from now on.
func (s *Server) newConsole(cc *ChardevConfig) *console {
	log := s.log.With("chardev", cc.Name)
	con := &console{name: cc.Name, epoch: s.epoch, vouch: s.vouch}
	was := s.inherits.console(cc.Name)
	h := s.newHub(con, cc, was, log)
	h.writer.idle = cc.WriterIdle
	h.stir, h.crowd, h.name, h.gate, h.audit = s.lull.stir, &s.crowd, cc.Name, &s.gate, auditor{s.audit.log, cc.Name}
	con.hub = h
	con.env = s.newEnv(log)
	con.env.Below = withOutbox
	con.env.OwnLinks = func() bool { return con.origin().found != "" }
	front := *con.env
	front.Admit, front.Below = s.admit, withoutWaiting
	con.front = &front
	con.device.Store(newDevice(h, con.env, &cc.Device))
	var fronts []*frontend
	for i := range cc.Frontends {
		fronts = append(fronts, con.newFrontend(&cc.Frontends[i]))
	}
	con.fronts.Store(&fronts)
	con.comes(cc)
	if was != nil {
		s.takeOverPassed(con, was)
		con.takeOver(was)
	}
	h.sign = s.board.add(con) // and whoever watches looks at it at once
	return con
}

// An origin is where a chardev comes from.
type origin struct{ pos, found string }

// comes notes where the console comes from, which may move.
func (con *console) comes(cc *ChardevConfig) {
	if from := (origin{cc.Pos, cc.Found}); con.origin() != from {
		con.from.Store(&from)
	}
}

// origin is what comes noted.
func (con *console) origin() origin {
	if from := con.from.Load(); from != nil {
		return *from
	}
	return origin{}
}

func (o origin) String() string {
	if o.found != "" {
		return o.found + ", by the [[discover]] at " + o.pos
	}
	return o.pos
}

func (con *console) newFrontend(cfg *FrontendConfig) *frontend {
	env := con.front
	if len(cfg.Endpoint.Address.Layers) > 0 {
		layered := *env
		layered.Below = withOutbox
		env = &layered
	}
	f := newFrontend(con.hub, env, cfg)
	f.vouch = con.vouch
	return f
}

// newHub returns the console's hub, which goes on where its journal ends; was is what the
// daemon before has left, nil if that was nothing.
func (s *Server) newHub(con *console, cc *ChardevConfig, was *consoleHandover, log *slog.Logger) *hub {
	if !cc.Log.Enabled {
		return newHub(log, s.history(con, cc, was, nil), cc.Input)
	}
	j, err := s.openJournal(cc)
	if err != nil {
		log.Error("nothing will be written down of this chardev", "error", err)
		con.noLog = err
		return newHub(log, history.New(cc.History, 0, nil), cc.Input)
	}
	con.epoch = j.Epoch()
	h := newHub(log, s.history(con, cc, was, j), cc.Input)
	h.scribe = newScribe(h, j, s.desks)
	h.found(j.Found())
	return h
}

// options are the limits as the journal wants them.
func (c LogConfig) options() journal.Options {
	return journal.Options{
		MaxSize: c.MaxSize, MaxSpan: c.MaxSpan, Keep: c.Keep,
		MaxAge: c.MaxAge, MaxTotal: c.MaxTotal, Compress: c.Compress,
	}
}

// configured are the ways in that the config has, as they are now.
func (con *console) configured() []*frontend {
	if all := con.fronts.Load(); all != nil {
		return *all
	}
	return nil
}

// frontends are all ways in, as they are now: those of the config, and those that were
// passed.
func (con *console) frontends() []*frontend {
	passed := con.passed.now()
	if len(passed) == 0 {
		return con.configured()
	}
	return slices.Concat(con.configured(), passed)
}

// start opens the device and the frontends, and keeps them open until run ends, or stop
// is called.
func (con *console) start(run *running) {
	var read []func()
	for _, f := range con.frontends() {
		read = append(read, f.start(&run.front)...)
	}
	con.device.Load().start(&run.away)
	for _, begin := range read {
		begin()
	}
}

// stop ends the console: nobody comes any more, who is there is told why, and has got
// what was printed so far or up to finishTime; then the device is closed. It is off the
// board, and only its journal is still open.
func (con *console) stop(why error) {
	con.hub.retire(why)
	for _, f := range con.frontends() {
		f.ask(why)
	}
	con.empty()
	con.device.Load().stop(why)
	con.hub.sign.remove()
}

// empty returns when nobody is there any more, who all were asked to go.
func (con *console) empty() {
	for _, f := range con.frontends() {
		f.work.Wait()
	}
	con.passed.leaving.Wait()
	con.hub.here.Wait()
	con.hub.writer.timing.Wait() // nobody has an input any more
	con.hub.headcount.await()
}

// close ends the journal, if there is one. The console must be stopped.
func (con *console) close() error {
	h := con.hub
	if h.scribe == nil {
		return nil
	}
	err := h.scribe.close()
	h.hist.Keep(h.hist.Head()) // what was not written down is in nobody's way any more
	if err != nil {
		return fmt.Errorf("chardev %s: the end of what it printed is not written down: %w", con.name, err)
	}
	return nil
}

// closeDevice closes the device. Who is attached stays, and so does what it was, until
// openDevice.
func (con *console) closeDevice(why error) {
	d := con.device.Load()
	state, _, _ := d.state()
	d.stop(why)
	if state == StateUp {
		con.hub.note(StateDown, d.ep.Address.String()+": "+why.Error())
	}
	d.status.set(StateDown, why)
}

// openDevice has a device at another address in place of the one that is closed.
func (con *console) openDevice(run *running, ep *Endpoint) {
	con.hub.line.Load().forget()
	d := newDevice(con.hub, con.env, ep)
	con.device.Store(d)
	con.hub.sign.raise(happened)
	d.start(&run.away)
}

// retire lets in nobody any more, and asks those who are there to go because of why.
func (h *hub) retire(why error) {
	h.mu.Lock()
	h.retired = why
	clients := slices.Clone(h.clients)
	var requests []*request
	for v := range h.requests {
		requests = append(requests, v)
	}
	h.mu.Unlock()
	for _, v := range requests {
		v.end(why)
	}
	for _, c := range clients {
		c.end(why)
	}
}

var (
	errRemoved = errors.New("the chardev was removed")
	errRemade  = errors.New("the chardev is begun anew, as its config has changed: come back")
)
