package chardev

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// Changes are the difference between two configurations: in lines for people, and what is
// to be done about it.
type Changes struct {
	Lines        []string `json:"changes"`                 // what is another now, in the order of the new config; what is gone first
	Restart      []string `json:"restart,omitempty"`       // what the config says and only a restart does
	NotListening []string `json:"not_listening,omitempty"` // what should listen and does not, be it new or not, and why

	removed     []string // chardevs, by name
	added       []string
	altered     []alteration
	streamsGone []string // by name; one that is another now is gone and has come
	streamsCome []*StreamConfig
	gone        []string // addresses of [http]
	come        []string
	sites       bool
	credentials bool
	access      bool
	audit       bool
	journal     bool
}

// None says whether nothing is to be done.
func (c *Changes) None() bool { return len(c.Lines) == 0 }

// An alteration is what is another about one chardev.
type alteration struct {
	old, next *ChardevConfig

	anew    bool // what is another can not be changed: the console is begun anew. Then nothing else is true
	device  bool
	history bool
	input   bool
	idle    bool
	log     bool // its limits

	fronts bool  // something about the frontends is
	from   []int // for each frontend of next: which one of old that is, with other settings perhaps; -1: a new one
}

// diff is the difference from one configuration to another. It only compares. Where
// something is written makes no difference.
func diff(old, next *Config) Changes {
	var c Changes
	was := map[string]*ChardevConfig{}
	for i := range old.Chardevs {
		was[old.Chardevs[i].Name] = &old.Chardevs[i]
	}
	is := map[string]bool{}
	for i := range next.Chardevs {
		is[next.Chardevs[i].Name] = true
	}
	for i := range old.Chardevs {
		if name := old.Chardevs[i].Name; !is[name] {
			c.removed = append(c.removed, name)
			c.say("- chardev %s", name)
		}
	}
	for i := range next.Chardevs {
		cc := &next.Chardevs[i]
		before := was[cc.Name]
		if before == nil {
			c.added = append(c.added, cc.Name)
			c.say("+ chardev %s: device %s", cc.Name, cc.Device.device())
			continue
		}
		c.chardev(before, cc)
	}
	c.discover(old.Discover, next.Discover)
	c.streams(old.Streams, next.Streams)
	c.http(&old.HTTP, &next.HTTP)
	c.credential(old.Credentials, next.Credentials)
	c.rules(old.Access, next.Access)
	c.audit = c.moved("audit", orNone(old.Audit), orNone(old.auditBeside(next)))
	if old.Journal != next.Journal {
		c.journal = true
		c.moved("journal: max_total", size(old.Journal.MaxTotal), size(next.Journal.MaxTotal))
		c.moved("journal: sync", duration(old.Journal.Sync), duration(next.Journal.Sync))
	}
	for _, one := range [...]struct{ key, from, to string }{{"state", old.State, next.State}, {"control", old.Control.String(), next.Control.String()}} {
		if one.from != one.to {
			c.Restart = append(c.Restart, fmt.Sprintf("! %s: %s → %s takes a restart", one.key, one.from, one.to))
		}
	}
	return c
}

func (c *Changes) say(format string, args ...any) {
	c.Lines = append(c.Lines, fmt.Sprintf(format, args...))
}

// moved says that a setting is another, if it is.
func (c *Changes) moved(what, from, to string) bool {
	if from != to {
		c.say("~ %s %s → %s", what, from, to)
	}
	return from != to
}

// chardev is about one that is in both.
func (c *Changes) chardev(old, next *ChardevConfig) {
	a := alteration{old: old, next: next}
	called := "chardev " + next.Name + ": "
	a.device = c.moved(called+"device", old.Device.device(), next.Device.device())
	a.history = c.moved(called+"history", size(int64(old.History)), size(int64(next.History)))
	a.input = c.moved(called+"input", old.Input, next.Input)
	a.idle = c.moved(called+"writer_idle", duration(old.WriterIdle), duration(next.WriterIdle))
	a.anew = c.moved(called+"log", strconv.FormatBool(old.Log.Enabled), strconv.FormatBool(next.Log.Enabled))
	if !a.anew {
		a.log = c.log(called+"log: ", &old.Log, &next.Log)
	}
	c.frontends(called, &a)
	switch {
	case a.anew:
		c.altered = append(c.altered, alteration{old: old, next: next, anew: true})
	case a.device, a.history, a.input, a.idle, a.log, a.fronts:
		c.altered = append(c.altered, a)
	}
}

func (c *Changes) log(called string, old, next *LogConfig) bool {
	lines := len(c.Lines)
	c.moved(called+"max_size", size(old.MaxSize), size(next.MaxSize))
	c.moved(called+"max_span", duration(old.MaxSpan), duration(next.MaxSpan))
	c.moved(called+"keep", strconv.Itoa(old.Keep), strconv.Itoa(next.Keep))
	c.moved(called+"max_age", duration(old.MaxAge), duration(next.MaxAge))
	c.moved(called+"max_total", size(old.MaxTotal), size(next.MaxTotal))
	c.moved(called+"compress", strconv.FormatBool(old.Compress), strconv.FormatBool(next.Compress))
	return len(c.Lines) > lines
}

// frontends finds out which frontend of next is which of old: it is known by its address.
// One that asks for a login now, or no more, is another one.
func (c *Changes) frontends(called string, a *alteration) {
	free := map[string][]int{} // of old, by address
	key := func(f *FrontendConfig) string { return fmt.Sprint(f.frontend(), f.Login) }
	for i := range a.old.Frontends {
		k := key(&a.old.Frontends[i])
		free[k] = append(free[k], i)
	}
	lines := len(c.Lines)
	for i := range a.next.Frontends {
		f := &a.next.Frontends[i]
		k := key(f)
		if len(free[k]) == 0 {
			a.from = append(a.from, -1)
			c.say("~ %s+ frontend %s", called, f.frontend())
			continue
		}
		at := free[k][0]
		free[k] = free[k][1:]
		a.from = append(a.from, at)
		c.settings(called+"frontend "+f.frontend()+":", &a.old.Frontends[at], f)
	}
	for i := range a.old.Frontends {
		if f := &a.old.Frontends[i]; slices.Contains(free[key(f)], i) {
			c.say("~ %s- frontend %s", called, f.frontend())
		}
	}
	a.fronts = len(c.Lines) > lines
	for i, at := range a.from {
		a.fronts = a.fronts || i != at
	}
}

func (c *Changes) settings(called string, old, next *FrontendConfig) {
	c.moved(called+" mode", old.Mode, next.Mode)
	c.moved(called+" replay", size(int64(old.Replay)), size(int64(next.Replay)))
	c.moved(called+" on_lag", old.OnLag, next.OnLag)
	c.moved(called+" half_close", strconv.FormatBool(old.HalfClose), strconv.FormatBool(next.HalfClose))
	c.moved(called+" reconnect", old.Reconnect.String(), next.Reconnect.String())
}

// discover tells of globs; what another template makes of chardevs is told of those.
func (c *Changes) discover(old, next []*DiscoverConfig) {
	find := func(in []*DiscoverConfig, d *DiscoverConfig) *DiscoverConfig {
		at := slices.IndexFunc(in, func(o *DiscoverConfig) bool { return o.Glob.String() == d.Glob.String() })
		if at < 0 {
			return nil
		}
		return in[at]
	}
	for _, d := range old {
		if find(next, d) == nil {
			c.say("- discover %s", d.Glob)
		}
	}
	for _, d := range next {
		was := find(old, d)
		if was == nil {
			c.say("+ discover %s", d.Glob)
			continue
		}
		c.moved("discover "+d.Glob.String()+": linger", duration(was.Linger), duration(d.Linger))
	}
}

// rules is about the access rules. Of two that are the same one may be gone.
func (c *Changes) rules(old, next *access.Rules) {
	if c.access = old.String() != next.String(); !c.access {
		return
	}
	had, has := slices.Collect(strings.Lines(old.String())), slices.Collect(strings.Lines(next.String()))
	lines := len(c.Lines)
	tell := func(sign string, some, others []string) {
		others = slices.Clone(others)
		for _, line := range some {
			if i := slices.Index(others, line); i >= 0 {
				others = slices.Delete(others, i, i+1)
				continue
			}
			c.say("%s access: %s", sign, strings.TrimSpace(line))
		}
	}
	tell("-", had, has)
	tell("+", has, had)
	if len(c.Lines) == lines {
		c.say("~ access: the same rules, in another order")
	}
}

func (c *Changes) http(old, next *HTTPConfig) {
	texts := func(all []Endpoint) (list []string) {
		for _, ep := range all {
			list = append(list, ep.Address.String())
		}
		return list
	}
	had, has := texts(old.Listen), texts(next.Listen)
	for _, a := range had {
		if !slices.Contains(has, a) {
			c.gone = append(c.gone, a)
			c.say("~ http: - %s", a)
		}
	}
	for _, a := range has {
		if !slices.Contains(had, a) {
			c.come = append(c.come, a)
			c.say("~ http: + %s", a)
		}
	}
	origin := c.moved("http: origin", orNone(strings.Join(old.Origins, ", ")), orNone(strings.Join(next.Origins, ", ")))
	host := c.moved("http: host", orNone(strings.Join(old.Hosts, ", ")), orNone(strings.Join(next.Hosts, ", ")))
	base := c.moved("http: base", orNone(old.Base), orNone(next.Base))
	proxies := c.moved("http: proxies", orNone(old.Proxies.String()), orNone(next.Proxies.String()))
	c.sites = origin || host || base || proxies
}

func (c *Changes) credential(old, next map[string]*CredentialsConfig) {
	lines := len(c.Lines)
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if next[name] == nil {
			c.say("- credentials.%s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		switch one := next[name]; {
		case old[name] == nil:
			c.say("+ credentials.%s", name)
		case old[name].Files != one.Files:
			c.say("~ credentials.%s: other files", name)
		}
	}
	c.credentials = len(c.Lines) > lines
}

// device is the endpoint of a device as a person would write it.
func (e *Endpoint) device() string {
	if e.Listen {
		return "listen " + e.Address.String()
	}
	return e.Address.String()
}

// frontend is that of a frontend, which listens where it can if nothing is said.
func (e *Endpoint) frontend() string {
	if !e.Listen && e.Address.CanListen() {
		return "connect " + e.Address.String()
	}
	return e.Address.String()
}

func (r Reconnect) String() string { return duration(r.Min) + "–" + duration(r.Max) }

func size(n int64) string {
	if n == 0 {
		return "0"
	}
	return channel.FormatSize(n)
}

func duration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return channel.FormatDuration(d)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
