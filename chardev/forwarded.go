package chardev

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// A reverse proxy before [http] makes all connections itself. Who is behind it, and how
// he came there, is told by its headers X-Forwarded-For, -Proto, -Host and -Prefix, which
// are what proxies send without being taught to; Forwarded (RFC 7239) is not read. They
// count from a proxy that the config trusts, and from nobody else.

// Proxies are who is believed about for whom it asks. The zero value is nobody.
type Proxies struct {
	Nets []netip.Prefix
	Unix bool // whoever comes over a UNIX socket
}

// parseProxies reads proxies: addresses, networks and "unix".
func parseProxies(texts []string) Proxies {
	var p Proxies
	for _, text := range texts {
		if text == "unix" {
			p.Unix = true
		} else if n, err := parseNet(text); err == nil {
			p.Nets = append(p.Nets, n)
		}
	}
	return p
}

// String is what parseProxies reads.
func (p Proxies) String() string {
	var all []string
	for _, n := range p.Nets {
		if n.IsSingleIP() {
			all = append(all, n.Addr().String())
		} else {
			all = append(all, n.String())
		}
	}
	if p.Unix {
		all = append(all, "unix")
	}
	return strings.Join(all, ", ")
}

// parseNet reads a network, or an address, which is one of itself.
func parseNet(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// checkProxy says what is wrong with one of proxies.
func checkProxy(text string) error {
	if text == "unix" {
		return nil
	}
	n, err := parseNet(text)
	switch {
	case err != nil:
		return fmt.Errorf("want an address like 127.0.0.1, a network like 10.0.0.0/8, or unix for who comes over a UNIX socket; have %q", text)
	case n.Masked() != n:
		return fmt.Errorf("%s has bits behind its length: want %s", n, n.Masked())
	case n.Bits() == 0:
		return fmt.Errorf("%s is everybody, who could then say that he is anywhere: give the proxy's own address", n)
	}
	return nil
}

// checkBase says what is wrong with a path below which pages and API are.
func checkBase(text string) error {
	if cleanPrefix(text) != text || text == "" {
		return fmt.Errorf("want a path like /consoles, with a slash at its begin and none at its end, of letters, digits and - . _ ~; have %q", text)
	}
	return nil
}

// cleanPrefix is a path as a prefix of others: "" or like "/consoles". What is no such
// path, or needs to be quoted somewhere, is "".
func cleanPrefix(path string) string {
	path = strings.TrimSuffix(path, "/")
	if !strings.HasPrefix(path, "/") {
		return ""
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." || strings.Trim(segment, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			return ""
		}
	}
	return path
}

// A place is from where somebody comes.
type place struct {
	source accounts.Source // for the limits
	name   string          // for people
}

// placeOf is where the other end of a channel is.
func placeOf(ch channel.Channel) place { return place{sourceOf(ch), placeName(ch)} }

// trusts says whether a proxy is at an address.
func (p Proxies) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p.Nets, func(n netip.Prefix) bool { return n.Contains(a) })
}

// isAt says whether a proxy is at the other end of a channel.
func (p Proxies) isAt(ch channel.Channel) bool {
	a := ch.RemoteAddr()
	if a.Network() == "unix" {
		return p.Unix
	}
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && p.trusts(at.Addr())
}

// forwarded is a request, and who makes it, as they were before a proxy; both as they
// are if p does not trust who makes it. The connection then tells nothing of him: its
// certificate or process is the proxy's.
func (p Proxies) forwarded(from peer, r *http.Request) (peer, *http.Request) {
	if !p.isAt(from.ch) {
		return from, r
	}
	from.who = access.Identity{Guest: true}
	if at, ok := p.source(r.Header); ok {
		from.place = place{accounts.FromIP(at), at.String() + " via " + from.place.name}
	}
	from.prefix = cleanPrefix(last(r.Header, "X-Forwarded-Prefix"))
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, from))
	switch strings.ToLower(last(r.Header, "X-Forwarded-Proto")) {
	case "https", "wss":
		if r.TLS == nil {
			r.TLS = new(tls.ConnectionState) // of which is known that it is one
		}
	case "http", "ws":
		r.TLS = nil
	}
	if host := last(r.Header, "X-Forwarded-Host"); host != "" {
		r.Host = host
	}
	return from, r
}

// source is for whom the nearest proxy asks: of all in X-Forwarded-For the last that is
// no trusted proxy itself, as everything before it may be his invention. If all are, it
// is the first.
func (p Proxies) source(h http.Header) (at netip.Addr, ok bool) {
	hops := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		one, err := parseHop(strings.TrimSpace(hop))
		if err != nil {
			return at, ok // a proxy that can not tell: it is the last of whom something is known
		}
		at, ok = one, true
		if !p.trusts(one) {
			break
		}
	}
	return at, ok
}

// parseHop reads an address, which some proxies write with a port.
func parseHop(text string) (netip.Addr, error) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap().WithZone(""), err
}

// last is the last value of a header that may be a list: what the nearest proxy says.
func last(h http.Header, name string) string {
	all := h.Values(name)
	if len(all) == 0 {
		return ""
	}
	line := all[len(all)-1]
	return strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
}
