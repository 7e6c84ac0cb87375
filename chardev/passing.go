package chardev

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// Descriptors that a program passes to the daemon while it runs (control_passing.go): a
// device, which makes a chardev that is a layer of the config above the files, as those are
// that are discovered; or a frontend, which is of no config at all. Each has an address of
// its own, fd:passed-N, that names it once. So nothing of it is there after a restart, but
// an upgrade hands it over like anything else.

// passing is what the server has of it.
type passing struct {
	files channel.Passed
	last  int // the number of the last one; guarded by Server.changing
}

// pass has a descriptor be what an address names that somebody wants, whose transport is
// fd, and returns that address. It owns f. listens says that it is a socket that is
// listened on, and beyond that other hosts are, or may be, at its other end.
func (p *passing) pass(a channel.Address, f *os.File) (at channel.Address, listens, beyond bool, err error) {
	p.last++
	a.Where = channel.PassedPrefix + strconv.Itoa(p.last)
	here, peer, err := p.files.Put(a, f)
	if err != nil {
		return a, false, false, fmt.Errorf("the descriptor: %w", err)
	}
	return a, here != nil, isBeyond(here) || isBeyond(peer), nil
}

func isBeyond(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && !t.IP.IsLoopback()
}

// fdAddress is how a descriptor is wanted: an address fd:, whose number or name tells
// nothing here.
func fdAddress(v any) (channel.Address, error) {
	text, ok := v.(string)
	if v == nil {
		text, ok = "fd:3", true
	}
	if !ok {
		return channel.Address{}, errors.New(`want an address like "fd:3" or "tls+fd:3?credentials=NAME"`)
	}
	a, err := channel.ParseAddress(text)
	if err == nil && a.Transport != "fd" {
		err = fmt.Errorf("%s: its transport must be fd: it is a descriptor", text)
	}
	return a, err
}

// withPassed is a config of files with the chardevs of now whose devices were passed. The
// files may have one of the same name.
func withPassed(files, now *Config) *Config {
	for i := range now.Chardevs {
		if c := &now.Chardevs[i]; c.passed != nil && chardevAt(files, c.Name) < 0 {
			files = with(files, c)
		}
	}
	return files
}

func errPassedChardev(name string) error {
	return fmt.Errorf("chardev %s has a device that was passed: \"chardevd add-device\" gives it another one, and \"chardevd remove\" ends it", name)
}

// passedFrom is where chardevs are from whose device was passed.
const passedFrom = "add-device"

// addDevice has the descriptor that was passed be the device of a chardev: of a new one,
// or, in place of the one it had, of one that was made so. The journal goes on.
func (s *Server) addDevice(by actor, want ChardevRequest, f *os.File) (Changes, error) {
	defer func() { closeFile(f) }()
	return s.change(by, "add-device "+want.Name, func(now *Config) (*Config, error) {
		if !isName(want.Name) {
			return nil, fmt.Errorf("name: want %s, have %q", nameForm, want.Name)
		}
		if at := chardevAt(now, want.Name); at >= 0 {
			before := now.Chardevs[at].passed
			if before == nil {
				return nil, fmt.Errorf("chardev %s has a device of its own, which stands at %s: only a chardev that add-device made gets another one so", want.Name, now.Chardevs[at].Pos)
			}
			if len(want.Frontends) == 0 && len(want.Settings) == 0 {
				want.Frontends, want.Settings = before.Frontends, before.Settings
			}
		}
		a, err := fdAddress(want.Device)
		if err != nil {
			return nil, err
		}
		file := f
		f = nil
		a, listens, beyond, err := s.passing.pass(a, file)
		if err != nil {
			return nil, err
		}
		if want.Device = any(a.String()); listens {
			want.Device = map[string]any{"listen": a.String()}
		}
		one, err := s.passedChardev(want, beyond)
		if err == nil {
			err = mayName(addressesOf(one.Frontends))
		}
		if err != nil {
			s.passing.files.Drop(a)
			return nil, err
		}
		return with(now, one), nil
	})
}

// passedChardev is the chardev that somebody wants, of a descriptor that was put.
func (s *Server) passedChardev(want ChardevRequest, beyond bool) (*ChardevConfig, error) {
	text, err := want.toml()
	if err != nil {
		return nil, err
	}
	one, err := loadBeside(s.file, text, beyond)
	if err != nil {
		return nil, err
	}
	one.Pos, one.passed = passedFrom, &want
	return one, nil
}

// closeFile closes what nobody took; nil is nothing.
func closeFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}

// passedFrontends are those of a console that were passed.
type passedFrontends struct {
	leaving sync.WaitGroup // who takes one off the list, which is in its own work

	mu  sync.Mutex
	all []*frontend // never changed in its place
}

func (p *passedFrontends) now() []*frontend {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

func (p *passedFrontends) add(f *frontend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(slices.Clip(p.all), f)
}

func (p *passedFrontends) remove(f *frontend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(slices.Clone(p.all), func(o *frontend) bool { return o == f })
}

// A wantedFrontend is one whose descriptor was passed, as it is wanted, or left.
type wantedFrontend struct {
	Address  string         `json:"address"`
	Settings map[string]any `json:"settings,omitempty"` // as of [[chardev.frontend]]
	Stays    bool           `json:"stays,omitempty"`    // more than one comes: it is a socket that is listened on

	as   *access.Identity // who comes, whatever the descriptor tells; nil: that tells it
	peer string           // with as: who and where, for people
}

// frontendOf reads one of a request's frontends.
func frontendOf(v any) (w wantedFrontend, a channel.Address, err error) {
	if t, ok := v.(map[string]any); ok {
		w.Settings = maps.Clone(t)
		v = w.Settings["listen"]
		delete(w.Settings, "listen")
	}
	a, err = fdAddress(v)
	return w, a, err
}

var errRequestOne = errors.New("want one frontend, which the descriptor is for, like {\"frontends\": [\"fd:3\"]}")

// addFrontend has the descriptor that was passed be a frontend of a chardev, until nobody
// is there any more, or, if it is listened on, for as long as the chardev is there.
func (s *Server) addFrontend(by actor, want ChardevRequest, f *os.File) (c Changes, err error) {
	defer func() { closeFile(f) }()
	if len(want.Frontends) != 1 || want.Device != nil || len(want.Settings) > 0 {
		return c, errRequestOne
	}
	w, a, err := frontendOf(want.Frontends[0])
	if err != nil {
		return c, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	how := "add-frontend " + want.Name
	con, err := s.joinable(want.Name)
	if err == nil {
		file := f
		f = nil
		a, err = s.join(con, w, a, file)
		how += ": " + a.String()
	}
	s.audit.changed(by, how, err)
	if err == nil {
		c.say("~ chardev %s: + frontend %s", con.name, a)
	}
	return c, err
}

// joinable is the console of a name, if there is one that can have one frontend more.
// Called with changing held.
func (s *Server) joinable(name string) (*console, error) {
	con := s.console(name)
	switch {
	case s.run == nil || s.run.front.Err() != nil:
		return nil, errNotNow
	case con == nil:
		var names []string
		for _, c := range s.all() {
			names = append(names, c.name)
		}
		return nil, unknownChardev(name, names)
	case len(con.passed.now()) >= defaultMaxClients:
		return nil, fmt.Errorf("%d frontends of %s were passed already", defaultMaxClients, name)
	}
	return con, nil
}

// join starts a frontend. It owns f. Called with changing held, in run.
func (s *Server) join(con *console, w wantedFrontend, a channel.Address, f *os.File) (channel.Address, error) {
	a, stays, beyond, err := s.passing.pass(a, f)
	if err != nil {
		return a, err
	}
	w.Address, w.Stays = a.String(), stays
	front, err := s.passedFrontend(con, w, beyond)
	if err != nil {
		s.passing.files.Drop(a)
		return a, err
	}
	con.passed.add(front)
	front.start(&s.run.front)
	con.hub.sign.raise(happened)
	return a, nil
}

// A passage is a frontend's descriptor that was passed.
type passage struct {
	wanted wantedFrontend
	gone   func(why error) // called when who came is gone, if nobody else comes; nil: others do
}

// wanted is how a frontend was wanted whose descriptor was passed, else it is zero.
func (f *frontend) wanted() wantedFrontend {
	if f.passed == nil {
		return wantedFrontend{}
	}
	return f.passed.wanted
}

// passedFrontend makes a frontend of a descriptor that was put, or parked.
func (s *Server) passedFrontend(con *console, w wantedFrontend, beyond bool) (*frontend, error) {
	table := map[string]any{"listen": w.Address}
	maps.Copy(table, w.Settings)
	text, err := ChardevRequest{Name: con.name, Device: "null:", Frontends: []any{table}}.toml()
	if err != nil {
		return nil, err
	}
	one, err := loadBeside(s.file, text, beyond)
	if err != nil {
		return nil, err
	}
	cfg := one.Frontends[0]
	cfg.Pos = "add-frontend"
	f := con.newFrontend(&cfg)
	f.passed = &passage{wanted: w}
	if !w.Stays {
		f.passed.gone = func(why error) { con.passed.end(f, why) }
		f.tellRefused()
		f.news = func(string, error) {} // who comes is told of, and there is nothing else
	}
	return f, nil
}

// end ends a frontend that only one comes to, who is gone, unless all goes on elsewhere.
// It is called in the frontend's work.
func (p *passedFrontends) end(f *frontend, why error) {
	if why == errHandover {
		return
	}
	p.leaving.Go(func() {
		f.stop(errNobodyComes)
		p.remove(f)
	})
}

var errNobodyComes = errors.New("who was there is gone, and nobody else comes by this descriptor")

// tellRefused has the frontend end when who comes is refused by its layers.
func (f *frontend) tellRefused() {
	env := *f.env
	told := env.Refused
	env.Refused = func(peer net.Addr, err error) {
		if told != nil {
			told(peer, err)
		}
		f.passed.gone(err)
	}
	f.env = &env
}

// takeOverPassed makes the frontends again that the daemon before had, whose descriptors
// were passed.
func (s *Server) takeOverPassed(con *console, was *consoleHandover) {
	for _, w := range was.Passed {
		f, err := s.passedFrontend(con, w, false)
		if err != nil {
			con.hub.log.Warn("a frontend that was passed ends with the upgrade", "address", w.Address, "error", err)
			continue
		}
		con.passed.add(f)
	}
}

// leavePassed is what the console leaves of its frontends that were passed.
func (con *console) leavePassed() (all []wantedFrontend) {
	for _, f := range con.passed.now() {
		if f.wanted().Stays && f.parked != nil || len(f.left) > 0 {
			all = append(all, f.wanted())
		}
	}
	return all
}

// regainPassed is a config with the chardevs that the daemon before had, whose devices
// were passed.
func (s *Server) regainPassed(cfg *Config) *Config {
	if s.inherits == nil {
		return cfg
	}
	s.passing.last = s.inherits.LastPassed
	for _, want := range s.inherits.Passed {
		if chardevAt(cfg, want.Name) >= 0 {
			continue // the files have it now
		}
		one, err := s.passedChardev(want, false)
		if err != nil {
			s.log.Error("a chardev ends whose device was passed", "chardev", want.Name, "error", err)
			continue
		}
		cfg = with(cfg, one)
	}
	return cfg
}
