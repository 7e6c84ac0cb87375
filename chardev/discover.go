package chardev

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"chardevd/channel"
)

// A discovery makes a chardev of each socket, or device node, that the globs of the config
// match, for as long as that is there and Linger longer, or somebody is attached. What it
// has made is a layer of the config, above the files: in s.cfg, behind what they say.
type discovery struct {
	log      *slog.Logger
	attended func(name string) bool // somebody is attached to a chardev who has come by himself
	udev     string                 // udevFolder, or another for tests
	other    chan struct{}          // has a value when the config has other globs; capacity 1

	// guarded by Server.changing
	found    map[string]*found // by path
	names    map[string]string // of all chardevs, and where they come from
	places   map[string][]*use // of all endpoints, by use.place
	numbered int               // for use.chardev: chardevs of files have smaller numbers

	counts [len(discoveredLabels)]atomic.Int64
}

// A found is a path that was found, and what was made of it.
type found struct {
	path       string
	kind       fs.FileMode
	parts      []string          // what the wildcards stand for
	base       string            // see discover_template.go
	properties map[string]string // of udev, as far as they are wanted
	from       *DiscoverConfig
	since      time.Time // when it was found
	gone       time.Time // since when it is not there any more; zero: it is

	name    string         // see make
	of      *loader        // what make made, and uses belong to; nil: nothing
	config  *ChardevConfig // the chardev; nil: there is none
	trouble string         // why; as it was told if told
	told    bool
}

// propertyGrace is how long udev has to find out about a device before it is told that it
// did not.
const propertyGrace = 2 * time.Second

func (d *discovery) init(log *slog.Logger, attended func(name string) bool) {
	d.log, d.attended, d.udev = log, attended, udevFolder
	d.other = make(chan struct{}, 1)
	d.found, d.numbered = map[string]*found{}, 1<<20
}

// first has cfg with what is there now, and with what was left by the daemon before.
func (d *discovery) first(cfg *Config, left []foundHandover) *Config {
	d.index(cfg)
	for _, one := range left {
		if f := d.match(cfg, one.Path, one.Kind); f != nil {
			f.properties, f.gone = one.Properties, one.Gone
			d.found[f.path] = f
			d.put(f)
		}
	}
	// What can not be looked at is told by run.
	matches, _ := channel.LookGlobs(globsOf(cfg))
	d.settle(cfg, matches, time.Now())
	return d.over(cfg)
}

func globsOf(cfg *Config) (globs []*channel.Glob) {
	for _, one := range cfg.Discover {
		globs = append(globs, one.Glob)
	}
	return globs
}

// match is what the config has made of a path; nil: nothing. The first [[discover]] counts
// whose glob matches.
func (d *discovery) match(cfg *Config, path string, kind fs.FileMode) *found {
	for _, from := range cfg.Discover {
		if parts, ok := from.Glob.Match(path); ok {
			return &found{path: path, kind: kind, parts: parts, base: baseOf(from.Glob, path), from: from, since: time.Now()}
		}
	}
	return nil
}

// index begins with the names and endpoints of what stands in files. Called with
// Server.changing held, as all below.
func (d *discovery) index(cfg *Config) {
	d.names, d.places = map[string]string{}, map[string][]*use{}
	if len(cfg.Discover) == 0 {
		return // nothing will be held against them
	}
	d.occupy(cfg.uses)
	for i := range cfg.Chardevs {
		if c := &cfg.Chardevs[i]; c.Found == "" {
			d.names[c.Name] = c.Pos
			d.occupy(c.uses)
		}
	}
}

func (d *discovery) occupy(uses []*use) {
	for _, u := range uses {
		if k := u.place(); k != "" {
			d.places[k] = append(d.places[k], u)
		}
	}
}

func (d *discovery) vacate(f *found) {
	if f.config == nil {
		return
	}
	delete(d.names, f.config.Name)
	for _, u := range f.config.uses {
		k := u.place()
		if d.places[k] = slices.DeleteFunc(d.places[k], func(o *use) bool { return o == u }); len(d.places[k]) == 0 {
			delete(d.places, k)
		}
	}
	f.config = nil
}

// layered is a config of files with what was discovered, which is made anew where the
// config makes something else of it.
func (d *discovery) layered(next *Config) *Config {
	d.index(next)
	for _, path := range slices.Sorted(maps.Keys(d.found)) {
		f := d.found[path]
		if slices.Contains(next.Discover, f.from) {
			if c := f.config; c != nil { // the same, if nothing in a file is in its way now
				f.config = nil
				d.put(f)
			}
			continue
		}
		f.config, f.of = nil, nil
		now := d.match(next, path, f.kind)
		if now == nil {
			delete(d.found, path)
			continue
		}
		now.since, now.gone, now.trouble, now.told = f.since, f.gone, f.trouble, f.told
		now.properties = d.properties(now, f.properties)
		d.found[path] = now
		d.put(now)
	}
	d.count()
	select {
	case d.other <- struct{}{}:
	default:
	}
	return d.over(next)
}

// properties are those that udev knows now, or before if the device is not there.
func (d *discovery) properties(f *found, before map[string]string) map[string]string {
	if len(f.from.wants) == 0 {
		return nil
	}
	if !f.gone.IsZero() {
		return before
	}
	return udevProperties(d.udev, f.path, f.from.wants)
}

// over is the config of files with the chardevs that were found, sorted by name.
func (d *discovery) over(files *Config) *Config {
	if len(d.found) == 0 && !slices.ContainsFunc(files.Chardevs, func(c ChardevConfig) bool { return c.Found != "" }) {
		return files
	}
	next := *files
	next.Chardevs = make([]ChardevConfig, 0, len(files.Chardevs)+len(d.found))
	for i := range files.Chardevs {
		if files.Chardevs[i].Found == "" {
			next.Chardevs = append(next.Chardevs, files.Chardevs[i])
		}
	}
	all := make([]*ChardevConfig, 0, len(d.found))
	for _, f := range d.found {
		if f.config != nil {
			all = append(all, f.config)
		}
	}
	slices.SortFunc(all, func(a, b *ChardevConfig) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range all {
		next.Chardevs = append(next.Chardevs, *c)
	}
	return &next
}

// put makes the chardev of what was found, if it can be one and nothing is in its way.
func (d *discovery) put(f *found) {
	f.config = nil
	var err error
	if f.of == nil {
		d.numbered++
		f.of, err = f.make(f.from.table.l, d.numbered)
	}
	if err == nil {
		err = d.fits(f)
	}
	if err != nil {
		f.of = nil
		if text := err.Error(); text != f.trouble {
			f.trouble, f.told = text, false
		}
		if !f.told && (!errors.Is(err, errNoProperty) || time.Since(f.since) >= propertyGrace) {
			f.told = true
			d.log.Warn("it was found, and is no chardev", "path", f.path, "error", err)
		}
		return
	}
	f.trouble, f.told = "", false
	f.config = &f.of.cfg.Chardevs[0]
	d.names[f.config.Name] = f.path
	d.occupy(f.config.uses)
}

// fits says what is wrong about what was made, or in its way.
func (d *discovery) fits(f *found) error {
	l := f.of
	if c := &l.cfg.Chardevs[0]; len(l.notes) == 0 {
		if where, ok := d.names[c.Name]; ok {
			v, _ := f.from.table.get("name")
			l.mistake(v.spot(), "a chardev %q is there already, from %s: put more of what the wildcards stand for into the name, like \"{1}-{base}\"", c.Name, where)
		}
		for _, u := range c.uses {
			if k := u.place(); k != "" {
				l.clash(u, d.places[k])
			}
		}
	}
	if len(l.notes) == 0 {
		return nil
	}
	err := &ConfigError{mistakes(l.notes)}
	l.notes = nil
	return err
}

// settle has the chardevs be what was just seen: next is now with that, and c is what is
// to be done. due is when to look again even if nothing happens; zero: not at all.
func (d *discovery) settle(now *Config, matches []channel.GlobMatch, at time.Time) (next *Config, c Changes, due time.Time) {
	there := d.see(now, matches)
	soon := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	touched := false
	// What goes makes room for what comes.
	for path, f := range d.found {
		if there[path] {
			continue
		}
		if f.gone.IsZero() {
			f.gone = at
		}
		end := f.gone.Add(f.from.Linger)
		switch {
		case f.config == nil:
			delete(d.found, path)
		case at.Before(end):
			soon(end)
		case !d.attended(f.config.Name):
			c.removed = append(c.removed, f.config.Name)
			c.say("- chardev %s: %s is gone", f.config.Name, path)
			d.vacate(f)
			delete(d.found, path)
			touched = true
		}
	}
	for _, m := range matches {
		f := d.found[m.Path]
		if f == nil || !there[m.Path] {
			continue
		}
		f.gone = time.Time{}
		properties := d.properties(f, nil)
		if f.config != nil && maps.Equal(properties, f.properties) {
			continue
		}
		before := f.config
		d.vacate(f)
		f.properties, f.of = properties, nil
		d.put(f)
		touched = d.changed(&c, f, before) || touched
		if f.config == nil && !f.told {
			soon(f.since.Add(propertyGrace))
		}
	}
	d.count()
	if !touched {
		return now, c, due
	}
	return d.over(now), c, due
}

// see notes what is there, and what has come.
func (d *discovery) see(now *Config, matches []channel.GlobMatch) (there map[string]bool) {
	there = map[string]bool{}
	for _, m := range matches {
		if there[m.Path] || !canDiscover(m.Type) {
			continue
		}
		f := d.found[m.Path]
		if f == nil || f.kind != m.Type {
			if f != nil && f.config != nil {
				continue // first it goes
			}
			if f = d.match(now, m.Path, m.Type); f == nil {
				continue
			}
			d.found[m.Path] = f
		}
		there[m.Path] = true
	}
	return there
}

// changed notes the difference that f makes, which was another chardev before, or none.
func (d *discovery) changed(c *Changes, f *found, before *ChardevConfig) bool {
	switch after := f.config; {
	case before == nil && after == nil:
		return false
	case before != nil && after != nil && before.Name == after.Name:
		c.chardev(before, after)
	default:
		if before != nil {
			c.removed = append(c.removed, before.Name)
			c.say("- chardev %s: %s is another one now", before.Name, f.path)
		}
		if after != nil {
			c.added = append(c.added, after.Name)
			c.say("+ chardev %s: device %s, found at %s", after.Name, after.Device.device(), f.path)
		}
	}
	return true
}

// forget has a chardev no more whose path is gone. ok is false if name is none that was
// found.
func (d *discovery) forget(now *Config, name string) (next *Config, ok bool, err error) {
	path := d.names[name]
	f := d.found[path]
	if f == nil || f.config == nil || f.config.Name != name {
		return nil, false, nil
	}
	if f.gone.IsZero() {
		return nil, true, &foundError{name, path, f.from.Pos}
	}
	d.vacate(f)
	delete(d.found, path)
	d.count()
	return d.over(now), true, nil
}

// handOver is what the daemon leaves of what it found; whether that is there yet its
// successor sees.
func (d *discovery) handOver() (left []foundHandover) {
	for _, f := range d.found {
		if f.config != nil {
			left = append(left, foundHandover{f.path, f.kind, f.gone, f.properties})
		}
	}
	return left
}

// A foundError is of a chardev that is there because of what was found.
type foundError struct{ name, path, pos string }

func (e *foundError) Error() string {
	return "chardev " + e.name + " was found at " + e.path + ", by the [[discover]] at " + e.pos + ": it goes with that; change the [[discover]], and reload"
}

// discoveredLabels are the states that are counted.
var discoveredLabels = [...]string{metricLabel("state", "there"), metricLabel("state", "gone"), metricLabel("state", "refused")}

func (d *discovery) count() {
	var n [len(discoveredLabels)]int64
	for _, f := range d.found {
		switch {
		case f.config == nil:
			n[2]++
		case f.gone.IsZero():
			n[0]++
		default:
			n[1]++
		}
	}
	for i := range n {
		d.counts[i].Store(n[i])
	}
}
