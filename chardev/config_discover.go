package chardev

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/tomlpos"
)

// A DiscoverConfig is one [[discover]]: a chardev for each socket, or device node, that a
// glob matches.
type DiscoverConfig struct {
	Glob   *channel.Glob // of absolute paths
	Linger time.Duration // how long a chardev without clients stays when what it was found by is gone
	Pos    string        // file:line:column where it is written

	wants map[string]bool // udev properties
	table *table          // the keys of [[chardev]], with places to fill in
}

// builtinLinger is how long a chardev stays without a word in the file: a guest that is
// started anew has it again, with its clients.
const builtinLinger = 10 * time.Minute

// discover reads the [[discover]] of a file.
func (l *loader) discover(t *table) {
	v, ok := t.get("discover")
	if !ok {
		return
	}
	const what = "a list of tables: each begins with [[discover]]"
	for _, e := range v.list(what) {
		if d, ok := e.table("[[discover]]", what); ok {
			l.discoverOne(d)
		}
	}
}

// discoverOne reads one [[discover]]. What it makes is checked by samples.
func (l *loader) discoverOne(t *table) {
	d := &DiscoverConfig{Linger: builtinLinger, Pos: t.header().String(), wants: map[string]bool{}}
	t.duration("linger", &d.Linger, 0, 365*day)
	right := false
	defer func() { l.holes = l.holes || !right }()
	v, ok := t.get("glob")
	if !ok {
		t.missingf(`[[discover]] has no glob; give it glob = "/run/qemu/*.serial"`)
		return
	}
	text, ok := v.text(`a pattern of paths, like "/run/qemu/*.serial"`)
	if !ok {
		return
	}
	if !filepath.IsAbs(text) { // the folder's own name is no pattern
		text = filepath.Join(globQuoter.Replace(t.src.dir), text)
	}
	var err error
	if d.Glob, err = channel.ParseGlob(text); err != nil {
		v.failf("%q is no pattern: %s", text, err)
		return
	}
	d.table = template(t, v.node)
	if right = d.places(); right {
		l.cfg.Discover = append(l.cfg.Discover, d)
	}
}

// template is the [[chardev]] that is in a [[discover]]. Its name and its device are what
// they usually are if they are not given; they stand where the glob does then.
func template(t *table, glob *tomlpos.Node) *table {
	c := &table{l: t.l, src: t.src, name: t.name, vals: maps.Clone(t.vals), known: []string{"glob", "linger"}}
	node := *t.node
	c.node = &node
	c.node.Keys = maps.Clone(t.node.Keys)
	for key, usual := range map[string]string{"name": "{base}", "device": usualDevice} {
		if _, given := c.vals[key]; !given {
			c.vals[key], c.node.Keys[key] = usual, glob
		}
	}
	return c
}

// places checks the places to fill in, and notes the udev properties among them. Nothing
// else can be checked if it returns false; a word that is unknown is as good as a property
// for that.
func (d *DiscoverConfig) places() bool {
	right := true
	d.eachText(func(key string, v *value) {
		for _, p := range placesOf(v.v.(string)) {
			if err := d.place(key, v.v.(string), p); err != nil {
				v.failf("%s: %s", describe(v.v), err)
				_, unknown := errors.AsType[unknownPlace](err)
				right = right && unknown
				d.wants[p] = d.wants[p] || unknown
			}
		}
	})
	return right
}

// eachText calls do with the texts that may have places to fill in; key is that of
// [[discover]].
func (d *DiscoverConfig) eachText(do func(key string, v *value)) {
	text := func(key string, v *value) {
		if _, ok := v.v.(string); ok {
			do(key, v)
		}
	}
	endpoint := func(key string, v *value) {
		m, ok := v.v.(map[string]any)
		if !ok {
			text(key, v)
			return
		}
		t := &table{l: v.t.l, src: v.t.src, name: key, vals: m, node: v.node}
		for _, side := range []string{"listen", "connect"} {
			if v, ok := t.get(side); ok {
				text(key, v)
			}
		}
	}
	t := *d.table // whose keys nobody knows by this
	for _, key := range []string{"name", "device"} {
		v, _ := t.get(key)
		endpoint(key, v)
	}
	for _, key := range []string{"frontends", "frontend"} {
		if v, ok := t.get(key); ok {
			switch v.v.(type) {
			case []any, []map[string]any: // else it is a mistake that chardev tells
				for _, e := range v.list("") {
					endpoint(key, e)
				}
			}
		}
	}
}

// samples checks what is made of each [[discover]], with two examples of what may be
// found: what both listen on is a mistake.
func (l *loader) samples() {
	for _, d := range l.cfg.Discover {
		mistakes := len(l.notes)
		earlier := map[string][]*use{}
		for _, part := range []string{"1", "2"} {
			f, err := d.sample(part).make(l, len(l.cfg.Chardevs))
			if err != nil {
				l.mistake(d.table.header(), "%s", err)
				break
			}
			l.notes = append(l.notes, f.notes...)
			if len(f.notes) > 0 {
				break
			}
			l.sameOfAll(d, f, earlier)
			if len(l.notes) > mistakes {
				break
			}
		}
	}
}

// sample is what may be found: part stands for all that nobody knows yet.
func (d *DiscoverConfig) sample(part string) *found {
	path := d.Glob.Like(part)
	f := &found{path: path, base: baseOf(d.Glob, path), from: d, kind: fs.ModeSocket, properties: map[string]string{}}
	if strings.HasPrefix(f.path, "/dev/") {
		f.kind = fs.ModeDevice | fs.ModeCharDevice
	}
	for range d.Glob.Wildcards() {
		f.parts = append(f.parts, part)
	}
	for key := range d.wants {
		f.properties[key] = part
	}
	return f
}

// sameOfAll reports what every chardev that is discovered would listen on, and their name,
// if that is the same of all.
func (l *loader) sameOfAll(d *DiscoverConfig, one *loader, earlier map[string][]*use) {
	name := one.cfg.Chardevs[0].Name
	if d.Glob.Wildcards() > 0 && earlier["name "+name] != nil {
		v, _ := d.table.get("name")
		v.failf("all that %s matches would be %q; put {1} in it, for what the first wildcard stands for", d.Glob, name)
		return
	}
	earlier["name "+name] = []*use{{}}
	for _, u := range one.uses {
		k := u.place()
		if k == "" || !u.listen {
			continue
		}
		if d.Glob.Wildcards() > 0 && earlier[k] != nil {
			l.notes = append(l.notes, u.at.notef("%s: all that %s matches would listen there; put {name} in it", u.address, d.Glob))
		}
		earlier[k] = append(earlier[k], u)
	}
}
