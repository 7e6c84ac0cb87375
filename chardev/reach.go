package chardev

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"chardevd/channel"
)

// Reach tells, in lines for people, how every chardev is reached from this host.
func (s *Server) Reach() []string {
	var lines []string
	for _, c := range s.all() {
		d := c.device.Load()
		state, err, _ := d.state()
		lines = append(lines, fmt.Sprintf("%s: device %s is %s%s", c.name, d.ep.Address, state, because(err)))
		lines = append(lines, "  chardevd attach "+c.name)
		for _, f := range c.frontends() {
			state, err, _ := f.status.get()
			line := f.reach()
			if line == "" || state != StateUp {
				line = fmt.Sprintf("# %s is %s%s", f.ep.Address, state, because(err))
			}
			lines = append(lines, "  "+line)
		}
	}
	for _, d := range s.httpDoors() {
		state, err, _ := d.status.get()
		line := "pages and API: " + d.url()
		if d.url() == "" || state != StateUp {
			line = fmt.Sprintf("# http on %s is %s%s", d.ep.Address, state, because(err))
		}
		lines = append(lines, line)
	}
	return lines
}

func because(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}

// reach is a command line that reaches a listening frontend from this host, or "" where
// nothing that everybody has would do.
func (f *frontend) reach() string {
	line, a := reach(f.ep), f.ep.Address
	switch {
	case line == "":
	case a.Has("rfc2217"):
		// Without a speed miniterm sets the line to 9600.
		if l, err := lineOf[channel.LineKnower](f.hub); err == nil && l.KnownLine().Baud > 0 {
			line += " " + strconv.Itoa(l.KnownLine().Baud)
		}
	case a.Has("tls") && f.asksCertificate():
		if a.Has("ws") {
			return "" // websocat takes no PEM files
		}
		line += " -cert CERT -key KEY"
	}
	return line
}

// asksCertificate says whether who comes to a TLS frontend must show a certificate.
func (f *frontend) asksCertificate() bool {
	name := f.ep.Address.Get("credentials")
	if name == "" {
		return false
	}
	c, err := f.env.Credentials(name)
	return err == nil && c.ClientCAs != nil
}

// reach is that of an endpoint, as far as its address tells.
func reach(ep *Endpoint) string {
	a := ep.Address
	if !ep.Listen {
		return ""
	}
	host := a.Host()
	if a.AllHosts() {
		host = "localhost"
	}
	to := net.JoinHostPort(host, a.Port())
	switch strings.Join(slices.Concat(a.Layers, []string{a.Transport}), "+") {
	case "pty":
		return "picocom " + quote(a.Where)
	case "unix":
		if name, ok := strings.CutPrefix(a.Where, "@"); ok {
			return "socat -,rawer,escape=0x1d ABSTRACT-CONNECT:" + quote(name)
		}
		return "socat -,rawer,escape=0x1d UNIX-CONNECT:" + quote(a.Where)
	case "pipe":
		return "cat " + quote(a.Where+".out") + " & cat > " + quote(a.Where+".in")
	case "vsock":
		if a.Loopback() {
			return "socat -,rawer,escape=0x1d VSOCK-CONNECT:1:" + a.Port()
		}
	case "udp":
		return fmt.Sprintf("nc -u %s %s", host, a.Port())
	case "tcp":
		return fmt.Sprintf("nc %s %s", host, a.Port())
	case "tls+tcp":
		return "openssl s_client -quiet -connect " + to
	case "tls+unix":
		return "openssl s_client -quiet -unix " + quote(a.Where)
	case "telnet+tcp":
		return fmt.Sprintf("telnet %s %s", host, a.Port())
	case "rfc2217+tcp":
		return "python3 -m serial.tools.miniterm rfc2217://" + to
	case "ws+tcp":
		return "websocat -b ws://" + to + path(a)
	case "ws+tls+tcp":
		if a.Get("credentials") == "" { // then the certificate is self-signed
			return "websocat -bk wss://" + to + path(a)
		}
		return "websocat -b wss://" + to + path(a)
	}
	return ""
}

// path is that of a ws address, as it goes into a URL.
func path(a channel.Address) string {
	if a.Path == "" {
		return "/"
	}
	return a.Path
}

// quote is for the shell, where it needs it.
func quote(s string) string {
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-@+,:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
