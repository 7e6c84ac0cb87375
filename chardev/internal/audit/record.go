package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
)

// What is what was done.
type What string

const (
	Start   What = "start"   // the daemon
	Stop    What = "stop"    // the daemon, in order; a start without one before it: it was killed
	Attach  What = "attach"  // a client came
	Detach  What = "detach"  // it went: how long it was there, and how many bytes it had
	Refused What = "refused" // somebody was not let in, or may not do something, or no longer
	Kick    What = "kick"    // somebody cut a client
	Break   What = "break"   // somebody sent one to the device
	Line    What = "line"    // somebody changed the serial line
	Writer  What = "writer"  // who has an exclusive input has changed
	Rules   What = "rules"   // the access rules were read again
	Config  What = "config"  // the config has changed while the daemon runs: what exactly, a line each; or Why not
	Login   What = "login"   // somebody showed a secret that was right; a wrong one is refused
	Account What = "account" // a token or a user was added, changed, revoked or removed
	API     What = "api"     // a request that changes something, or reads a log, and was permitted
	Missing What = "missing" // Count records are not here: they came faster than the disk took them, or it failed
)

// A Record is one line. What is not known, does not apply or is 0 is left out.
type Record struct {
	Time     time.Time `json:"time"` // when it happened, or the first of Count; Note sets it
	What     What      `json:"what"`
	Who      []string  `json:"who,omitempty"`      // all proven names, as access rules have them; none: nothing is known
	Operator bool      `json:"operator,omitempty"` // the daemon's own user, or root, at the control socket
	Peer     string    `json:"peer,omitempty"`     // from where: HOST:PORT, or pid=N of a process of this host
	Chardev  string    `json:"chardev,omitempty"`
	Frontend string    `json:"frontend,omitempty"` // its address; attach: by the API
	Client   string    `json:"client,omitempty"`   // the id that clients and kick have
	Text     string    `json:"text,omitempty"`     // what exactly, for people
	Why      string    `json:"why,omitempty"`      // refused: why; detach: why it ended
	Rule     string    `json:"rule,omitempty"`     // refused: file:line:column of the rule that decided, if one did

	Seconds  float64 `json:"seconds,omitempty"`   // detach: how long it was attached, all together if it is a sum
	BytesIn  int64   `json:"bytes_in,omitempty"`  // detach: of its input, what the device took
	BytesOut int64   `json:"bytes_out,omitempty"` // detach: what it was given

	Count int       `json:"count,omitempty"` // so many records in one; Text, Why, Peer and the like are the last one's
	Until time.Time `json:"until,omitzero"`  // when the last of them was
}

// textMost is how many bytes of a text are kept: strangers choose some of them.
const textMost = 1 << 10

// clip is a text as it is kept: bounded, with nothing in it that a terminal may act on.
func clip(s string) string {
	if len(s) > textMost {
		s = strings.Clone(s[:textMost]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// whoMost is how many names of somebody are kept.
const whoMost = 64

// clip bounds what a record holds.
func (r *Record) clip() {
	r.Who = slices.Clone(r.Who[:min(len(r.Who), whoMost)])
	for i := range r.Who {
		r.Who[i] = clip(r.Who[i])
	}
	for _, s := range []*string{&r.Peer, &r.Chardev, &r.Frontend, &r.Client, &r.Text, &r.Why, &r.Rule} {
		*s = clip(*s)
	}
	r.Seconds = math.Round(r.Seconds*1e6) / 1e6
}

// appendTo appends the record's line to buf.
func (r *Record) appendTo(buf *bytes.Buffer) {
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false) // it is no page
	if err := e.Encode(r); err != nil {
		panic(err) // it is made of texts, numbers and times of our own
	}
}

// source is where a peer is, for sums: the address without a port, of IPv6 the /64
// that one host can have all of; "" for a process of this host.
func source(peer string) string {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host, _, _ = strings.Cut(peer, "pid=")
		return host
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	net64, _ := ip.WithZone("").Prefix(64) // 64 bits are in range
	return net64.String()
}
