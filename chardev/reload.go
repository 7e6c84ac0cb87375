package chardev

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"chardevd/chardev/internal/audit"
)

// The configuration changes while the daemon runs: what is another is closed, altered or
// opened, and nothing else is touched.

var (
	errReloaded = errors.New("the config has changed")
	errNotHere  = errors.New("the config was changed, and this way in is no more")
	errNotNow   = errors.New("chardevd is just starting or going down: try again")
)

// Reload reads the config file again and does what has changed there. A file that is wrong
// changes nothing, and the error, a *ConfigError, says what is; but if the access rules are
// what is wrong nobody may anything (checkRules). What came of it is told to the log.
func (s *Server) Reload() {
	if _, err := s.reload(theDaemon{}); err != nil {
		s.log.Error("reload", "error", err)
	}
}

func (s *Server) reload(by actor) (Changes, error) {
	return s.change(by, "reload", func(now *Config) (*Config, error) {
		if err := s.checkRules(by); err != nil {
			return nil, err
		}
		next, err := Load(s.file)
		if err != nil {
			return nil, err
		}
		for _, w := range next.Warnings {
			s.log.Warn(w)
		}
		return withPassed(next, now), nil
	})
}

// change has another configuration in place of the one that is in force: that which next
// makes of it, without changing it. Nobody else changes it meanwhile. by and how tell who
// wants it and what for, for the log and the audit. An error of next changes nothing; any
// other one is of what was closed.
func (s *Server) change(by actor, how string, next func(now *Config) (*Config, error)) (c Changes, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.run == nil || s.run.front.Err() != nil {
		return Changes{}, errNotNow
	}
	cfg, err := next(s.cfg)
	if err != nil {
		s.audit.changed(by, how, err)
		return Changes{}, err
	}
	cfg = s.discovery.layered(cfg)
	c = diff(s.cfg, cfg)
	err = s.enforce(cfg, &c, by, how)
	c.NotListening = s.notListening()
	s.log.Info(how+": done", "changes", len(c.Lines), "takes a restart", len(c.Restart))
	return c, err
}

// notListening tells of what should listen and does not, and why. A first try to listen takes but
// a moment; a name that takes longer to be looked up is not waited for.
func (s *Server) notListening() (lines []string) {
	moment := time.NewTimer(lookupTime)
	defer moment.Stop()
	for what, sv := range s.endpoints() {
		if !sv.ep.Listen {
			continue
		}
		select {
		case <-sv.status.tried():
		case <-moment.C:
			moment.Reset(0) // the others have had their time too
		case <-s.run.front.Done():
			return lines
		}
		switch state, why, _ := sv.status.get(); {
		case state != StateUp && why == "":
			lines = append(lines, fmt.Sprintf("! %s %s does not listen yet: its name is being looked up", what, &sv.ep.Address))
		case state == StateDown:
			lines = append(lines, fmt.Sprintf("! %s %s does not listen: %s; it is tried again", what, &sv.ep.Address, why))
		}
	}
	return lines
}

// lookupTime is how long who changes the config waits for names of addresses to be looked up.
const lookupTime = time.Second

// enforce is apply, and tells the log and the audit what was done.
func (s *Server) enforce(next *Config, c *Changes, by actor, how string) error {
	err := s.apply(next, c, by)
	s.audit.changed(by, how+": "+orNone(strings.Join(slices.Concat(c.Lines, c.Restart), "; ")), err)
	for _, line := range slices.Concat(c.Lines, c.Restart) {
		s.log.Info(how, "change", line)
	}
	return err
}

// apply does what is another in next, which is c, and has it in force. All that is to be
// closed is before anything is opened, as an address may go from one to another. An error
// is of journals or an audit log whose end is not written. Called with changing held, in run.
func (s *Server) apply(next *Config, c *Changes, by actor) error {
	now := *next
	now.State, now.Control, now.Audit = s.cfg.State, s.cfg.Control, s.cfg.auditBeside(next)
	s.cfg = &now
	if s.gate.rules.Load() != now.Access {
		if c.access {
			s.setRules(now.Access, by)
		} else {
			s.gate.rules.Store(now.Access) // the same, of other places
		}
	}
	if c.credentials {
		s.keyring.replace(now.Credentials, s.run)
	}
	failed := s.closeGone(c)
	if c.journal {
		s.keeper.SetLimits(now.Journal.MaxTotal, now.Journal.Sync)
	}
	if c.audit {
		failed = errors.Join(failed, s.setAudit(now.Audit))
	}
	if c.sites {
		s.sites.Store(sitesOf(now.HTTP))
	}
	s.openNew(c)
	return failed
}

// closeGone closes what is no more, all at the same time.
func (s *Server) closeGone(c *Changes) error {
	var mu sync.Mutex
	var failed []error
	var closing sync.WaitGroup
	end := func(name string, why error) {
		con := s.console(name)
		closing.Go(func() {
			con.stop(why)
			if busy, err := con.end(s.grace); err != nil {
				mu.Lock()
				failed = append(failed, err)
				if busy != nil {
					s.journals[name] = busy
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range c.removed {
		end(name, errRemoved)
	}
	for _, a := range c.altered {
		if a.anew {
			end(a.next.Name, errRemade)
			continue
		}
		con := s.console(a.next.Name)
		if a.fronts {
			for i, f := range con.configured() {
				if !slices.Contains(a.from, i) {
					closing.Go(func() { f.stop(errNotHere) })
				}
			}
		}
		if a.device {
			closing.Go(func() { con.closeDevice(errReloaded) })
		}
	}
	s.streams.Store(new(slices.DeleteFunc(slices.Clone(s.allStreams()), func(st *stream) bool {
		if !slices.Contains(c.streamsGone, st.name) {
			return false
		}
		closing.Go(func() { st.stop(errReloaded) })
		return true
	})))
	s.doors.Store(new(slices.DeleteFunc(slices.Clone(s.httpDoors()), func(d *httpDoor) bool {
		if !slices.Contains(c.gone, d.ep.Address.String()) {
			return false
		}
		closing.Go(func() { d.stop(errNotHere) })
		return true
	})))
	closing.Wait()
	return errors.Join(failed...)
}

// openNew alters what stays, and opens what is new, in the order of the config.
func (s *Server) openNew(c *Changes) {
	s.openUntil = time.Now().Add(s.grace)
	altered := map[string]alteration{}
	for _, a := range c.altered {
		altered[a.next.Name] = a
	}
	old := map[string]*console{}
	for _, con := range s.all() {
		old[con.name] = con
	}
	for _, name := range c.removed { // another one may have its name
		delete(old, name)
	}
	var all, fresh []*console
	for i := range s.cfg.Chardevs {
		cc := &s.cfg.Chardevs[i]
		con := old[cc.Name]
		switch a, ok := altered[cc.Name]; {
		case con == nil, a.anew:
			con = s.newConsole(new(*cc)) // which needs no more of the config than that
			fresh = append(fresh, con)
		case ok:
			con.alter(s.run, &a)
		}
		con.comes(cc)
		all = append(all, con)
	}
	s.consoles.Store(&all)
	for _, con := range fresh {
		con.start(s.run)
	}
	for _, sc := range c.streamsCome {
		st := s.newStream(sc)
		s.streams.Store(new(append(slices.Clone(s.allStreams()), st)))
		st.start(s.run)
	}
	for i := range s.cfg.HTTP.Listen {
		if ep := &s.cfg.HTTP.Listen[i]; slices.Contains(c.come, ep.Address.String()) {
			d := s.newHTTPDoor(ep)
			s.doors.Store(new(append(slices.Clone(s.httpDoors()), d)))
			d.start(s.run)
		}
	}
}

// alter does what is another about the console and is not done by closing what is no more.
func (con *console) alter(run *running, a *alteration) {
	h := con.hub
	if a.history {
		h.setHistory(a.next.History)
	}
	if a.input {
		h.setInput(a.next.Input)
	}
	if a.idle {
		h.setIdle(a.next.WriterIdle)
	}
	if a.log && h.scribe != nil { // one that could not be opened is not for the limits
		h.scribe.j.SetOptions(a.next.Log.options())
	}
	if a.device {
		con.openDevice(run, new(a.next.Device))
	}
	if a.fronts {
		con.setFrontends(run, a)
	}
}

// setFrontends has the frontends of the new config in place of the old ones, of which
// those that are no more are closed already.
func (con *console) setFrontends(run *running, a *alteration) {
	old := con.configured()
	var all, fresh []*frontend
	for i, at := range a.from {
		cfg := &a.next.Frontends[i]
		if at < 0 {
			f := con.newFrontend(cfg)
			all, fresh = append(all, f), append(fresh, f)
			continue
		}
		old[at].alter(cfg)
		all = append(all, old[at])
	}
	con.fronts.Store(&all)
	for _, f := range fresh {
		f.start(&run.front)
	}
	con.hub.sign.raise(happened)
}

func (s *Server) setAudit(file string) error {
	var next *audit.Log
	if file != "" {
		next = audit.Open(file, s.log)
	}
	old := s.auditLog.Swap(next)
	if err := old.Close(closeGrace / 2); err != nil {
		return fmt.Errorf("the one that is left: %w", err)
	}
	return nil
}
