package channel

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// hosts is what the hosts of a network are.
type hosts struct {
	check func(where string) error // is it a host:port of this network?

	// canonical is one form for all ways to write a host; "" is all that this machine has.
	canonical func(host string) string
	loopback  func(host string) bool // can it be reached from this machine only?

	named bool // a host is what its certificate is for, and what an HTTP request names
}

// ipHosts are those of the Internet protocols.
var ipHosts = &hosts{check: checkHostPort, canonical: canonicalIP, loopback: loopbackIP, named: true}

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("want host:port, have %q (an IPv6 address stands in brackets)", s)
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsFunc(host, notInHost) {
		return fmt.Errorf("%q is neither a host's name nor an IP address", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

// notInHost says which characters no host's name has; other alphabets pass.
func notInHost(r rune) bool {
	return r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' && r != '_' || !unicode.IsPrint(r)
}

// canonicalIP takes 0.0.0.0 for :: as well, as package net does that listens there.
func canonicalIP(h string) string {
	if ip, err := netip.ParseAddr(h); err == nil {
		if ip = ip.Unmap(); ip.IsUnspecified() {
			return ""
		}
		return ip.String()
	}
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	if h == "localhost" { // what package net listens on for it
		return "127.0.0.1"
	}
	return h
}

func loopbackIP(h string) bool {
	if strings.EqualFold(h, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(h)
	return err == nil && ip.IsLoopback()
}

// noHosts are those of what crosses no network.
var noHosts = &hosts{
	canonical: func(h string) string { return h },
	loopback:  func(string) bool { return false },
}

// hosts are those of the address's transport.
func (a Address) hosts() *hosts {
	t, ok := transportNamed(a.Transport)
	if !ok {
		return noHosts
	}
	return cmp.Or(t.hosts, noHosts)
}

// Host and Port are the two parts of a network address's Where.
func (a Address) Host() string { h, _, _ := net.SplitHostPort(a.Where); return h }

// Port is the port of a network address, as written.
func (a Address) Port() string { _, p, _ := net.SplitHostPort(a.Where); return p }

// Loopback says whether a network address can be reached from this host only:
// localhost or a literal address of the loopback range, for vsock the context ID 1. Other
// names are not looked up; they count as beyond.
func (a Address) Loopback() bool { return a.hosts().loopback(a.Host()) }

// Named says whether the host of a network address is a name that has to be looked up, for
// which a server may have to be waited for.
func (a Address) Named() bool {
	host := a.Host()
	_, err := netip.ParseAddr(host)
	return a.hosts().named && host != "" && err != nil && !a.Loopback()
}

// AllHosts says whether the host of a network address stands for all addresses of this
// machine.
func (a Address) AllHosts() bool { return a.Network() && a.hosts().canonical(a.Host()) == "" }

// SameHost says whether two addresses of one transport have the same host, however it is
// written; names are not looked up.
func (a Address) SameHost(b Address) bool {
	return a.hosts().canonical(a.Host()) == b.hosts().canonical(b.Host())
}

// ServerName is the host as its certificate and an HTTP request name it, "" where it has
// no name.
func (a Address) ServerName() string {
	if !a.hosts().named {
		return ""
	}
	return a.Host()
}
