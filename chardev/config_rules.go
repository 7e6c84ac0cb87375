package chardev

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// A use is an endpoint that the daemon will open, to be held against the others.
type use struct {
	what    string // for messages: the device of chardev vm1
	chardev int    // which chardev it belongs to, from 1, but see loader.numbered; 0 for the daemon's own
	device  bool   // it is that one's device
	http    bool   // it is one of [http]
	writes  bool   // a frontend whose clients may type, or a stream
	stream  string // the stream that listens there; "": none does
	address channel.Address
	listen  bool
	value   *value // nil for one that is not in a file, and once it is checked
	at      spot
}

// address reads an address and makes its path absolute.
func (l *loader) address(v *value) (channel.Address, bool) {
	return l.addressOr(v, `an address, like "tcp://127.0.0.1:7001"`)
}

func (l *loader) addressOr(v *value, what string) (channel.Address, bool) {
	s, ok := v.text(what)
	if !ok {
		return channel.Address{}, false
	}
	a, err := channel.ParseAddress(s)
	if err != nil {
		for _, err := range flatten(err) {
			text := err.Error()
			if u, ok := errors.AsType[*channel.UnknownError](err); ok && u.What == "option" && ofTable(u.Name) {
				text = fmt.Sprintf("unknown option %q: it belongs into %s", u.Name, misplaced[u.Name])
			}
			v.failf("%s: %s", describe(s), text)
		}
		return a, false
	}
	a = a.In(v.t.src.dir)
	if a.Transport == "unix" && len(a.Where) > channel.MaxSocketPath {
		v.failf("%q has %d bytes; a UNIX path has at most %d", a.Where, len(a.Where), channel.MaxSocketPath)
		return a, false
	}
	return a, true
}

// check holds every endpoint against what it can do and what it lets others do,
// and against every other one.
func (l *loader) check() {
	slices.SortStableFunc(l.uses, func(a, b *use) int { return a.at.compare(b.at) })
	earlier := map[string][]*use{}
	for _, u := range l.uses {
		if u.chardev == 0 {
			l.cfg.uses = append(l.cfg.uses, u)
		}
		l.fits(u)
		if k := u.place(); k != "" {
			l.clash(u, earlier[k])
			earlier[k] = append(earlier[k], u)
		}
	}
}

// fits holds an endpoint against what it can do and what it lets others do.
func (l *loader) fits(u *use) {
	if u.value != nil && u.direction() {
		u.options()
		u.security()
		l.identity(u)
	}
}

// failf reports a mistake in the use's address.
func (u *use) failf(format string, args ...any) {
	u.value.failf("%s: "+format, append([]any{describe(u.value.v)}, args...)...)
}

// direction checks that the address can do what it is asked for.
func (u *use) direction() bool {
	a := u.address
	switch {
	case u.listen && !a.CanListen():
		u.failf("%s cannot be listened on, only opened", a.Transport)
	case u.listen:
		return true
	case !a.CanDial():
		u.failf("%s cannot be opened, only listened on", a.Transport)
	case !a.Network():
		return true
	case a.AllHosts():
		u.failf("to connect, the address must say which host")
	case a.Port() == "0":
		u.failf("to connect, the address must say which port")
	default:
		return true
	}
	return false
}

// What options are for that only one of the two sides has. (mode, owner and
// group belong to the node that a listener makes.)
var (
	listenOptions = []string{"max_clients", "from", "anonymous", "origin", "http", "notices"}
	nodeOptions   = []string{"mode", "owner", "group"}
	dialOptions   = []string{"servername", "verify", "local"}
)

// options checks that every option is of the address's side.
func (u *use) options() {
	a := u.address
	for _, o := range a.Options {
		node := slices.Contains(nodeOptions, o.Key) && slices.Contains([]string{"unix", "pty", "pipe"}, a.Transport)
		switch {
		case !u.listen && (node || slices.Contains(listenOptions, o.Key)):
			u.failf("option %s is for listening", o.Key)
		case u.listen && slices.Contains(dialOptions, o.Key):
			u.failf("option %s is for dialling", o.Key)
		case o.Key == "from" && !a.Network():
			u.failf("option from is for networks; %s has none", a.Transport)
		}
	}
}

// security refuses what would let strangers in by mistake.
func (u *use) security() {
	a := u.address
	if !a.Network() || a.Loopback() || a.Has("tls") || a.Is("insecure") {
		return
	}
	if a.Transport == "udp" {
		u.failf("it goes beyond this host, and nothing protects what goes by udp; use tls://, or say insecure=true")
		return
	}
	if u.listen && a.Transport == "vsock" {
		u.failf("any guest can reach it, or whose guest this is, without TLS; put tls+ before it, listen on local, or say insecure=true (from= is whom to let in)")
		return
	}
	if u.listen {
		u.failf("it can be reached from other hosts, without TLS; put tls+ before it, listen on 127.0.0.1, or say insecure=true")
		return
	}
	u.failf("it leads to other hosts, without TLS; put tls+ before it, or say insecure=true")
}

// identity checks the certificates that an endpoint asks for.
func (l *loader) identity(u *use) {
	a := u.address
	if !a.Has("tls") {
		return
	}
	beyond := a.Network() && !a.Loopback() || a.Transport == "fd" && u.at.src.beyond
	name := a.Get("credentials")
	c := l.credentials[name]
	if name != "" && c == nil {
		var names []string
		for n := range l.credentials {
			names = append(names, n)
		}
		slices.Sort(names)
		if near := channel.Nearest(name, names); near != "" {
			u.failf("there is no [credentials.%s]; did you mean %q?", name, near)
		} else {
			u.failf("there is no [credentials.%s]", name)
		}
		return
	}
	switch {
	case !u.listen:
		if a.ServerName() == "" && a.Get("servername") == "" && a.Get("verify") != "false" {
			u.failf("the address has no host whose certificate to expect; say servername=NAME, or verify=false")
		}
	case name == "" && beyond:
		u.failf("it can be reached from other hosts, so it wants a certificate: say credentials=NAME, with a [credentials.NAME]")
	case name != "" && c.loaded == nil: // which is told already
	case name != "" && c.loaded.Server == nil && c.loaded.Client != nil:
		u.failf("the certificate of [credentials.%s] is for clients only, and a listener needs one that is for servers (its extended key usage)", name)
	case name != "" && c.loaded.Server == nil:
		u.failf("[credentials.%s] has no cert and key, which a listener needs", name)
	case beyond && u.http && c.loaded.ClientCAs == nil && l.cfg.Access.Len() == 0 && !a.Is("anonymous"):
		u.failf("anyone could see every console: [credentials.%s] has no client_ca, so clients need no certificate, and no [[access]] rule says who may what; give it one, give a rule, or say anonymous=true", name)
	case beyond && u.writes && c.loaded.ClientCAs == nil && !a.Is("anonymous"):
		on := u.stream
		if u.chardev > 0 {
			on = l.cfg.Chardevs[u.chardev-l.numbered-1].Name
		}
		d := l.cfg.Access.Decide(access.Identity{}, on)
		if d.May.Has(access.Write) {
			u.failf("anyone could write: [credentials.%s] has no client_ca, so clients need no certificate, and %s; give it one, let no [[access]] rule permit anyone to write, make the frontend mode = \"read-only\", or say anonymous=true", name, d.Why())
		}
	}
}

// clash reports a use that is the same thing as an earlier one in its place.
func (l *loader) clash(u *use, earlier []*use) {
	for _, e := range earlier {
		if !sameHost(e, u) {
			continue
		}
		own := e.chardev == u.chardev && e.device != u.device
		stdio := u.address.Transport == "stdio"
		if !own && !(e.listen && u.listen) && !stdio {
			continue
		}
		where := "by default"
		if e.at.offset >= 0 {
			where = e.at.String()
		}
		if stdio {
			u.failf("the daemon has one standard input and output, and %s has them (%s)", e.what, where)
		} else if own && !(e.listen && u.listen) {
			u.failf("a frontend cannot be its chardev's own device (%s, %s)", e.what, where)
		} else {
			u.failf("%s listens there already (%s)", e.what, where)
		}
		return
	}
}

// place is what two uses of one socket or one file have in common, or "" for what
// nothing else can be. Layers and options make no difference.
func (u *use) place() string {
	a := u.address
	switch {
	case a.File() != "":
		return "file " + filepath.Clean(a.File())
	case a.Network() && a.Port() != "0":
		return a.Transport + " port " + a.Port() // of some host: see sameHost
	case a.Transport == "unix":
		return "abstract " + a.Where
	case a.Transport == "fd" || a.Transport == "stdio":
		return a.Transport + " " + a.Where
	}
	return ""
}

// sameHost says whether two uses in one place, if that is a port, are of one host.
func sameHost(ua, ub *use) bool {
	a, b := ua.address, ub.address
	return !a.Network() ||
		a.SameHost(b) || a.AllHosts() && ub.here() || b.AllHosts() && ua.here()
}

// here says whether the host of a network address is this one.
func (u *use) here() bool { return u.listen || u.address.Loopback() }
