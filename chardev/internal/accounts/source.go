package accounts

import (
	"fmt"
	"net/netip"
)

// A Source is from where a secret is shown, for the limits: who guesses from one is
// held up there, and not elsewhere. The zero Source is a place of its own.
type Source struct{ text string }

func (s Source) String() string { return s.text }

// FromIP is an address of a network. One of IPv6 stands for its /64, which is what one
// subscriber has at least (RFC 6177).
func FromIP(ip netip.Addr) Source {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return Source{ip.String()}
	}
	p, err := ip.Prefix(64)
	if err != nil {
		panic(err) // 64 is within 128
	}
	return Source{p.String()}
}

// FromUser is a user of this host.
func FromUser(uid uint32) Source { return Source{fmt.Sprintf("uid %d", uid)} }

// FromPlace is any other place, by a name that whoever comes from there cannot choose.
func FromPlace(name string) Source { return Source{name} }
