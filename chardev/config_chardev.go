package chardev

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chardevd/channel"
)

// What a chardev and a frontend are without a word in the file.
var (
	builtinChardev = ChardevConfig{
		History: 256 * kib,
		Input:   "shared",
		Log:     builtinLog,
	}
	builtinFrontend = FrontendConfig{Mode: "read-write", OnLag: "catch-up"}
)

// readChardev reads the keys that [[chardev]] and [defaults] have in common.
func (l *loader) readChardev(t *table, c *ChardevConfig) {
	history := int64(c.History)
	t.size("history", &history, 4*kib, gib)
	c.History = int(history)
	t.oneOf("input", &c.Input, "shared", "exclusive", "off")
	t.duration("writer_idle", &c.WriterIdle, 0, 365*day)
	if v, ok := t.get("log"); ok {
		l.log(v, &c.Log)
	}
}

// readFrontend reads the keys that [[chardev.frontend]] and [defaults] have in
// common. A Reconnect that is not given stays zero.
func (l *loader) readFrontend(t *table, f *FrontendConfig) {
	replay := int64(f.Replay)
	t.oneOf("mode", &f.Mode, "read-write", "read-only")
	t.size("replay", &replay, 0, gib)
	f.Replay = int(replay)
	t.oneOf("on_lag", &f.OnLag, "catch-up", "skip", "close", "block")
	t.flag("half_close", &f.HalfClose)
	t.flag("login", &f.Login)
	v, ok := t.get("reconnect")
	if !ok {
		return
	}
	r, ok := v.table("reconnect", `a table like { min = "100ms", max = "30s" }`)
	if !ok {
		return
	}
	var given Reconnect
	r.duration("min", &given.Min, time.Millisecond, day)
	r.duration("max", &given.Max, time.Millisecond, day)
	if given.Max != 0 && given.Min > given.Max {
		second := max(r.node.Keys["min"].Key, r.node.Keys["max"].Key)
		l.mistake(spot{t.src, second}, "reconnect: min %s is more than max %s", channel.FormatDuration(given.Min), channel.FormatDuration(given.Max))
	}
	r.done()
	f.Reconnect = given
}

// fill puts in for what is not given the values of the endpoint's kind.
func (r *Reconnect) fill(e Endpoint) {
	usual := usualReconnect(&e)
	switch {
	case *r == Reconnect{}:
		*r = usual
	case r.Min == 0:
		r.Min = min(usual.Min, r.Max)
	case r.Max == 0:
		r.Max = max(usual.Max, r.Min)
	}
}

// chardev reads one [[chardev]].
func (l *loader) chardev(t *table) {
	c := l.defaults
	c.Name, c.Pos = l.name(t), t.header().String()
	number, used := l.numbered+len(l.cfg.Chardevs)+1, len(l.uses)
	called := "a chardev without name"
	if c.Name != "" {
		called = "chardev " + c.Name
	}
	l.readChardev(t, &c)
	if v, given := t.get("writer_idle"); given && c.Input != "exclusive" {
		l.mistake(spot{t.src, v.key}, `writer_idle is for input = "exclusive"; this one's is %q`, c.Input)
	}
	if v, ok := t.get("device"); ok {
		if e, v, ok := l.device(v); ok {
			c.Device = e
			l.fileDevice(t, &c, v)
			l.uses = append(l.uses, &use{what: "the device of " + called, chardev: number, device: true, address: e.Address, listen: e.Listen, value: v, at: v.spot()})
		}
	} else {
		t.missingf(`[[chardev]] has no device; give it device = "unix:/path" or another address`)
	}

	type front struct {
		FrontendConfig
		at *value
	}
	var fronts []front
	if v, ok := t.get("frontends"); ok {
		for _, e := range v.list(`a list of addresses, like ["pty:/run/chardevd/vm1", "tcp://127.0.0.1:7001"]`) {
			if _, isTable := e.v.(map[string]any); isTable {
				e.failf("want an address; a frontend with settings is a table [[chardev.frontend]]")
				continue
			}
			if a, ok := l.address(e); ok {
				f := l.frontend
				f.Endpoint = Endpoint{Address: a, Listen: a.CanListen(), Pos: e.spot().String()}
				fronts = append(fronts, front{f, e})
			}
		}
	}
	if v, ok := t.get("frontend"); ok {
		const what = "a list of tables: each begins with [[chardev.frontend]]"
		for _, e := range v.list(what) {
			if ft, ok := e.table("[[chardev.frontend]]", what); ok {
				if f, at, ok := l.frontendTable(ft); ok {
					fronts = append(fronts, front{f, at})
				}
			}
		}
	}
	t.done()
	slices.SortStableFunc(fronts, func(a, b front) int { return a.at.spot().compare(b.at.spot()) })
	for _, f := range fronts {
		if f.Listen {
			f.Reconnect = Reconnect{}
		} else {
			f.Reconnect.fill(f.Endpoint)
		}
		f.Login = f.Login && l.canLogIn(&f.FrontendConfig, f.at)
		c.Frontends = append(c.Frontends, f.FrontendConfig)
		l.uses = append(l.uses, &use{
			what: "a frontend of " + called, chardev: number,
			writes:  f.Mode == "read-write" && c.Input != "off" && !f.Login,
			address: f.Address, listen: f.Listen, value: f.at, at: f.at.spot(),
		})
	}
	c.uses = slices.Clone(l.uses[used:])
	l.cfg.Chardevs = append(l.cfg.Chardevs, c)
}

// fileDevice checks a device that is a file; v is its address. What people type would go
// nowhere if it is read, so its input is off; and an address that does not say how it is
// meant would have that appended to a file that was to be watched.
func (l *loader) fileDevice(t *table, c *ChardevConfig, v *value) {
	a := c.Device.Address
	switch {
	case a.Transport != "file":
		return
	case a.Get("mode") == "":
		v.failf("%s: say mode=follow to have what is written to the file, or mode=append to write to it what is typed", describe(v.v))
		return
	case a.Get("mode") != "follow":
		return
	}
	if input, given := t.get("input"); given && c.Input != "off" {
		input.failf("want \"off\", as the device is a file that is only read, have %s", describe(input.v))
	}
	c.Input = "off"
	dir := filepath.Dir(a.Where)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		at, _ := v.place()
		l.warn(at, "device: there is no folder %s yet; the file is waited for", describe(dir))
	}
}

// nameForm is what a chardev's name is, for messages.
const nameForm = "a name of 1 to 64 of A–Z a–z 0–9 . _ -, which starts with a letter or digit"

// isName says whether a chardev may have a name.
func isName(s string) bool {
	const first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	other := func(r rune) bool { return !strings.ContainsRune(first+"._-", r) }
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, other) && strings.Contains(first, s[:1])
}

// name reads a chardev's name; "" if there is none that is right.
func (l *loader) name(t *table) string {
	v, ok := t.get("name")
	if !ok {
		t.missingf(`%s has no name; give it name = "…"`, t.name)
		return ""
	}
	s, ok := v.text(nameForm)
	if !ok {
		return ""
	}
	if !isName(s) {
		v.want(nameForm)
		return ""
	}
	if at, dup := l.names[s]; dup {
		v.failf("a chardev %q is there already, at %s; give this one another name", s, at)
		return s
	}
	l.names[s] = v.spot()
	return s
}

// device reads a chardev's device, and returns the value that is its address.
func (l *loader) device(v *value) (Endpoint, *value, bool) {
	if _, isTable := v.v.(map[string]any); !isTable {
		a, ok := l.addressOr(v, `an address, or { listen = "…" }`)
		return Endpoint{Address: a, Pos: v.spot().String()}, v, ok
	}
	t, _ := v.table("device", "")
	e, at, ok := l.endpoint(t)
	t.done()
	return e, at, ok
}

// endpoint reads listen or connect of a table.
func (l *loader) endpoint(t *table) (Endpoint, *value, bool) {
	listen, listens := t.get("listen")
	connect, connects := t.get("connect")
	v := connect
	switch {
	case listens && connects:
		l.mistake(spot{t.src, max(listen.key, connect.key)}, "%s has both listen and connect; leave one out", t.name)
	case listens:
		v = listen
	case !connects:
		t.missingf(`%s has no address; give it listen = "…" or connect = "…"`, t.name)
		return Endpoint{}, nil, false
	}
	a, ok := l.address(v)
	return Endpoint{Address: a, Listen: listens, Pos: v.spot().String()}, v, ok && listens != connects
}

// frontendTable reads one [[chardev.frontend]].
func (l *loader) frontendTable(t *table) (FrontendConfig, *value, bool) {
	f := l.frontend
	e, at, ok := l.endpoint(t)
	l.readFrontend(t, &f)
	if v, given := t.get("reconnect"); given && ok && e.Listen {
		l.mistake(spot{t.src, v.key}, "reconnect is for a frontend that connects; this one listens")
	}
	if v, given := t.get("login"); given && ok && v.v == true && !asksLogin(e) {
		v.failf("login is for who comes to a frontend that listens on a network, a socket or the like; this one is a terminal of this host, or connects by itself")
	}
	t.done()
	f.Endpoint = e
	return f, at, ok
}

// asksLogin says whether a frontend's clients can be asked who they are. A pty and a pipe
// are their owner's, and what is opened was chosen by whoever wrote the file.
func asksLogin(e Endpoint) bool {
	return e.Listen && e.Address.Transport != "pty" && e.Address.Transport != "pipe"
}

// canLogIn says whether a frontend that has login = true asks for it. Where login is of
// [defaults] it is for those that can ask.
func (l *loader) canLogIn(f *FrontendConfig, at *value) bool {
	a := f.Address
	switch {
	case !asksLogin(f.Endpoint):
		return false
	case a.Has("rfc2217"):
		at.failf("%s: login is true, and programs that speak RFC 2217 cannot log in; give it a table [[chardev.frontend]] with login = false", describe(at.v))
		return false
	case a.Network() && !a.Loopback() && !a.Has("tls"):
		spot, _ := at.place()
		l.warn(spot, "%s: passwords and tokens are sent in the clear to log in here; put tls+ before it", describe(at.v))
	}
	return true
}
