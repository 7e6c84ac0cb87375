package chardev

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// Who somebody is. What counts is what was proven: a certificate that was verified,
// a process of this host that the kernel vouches for, a tty that only its owner can
// open. Of everybody else nothing is known.

// identify tells who is at the other end of a channel. A certificate goes before a
// process: it is what the way in was made to ask for.
func identify(ch channel.Channel) access.Identity {
	if s, ok := channel.As[channel.Secured](ch); ok {
		// Without a chain it was shown and not verified.
		if chains := s.ConnectionState().VerifiedChains; len(chains) > 0 {
			return certIdentity(chains[0][0])
		}
	}
	if l, ok := channel.As[channel.Local](ch); ok {
		if p, err := l.PeerCred(); err == nil {
			return processIdentity(p)
		}
	}
	return access.Identity{}
}

// identify tells who a client of the frontend is. What the frontend itself opens on
// this host is known as the daemon's user, who was told to open it.
func (f *frontend) identify(a *arrival) access.Identity {
	if as := f.wanted().as; as != nil {
		return *as
	}
	who := a.shown.And(identify(a.ch))
	switch at := f.ep.Address; {
	case len(who.Names) > 0:
	case f.ep.Listen && at.Transport == "pty":
		return ttyIdentity(at.Where)
	case f.ep.Listen && at.Transport == "pipe":
		return ttyIdentity(at.Where + ".in")
	case !f.ep.Listen && !at.Network():
		return access.Identity{Names: userNames(uint32(os.Geteuid()))}
	}
	return who
}

// certIdentity is who a certificate is for. The subject is told as it is written in
// there: pkix.Name has only one of each attribute.
func certIdentity(c *x509.Certificate) access.Identity {
	var who access.Identity
	var subject pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &subject); err == nil && len(rest) == 0 && len(subject) > 0 {
		who.Names = append(who.Names, access.Name{Kind: access.Cert, Text: subject.String()})
	}
	for _, n := range c.DNSNames {
		// What is no host name must not pass for a URI or an address of that text.
		if n := sanName(n); n.Fold {
			who.Names = append(who.Names, n)
		}
	}
	for _, u := range c.URIs {
		who.Names = append(who.Names, access.Name{Kind: access.SAN, Text: u.String()})
	}
	for _, e := range c.EmailAddresses {
		who.Names = append(who.Names, access.Name{Kind: access.SAN, Text: e})
	}
	return who
}

// sanName is a subject alternative name, which is in lower case if it is that of a
// host.
func sanName(text string) access.Name {
	lower := strings.ToLower(text)
	if strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-._*") == "" {
		return access.Name{Kind: access.SAN, Text: lower, Fold: true}
	}
	return access.Name{Kind: access.SAN, Text: text}
}

// operatorIdentity is who is at the control socket: the daemon's own user, and root,
// are the operator.
func operatorIdentity(ch channel.Channel) access.Identity {
	who := access.Identity{}
	if l, ok := channel.As[channel.Local](ch); ok {
		if p, err := l.PeerCred(); err == nil {
			who = processIdentity(p)
			who.Guest = len(who.Names) == 0
			who.Operator = !who.Guest && (p.UID == 0 || p.UID == uint32(os.Geteuid()))
		}
	}
	return who
}

// processIdentity is who a process of this host runs as: its user and its groups,
// by name and by number. Of the daemon itself nothing is known: what comes over a device or a
// stream that leads back here is whoever is typing there.
func processIdentity(p channel.PeerCred) access.Identity {
	if int(p.PID) == daemonPID {
		return access.Identity{}
	}
	names := userNames(p.UID)
	seen := map[uint32]bool{}
	for _, gid := range append([]uint32{p.GID}, p.Groups...) {
		if !seen[gid] {
			seen[gid] = true
			names = append(names, groupNames(gid)...)
		}
	}
	return access.Identity{Names: names}
}

// daemonPID is fixed, but for tests, where a daemon's clients are in its process.
var daemonPID = os.Getpid()

// userNames are the names of a user of this host, by name first if there is one. One
// of digits alone is not told: it could be the number of somebody else.
func userNames(uid uint32) []access.Name {
	number := strconv.FormatUint(uint64(uid), 10)
	var names []access.Name
	if u, err := user.LookupId(number); err == nil && !isNumber(u.Username) {
		names = append(names, access.Name{Kind: access.Unix, Text: u.Username})
	}
	return append(names, access.Name{Kind: access.Unix, Text: number})
}

// groupNames is userNames of a group.
func groupNames(gid uint32) []access.Name {
	number := strconv.FormatUint(uint64(gid), 10)
	var names []access.Name
	if g, err := user.LookupGroupId(number); err == nil && !isNumber(g.Name) {
		names = append(names, access.Name{Kind: access.Group, Text: g.Name})
	}
	return append(names, access.Name{Kind: access.Group, Text: number})
}

func isNumber(name string) bool { return strings.Trim(name, "0123456789") == "" }

// ttyIdentity is who may open a tty, which is all that is known of who did: its owner
// if nobody else can, its group if only these can, else nobody in particular. (Root,
// who can open everything, is known as them.)
func ttyIdentity(path string) access.Identity {
	fi, err := os.Stat(path)
	if err != nil {
		return access.Identity{}
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch mode := fi.Mode().Perm(); {
	case !ok || mode&0o007 != 0:
		return access.Identity{}
	case mode&0o070 != 0:
		return access.Identity{Names: groupNames(st.Gid)}
	}
	return access.Identity{Names: userNames(st.Uid)}
}

// peerName is how somebody at the other end of a channel is called in events, the log
// and lists.
func peerName(who access.Identity, ch channel.Channel) string {
	return nameAt(who, placeName(ch))
}

// nameAt is peerName of somebody who comes from a place of this name.
func nameAt(who access.Identity, name string) string {
	if len(who.Names) > 0 {
		return who.String() + " " + name
	}
	return name
}

// placeName is how the other end of a channel is called, whoever is there.
func placeName(ch channel.Channel) string {
	if l, ok := channel.As[channel.Local](ch); ok {
		if p, err := l.PeerCred(); err == nil {
			return fmt.Sprintf("pid=%d", p.PID)
		}
	}
	return addrText(ch.RemoteAddr())
}

func addrText(a net.Addr) string {
	if a.Network() == "vsock" { // which nobody would know by its two numbers
		return "vsock:" + a.String()
	}
	return cmp.Or(a.String(), a.Network())
}

// lookedUp is the identity that names in words stand for, to be asked about: to a
// user of this host belong its number and its groups.
func lookedUp(names []string) (access.Identity, error) {
	var who access.Identity
	for _, s := range names {
		if s == access.Anyone {
			continue
		}
		n, err := access.ParseName(s)
		if err != nil {
			return who, fmt.Errorf("%q: %w", s, err)
		}
		if n.Kind == access.SAN {
			n = sanName(n.Text)
		}
		if n.Kind != access.Unix {
			who.Names = append(who.Names, n)
			continue
		}
		u, err := user.Lookup(n.Text)
		if isNumber(n.Text) {
			u, err = user.LookupId(n.Text)
		}
		if err != nil { // it may be one of another host's
			who.Names = append(who.Names, n)
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return who, fmt.Errorf("%q: uid %q is no number", s, u.Uid)
		}
		who.Names = append(who.Names, userNames(uint32(uid))...)
		groups, err := u.GroupIds()
		if err != nil {
			return who, fmt.Errorf("%q: its groups: %w", s, err)
		}
		for _, g := range groups {
			if gid, err := strconv.ParseUint(g, 10, 32); err == nil {
				who.Names = append(who.Names, groupNames(uint32(gid))...)
			}
		}
	}
	return who, nil
}
