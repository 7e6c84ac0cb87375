package channel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A transport is one row of the table of what carries bytes.
type transport struct {
	name    string
	what    string                      // what stands behind the colon, for messages
	hosts   *hosts                      // Where is //host:port, of these hosts: it crosses a network; nil: it is not
	raw     bool                        // everything behind the colon is Where; no options
	nowhere bool                        // Where may be empty
	file    bool                        // Where is a path
	notFile func(where string) bool     // a Where that is none all the same; nil: there is no such
	nodes   func(where string) []string // the paths that are opened, if Where is not the one; nil: it is
	options []optionDef
	check   func(Address) error // more checks without opening anything

	// One of the two may be nil: it cannot.
	dial   func(context.Context, *Env, Address) (Channel, error)
	listen func(context.Context, *Env, Address) (accepter, error)

	// What can be parked: the two go on with it, and own it. nil: it cannot. What a
	// listener of sockets accepts is what dial opens; the channel is the session of a
	// pty.
	adopt         func(Address, *Parked) (Channel, error)
	adoptListener func(*Env, Address, *Parked) (accepter, Channel, error)

	// watch tells when a Where that is no path may be there; nil: nothing does.
	watch func() (*Watch, error)
}

// A layerDef is one row of the table of layers. client and server are called
// once for a Dial or Listen, before anything is opened, so that what is wrong
// (a missing certificate) is told then.
type layerDef struct {
	name           string
	options        []optionDef
	client, server func(*Env, Address) (Layer, error)
}

// transports is the list of what chardevd can speak over; one line each.
func transports() []*transport {
	return []*transport{
		tcpTransport,
		udpTransport,
		unixTransport,
		vsockTransport,
		ptyTransport,
		serialTransport,
		execTransport,
		commandTransport,
		fileTransport,
		pipeTransport,
		fdTransport,
		stdioTransport,
		nullTransport,
		simTransport,
	}
}

// layers is the list of what can stand on any channel; one line each.
func layers() []*layerDef {
	return []*layerDef{
		tlsLayer,
		wsLayer,
		telnetLayer,
		rfc2217Layer,
	}
}

var (
	transportTable = index(transports, func(t *transport) string { return t.name })
	layerTable     = index(layers, func(l *layerDef) string { return l.name })
)

// An indexed table keeps the order of its list for messages.
type indexed[T any] struct {
	byName map[string]T
	names  []string
}

// index is lazy, because rows name functions that parse addresses themselves.
func index[T any](list func() []T, name func(T) string) func() indexed[T] {
	var x indexed[T]
	build := func() {
		x.byName = map[string]T{}
		for _, row := range list() {
			if _, dup := x.byName[name(row)]; dup {
				panic("channel: two rows named " + name(row))
			}
			x.byName[name(row)] = row
			x.names = append(x.names, name(row))
		}
	}
	once := sync.OnceFunc(build)
	return func() indexed[T] { once(); return x }
}

func transportNamed(n string) (*transport, bool) { t, ok := transportTable().byName[n]; return t, ok }
func transportNames() []string                   { return slices.Clone(transportTable().names) }
func layerNamed(n string) *layerDef              { return layerTable().byName[n] }
func layerNames() []string                       { return slices.Clone(layerTable().names) }
func isLayer(n string) bool                      { return layerNamed(n) != nil }

// An optionDef is an option of an address: its name and what its value may be.
type optionDef struct {
	name   string
	check  func(value string) error
	repeat bool
}

func optionNames(defs []optionDef) []string {
	var n []string
	for _, d := range defs {
		n = append(n, d.name)
	}
	return n
}

// commonOptions are those of any endpoint; package chardev acts on most of them.
var commonOptions = []optionDef{
	{name: "insecure", check: isBool},
	{name: "anonymous", check: isBool},
	{name: "max_clients", check: isPositive},
	{name: "from", check: isPrefix, repeat: true},
}

func isBool(v string) error {
	if v != "true" && v != "false" {
		return fmt.Errorf("want true or false, have %q", v)
	}
	return nil
}

func isPositive(v string) error {
	if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < 1 {
		return fmt.Errorf("want a number above 0, have %q", v)
	}
	return nil
}

func isText(v string) error {
	if v == "" || strings.ContainsAny(v, "\x00\r\n") {
		return errors.New("want text")
	}
	return nil
}

func isPrefix(v string) error { _, err := parsePrefix(v); return err }

// parsePrefix reads a network (10.0.0.0/8) or one address.
func parsePrefix(v string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(v); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return p, fmt.Errorf("want an address or a network like 192.0.2.0/24, have %q", v)
	}
	return p.Masked(), nil
}

// isOneOf makes a check for a value out of a few.
func isOneOf(words ...string) func(string) error {
	return func(v string) error {
		if slices.Contains(words, v) {
			return nil
		}
		return fmt.Errorf("want %s, have %q", strings.Join(words, " or "), v)
	}
}
