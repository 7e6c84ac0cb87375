package imports

import (
	"net"
	"net/netip"
	"strings"
)

// connector makes a device of a connector.
func (r *ser2net) connector(c *connection) (Endpoint, bool) {
	st, ok := r.stack(c.connector)
	if !ok {
		return Endpoint{}, false
	}
	e := r.begin(c, st, false)
	options := r.with(st.last.name, optionsOf[st.last.name], st.last.options)
	transport, where, listen := st.last.name, st.rest, false
	switch transport {
	case "tcp", "udp":
		e.network(options)
		hosts, ok := e.hosts()
		if !ok {
			return Endpoint{}, false
		}
		ip, _ := netip.ParseAddr(hosts[0].host)
		if len(hosts) > 1 || hosts[0].host == "" || hosts[0].port == "0" || ip.IsUnspecified() {
			r.mistake(st.last.at, "%s: want HOST,PORT, once, of somebody, have %q", transport, st.rest)
			return Endpoint{}, false
		}
		where = net.JoinHostPort(hosts[0].host, hosts[0].port)
	case "unix":
		e.plain(options)
	case "serialdev":
		transport = "serial"
		where = e.serial(st.last.options, st.rest)
	case "pty":
		if st.rest != "" {
			return e.program("exec", options)
		}
		transport, listen = "pty", true
		if where, ok = e.pty(options); !ok {
			r.mistake(st.last.at, "pty: want link=PATH, or a program behind a comma")
			return Endpoint{}, false
		}
	case "stdio":
		return e.program("command", options)
	case "echo":
		transport, where = "sim", "echo"
		for _, o := range options {
			switch {
			case o.name != "noecho":
				r.leave(o)
			case r.flag(o):
				transport, where = "null", ""
			}
		}
	case "file":
		transport, where = "file", ""
		for _, o := range options {
			switch o.name {
			case "infile":
				where = o.value
			case "outfile":
				e.refuse(o, `a device is read here; a frontend with connect = "file:PATH" writes`)
			case "read-close", "create", "umode", "gmode", "omode", "perm":
				e.refuse(o, "a file that is a device is followed while it grows")
			default:
				r.leave(o)
			}
		}
		e.set("mode", "follow")
	case "dummy":
		r.mistake(st.last.at, "dummy: it is for accepters")
		return Endpoint{}, false
	}
	a, ok := e.address(transport, where)
	c.comments = e.comments
	return Endpoint{a, listen}, ok
}

// network reads the options of what dials.
func (e *end) network(options []option) {
	for _, o := range options {
		switch o.name {
		case "laddr":
			if e.stack.last.name != "udp" {
				e.refuse(o, "where a connection comes from is the kernel's choice here")
				continue
			}
			host, port, ok := e.r.hostPort(o.at, strings.Split(o.value, ","))
			if ok {
				e.set("local", net.JoinHostPort(host, port))
			}
		case "nocon", "mloop", "mttl", "mcast":
			e.refuse(o, "there is no multicast here")
		default:
			e.r.leave(o)
		}
	}
}

// program makes a device of a program, which no shell reads in ser2net.
func (e *end) program(transport string, options []option) (Endpoint, bool) {
	st := e.stack
	tail := ""
	for _, o := range options {
		switch o.name {
		case "self", "console", "raw":
			if e.r.flag(o) {
				e.refuse(o, "the daemon's own terminal is no device")
			}
		case "stderr-to-stdout":
			if e.r.flag(o) {
				tail = " 2>&1"
			}
		case "link", "forcelink", "umode", "gmode", "omode", "perm", "owner", "group":
			e.refuse(o, "it is for a pty without a program")
		default:
			e.r.leave(o)
		}
	}
	words, _, ok := split(st.rest, blanks, "")
	if !ok || len(words) == 0 || len(e.layers) > 0 {
		e.r.mistake(st.last.at, "%s: want a program with its arguments, with its quotes closed, and no layers on it, have %q", st.last.name, st.rest)
		return Endpoint{}, false
	}
	var args []string
	for _, w := range words {
		args = append(args, shellWord(w.text))
	}
	a, ok := e.address(transport, strings.Join(args, " ")+tail)
	return Endpoint{Address: a}, ok
}

// shellWord is a word for sh(1).
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=@+%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
