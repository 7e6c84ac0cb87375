package imports

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"chardevd/channel"
)

// An end is the address that a stack becomes, while it is read.
type end struct {
	r        *ser2net
	c        *connection
	listen   bool
	stack    *stack
	layers   []string
	options  []channel.Option
	verifies bool // who comes has to show a certificate
	comments []string
}

func (e *end) set(key, value string) {
	e.options = append(e.options, channel.Option{Key: key, Value: value})
}

// refuse tells of an option that can not be had.
func (e *end) refuse(o option, why string) { e.r.mistake(o.at, "%s: %s", o.name, why) }

// begin reads the layers of a stack.
func (r *ser2net) begin(c *connection, st *stack, listen bool) *end {
	e := &end{r: r, c: c, listen: listen, stack: st}
	for _, g := range st.layers {
		options := r.with(g.name, optionsOf[g.name], g.options)
		switch g.name {
		case "telnet":
			e.telnet(options)
		case "ssl":
			e.ssl(g, options)
		case "keepopen":
			e.plain(options)
			if listen {
				r.mistake(g.at, "keepopen: it is for connectors")
			}
		case "conacc":
			r.mistake(g.at, "conacc: stands before everything else, with pty(link=…) behind it")
		}
	}
	return e
}

// plain are the options of what has none to read.
func (e *end) plain(options []option) {
	for _, o := range options {
		e.r.leave(o)
	}
}

func (e *end) telnet(options []option) {
	layer := "telnet"
	for _, o := range options {
		switch o.name {
		case "rfc2217":
			if e.r.flag(o) {
				layer = "rfc2217"
			} else {
				layer = "telnet"
			}
		case "mode":
			if want := e.role(); o.value != want {
				e.refuse(o, "this side is the "+want+" here")
			}
		default:
			e.r.leave(o)
		}
	}
	e.layers = append(e.layers, layer)
}

// role is what the side of a stack is, for gensio.
func (e *end) role() string {
	if e.listen {
		return "server"
	}
	return "client"
}

// Where ser2net has its certificate, if nothing else is said (ser2net.yaml(5)).
const ser2netKey, ser2netCert = "/etc/ser2net/ser2net.key", "/etc/ser2net/ser2net.crt"

func (e *end) ssl(g gensio, options []option) {
	var cred Credentials
	clients := false
	for _, o := range options {
		switch o.name {
		case "CA":
			if strings.HasSuffix(o.value, "/") {
				e.refuse(o, "a folder of certificates can not be read here: name one file that has them all (cat)")
				return
			}
			cred.CA = o.value
		case "key":
			cred.Key = o.value
		case "cert":
			cred.Cert = o.value
		case "mode":
			if want := e.role(); o.value != want {
				e.refuse(o, "this side is the "+want+" here")
			}
		case "clientauth":
			clients = e.r.flag(o)
		case "allow-authfail":
			if e.r.flag(o) {
				e.refuse(o, "who shows a wrong certificate is not let in here; without clientauth none is asked for")
			}
		default:
			e.r.leave(o)
		}
	}
	switch {
	case e.listen && clients && cred.CA == "":
		e.r.mistake(g.at, "ssl: certificates of users are not read from authdir; say CA=FILE, with the authority that signed them")
	case e.listen && clients && e.c.users != nil:
		e.r.mistake(e.c.users.at, `allowed-users: who may do what is said by [[access]] rules here, like who = "cert:CN=NAME"; leave it out, and add these`)
	case e.listen && clients:
		cred.ClientCA, cred.CA = cred.CA, ""
	case e.listen:
		cred.CA = ""
	}
	if e.listen && cred.Key == "" {
		cred.Key = ser2netKey
		if cred.Cert == "" {
			cred.Cert = ser2netCert
		}
	}
	if cred.Cert == "" {
		cred.Cert = cred.Key // which has both
	}
	if !e.listen {
		e.r.notice(g.at, "ssl: the name in the server's certificate is verified here, too: servername=NAME in the address says another one, verify=false none")
	}
	e.layers = append(e.layers, "tls")
	if cred.Cert == "" && cred.CA == "" {
		return // a client with nothing to show, that trusts whom the system trusts
	}
	e.verifies = cred.ClientCA != ""
	e.set("credentials", e.r.credentials(cred))
}

// credentials returns the name of a TLS identity, which several connections may have.
func (r *ser2net) credentials(c Credentials) string {
	for _, have := range r.out.Credentials {
		if have.Cert == c.Cert && have.Key == c.Key && have.CA == c.CA && have.ClientCA == c.ClientCA {
			return have.Name
		}
	}
	c.Name = "ser2net"
	if n := len(r.out.Credentials); n > 0 {
		c.Name = fmt.Sprintf("ser2net-%d", n+1)
	}
	r.out.Credentials = append(r.out.Credentials, c)
	return c.Name
}

// address puts an address together. It fails if it is none, which is told.
func (e *end) address(transport, where string) (channel.Address, bool) {
	a := channel.Address{Layers: e.layers, Transport: transport, Where: where, Options: slices.Clone(e.options)}
	switch open := a.Network() && !a.Loopback(); {
	case Permit(&a) && e.listen:
		e.comments = append(e.comments, "insecure=true: other hosts reach "+a.Where+", without TLS, as they do with ser2net")
	case a.Is("insecure"):
		e.comments = append(e.comments, "insecure=true: it leads to another host, without TLS, as it does with ser2net")
	case open && e.listen && !e.verifies && !e.c.readOnly:
		a.Options = append(a.Options, channel.Option{Key: "anonymous", Value: "true"})
		e.comments = append(e.comments, "anonymous=true: other hosts reach "+a.Where+", and whoever comes may type, as with ser2net")
	}
	if transport == "unix" && len(where) > channel.MaxSocketPath {
		e.r.mistake(e.stack.last.at, "unix: a path has at most %d bytes", channel.MaxSocketPath)
		return a, false
	}
	b, err := channel.ParseAddress(a.String())
	if err != nil {
		e.r.mistake(e.stack.last.at, "%s: %v", a, err)
		return a, false
	}
	return b, true
}

// accepter makes frontends of an accepter.
func (r *ser2net) accepter(c *connection) ([]Frontend, bool) {
	st, ok := r.stack(c.accepter)
	if !ok {
		return nil, false
	}
	var own []option
	if len(st.layers) > 0 && st.layers[0].name == "conacc" && st.last.name == "pty" {
		own, st.layers = r.with("conacc", optionsOf["conacc"], st.layers[0].options), st.layers[1:]
	} else if st.last.name == "pty" {
		r.mistake(st.last.at, "pty: want conacc, before it, to have one that users open")
		return nil, false
	}
	e := r.begin(c, st, true)
	e.plain(own)
	if c.users != nil && !e.verifies {
		r.leave(*c.users)
	}
	options := r.with(st.last.name, optionsOf[st.last.name], st.last.options)
	if len(c.from) > 0 && (st.last.name == "unix" || st.last.name == "pty") { // what else there is would let all in
		r.mistake(c.fromAt, "remaddr: by %s nobody comes from a network, so it would let nobody in; leave it out, of this connection at least", st.last.name)
		return nil, false
	}
	network := func() ([]Frontend, bool) {
		if !c.kick || c.max > 1 {
			e.set("max_clients", strconv.Itoa(c.max))
		}
		for _, f := range c.from {
			e.set("from", f)
		}
		return e.ports(e.stack.last.name)
	}
	switch st.last.name {
	case "tcp", "udp":
		for _, o := range options {
			switch o.name {
			case "laddr", "nocon", "mloop", "mttl", "mcast":
				e.refuse(o, "it is for connectors, and has no counterpart")
			default:
				r.leave(o)
			}
		}
		return network()
	case "unix":
		if !c.kick || c.max > 1 {
			e.set("max_clients", strconv.Itoa(c.max))
		}
		e.node(options)
		return e.one("unix", st.rest)
	case "pty":
		link, ok := e.pty(options)
		if !ok || st.rest != "" {
			r.mistake(st.last.at, "pty: want link=PATH, where users find it, and no program")
			return nil, false
		}
		return e.one("pty", link)
	case "dummy":
		return nil, true
	}
	r.mistake(st.last.at, "%s: users can not come by it; want tcp, udp, unix or conacc,pty(link=PATH)", st.last.name)
	return nil, false
}

func (e *end) one(transport, where string) ([]Frontend, bool) {
	a, ok := e.address(transport, where)
	if other, ok := e.r.listens[transport+" "+where]; ok {
		e.r.mistake(e.stack.last.at, "connection %s is at %s already", other, where)
	}
	e.r.listens[transport+" "+where] = e.c.name
	f := Frontend{Endpoint: Endpoint{Address: a, Listen: true}, Comments: e.comments}
	e.comments = nil
	if e.c.readOnly {
		f.Mode = "read-only"
	}
	return []Frontend{f}, ok
}

// ports makes a frontend of each port of a network accepter.
func (e *end) ports(transport string) ([]Frontend, bool) {
	hosts, ok := e.hosts()
	var fronts []Frontend
	for _, h := range hosts {
		if h.host == "" {
			h.host = "0.0.0.0"
		}
		f, good := e.one(transport, net.JoinHostPort(h.host, h.port))
		fronts, ok = append(fronts, f...), ok && good
	}
	return fronts, ok
}

type hostPort struct{ host, port string }

// hosts reads [[ipv4|ipv6,]HOST,]PORT, any number of them: a port ends each.
func (e *end) hosts() ([]hostPort, bool) {
	var all []hostPort
	var parts []string
	for part := range strings.SplitSeq(e.stack.rest, ",") {
		parts = append(parts, strings.TrimSpace(part))
		if _, err := strconv.ParseUint(parts[len(parts)-1], 10, 16); err != nil {
			continue
		}
		host, port, ok := e.r.hostPort(e.stack.from.find(parts[0]), parts)
		if !ok {
			return nil, false
		}
		all, parts = append(all, hostPort{host, port}), nil
	}
	if len(parts) > 0 || len(all) == 0 {
		e.r.mistake(e.stack.last.at, "%s: want HOST,PORT or PORT, with a number for the port, have %q", e.stack.last.name, e.stack.rest)
		return nil, false
	}
	return all, true
}

// node reads what a socket or a pty is to be made with.
func (e *end) node(options []option) {
	mode, said := [3]byte{'6', '6', '6'}, false
	for _, o := range options {
		switch o.name {
		case "umode", "gmode", "omode":
			d, ok := permission(o.value)
			if !ok {
				e.refuse(o, "want a digit from 0 to 7, or of the letters rwx")
				continue
			}
			mode[strings.IndexByte("ugo", o.name[0])], said = d, true
		case "perm":
			if len(o.value) != 3 || strings.Trim(o.value, "01234567") != "" {
				e.refuse(o, "want three digits from 0 to 7")
				continue
			}
			mode, said = [3]byte([]byte(o.value)), true
		case "owner", "group":
			e.set(o.name, o.value)
		default:
			e.r.leave(o)
		}
	}
	if said {
		e.set("mode", "0"+string(mode[:]))
	}
}

// permission is a digit, or the letters for its bits.
func permission(s string) (byte, bool) {
	if len(s) == 1 && s[0] >= '0' && s[0] <= '7' {
		return s[0], true
	}
	d := byte(0)
	for _, c := range s {
		i := strings.IndexRune("xwr", c)
		if i < 0 {
			return 0, false
		}
		d |= 1 << i
	}
	return '0' + d, s != ""
}

// pty reads the options of a pty that is no program's terminal, and returns its link.
func (e *end) pty(options []option) (link string, ok bool) {
	var rest []option
	for _, o := range options {
		switch o.name {
		case "link":
			link = o.value
		case "raw":
			if !e.r.flag(o) {
				e.refuse(o, "a pty is raw here")
			}
		default:
			rest = append(rest, o)
		}
	}
	e.node(rest)
	return link, link != ""
}
