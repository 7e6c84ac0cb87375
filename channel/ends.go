package channel

import (
	"net"
	"net/netip"
)

// An endAddrs is the addresses of a channel's two ends. Thousands of channels have them and
// are seldom asked, so they are kept small, and are made what they were when asked.
type endAddrs interface {
	local() net.Addr
	remote() net.Addr
}

// endAddrsOf keeps two addresses. Where the name of one of them is known, nobody needs a copy
// of it.
func endAddrsOf(local, remote net.Addr, known string) endAddrs {
	switch l := local.(type) {
	case *net.TCPAddr:
		if r, ok := remote.(*net.TCPAddr); ok {
			return &tcpAddrs{l.AddrPort(), r.AddrPort()}
		}
	case *net.UnixAddr:
		if r, ok := remote.(*net.UnixAddr); ok && l.Net == "unix" && r.Net == "unix" {
			return &unixAddrs{shared(l.Name, known), shared(r.Name, known)}
		}
	case addr:
		if remote == local {
			return l
		}
	}
	return &otherAddrs{local, remote}
}

// shared is a name, in the memory of the one that is known if they are the same.
func shared(name, known string) string {
	if name == known {
		return known
	}
	return name
}

type tcpAddrs struct{ here, there netip.AddrPort }

func (e *tcpAddrs) local() net.Addr  { return net.TCPAddrFromAddrPort(e.here) }
func (e *tcpAddrs) remote() net.Addr { return net.TCPAddrFromAddrPort(e.there) }

type unixAddrs struct{ here, there string }

func (e *unixAddrs) local() net.Addr  { return &net.UnixAddr{Name: e.here, Net: "unix"} }
func (e *unixAddrs) remote() net.Addr { return &net.UnixAddr{Name: e.there, Net: "unix"} }

type otherAddrs struct{ here, there net.Addr }

func (e *otherAddrs) local() net.Addr  { return e.here }
func (e *otherAddrs) remote() net.Addr { return e.there }

// An addr is a net.Addr made of an address's parts. Both ends of a file have the same.
type addr struct{ network, where string }

func (a addr) Network() string  { return a.network }
func (a addr) String() string   { return a.where }
func (a addr) local() net.Addr  { return a }
func (a addr) remote() net.Addr { return a }
