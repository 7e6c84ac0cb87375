package chardev

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// loadAccess reads the [[access]] rules of a config file and of those that it includes,
// and nothing else of them: what is wrong elsewhere is not told. Any error is a
// *ConfigError, and then there are no rules, not even those that are right; wrong says
// that it is of a rule, and not of a file that can not be read.
func loadAccess(path string) (rules *access.Rules, wrong bool, err error) {
	read := func(l *loader, t *table) {
		mistakes := len(l.notes)
		l.access(t)
		wrong = wrong || len(l.notes) > mistakes
	}
	l, err := loadSome(path, func(l *loader, t *table) {
		read(l, t)
		if include, ok := t.get("include"); ok {
			l.include(include, func(t *table) { read(l, t) })
		}
	})
	if err != nil {
		return nil, false, err
	}
	if len(l.notes) > 0 {
		return nil, wrong, &ConfigError{mistakes(l.notes)}
	}
	return access.New(l.rules), false, nil
}

// access reads the rules of a file. Those of the main file come first, then those of
// the included ones, in their order.
func (l *loader) access(t *table) {
	v, ok := t.get("access")
	if !ok {
		return
	}
	const what = "a list of tables: each begins with [[access]]"
	for _, e := range v.list(what) {
		if r, ok := e.table("[[access]]", what); ok {
			l.rule(r)
		}
	}
}

// rule reads one [[access]].
func (l *loader) rule(t *table) {
	r := access.Rule{Pos: t.header().String()}
	for _, v := range t.words("who", `who = "unix:alice", or "anyone"`) {
		p, err := access.ParsePattern(v.v.(string))
		if err != nil {
			v.unknown(err)
			continue
		}
		r.Who = append(r.Who, p)
	}
	for _, v := range t.words("may", `may = ["read", "write"], or [] to keep them out`) {
		p, err := access.ParsePermission(v.v.(string))
		if err != nil {
			v.unknown(err)
			continue
		}
		r.May |= p
	}
	for _, v := range t.words("on", `on = "vm1", or "*" for every chardev`) {
		name := v.v.(string)
		r.On = append(r.On, name)
		l.ons = append(l.ons, v)
	}
	for _, key := range []string{"who", "on"} {
		if list, ok := t.vals[key].([]any); ok && len(list) == 0 {
			v, _ := t.get(key)
			v.failf("the list is empty, so the rule is for nobody; name somebody, or leave out the rule")
		}
	}
	if r.May.Has(access.Write) && !r.May.Has(access.Read) {
		v, _ := t.get("may")
		at, _ := v.place()
		l.warn(at, "may: write without read lets nobody in: only who may read is attached; add read")
	}
	t.done()
	if i := slices.IndexFunc(l.rules, access.Rule.ForAll); i >= 0 {
		l.warn(t.header(), "[[access]] decides nothing: the rule at %s is for anyone and every chardev, and the first that fits decides; put it above that one", l.rules[i].Pos)
	}
	l.rules = append(l.rules, r)
}

// words are the texts of a key that must be there: one, or a list of them.
func (t *table) words(key, example string) []*value {
	v, ok := t.get(key)
	if !ok {
		t.missingf("%s has no %s; give it %s", t.name, key, example)
		return nil
	}
	list := []*value{v}
	if _, one := v.v.(string); !one {
		list = v.list("a text or a list of them, like " + example)
	}
	right := list[:0]
	for _, e := range list {
		if _, ok := e.text("a text, like " + example); ok {
			right = append(right, e)
		}
	}
	return right
}

// unknown reports a word that is none, with the nearest that is.
func (v *value) unknown(err error) {
	text := err.Error()
	if u, ok := errors.AsType[*access.UnknownError](err); ok {
		if near := channel.Nearest(u.Word, u.Known); near != "" {
			text = fmt.Sprintf("unknown %s %q; did you mean %q?", u.What, u.Word, near)
		}
	}
	v.failf("%s: %s", describe(v.v), text)
}

// named warns of rules that are for a chardev that is not there, as of a name that is
// mistyped. (It is no mistake: rules may be written before their chardevs are. Where
// chardevs are discovered nobody knows.)
func (l *loader) named() {
	if len(l.cfg.Discover) > 0 {
		return
	}
	for _, v := range l.ons {
		name := v.v.(string)
		if _, ok := l.names[name]; ok || strings.ContainsAny(name, "*?") {
			continue
		}
		at, _ := v.place()
		if near := channel.Nearest(name, l.chardevNames()); near != "" {
			l.warn(at, "on: there is no chardev %q; did you mean %q?", name, near)
		} else {
			l.warn(at, "on: there is no chardev %q", name)
		}
	}
}

// exposed warns of consoles that run a command as the daemon's user and that whoever gets
// into [http] has, by the rules. (A socket of [http] has a mode, and is no network.)
func (l *loader) exposed() {
	if !slices.ContainsFunc(l.cfg.HTTP.Listen, func(e Endpoint) bool { return e.Address.Network() }) {
		return
	}
	for _, u := range l.uses {
		if !u.device || u.address.Transport != "exec" && u.address.Transport != "command" {
			continue
		}
		c := &l.cfg.Chardevs[u.chardev-l.numbered-1]
		d := l.cfg.Access.Decide(access.Identity{}, c.Name)
		if !d.May.Has(access.Read) {
			continue
		}
		at, _ := u.value.place()
		l.warn(at, "device: its command runs as the daemon's user, and [http] leads to it, for whoever gets in there: %s; give one that says who may, with on = %q", d.Why(), c.Name)
	}
}

func (l *loader) chardevNames() []string {
	var names []string
	for _, c := range l.cfg.Chardevs {
		names = append(names, c.Name)
	}
	for _, c := range l.cfg.Streams {
		names = append(names, c.Name)
	}
	return names
}
