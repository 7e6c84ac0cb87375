package chardev

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/tomlpos"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	day = 24 * time.Hour
)

// A table is a TOML table that is being read. Every key that it is asked for
// becomes one that it knows; done reports the others.
type table struct {
	l     *loader
	src   *source
	name  string // for messages: [[chardev]], reconnect
	vals  map[string]any
	node  *tomlpos.Node
	known []string
}

// header is where the table begins.
func (t *table) header() spot { return spot{t.src, t.node.Value} }

// missingf reports a key that must be there and is not.
func (t *table) missingf(format string, args ...any) { t.l.mistake(t.header(), format, args...) }

// get returns the value of a key.
func (t *table) get(key string) (*value, bool) {
	if !slices.Contains(t.known, key) {
		t.known = append(t.known, key)
	}
	v, ok := t.vals[key]
	if !ok {
		return nil, false
	}
	n := t.node.Keys[key]
	return &value{t: t, name: key, v: v, node: n, key: n.Key}, true
}

// misplaced tells where keys belong that are often written elsewhere.
var misplaced = map[string]string{
	"mode":        "[[chardev.frontend]] or [defaults]",
	"replay":      "[[chardev.frontend]] or [defaults]",
	"on_lag":      "[[chardev.frontend]] or [defaults]",
	"reconnect":   "[[chardev.frontend]] or [defaults]",
	"login":       "[[chardev.frontend]] or [defaults]",
	"half_close":  "[[chardev.frontend]] or [defaults]",
	"history":     "[[chardev]] or [defaults]",
	"input":       "[[chardev]] or [defaults]",
	"writer_idle": "[[chardev]] or [defaults]",
	"log":         "[[chardev]] or [defaults]",
	"max_size":    "log = { … } of [[chardev]] or [defaults]",
	"max_span":    "log = { … } of [[chardev]] or [defaults]",
	"keep":        "log = { … } of [[chardev]] or [defaults]",
	"max_age":     "log = { … } of [[chardev]] or [defaults]",
	"max_total":   "[journal], or log = { … } of [[chardev]] or [defaults]",
	"compress":    "log = { … } of [[chardev]] or [defaults]",
	"sync":        "[journal]",
	"name":        "[[chardev]]",
	"device":      "[[chardev]]",
	"frontends":   "[[chardev]]",
	"frontend":    "[[chardev]], as [[chardev.frontend]]",
	"listen":      "[http], [[chardev.frontend]] or a chardev's device = { listen = … }",
	"connect":     "[[chardev.frontend]] or a chardev's device = { connect = … }",
	"origin":      "[http], or an address, as origin=",
	"host":        "[http], or an address, as host=",
	"who":         "[[access]]",
	"may":         "[[access]]",
	"on":          "[[access]]",
	"access":      "the top of a file, as [[access]]",
	"glob":        "[[discover]]",
	"linger":      "[[discover]]",
	"wait":        "[[stream]]",
	"stream":      "the top of a file, as [[stream]]",
	"cert":        "[credentials.NAME]",
	"key":         "[credentials.NAME]",
	"client_ca":   "[credentials.NAME]",
	"ca":          "[credentials.NAME]",
	"crl":         "[credentials.NAME]",
	"dir":         "[credentials.NAME]",
	"state":       "the top of the main file, before the first [table]",
	"control":     "the top of the main file, before the first [table]",
	"audit":       "the top of the main file, before the first [table]",
	"include":     "the top of the main file, before the first [table]",
	"http":        "the main file, as [http]",
	"journal":     "the main file, as [journal]",
	"defaults":    "the main file, as [defaults]",

	"max_clients":     "an address that listens, as ?max_clients=10",
	"passphrase_file": "[credentials.NAME]",
}

// ofTable says whether a key is of a table, and of no address.
func ofTable(key string) bool {
	return misplaced[key] != "" && !strings.Contains(misplaced[key], "address")
}

// done reports the keys that nobody asked for.
func (t *table) done() {
	for key := range t.vals {
		if slices.Contains(t.known, key) {
			continue
		}
		at := spot{t.src, t.node.Keys[key].Key}
		switch near := channel.Nearest(key, t.known); {
		case misplaced[key] != "":
			t.l.mistake(at, "unknown key %q in %s: it belongs into %s", key, t.name, misplaced[key])
		case near != "":
			t.l.mistake(at, "unknown key %q in %s; did you mean %q?", key, t.name, near)
		default:
			t.l.mistake(at, "unknown key %q in %s; want one of %s", key, t.name, strings.Join(t.known, ", "))
		}
	}
}

// A value is what stands behind a key, or one element of it.
type value struct {
	t    *table
	name string // the key, for messages
	v    any
	node *tomlpos.Node
	key  int // offset of the key that it belongs to
}

// spot is where the value itself is written.
func (v *value) spot() spot { return spot{v.t.src, v.node.Value} }

// place is where a mistake in the value is told: at the value, if that is on the
// line of its key, else at the key; lines says then on which line the value is.
func (v *value) place() (at spot, lines string) {
	key := spot{v.t.src, v.key}
	line, _ := v.spot().place()
	if kl, _ := key.place(); kl != line {
		return key, fmt.Sprintf(" (on line %d)", line)
	}
	return v.spot(), ""
}

// failf reports a mistake in the value, with its key.
func (v *value) failf(format string, args ...any) {
	at, lines := v.place()
	v.t.l.mistake(at, "%s%s: %s", v.name, lines, fmt.Sprintf(format, args...))
}

// want reports a value of the wrong type or form.
func (v *value) want(what string) { v.failf("want %s, have %s", what, describe(v.v)) }

// describe names a TOML value for a message.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 200 {
			v = v[:200] + "…"
		}
		return fmt.Sprintf("%q", v)
	case bool, int64, float64:
		return fmt.Sprint(v)
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	}
	return "a list"
}

// text returns the value if it is a string that is not empty.
func (v *value) text(what string) (string, bool) {
	s, ok := v.v.(string)
	if !ok || s == "" {
		v.want(what)
		return "", false
	}
	return s, true
}

// list returns the elements of an array.
func (v *value) list(what string) []*value {
	var elems []any
	switch a := v.v.(type) {
	case []any:
		elems = a
	case []map[string]any:
		for _, m := range a {
			elems = append(elems, m)
		}
	default:
		v.want(what)
	}
	list := make([]*value, len(elems))
	for i, e := range elems {
		list[i] = &value{t: v.t, name: v.name, v: e, node: v.node.Elems[i], key: v.key}
	}
	return list
}

// table returns the value if it is a table; name is for messages about its keys.
func (v *value) table(name, what string) (*table, bool) {
	m, ok := v.v.(map[string]any)
	if !ok {
		v.want(what)
		return nil, false
	}
	return &table{l: v.t.l, src: v.t.src, name: name, vals: m, node: v.node}, true
}

// The setters below set what they are given if the key is there and right.

func (t *table) flag(key string, to *bool) {
	if v, ok := t.get(key); ok {
		b, ok := v.v.(bool)
		if !ok {
			v.want("true or false")
			return
		}
		*to = b
	}
}

func (t *table) oneOf(key string, to *string, words ...string) {
	v, ok := t.get(key)
	if !ok {
		return
	}
	what := `"` + strings.Join(words, `", "`) + `"`
	if i := strings.LastIndex(what, ", "); i >= 0 {
		what = what[:i] + " or" + what[i+1:]
	}
	s, ok := v.v.(string)
	switch near := channel.Nearest(s, words); {
	case ok && slices.Contains(words, s):
		*to = s
	case ok && near != "":
		v.failf("want %s, have %s; did you mean %q?", what, describe(s), near)
	default:
		v.want(what)
	}
}

func (t *table) number(key string, to *int, lo, hi int) {
	if v, ok := t.get(key); ok {
		n, ok := v.v.(int64)
		if !ok || n < int64(lo) || n > int64(hi) {
			v.want(fmt.Sprintf("a number from %d to %d", lo, hi))
			return
		}
		*to = int(n)
	}
}

func (t *table) size(key string, to *int64, lo, hi int64) {
	v, ok := t.get(key)
	if !ok {
		return
	}
	n, isInt := v.v.(int64)
	if s, ok := v.v.(string); ok {
		var err error
		if n, err = channel.ParseSize(s); err != nil {
			v.failf("%s", err)
			return
		}
	} else if !isInt {
		v.want(channel.SizeForm)
		return
	}
	if n < lo || n > hi {
		v.failf("want a size from %s to %s, have %s", channel.FormatSize(lo), channel.FormatSize(hi), describe(v.v))
		return
	}
	*to = n
}

func (t *table) duration(key string, to *time.Duration, lo, hi time.Duration) {
	v, ok := t.get(key)
	if !ok {
		return
	}
	s, ok := v.v.(string)
	if !ok {
		v.want(channel.DurationForm)
		return
	}
	d, err := channel.ParseDuration(s)
	if err != nil {
		v.failf("%s", err)
		return
	}
	if d < lo || d > hi {
		v.failf("want a duration from %s to %s, have %q", channel.FormatDuration(lo), channel.FormatDuration(hi), s)
		return
	}
	*to = d
}
