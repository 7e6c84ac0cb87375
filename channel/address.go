package channel

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An Address names an endpoint: layers, outermost first, over a transport, as in
//
//	ws+tls+tcp://localhost:7002/console?origin=https://ops.example
//
// Addresses come from ParseAddress, which checks all that can be checked
// without opening anything.
type Address struct {
	Layers    []string // outermost (nearest the user's bytes) first
	Transport string
	Where     string   // what the transport opens: host:port, a path, a command
	Path      string   // the URL's path behind host:port; "" or from its "/" on
	Options   []Option // as written, in order
}

// An Option is one key=value behind an address's "?".
type Option struct{ Key, Value string }

// shortForms are names that stand for more than one layer. A layer in the
// place of the transport stands for itself over tcp.
var shortForms = map[string][]string{"wss": {"ws", "tls"}}

// ParseAddress reads an address and checks it: the names, the form of what the
// transport opens, that every option is one that the stack knows, and its value.
// Errors say what is wrong with which part, without repeating the address.
func ParseAddress(s string) (Address, error) {
	var a Address
	scheme, rest, ok := strings.Cut(s, ":")
	if meant := withTransport(s); meant != "" {
		return a, fmt.Errorf("no transport; did you mean %s?", meant)
	}
	if !ok {
		return a, fmt.Errorf("no transport: an address looks like tcp://host:port or unix:/path")
	}
	names := strings.Split(scheme, "+")
	var full []string
	for _, n := range names {
		if long, ok := shortForms[n]; ok {
			full = append(full, long...)
		} else {
			full = append(full, n)
		}
	}
	if isLayer(full[len(full)-1]) {
		full = append(full, "tcp")
	}
	a.Layers, a.Transport = full[:len(full)-1], full[len(full)-1]
	var errs []error
	for _, l := range a.Layers {
		if !isLayer(l) {
			errs = append(errs, unknown("layer", l, layerNames()))
		}
	}
	if len(a.Layers) == 0 {
		a.Layers = nil
	}
	t, ok := transportNamed(a.Transport)
	if !ok {
		errs = append(errs, unknown("transport", a.Transport, append(transportNames(), layerNames()...)))
	}
	if len(errs) > 0 {
		return a, errors.Join(errs...)
	}

	if t.raw { // everything is the command
		a.Where = rest
	} else {
		where, query, _ := strings.Cut(rest, "?")
		if t.hosts != nil {
			where, ok = strings.CutPrefix(where, "//")
			if !ok {
				return a, fmt.Errorf("%s wants // before host:port", a.Transport)
			}
			if i := strings.IndexByte(where, '/'); i >= 0 {
				where, a.Path = where[:i], where[i:]
			}
		}
		var err error
		if a.Where, err = url.PathUnescape(where); err != nil {
			return a, fmt.Errorf("bad %% escape in %q", where)
		}
		if a.Path, err = url.PathUnescape(a.Path); err != nil {
			return a, fmt.Errorf("bad %% escape in the path")
		}
		if a.Options, err = parseOptions(query); err != nil {
			return a, err
		}
	}
	return a, a.check(t)
}

// withTransport is what was meant by a path, or a host and a port, without a transport; ""
// for anything else.
func withTransport(s string) string {
	if strings.HasPrefix(s, "/") {
		return "unix:" + s
	}
	where, _, _ := strings.Cut(s, "?")
	host, port, err := net.SplitHostPort(where)
	if _, number := strconv.ParseUint(port, 10, 16); err != nil || number != nil || host != "localhost" && !strings.ContainsAny(host, ".:") {
		return ""
	}
	return "tcp://" + s
}

// MustParseAddress is ParseAddress for addresses that are constants.
func MustParseAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic("channel: " + s + ": " + err.Error())
	}
	return a
}

func parseOptions(query string) ([]Option, error) {
	var opts []Option
	for kv := range strings.SplitSeq(query, "&") {
		if kv == "" {
			continue
		}
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, fmt.Errorf("option %q has no =value", k)
		}
		v, err := url.PathUnescape(v)
		if err != nil {
			return nil, fmt.Errorf("option %s: bad %% escape", k)
		}
		opts = append(opts, Option{k, v})
	}
	return opts, nil
}

// check holds the address against the tables of transports and layers.
func (a Address) check(t *transport) error {
	if strings.ContainsRune(a.Where, 0) || strings.ContainsRune(a.Path, 0) {
		return errors.New("a NUL byte in the address")
	}
	if t.hosts != nil {
		if err := t.hosts.check(a.Where); err != nil {
			return err
		}
	} else if a.Where == "" && !t.nowhere {
		return fmt.Errorf("%s wants %s behind the colon", t.name, t.what)
	}
	known := slices.Concat(t.options, commonOptions)
	for _, l := range a.Layers {
		known = append(known, layerNamed(l).options...)
	}
	var errs []error
	switch {
	case a.Path == "":
	case !a.Has("ws"):
		errs = append(errs, fmt.Errorf("a path %q, but no ws layer that would use it", a.Path))
	case a.Get("path") != "":
		errs = append(errs, fmt.Errorf("option path: the path %q is given already, behind the port", a.Path))
	}
	seen := map[string]bool{}
	for _, o := range a.Options {
		i := slices.IndexFunc(known, func(d optionDef) bool { return d.name == o.Key })
		if i < 0 {
			errs = append(errs, unknown("option", o.Key, optionNames(known)))
			continue
		}
		if seen[o.Key] && !known[i].repeat {
			errs = append(errs, fmt.Errorf("option %s is given twice", o.Key))
		}
		seen[o.Key] = true
		if err := known[i].check(o.Value); err != nil {
			errs = append(errs, fmt.Errorf("option %s: %w", o.Key, err))
		}
	}
	if t.check != nil {
		errs = append(errs, t.check(a))
	}
	return errors.Join(errs...)
}

// An UnknownError is about a name that is none of those which are known, as of a layer, a
// transport or an option.
type UnknownError struct {
	What, Name string
	Known      []string
}

// Error tells the nearest name, or all that there are.
func (e *UnknownError) Error() string {
	text := fmt.Sprintf("unknown %s %q", e.What, e.Name)
	if near := Nearest(e.Name, e.Known); near != "" {
		return fmt.Sprintf("%s; did you mean %q?", text, near)
	}
	known := slices.Compact(slices.Sorted(slices.Values(e.Known)))
	return text + "; want one of " + strings.Join(known, ", ")
}

func unknown(what, name string, known []string) error { return &UnknownError{what, name, known} }

// Nearest returns the one of known that name was probably meant to be, or "": of two or
// three letters one may be wrong, of many three.
func Nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, at := "", 1+len(name)/4
	if at > 3 {
		at = 3
	}
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d <= at && k != "" {
			if best == "" || d < at {
				best, at = k, d
			}
		}
	}
	return best
}

// distance is the number of letters to add, remove, change or swap (the
// restricted Damerau-Levenshtein distance).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range b {
		d[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// String is the address as people write it, tls:// for tls+tcp://;
// ParseAddress gives it back equal.
func (a Address) String() string {
	var b strings.Builder
	scheme := strings.Join(append(slices.Clone(a.Layers), a.Transport), "+")
	if len(a.Layers) > 0 {
		scheme = strings.TrimSuffix(scheme, "+tcp")
	}
	if scheme == "ws+tls" {
		scheme = "wss"
	}
	b.WriteString(scheme + ":")
	t, ok := transportNamed(a.Transport)
	if ok && t.raw {
		b.WriteString(a.Where)
		return b.String()
	}
	if ok && t.hosts != nil {
		b.WriteString("//")
		b.WriteString(escape(a.Where, "/"))
	} else {
		b.WriteString(escape(a.Where, ""))
	}
	b.WriteString(escape(a.Path, ""))
	for i, o := range a.Options {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(o.Key + "=" + escape(o.Value, "&"))
	}
	return b.String()
}

func escape(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '%' || c == '?' || strings.IndexByte(also, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Get returns the last value of an option, or "".
func (a Address) Get(key string) string {
	v := ""
	for _, o := range a.Options {
		if o.Key == key {
			v = o.Value
		}
	}
	return v
}

// All returns the values of an option that can be repeated.
func (a Address) All(key string) []string {
	var v []string
	for _, o := range a.Options {
		if o.Key == key {
			v = append(v, o.Value)
		}
	}
	return v
}

// Is says whether a boolean option is given as true.
func (a Address) Is(key string) bool { return a.Get(key) == "true" }

// Has says whether the address has the layer.
func (a Address) Has(layer string) bool { return slices.Contains(a.Layers, layer) }

// CanListen says whether the transport can listen; CanDial the other one.
func (a Address) CanListen() bool { t, ok := transportNamed(a.Transport); return ok && t.listen != nil }

// CanDial says whether the transport can be dialled or opened.
func (a Address) CanDial() bool { t, ok := transportNamed(a.Transport); return ok && t.dial != nil }

// Network says whether the transport crosses, or can cross, a network.
func (a Address) Network() bool { t, ok := transportNamed(a.Transport); return ok && t.hosts != nil }

// File is the path in the file system that the address opens or makes, "" if
// it has none.
func (a Address) File() string {
	t, ok := transportNamed(a.Transport)
	if !ok || !t.file || t.notFile != nil && t.notFile(a.Where) {
		return ""
	}
	return a.Where
}

// In returns the address with a relative path put below dir; "" is the current
// folder.
func (a Address) In(dir string) Address {
	if f := a.File(); f != "" && !filepath.IsAbs(f) {
		a.Where = filepath.Join(dir, f)
		if strings.HasPrefix(a.Where, "@") { // still a file, not an abstract name
			a.Where = "./" + a.Where
		}
	}
	return a
}
