package imports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"chardevd/channel"
)

// Libvirt reads the XML of a libvirt domain (formatdomain, "Consoles, serial, parallel &
// channel devices"), as of virsh dumpxml. It makes the peer of each console, or what the
// domain has itself if asWritten. file is what messages call the text.
func Libvirt(file, text string, asWritten bool) (*Config, error) {
	v := &libvirt{
		guestImporter: guestImporter{
			source: source{file: file, text: text}, asWritten: asWritten, out: new(Config),
			comes: "type='unix' of %s, with <source mode='connect' path='%s'><reconnect enabled='yes' timeout='1'/></source>,",
		},
		counts: map[string]int{},
	}
	if root := v.parse(); root != nil {
		v.domain(root)
	}
	return v.finish("there is no domain with a serial, console, channel or parallel device here")
}

// A libvirt is one Libvirt.
type libvirt struct {
	guestImporter
	counts map[string]int // of devices, by element
	first  *element       // the first serial, which a console may repeat
}

// An element is one of the XML.
type element struct {
	name     string
	at       place
	attrs    map[string]string
	children []*element
	text     string
}

// child is the first child of a name, nil without.
func (e *element) child(name string) *element {
	if e != nil {
		for _, c := range e.children {
			if c.name == name {
				return c
			}
		}
	}
	return nil
}

// attr is an attribute, "" without.
func (e *element) attr(name string) string {
	if e == nil {
		return ""
	}
	return e.attrs[name]
}

// mostDeep is how deep elements may lie in each other: those of libvirt are far from it.
const mostDeep = 100

// parse reads the text as one tree; nil after a mistake.
func (v *libvirt) parse() *element {
	d := xml.NewDecoder(strings.NewReader(v.text))
	top := &element{}
	open := []*element{top}
	for {
		at := v.place(int(min(d.InputOffset(), int64(len(v.text)))))
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(open) > mostDeep {
			message := "elements lie too deep"
			if bad, ok := errors.AsType[*xml.SyntaxError](err); ok {
				message = bad.Msg
			} else if err != nil {
				message = err.Error()
			}
			v.mistake(v.place(int(min(d.InputOffset(), int64(len(v.text))))), "this is no XML: %s", message)
			return nil
		}
		in := open[len(open)-1]
		switch t := t.(type) {
		case xml.StartElement:
			e := &element{name: t.Name.Local, at: at, attrs: map[string]string{}}
			for _, a := range t.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			in.children = append(in.children, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			in.text += string(bytes.TrimSpace(t))
		}
	}
	root := top.child("domain")
	if status := top.child("domstatus"); root == nil && status != nil {
		root = status.child("domain")
	}
	if root == nil {
		v.mistake(place{1, 1}, "want the XML of a domain: virsh dumpxml NAME")
	}
	return root
}

// domain reads the devices of a domain.
func (v *libvirt) domain(root *element) {
	if name := root.child("name"); name != nil {
		v.machine = name.text
	}
	devices := root.child("devices")
	if devices == nil {
		return
	}
	for _, e := range devices.children {
		switch e.name {
		case "serial":
			if v.first == nil {
				v.first = e
			}
			v.device(e)
		case "console", "channel", "parallel":
			v.device(e)
		}
	}
}

// device reads one that has a character device.
func (v *libvirt) device(e *element) {
	number := v.counts[e.name]
	v.counts[e.name]++
	target := e.child("target")
	name := fmt.Sprintf("%s%d", e.name, number)
	if alias := e.child("alias").attr("name"); alias != "" {
		name = alias
	} else if port := target.attr("port"); port != "" {
		name = e.name + port
	}
	kind := e.attr("type")
	c := &console{what: fmt.Sprintf("%s %s (%s)", e.name, name, kind), at: e.at, name: name}
	if tname := target.attr("name"); e.name == "channel" && (tname == "com.redhat.spice.0" || strings.HasPrefix(tname, "org.qemu.guest_agent.")) {
		v.skip(e.at, "%s is left out: %s is for programs that ask an agent in the guest, no console", c.what, tname)
		return
	}
	if e.name == "console" && target.attr("type") != "virtio" && v.first != nil && number == 0 && kind == v.first.attr("type") {
		v.notice(e.at, "%s is the first serial once more, as libvirt writes it", c.what)
		return
	}
	c.comments = []string{strings.TrimSpace(fmt.Sprintf("%s %s of the domain %s (%s)", e.name, name, v.machine, kind))}
	if log := e.child("log"); log != nil {
		c.log = true
		v.notice(log.at, "%s: log: chardevd keeps a log of its own, in the state folder: leave it out of the XML", c.what)
	}
	end, ok := v.end(c, e, kind)
	if ok {
		c.ends = []Endpoint{end}
		v.add(c)
	}
}

// libvirtRefused are the types that can have no other end here, and why.
var libvirtRefused = map[string]string{
	"stdio": "it is the terminal of libvirt's QEMU, where nobody else can be: use type='unix'",
	"vc":    "it is in QEMU's own window, where nobody else can be: use type='unix'",
	"nmdm":  "it is for bhyve",
}

// libvirtNotHere are the types that no console has, and why.
var libvirtNotHere = map[string]string{
	"null":         "swallows what is printed, and nothing ever comes of it",
	"spicevmc":     "is a channel of SPICE",
	"spiceport":    "is a channel of SPICE",
	"qemu-vdagent": "is QEMU's own clipboard",
	"dbus":         "is a display's, by D-Bus",
}

// end is the end of a device of a type.
func (v *libvirt) end(c *console, e *element, kind string) (Endpoint, bool) {
	source := e.child("source")
	at := e.at
	if source != nil {
		at = source.at
	}
	where := source.attr("path")
	wrong := func(format string, args ...any) (Endpoint, bool) {
		v.mistake(at, "%s: %s", c.what, fmt.Sprintf(format, args...))
		return Endpoint{}, false
	}
	if slices.Contains([]string{"unix", "file", "pipe", "dev"}, kind) && where == "" {
		if kind == "unix" {
			return wrong("source: path is missing: libvirt makes one up when the domain starts, so take the XML of one that runs, or write a path")
		}
		return wrong("source: path is missing")
	}
	switch kind {
	case "unix":
		serves, ok := v.serves(c, source)
		if !ok {
			return Endpoint{}, false
		}
		c.retry = v.retry(source, serves)
		return v.unix(at, c.what, where, serves)
	case "tcp":
		return v.tcpEnd(c, e)
	case "udp":
		return v.udpEnd(c, e)
	case "pty":
		return v.ptyEnd(c, e, where, at)
	case "file":
		mode := "follow"
		if v.asWritten {
			mode = either(source.attr("append") == "on", "append", "truncate")
		} else {
			c.comments = append(c.comments, "nothing can be typed into a file")
		}
		return v.path(at, c.what, "file", where, false, channel.Option{Key: "mode", Value: mode})
	case "pipe":
		return v.path(at, c.what, "pipe", where, v.asWritten)
	case "dev":
		if !v.asWritten {
			return wrong("source: the other end of a port of this host is at the end of its wire, and two cannot have the port: with --as-written chardevd has it and QEMU comes to chardevd")
		}
		return v.path(at, c.what, "serial", where, false, channel.Option{Key: "baud", Value: "115200"})
	}
	if why := libvirtRefused[kind]; why != "" {
		return wrong("type: %s", why)
	}
	if why := libvirtNotHere[kind]; why != "" {
		v.skip(e.at, "%s is left out: %s %s", c.what, kind, why)
		return Endpoint{}, false
	}
	if kind == "" {
		return wrong("type is missing")
	}
	known := []string{"unix", "tcp", "udp", "pty", "file", "pipe", "dev"}
	if near := channel.Nearest(kind, append(known, append(sortedKeys(libvirtRefused), sortedKeys(libvirtNotHere)...)...)); near != "" {
		return wrong("type: there is no %s, did you mean %q?", quoted(kind), near)
	}
	return wrong("type: there is no %s", quoted(kind))
}

// serves says whether a source listens.
func (v *libvirt) serves(c *console, source *element) (serves, ok bool) {
	switch mode := source.attr("mode"); mode {
	case "bind":
		return true, true
	case "connect", "":
		return false, true
	default:
		v.mistake(source.at, "%s: source: mode: want bind or connect, have %s", c.what, quoted(mode))
		return false, false
	}
}

// retry is how often a source that connects is tried again, as a duration.
func (v *libvirt) retry(source *element, serves bool) string {
	r := source.child("reconnect")
	if serves || r.attr("enabled") != "yes" {
		return ""
	}
	if d, err := channel.ParseDuration(r.attr("timeout") + "s"); err != nil || d <= 0 || d > longestRetry {
		return ""
	}
	return r.attr("timeout") + "s"
}

// libvirtLayers are those of a protocol.
var libvirtLayers = map[string][]string{"": nil, "raw": nil, "telnet": {"telnet"}, "telnets": {"telnet", "tls"}, "tls": {"tls"}}

func (v *libvirt) tcpEnd(c *console, e *element) (Endpoint, bool) {
	source := e.child("source")
	if source == nil {
		v.mistake(e.at, "%s: source is missing", c.what)
		return Endpoint{}, false
	}
	serves, ok := v.serves(c, source)
	if !ok {
		return Endpoint{}, false
	}
	protocol := e.child("protocol")
	layers, ok := libvirtLayers[protocol.attr("type")]
	if !ok {
		v.mistake(protocol.at, "%s: protocol: want raw, telnet, telnets or tls, have %s", c.what, quoted(protocol.attr("type")))
		return Endpoint{}, false
	}
	t := tcpEnd{host: source.attr("host"), port: source.attr("service"), hostAt: source.at, portAt: source.at, serves: serves, layers: layers}
	if source.attr("tls") == "yes" && (len(layers) == 0 || layers[len(layers)-1] != "tls") {
		t.layers = append(append([]string{}, layers...), "tls")
	}
	if n := len(t.layers); n > 0 && t.layers[n-1] == "tls" {
		v.credentials(c, source)
		t.options = []channel.Option{{Key: "credentials", Value: libvirtCredentials}}
	}
	c.retry = v.retry(source, serves)
	return v.tcp(c, t)
}

// What libvirt's TLS of character devices is, unless qemu.conf says otherwise
// (chardev_tls_x509_cert_dir there).
const (
	libvirtCredentials = "libvirt-chardev"
	libvirtDir         = "/etc/pki/libvirt-chardev"
)

func (v *libvirt) credentials(c *console, source *element) {
	if len(v.out.Credentials) > 0 {
		return
	}
	v.notice(source.at, "%s: tls: qemu.conf says where its certificates are (chardev_tls_x509_cert_dir): if not in %s, write it in [credentials.%s]", c.what, libvirtDir, libvirtCredentials)
	v.out.Credentials = append(v.out.Credentials, Credentials{Name: libvirtCredentials, Dir: libvirtDir, Comments: []string{"what libvirt has for TLS of character devices"}})
}

func (v *libvirt) udpEnd(c *console, e *element) (Endpoint, bool) {
	u := udpEnd{hostAt: e.at, portAt: e.at, localHostAt: e.at, localPortAt: e.at}
	for _, s := range e.children {
		switch {
		case s.name != "source":
		case s.attr("mode") == "bind":
			u.localHost, u.localPort, u.localHostAt, u.localPortAt = s.attr("host"), s.attr("service"), s.at, s.at
		default:
			u.host, u.port, u.hostAt, u.portAt = s.attr("host"), s.attr("service"), s.at, s.at
		}
	}
	return v.udp(c, u)
}

func (v *libvirt) ptyEnd(c *console, e *element, where string, at place) (Endpoint, bool) {
	if where == "" {
		where = e.attr("tty")
	}
	switch {
	case v.asWritten:
		return v.namedTTY(c), true
	case where == "":
		v.mistake(at, "%s: pty: its tty is known only while the domain runs, and has another name each time: use type='unix' with mode='bind'", c.what)
		return Endpoint{}, false
	case strings.HasPrefix(where, "/dev/pts/"):
		v.notice(at, "%s: pty: %s is its tty until the domain ends; it has another name the next time: type='unix' with mode='bind' has one that stays", c.what, where)
	}
	return v.path(at, c.what, "pty", where, false)
}
