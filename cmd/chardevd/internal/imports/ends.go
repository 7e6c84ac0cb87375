package imports

import (
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"chardevd/channel"
)

// A guestImporter is what the importers of virtual machines have in common: what a machine
// has at its end of a console becomes the other end, or the same one.
type guestImporter struct {
	source
	asWritten bool   // what the machine has, not its peer
	machine   string // what names begin with, "" if the machine has none
	comes     string // what has it come to a socket, of a chardev that has its backends: id and path
	out       *Config
	skipped   []Notice // what is no console
}

// A console is one of the machine's, or another use of its character devices.
type console struct {
	what     string // for messages: chardev c0
	at       place
	name     string
	comments []string
	ends     []Endpoint // one, but for those of a hub that is as written
	retry    string     // how often an end that dials is tried again, as a duration; "": as usual
	log      bool       // it had a log
}

// skip tells of what is no console, or of one that is none for us. It matters only beside
// others: if there is nothing else, it is a mistake.
func (g *guestImporter) skip(at place, format string, args ...any) {
	g.skipped = append(g.skipped, g.say(at, format, args))
}

// finish is the config that was made. none is the mistake if there was nothing at all.
func (g *guestImporter) finish(none string) (*Config, error) {
	switch {
	case len(g.out.Chardevs) > 0:
		g.notices = append(g.notices, g.skipped...)
	case len(g.skipped) > 0:
		g.mistakes = append(g.mistakes, g.skipped...)
	case len(g.mistakes) == 0:
		g.mistake(place{1, 1}, "%s", none)
	}
	return g.result(g.out)
}

// socketSuffix is that of the socket by which a machine comes to a chardev that has its
// backends.
const socketSuffix = ".qemu"

// add makes the chardev of a console.
func (g *guestImporter) add(c *console) {
	made := Chardev{Name: g.name(c), Comments: c.comments}
	if c.log {
		made.Log = true
	}
	if !g.asWritten {
		made.Device = c.ends[0]
	} else {
		made.Device = Endpoint{channel.Address{Transport: "unix", Where: made.Name + socketSuffix}, true}
		made.Comments = append(made.Comments, "QEMU comes to it: "+fmt.Sprintf(g.comes, c.name, made.Device.Address.Where)+" in place of its own")
		for _, e := range c.ends {
			f := Frontend{Endpoint: e}
			if !e.Listen && c.retry != "" {
				f.Reconnect = &Reconnect{Min: c.retry, Max: c.retry}
			}
			made.Frontends = append(made.Frontends, f)
		}
	}
	if g.clashes(c, &made) {
		return
	}
	g.out.Chardevs = append(g.out.Chardevs, made)
}

// maxName is how long a chardev's name may be.
const maxName = 64

// name is what a console is called here.
func (g *guestImporter) name(c *console) string {
	name := c.name
	if g.machine != "" {
		name = g.machine + "-" + name
	}
	name = nameOf(name)
	if short := name[:min(len(name), maxName)]; short != name {
		g.notice(c.at, "%s: its name would have %d letters, of at most %d: it is called %s", c.what, len(name), maxName, short)
		name = short
	}
	if name == "" || strings.IndexByte(notFirst, name[0]) >= 0 {
		name = "x" + strings.TrimLeft(name, notFirst)
	}
	return name
}

// notFirst is what a chardev's name may have but for its first letter.
const notFirst = "._-"

// nameOf is a text with _ in place of all that no chardev's name has.
func nameOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune(notFirst, r) {
			return r
		}
		return '_'
	}, text)
}

// clashes tells of a chardev that can not be beside those before it.
func (g *guestImporter) clashes(c *console, made *Chardev) bool {
	for i := range g.out.Chardevs {
		other := &g.out.Chardevs[i]
		if other.Name == made.Name {
			g.mistake(c.at, "%s: there is a chardev %s already; give one of the two another id", c.what, made.Name)
			return true
		}
		for _, e := range other.endpoints() {
			for _, own := range made.endpoints() {
				if e.Listen && own.Listen && samePlace(e.Address, own.Address) {
					g.mistake(c.at, "%s: %s would listen at %s as well as %s", c.what, made.Name, own.Address, other.Name)
					return true
				}
			}
		}
	}
	all := made.endpoints()
	for i, e := range all {
		for _, own := range all[:i] {
			if samePlace(e.Address, own.Address) {
				g.mistake(c.at, "%s: %s is one of its ends already", c.what, e.Address)
				return true
			}
		}
	}
	return false
}

func (c *Chardev) endpoints() []Endpoint {
	all := []Endpoint{c.Device}
	for _, f := range c.Frontends {
		all = append(all, f.Endpoint)
	}
	return all
}

// samePlace says whether two addresses are one socket, port or file.
func samePlace(a, b channel.Address) bool {
	switch {
	case a.File() != "" || b.File() != "":
		return a.File() != "" && b.File() != "" && path.Clean(a.File()) == path.Clean(b.File())
	case a.Network() && b.Network():
		return a.Transport == b.Transport && a.Port() == b.Port() && (a.SameHost(b) || a.AllHosts() || b.AllHosts())
	}
	return a.Transport == b.Transport && a.Where == b.Where
}

// address holds an address against what addresses may be.
func (g *guestImporter) address(at place, what string, a channel.Address) (channel.Address, bool) {
	text := a.String()
	if !utf8.ValidString(text) {
		g.mistake(at, "%s: %s is not UTF-8, as a config file is", what, quoted(text))
		return a, false
	}
	a, err := channel.ParseAddress(text)
	if err != nil {
		g.mistake(at, "%s: %s", what, err)
		return a, false
	}
	return a, true
}

// path is the address of something in the file system.
func (g *guestImporter) path(at place, what, transport, where string, listen bool, options ...channel.Option) (Endpoint, bool) {
	switch {
	case where == "":
		g.mistake(at, "%s: path: it is empty", what)
		return Endpoint{}, false
	case transport == "unix" && len(where) > channel.MaxSocketPath:
		g.mistake(at, "%s: path: %s has %d bytes; a UNIX path has at most %d", what, quoted(where), len(where), channel.MaxSocketPath)
		return Endpoint{}, false
	case !path.IsAbs(where):
		g.notice(at, "%s: %s is in the folder that the machine was started in, and here in that of the config file", what, quoted(where))
		if where[0] == '@' { // which would be an abstract one
			where = "./" + where
		}
	}
	a, ok := g.address(at, what, channel.Address{Transport: transport, Where: where, Options: options})
	return Endpoint{a, listen}, ok
}

// namedTTY is a pty that a machine has without a name that stays: it gets one.
func (g *guestImporter) namedTTY(c *console) Endpoint {
	a := channel.Address{Transport: "pty", Where: g.name(c) + ".pty"}
	c.comments = append(c.comments, "the tty has a name that stays: "+a.Where)
	return Endpoint{a, true}
}

// role says whether our end listens where the machine's does or does not.
func (g *guestImporter) role(serves bool) (listen bool) { return serves == g.asWritten }

// unix is a socket in the file system.
func (g *guestImporter) unix(at place, what, where string, serves bool) (Endpoint, bool) {
	return g.path(at, what, "unix", where, g.role(serves))
}

// abstract is a socket without a file (unix(7)).
func (g *guestImporter) abstract(at place, what, where string, serves bool) (Endpoint, bool) {
	if where == "" || len(where)+1 > channel.MaxSocketPath {
		g.mistake(at, "%s: path: an abstract one has 1 to %d bytes", what, channel.MaxSocketPath-1)
		return Endpoint{}, false
	}
	a, ok := g.address(at, what, channel.Address{Transport: "unix", Where: "@" + where})
	return Endpoint{a, g.role(serves)}, ok
}

// isAll says whether a host stands for all addresses that there are, and whether it is an
// IPv6 one then.
func isAll(host string) (yes, v6 bool) {
	a, err := channel.ParseAddress(channel.Address{Transport: "tcp", Where: net.JoinHostPort(host, "1")}.String())
	return err == nil && a.AllHosts(), strings.Contains(host, ":")
}

// A tcpEnd is a TCP socket of a machine.
type tcpEnd struct {
	host, port     string // as they are written
	hostAt, portAt place
	serves, v6     bool
	layers         []string // outermost first
	options        []channel.Option
}

// What a machine that names no host has.
const (
	thisHost  = "127.0.0.1"
	thisHost6 = "::1"
	allHosts  = "0.0.0.0"
	allHosts6 = "::"
)

// tcp is a TCP socket. What there is to know about it goes into the console's comments.
func (g *guestImporter) tcp(c *console, t tcpEnd) (Endpoint, bool) {
	listen := g.role(t.serves)
	if i := slices.Index(t.layers, "telnet"); i >= 0 && !t.serves {
		t.layers = slices.Delete(slices.Clone(t.layers), i, i+1)
		c.comments = append(c.comments, "telnet: QEMU speaks it where it listens alone; where it connects the bytes go as they are")
	}
	port, ok := g.port(t.portAt, c.what, "tcp", t.port)
	if !ok {
		return Endpoint{}, false
	}
	all, v6 := isAll(t.host)
	host, v6 := t.host, v6 || t.v6
	switch {
	case all && t.serves && listen:
		host = either(v6, allHosts6, allHosts)
	case all:
		host = either(v6, thisHost6, thisHost)
		if t.serves {
			c.comments = append(c.comments, "the machine is taken to run on this host; else write which one")
		}
	}
	a := channel.Address{Layers: t.layers, Transport: "tcp", Where: net.JoinHostPort(host, port), Options: t.options}
	if a, ok = g.address(t.hostAt, c.what, a); !ok {
		return Endpoint{}, false
	}
	g.permit(c, &a)
	return Endpoint{a, listen}, true
}

// permit is Permit, with a comment.
func (g *guestImporter) permit(c *console, a *channel.Address) {
	if Permit(a) {
		c.comments = append(c.comments, "insecure=true: everybody on the way can read it and type; TLS would keep them out")
	}
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// port is the number of a port, which may be the name of a service.
func (g *guestImporter) port(at place, what, network, text string) (string, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil && text != "" && strings.Trim(text, "0123456789") != "" {
		var named int
		if named, err = net.DefaultResolver.LookupPort(context.Background(), network, text); err == nil {
			n = uint64(named)
		}
	}
	switch {
	case text == "":
		g.mistake(at, "%s: port: it is missing", what)
	case err != nil:
		g.mistake(at, "%s: port: want a number up to 65535, or the name of a service, have %s", what, quoted(text))
	case n == 0:
		g.mistake(at, "%s: port: 0 is any that is free, so nobody knows which: give one", what)
	default:
		return strconv.FormatUint(n, 10), true
	}
	return "", false
}

// A udpEnd is a UDP socket of a machine.
type udpEnd struct {
	host, port, localHost, localPort         string // localPort "" or "0": any
	hostAt, portAt, localHostAt, localPortAt place
}

// udp is a UDP socket.
func (g *guestImporter) udp(c *console, u udpEnd) (Endpoint, bool) {
	port, ok := g.port(u.portAt, c.what, "udp", u.port)
	local, lok := "", true
	if u.localPort != "" && u.localPort != "0" {
		local, lok = g.port(u.localPortAt, c.what, "udp", u.localPort)
	}
	if !ok || !lok {
		return Endpoint{}, false
	}
	all := func(host string) bool { yes, _ := isAll(host); return yes }
	remote := channel.Address{Transport: "udp", Where: net.JoinHostPort(either(all(u.host), thisHost, u.host), port)}
	if remote, ok = g.address(u.hostAt, c.what, remote); !ok {
		return Endpoint{}, false
	}
	// Where the machine sends from: on its own host, if it says no address.
	from := u.localHost
	if all(from) && remote.Loopback() {
		from = thisHost
	}
	made := Endpoint{Address: remote}
	at := u.hostAt
	switch {
	case g.asWritten:
		if local != "" || !all(u.localHost) {
			source := net.JoinHostPort(either(all(u.localHost), allHosts, u.localHost), either(local == "", "0", local))
			made.Address.Options, at = []channel.Option{{Key: "local", Value: source}}, u.localHostAt
		}
	case local == "" || all(from):
		made.Listen = true
		c.comments = append(c.comments, "it is known where to send to when the guest has printed something")
	default:
		made.Address = channel.Address{Transport: "udp", Where: net.JoinHostPort(from, local),
			Options: []channel.Option{{Key: "local", Value: remote.Where}}}
		at = u.localHostAt
	}
	if made.Address, ok = g.address(at, c.what, made.Address); !ok {
		return Endpoint{}, false
	}
	g.permit(c, &made.Address)
	return made, true
}
