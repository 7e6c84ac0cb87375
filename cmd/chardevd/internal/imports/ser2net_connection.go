package imports

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// optionsOf are the options that are known, of connections (ser2net) and of gensios. All of
// them can have a default.
var optionsOf = map[string][]string{
	"ser2net": {
		"kickolduser", "max-connections", "remaddr", "connback", "no-con-to-acc", "no-acc-to-con",
		"banner", "signature", "openstr", "closestr", "closeon", "sendon",
		"accepter-retry-time", "connector-retry-time", "timeout-on-os-queue",
		"trace-read", "trace-write", "trace-both",
		"trace-hexdump", "trace-read-hexdump", "trace-write-hexdump", "trace-both-hexdump",
		"trace-timestamp", "trace-read-timestamp", "trace-write-timestamp", "trace-both-timestamp",
		"telnet-brk-on-sync", "chardelay", "chardelay-scale", "chardelay-min", "chardelay-max",
		"dev-to-net-bufsize", "net-to-dev-bufsize", "led-tx", "led-rx",
		"authdir", "pamauth", "allowed-users",
		"mdns", "mdns-interface", "mdns-nettype", "mdns-name", "mdns-type", "mdns-domain", "mdns-host", "mdns-txt", "mdns-sysattrs",
	},
	"tcp":      {"readbuf", "nodelay", "laddr", "reuseaddr", "tcpd", "tcpdname"},
	"udp":      {"readbuf", "laddr", "nocon", "mloop", "mttl", "mcast", "reuseaddr"},
	"unix":     {"readbuf", "delsock", "umode", "gmode", "omode", "perm", "owner", "group"},
	"telnet":   {"readbuf", "writebuf", "rfc2217", "mode"},
	"ssl":      {"readbuf", "writebuf", "CA", "key", "cert", "mode", "clientauth", "allow-authfail"},
	"keepopen": {"readbuf", "retry-time", "discard-badwrites"},
	"conacc":   {"retry-time"},
	"pty":      {"readbuf", "link", "forcelink", "raw", "umode", "gmode", "omode", "perm", "owner", "group"},
	"stdio":    {"readbuf", "self", "console", "raw", "stderr-to-stdout", "noredir-stderr"},
	"echo":     {"readbuf", "noecho"},
	"file":     {"readbuf", "infile", "outfile", "read-close", "create", "umode", "gmode", "omode", "perm"},
	"serialdev": {"readbuf", "nouucplock", "drain-time", "char-drain-wait",
		"speed", "wronly", "nobreak", "rs485", "xonxoff", "rtscts", "local", "dtr", "rts", "hangup-when-done", "custspeed"},
}

// byItself says of options that can be left out what is so instead.
var byItself = map[string]string{
	"banner":               "nobody is shown a banner; of telnet frontends, notices=true tells people what happens",
	"signature":            "who asks over RFC 2217 is told chardevd",
	"openstr":              "nothing is sent to the device when somebody comes",
	"closestr":             "nothing is sent to the device when somebody leaves",
	"closeon":              "nothing that the device prints ends a connection",
	"sendon":               "what the device prints is passed on at once",
	"accepter-retry-time":  "a port that can not be opened is tried again by itself",
	"connector-retry-time": "a device that can not be opened is tried again by itself",
	"timeout-on-os-queue":  "who takes nothing holds up nobody",
	"trace-read":           "what the device prints is in its log, always: chardevd log",
	"trace-write":          "what users type is not written down",
	"trace-both":           "what the device prints is in its log, always: chardevd log; what users type is not",
	"trace-hexdump":        "the log has the bytes; chardevd log --raw gives them to hexdump",
	"trace-timestamp":      "the log knows the times; chardevd log -t shows them",
	"telnet-brk-on-sync":   "a telnet client's break is one; its sync alone is not",
	"chardelay":            "what the device prints is passed on at once",
	"chardelay-scale":      "what the device prints is passed on at once",
	"chardelay-min":        "what the device prints is passed on at once",
	"chardelay-max":        "what the device prints is passed on at once",
	"dev-to-net-bufsize":   "all clients read from the history",
	"net-to-dev-bufsize":   "there is no such buffer to set",
	"led-tx":               "no LED tells of traffic here",
	"led-rx":               "no LED tells of traffic here",
	"mdns":                 "ports are not announced by mDNS",
	"authdir":              "certificates of users are not read from there",
	"pamauth":              "PAM is not asked",
	"allowed-users":        "without authentication it means nothing",
	"tcpd":                 "hosts.allow and hosts.deny are not read: say from=NETWORK in the address, or have a firewall",
	"readbuf":              "there is no such buffer to set",
	"writebuf":             "there is no such buffer to set",
	"drain-time":           "a port is not closed while users come and go",
	"nouucplock":           "no lock files of UUCP are made or looked at; the port is locked by flock(2)",
	"retry-time":           "what breaks is opened again by itself",
	"discard-badwrites":    "what is typed while the device is away is refused, always",
	"noredir-stderr":       "a program's errors go where those of the daemon go",
	"custspeed":            "",
	"reuseaddr":            "",
	"delsock":              "",
	"forcelink":            "",
	"nobreak":              "",
	"nodelay":              "",
}

// reason is why an option can be left out, and whether it can: those of one kind have one
// reason, which stands under the name that they begin with, or end with.
func reason(name string) (string, bool) {
	if why, ok := byItself[name]; ok {
		return why, true
	}
	for begin, end := range map[string]string{"trace-": "-hexdump", "trace-r": "-timestamp", "trace-w": "-timestamp", "trace-b": "-timestamp"} {
		if strings.HasPrefix(name, begin) && strings.HasSuffix(name, end) {
			return byItself["trace"+end], true
		}
	}
	switch {
	case strings.HasPrefix(name, "mdns-"):
		return byItself["mdns"], true
	case name == "char-drain-wait":
		return byItself["drain-time"], true
	case name == "tcpdname":
		return byItself["tcpd"], true
	}
	return "", false
}

// A connection is one of ser2net.
type connection struct {
	name                string
	at                  place
	accepter, connector *value
	max                 int      // of users
	kick                bool     // a newcomer pushes out who is there
	from                []string // networks that may come
	fromAt              place
	readOnly            bool
	users               *option  // allowed-users
	comments            []string // about the device
}

// connection reads a connection: and makes a chardev of it.
func (r *ser2net) connection(key, n *yaml.Node) {
	if !r.named(n) {
		return
	}
	c := &connection{name: n.Anchor, at: r.at(key), max: 1}
	var given []option
	mistakes, notices := len(r.mistakes), len(r.notices)
	seen, off := map[string]bool{}, false
	for key, n := range pairs(n) {
		k := strings.ToLower(key.Value)
		if seen[k] {
			r.mistake(r.at(key), "%s is there already", k)
			continue
		}
		seen[k] = true
		if k == "options" {
			given = r.options(n)
			continue
		}
		v, ok := r.scalar(n)
		switch {
		case !ok:
		case k == "accepter":
			c.accepter = v
		case k == "connector":
			c.connector = v
		case k == "timeout":
			if n, err := strconv.ParseUint(v.text, 0, 32); err != nil {
				r.mistake(v.at, "timeout: want a number of seconds, have %q", v.text)
			} else if n > 0 {
				r.notice(v.at, "timeout: who is idle may stay; chardevd kick ends him")
			}
		case k == "enable" && strings.EqualFold(v.text, "off"):
			off = true
		case k == "enable" && !strings.EqualFold(v.text, "on"):
			r.mistake(v.at, "enable: want on or off, have %q", v.text)
		case k == "enable":
		default:
			r.unknown(r.at(key), "key", key.Value, "accepter", "connector", "timeout", "enable", "options")
		}
	}
	for what, v := range map[string]*value{"accepter": c.accepter, "connector": c.connector} {
		if v == nil && !seen[what] {
			r.mistake(c.at, "connection %s has no %s", c.name, what)
		}
	}
	if off {
		r.notices = r.notices[:notices]
		r.notice(c.at, "connection %s is off (enable: off), and left out", c.name)
		return
	}
	if c.accepter == nil || c.connector == nil {
		return
	}
	for _, o := range r.with("ser2net", optionsOf["ser2net"], given) {
		r.connectionOption(c, o)
	}
	device, ok := r.connector(c)
	fronts, fok := r.accepter(c)
	if ok && fok && len(r.mistakes) == mistakes && !r.add(c, device, fronts) {
		r.notices = append(r.notices[:notices], r.notices[len(r.notices)-1])
	}
}

// options reads the mapping options: of a connection.
func (r *ser2net) options(n *yaml.Node) []option {
	var list []option
	if n.Kind != yaml.MappingNode {
		r.mistake(r.at(n), "options: want a mapping")
		return nil
	}
	for key, n := range pairs(n) {
		if v, ok := r.scalar(n); ok {
			list = append(list, option{name: strings.ReplaceAll(key.Value, "_", "-"), value: v.text, given: true, at: r.at(key)})
		}
	}
	return list
}

// connectionOption reads one of a connection's options.
func (r *ser2net) connectionOption(c *connection, o option) {
	switch o.name {
	case "kickolduser":
		if c.kick = r.flag(o); c.kick {
			r.notice(o.at, "kickolduser: a newcomer has the console besides those who are there, who stay")
		}
	case "max-connections":
		n, err := strconv.Atoi(o.value)
		if err != nil || n > 65536 {
			r.mistake(o.at, "max-connections: want a number, have %q", o.value)
			return
		}
		c.max = max(1, n)
	case "remaddr":
		r.remaddr(c, o)
	case "no-acc-to-con":
		c.readOnly = r.flag(o)
	case "no-con-to-acc":
		if r.flag(o) {
			r.mistake(o.at, "no-con-to-acc: there is no frontend here that can type and not read")
		}
	case "connback":
		if o.value != "" {
			r.mistake(o.at, `connback: a frontend with connect = "…" keeps such a connection, and none is made only when bytes come; leave it out, and add that frontend`)
		}
	case "allowed-users":
		c.users = &o
	case "telnet-brk-on-sync", "chardelay", "mdns", "mdns-sysattrs", "timeout-on-os-queue":
		if r.flag(o) {
			r.leave(o)
		}
	default:
		if o.value == "" && (o.name == "banner" || o.name == "openstr" || o.name == "closestr") {
			return
		}
		r.leave(o)
	}
}

// leave tells of an option that is left out, or that it is not known.
func (r *ser2net) leave(o option) {
	why, ok := reason(o.name)
	switch {
	case !ok:
		r.unknown(o.at, "option", o.name, optionsOf[o.class]...)
	case why != "":
		r.notice(o.at, "%s: %s", o.name, why)
	}
}

// flag is a truth value as gensio reads it; a name alone is true.
func (r *ser2net) flag(o option) bool {
	switch strings.ToLower(o.value) {
	case "true", "yes", "on", "1":
		return true
	case "false", "no", "off", "0":
		return false
	case "":
		return !o.given
	}
	r.mistake(o.at, "%s: want true or false, have %q", o.name, o.value)
	return false
}

// remaddr reads who may come: hosts, with ports, between semicolons.
func (r *ser2net) remaddr(c *connection, o option) {
	for one := range strings.SplitSeq(o.value, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if strings.HasPrefix(one, "!") {
			r.mistake(o.at, `remaddr: %q has the daemon connect back; leave it out, and add a frontend with connect = "…"`, one)
			return
		}
		host, port, ok := r.hostPort(o.at, strings.Split(strings.TrimPrefix(strings.TrimPrefix(one, "tcp,"), "udp,"), ","))
		if !ok {
			return
		}
		addr, err := netip.ParseAddr(host)
		if err != nil {
			r.mistake(o.at, "remaddr: who may come is known by address here, and %q is none", cmp.Or(host, one))
			return
		}
		if port != "0" {
			r.notice(o.at, "remaddr: %s may come from any of its ports, not from %s alone", host, port)
		}
		c.from, c.fromAt = append(c.from, addr.String()), o.at
	}
}

// hostPort reads HOST,PORT with a protocol of IP before it, or PORT.
func (r *ser2net) hostPort(at place, parts []string) (host, port string, ok bool) {
	if len(parts) > 1 && (parts[0] == "ipv4" || parts[0] == "ipv6" || parts[0] == "ipv6n4") {
		parts = parts[1:]
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	port = parts[len(parts)-1]
	if len(parts) == 2 {
		host = parts[0]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(parts) > 2 || len(parts) == 2 && host == "" {
		r.mistake(at, "want HOST,PORT or PORT, with a number for the port, have %q", strings.Join(parts, ","))
		return "", "", false
	}
	return host, fmt.Sprint(n), true
}

// add makes a chardev of a connection, and says whether it did. Connections to one port are
// one chardev, if they set it the same; else the first has it, and a notice tells so.
func (r *ser2net) add(c *connection, device Endpoint, fronts []Frontend) bool {
	port := device.Address.Where
	if i, ok := r.devices[port]; ok && device.Address.Transport == "serial" {
		first := &r.out.Chardevs[i]
		if have := first.Device.Address; have.String() != device.Address.String() {
			r.notice(c.at, "connection %s is left out: %s is %s's already, as %s, and a port has one setting here; chardevd line %s changes it while users are there",
				c.name, port, first.Name, have, first.Name)
			return false
		}
		r.notice(c.at, "connection %s leads to %s, which has %s already", c.name, first.Name, port)
		first.Comments = append(first.Comments, fmt.Sprintf("and connection %s, %s:%d", c.name, r.file, c.at.line))
		first.Frontends = append(first.Frontends, fronts...)
		return true
	}
	name := strings.TrimLeft(nameOf(c.name), notFirst)
	name = cmp.Or(name[:min(len(name), 60)], "console")
	for i, base := 2, name; r.names[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	if name != c.name {
		r.notice(c.at, "connection %s is chardev %s: a name begins with a letter or a digit, has at most 64 of them and of . _ -, and is given once", c.name, name)
	}
	r.names[name] = true
	if device.Address.Transport == "serial" {
		r.devices[port] = len(r.out.Chardevs)
	}
	comments := append([]string{fmt.Sprintf("connection %s, %s:%d", c.name, r.file, c.at.line)}, c.comments...)
	r.out.Chardevs = append(r.out.Chardevs, Chardev{Comments: comments, Name: name, Device: device, Frontends: fronts})
	return true
}
