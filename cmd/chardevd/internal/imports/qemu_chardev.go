package imports

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"chardevd/channel"
)

// chardevKeys are those of -chardev. QEMU has one list for all backends
// (qemu_chardev_opts, chardev/char.c).
var chardevKeys = keys{
	"backend": anyText, "path": anyText, "input-path": anyText, "host": anyText, "port": anyText, "fd": anyText,
	"localaddr": anyText, "localport": anyText, "to": aNumber, "ipv4": onOff, "ipv6": onOff,
	"wait": onOff, "server": onOff, "delay": onOff, "nodelay": onOff, "reconnect": aNumber, "reconnect-ms": aNumber,
	"telnet": onOff, "tn3270": onOff, "tls-creds": anyText, "tls-authz": anyText, "websocket": onOff,
	"width": aNumber, "height": aNumber, "cols": aNumber, "rows": aNumber, "encoding": anyText,
	"mux": onOff, "signal": onOff, "name": anyText, "debug": aNumber, "size": aSize, "chardev": anyText,
	"append": onOff, "logfile": anyText, "logappend": onOff, "logtimestamp": onOff,
	"mouse": onOff, "clipboard": onOff, "abstract": onOff, "tight": onOff,
	"chardevs.0": anyText, "chardevs.1": anyText, "chardevs.2": anyText, "chardevs.3": anyText,
}

// commonKeys are those that every backend has.
var commonKeys = []string{"backend", "id", "mux", "logfile", "logappend", "logtimestamp"}

// A backend is one of QEMU's: which keys it looks at, and what its end is here.
type backend struct {
	keys []string
	end  func(*qemu, *qemuChardev) (Endpoint, bool)
}

var backends = map[string]*backend{
	"socket": {[]string{"host", "port", "to", "ipv4", "ipv6", "path", "abstract", "tight", "fd", "server", "wait", "delay", "nodelay", "telnet", "tn3270", "websocket", "tls-creds", "tls-authz", "reconnect", "reconnect-ms"}, (*qemu).socket},
	"udp":    {[]string{"host", "port", "localaddr", "localport", "ipv4", "ipv6"}, (*qemu).datagrams},
	"pty":    {[]string{"path"}, (*qemu).pty},
	"file":   {[]string{"path", "input-path", "append"}, (*qemu).file},
	"pipe":   {[]string{"path"}, (*qemu).pipe},
	"serial": {[]string{"path"}, (*qemu).hostPort},

	"parallel": {[]string{"path"}, refuse("there are no parallel ports here")},
	"stdio":    {[]string{"signal"}, refuse("it is the terminal that QEMU was started at, where nobody else can be: give it -chardev socket,id=…,path=…,server=on,wait=off instead")},
	"vc":       {[]string{"width", "height", "cols", "rows", "encoding"}, refuse("it is in QEMU's own window, where nobody else can be: give it -chardev socket,id=…,path=…,server=on,wait=off instead")},
	"console":  {nil, refuse("it is a window of Windows: give it -chardev socket instead")},
	"ringbuf":  {[]string{"size"}, refuse("it has no other end: its history is what chardevd has of every console, so give it -chardev socket,id=…,path=…,server=on,wait=off instead")},
}

// backendNotHere are backends that no console has, and why.
var backendNotHere = map[string]string{
	"null":         "swallows what is printed, and nothing ever comes of it",
	"msmouse":      "is a mouse",
	"wctablet":     "is a tablet",
	"braille":      "is a Braille display",
	"testdev":      "ends QEMU when a test is over",
	"spicevmc":     "is a channel of SPICE",
	"spiceport":    "is a channel of SPICE",
	"qemu-vdagent": "is QEMU's own clipboard",
	"dbus":         "is a display's, by D-Bus",
}

// qemuAliases are other names of backends.
var qemuAliases = map[string]string{"tty": "serial", "parport": "parallel", "memory": "ringbuf"}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// refuse is the end of a backend that can have none here.
func refuse(why string) func(*qemu, *qemuChardev) (Endpoint, bool) {
	return func(q *qemu, c *qemuChardev) (Endpoint, bool) {
		q.mistake(q.whereBackend(c), "%s: %s: %s", c.what, c.backend, why)
		return Endpoint{}, false
	}
}

// keyAt is where a key stands, or the whole if it does not.
func (q *qemu) keyAt(c *qemuChardev, key string) place { return q.place(c.where(key)) }

// valueAt is where the value of a key stands.
func (q *qemu) valueAt(c *qemuChardev, key string) place {
	if i := c.last(key); i != nil {
		return q.place(i.at)
	}
	return c.at
}

// ends sets what the console's ends are.
func (q *qemu) ends(c *qemuChardev) bool {
	e, ok := backends[c.backend].end(q, c)
	q.common(c)
	c.console.ends = append(c.console.ends, e)
	return ok
}

// common reads the keys that every backend has.
func (q *qemu) common(c *qemuChardev) {
	if i := c.last("logfile"); i != nil {
		c.log = true
		q.notice(q.place(i.keyAt), "%s: logfile: chardevd keeps a log of its own, in the state folder: leave it out of QEMU's options", c.what)
	}
	if c.is("mux", false) {
		q.notice(q.keyAt(c, "mux"), "%s: mux: ^A is for QEMU still, before the guest has it", c.what)
	}
}

// unused tells of keys that QEMU takes and does nothing with, for this backend.
func (q *qemu) unused(c *qemuChardev) {
	for _, i := range c.items {
		if !i.used && !slices.Contains(backends[c.backend].keys, i.key) && !slices.Contains(commonKeys, i.key) {
			q.notice(q.place(i.keyAt), "%s: %s: it is nothing to %s, in QEMU too", c.what, i.key, c.backend)
		}
	}
}

// clash tells that two keys can not be together, at the second.
func (q *qemu) clash(c *qemuChardev, a, b, why string) {
	if !c.has(a) || !c.has(b) {
		return
	}
	if c.where(a) > c.where(b) {
		a, b = b, a
	}
	q.mistake(q.keyAt(c, b), "%s: %s: %s is given too, and %s", c.what, b, a, why)
}

// longestRetry is how long a config file lets pass between two tries.
const longestRetry = 24 * time.Hour

// socket is a stream socket (qemu_chr_parse_socket, chardev/char-socket.c).
func (q *qemu) socket(c *qemuChardev) (Endpoint, bool) {
	before := len(q.mistakes)
	server := c.is("server", false)
	wrong := func(key, format string, args ...any) {
		q.mistake(q.keyAt(c, key), "%s: %s: %s", c.what, key, fmt.Sprintf(format, args...))
	}
	const one = "a socket has one of path, fd and host"
	q.clash(c, "path", "fd", one)
	q.clash(c, "path", "host", one)
	q.clash(c, "fd", "host", one)
	q.clash(c, "delay", "nodelay", "they are the same")
	q.clash(c, "reconnect", "reconnect-ms", "they are the same")
	if c.has("host") && !c.has("port") {
		wrong("host", "port is missing")
	} else if !c.has("path") && !c.has("fd") && !c.has("port") {
		q.mistake(c.at, "%s: want path= of a UNIX socket, or port= and host= of TCP", c.what)
	}
	for _, key := range []string{"reconnect", "reconnect-ms"} {
		if c.has(key) && server {
			wrong(key, "it is for a client, and this one has server=on")
		}
	}
	if c.has("wait") && !server {
		wrong("wait", "it is for a server, and this one has no server=on")
	}
	if c.is("websocket", false) && !server {
		wrong("websocket", "QEMU has it for a server only, and this one has no server=on")
	}
	if c.has("tls-authz") && !c.has("tls-creds") {
		wrong("tls-authz", "tls-creds is missing")
	}
	if c.has("tls-creds") && c.has("path") {
		wrong("tls-creds", "QEMU has TLS over TCP only, and this is a UNIX socket")
	}
	if c.is("tn3270", false) {
		wrong("tn3270", "the terminals of mainframes are not spoken here")
	}
	if c.has("fd") {
		wrong("fd", "%s is a descriptor that whoever starts QEMU gives it, which has no address; for libvirt's there is its XML: chardevd import libvirt", quoted(c.get("fd")))
	}
	if len(q.mistakes) > before {
		return Endpoint{}, false
	}
	q.reconnect(c, server)
	if c.has("path") {
		return q.unixSocket(c, server)
	}
	return q.tcpSocket(c, server)
}

// reconnect reads how often a client tries again.
func (q *qemu) reconnect(c *qemuChardev, server bool) {
	unit, written := "s", c.get("reconnect")
	if c.has("reconnect-ms") {
		unit, written = "ms", c.get("reconnect-ms")
	}
	n, _ := parseNumber(written)
	switch {
	case server:
	case n == 0 && !q.asWritten:
		q.notice(c.at, "%s: without reconnect QEMU dials once, when it starts, and needs chardevd to be there: add reconnect=1 (from 9.2 on, reconnect-ms=1000)", c.what)
	case n > 0:
		c.retry = fmt.Sprintf("%d%s", n, unit)
		if d, err := channel.ParseDuration(c.retry); err != nil || d > longestRetry {
			c.retry = channel.FormatDuration(longestRetry)
		}
	}
}

func (q *qemu) unixSocket(c *qemuChardev, server bool) (Endpoint, bool) {
	at, where := q.valueAt(c, "path"), c.get("path")
	if !c.is("abstract", false) {
		return q.unix(at, c.what, where, server)
	}
	if !c.is("tight", true) {
		q.mistake(q.keyAt(c, "tight"), "%s: tight: such a name goes on with NUL bytes, which no address here has: leave it out", c.what)
		return Endpoint{}, false
	}
	return q.abstract(at, c.what, where, server)
}

func (q *qemu) tcpSocket(c *qemuChardev, server bool) (Endpoint, bool) {
	t := tcpEnd{
		host: c.get("host"), port: c.get("port"), hostAt: q.valueAt(c, "host"), portAt: q.valueAt(c, "port"),
		serves: server, v6: c.is("ipv6", false) && !c.is("ipv4", false),
	}
	if i := c.last("to"); i != nil && server {
		q.notice(q.place(i.keyAt), "%s: to: QEMU listens at a later port if %s is taken: then write that one", c.what, t.port)
	}
	for _, layer := range []struct{ key, name string }{{"telnet", "telnet"}, {"websocket", "ws"}} {
		if c.is(layer.key, false) {
			t.layers = append(t.layers, layer.name)
		}
	}
	if i := c.last("tls-creds"); i != nil {
		options, ok := q.useCredentials(c, i, server)
		if !ok {
			return Endpoint{}, false
		}
		t.layers, t.options = append(t.layers, "tls"), options
	}
	return q.tcp(&c.console, t)
}

func (q *qemu) datagrams(c *qemuChardev) (Endpoint, bool) {
	if !c.has("port") {
		q.mistake(c.at, "%s: port is missing", c.what)
		return Endpoint{}, false
	}
	return q.udp(&c.console, udpEnd{
		host: c.get("host"), port: c.get("port"), localHost: c.get("localaddr"), localPort: c.get("localport"),
		hostAt: q.valueAt(c, "host"), portAt: q.valueAt(c, "port"), localHostAt: q.valueAt(c, "localaddr"), localPortAt: q.valueAt(c, "localport"),
	})
}

// pathOf is the path that a backend must have.
func (q *qemu) pathOf(c *qemuChardev) (at place, where string, ok bool) {
	if !c.has("path") {
		q.mistake(c.at, "%s: path is missing", c.what)
		return place{}, "", false
	}
	return q.valueAt(c, "path"), c.get("path"), true
}

func (q *qemu) pty(c *qemuChardev) (Endpoint, bool) {
	at, where := q.valueAt(c, "path"), c.get("path")
	switch {
	case c.has("path"):
	case q.asWritten:
		return q.namedTTY(&c.console), true
	default:
		q.mistake(q.whereBackend(c), "%s: pty: its tty has another name each time that QEMU starts: give it path= (from 10.0 on), or -chardev socket instead", c.what)
		return Endpoint{}, false
	}
	return q.path(at, c.what, "pty", where, q.asWritten)
}

func (q *qemu) file(c *qemuChardev) (Endpoint, bool) {
	at, where, ok := q.pathOf(c)
	if !ok {
		return Endpoint{}, false
	}
	if i := c.last("input-path"); i != nil {
		q.notice(q.place(i.keyAt), "%s: input-path: what the guest reads comes of that file alone", c.what)
	}
	mode := "follow"
	if q.asWritten {
		mode = either(c.is("append", false), "append", "truncate")
	} else {
		c.comments = append(c.comments, "nothing can be typed into a file")
	}
	return q.path(at, c.what, "file", where, false, channel.Option{Key: "mode", Value: mode})
}

func (q *qemu) pipe(c *qemuChardev) (Endpoint, bool) {
	at, where, ok := q.pathOf(c)
	if !ok {
		return Endpoint{}, false
	}
	return q.path(at, c.what, "pipe", where, q.asWritten)
}

// hostPort is a serial port of the host, which QEMU and chardevd cannot both have.
func (q *qemu) hostPort(c *qemuChardev) (Endpoint, bool) {
	at, where, ok := q.pathOf(c)
	switch {
	case !ok:
		return Endpoint{}, false
	case !q.asWritten:
		q.mistake(at, "%s: %s: the other end of a port of this host is at the end of its wire, and two cannot have the port: with --as-written chardevd has it and QEMU comes to chardevd", c.what, either(c.backend == "serial", "path", c.backend))
		return Endpoint{}, false
	}
	return q.path(at, c.what, "serial", where, false, channel.Option{Key: "baud", Value: "115200"})
}

// joinMembers finds those that are of a hub or a mux, which is one console then.
func (q *qemu) joinMembers() {
	for _, c := range q.chardevs {
		var members []string
		switch c.backend {
		case "mux":
			members = []string{"chardev"}
		case "hub":
			for n := range 4 {
				if key := fmt.Sprintf("chardevs.%d", n); c.has(key) {
					if n > len(members) {
						q.mistake(q.keyAt(c, key), "%s: %s: there is no chardevs.%d before it", c.what, key, len(members))
					}
					members = append(members, key)
				}
			}
		default:
			continue
		}
		q.join(c, members)
	}
}

func (q *qemu) join(c *qemuChardev, keys []string) {
	var found []*qemuChardev
	for _, key := range keys {
		i := c.last(key)
		if i == nil {
			break
		}
		m := q.byID[i.value]
		switch {
		case m == nil:
			q.mistake(q.place(i.at), "%s: %s: there is no chardev %s", c.what, key, quoted(i.value))
		case m.backend == "mux" || m.backend == "hub":
			q.mistake(q.place(i.at), "%s: %s: %s is a %s itself, which QEMU does not take", c.what, key, m.what, m.backend)
		case m.member != nil:
			q.mistake(q.place(i.at), "%s: %s: %s is one of chardev %s already", c.what, key, m.what, m.member.id)
		default:
			m.member = c
			found = append(found, m)
		}
	}
	if len(keys) == 0 || len(keys) == 1 && !c.has(keys[0]) {
		q.mistake(c.at, "%s: %s is missing", c.what, either(c.backend == "mux", "chardev", "chardevs.0"))
	}
	c.members = found
}

// group makes one console of a hub or a mux: it is its members' first whose end can be
// had, as each of them is a way to the same guest; or all of them, if as written.
func (q *qemu) group(c *qemuChardev) bool {
	var names []string
	for _, m := range c.members {
		names = append(names, m.id)
		if q.asWritten {
			if backendNotHere[m.backend] != "" || !q.ends(m) {
				continue
			}
			c.retry = either(c.retry == "", m.retry, c.retry)
		} else if len(c.console.ends) > 0 {
			q.notice(m.at, "%s: it is another way to %s, and not needed: whoever used it comes to chardevd", m.what, c.id)
			continue
		} else if why := backendNotHere[m.backend]; why != "" || !q.ends(m) {
			continue
		}
		q.unused(m)
		c.console.ends = append(c.console.ends, m.console.ends...)
		c.comments = append(c.comments, m.comments...)
	}
	q.common(c)
	if len(c.console.ends) == 0 {
		q.mistake(c.at, "%s: none of its members (%s) can be had", c.what, strings.Join(names, ", "))
	}
	return len(c.console.ends) > 0
}
