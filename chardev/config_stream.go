package chardev

import (
	"slices"
	"time"
)

// A StreamConfig is one [[stream]]: whoever comes gets a connection of its own to the
// other side.
type StreamConfig struct {
	Name    string
	Pos     string // file:line:column where it is written
	Listen  []Endpoint
	Connect Endpoint
	Wait    time.Duration // how long a client waits for the other side to be there; 0: one try
}

// builtinWait is as long as a guest takes that is started again by hand or by libvirt.
const builtinWait = 5 * time.Second

// streams reads the [[stream]] of a file.
func (l *loader) streams(t *table) {
	v, ok := t.get("stream")
	if !ok {
		return
	}
	const what = "a list of tables: each begins with [[stream]]"
	for _, e := range v.list(what) {
		if s, ok := e.table("[[stream]]", what); ok {
			l.stream(s)
		}
	}
}

// stream reads one [[stream]].
func (l *loader) stream(t *table) {
	c := StreamConfig{Name: l.name(t), Pos: t.header().String(), Wait: builtinWait}
	called := "a stream without name"
	if c.Name != "" {
		called = "stream " + c.Name
	}
	t.duration("wait", &c.Wait, 0, time.Hour)
	var uses []*use
	if v, ok := t.get("listen"); !ok {
		t.missingf(`[[stream]] has no listen; give it listen = "wss://0.0.0.0:5900" or another address`)
	} else {
		list := []*value{v}
		if _, one := v.v.(string); !one {
			list = v.list(`an address, or a list of them`)
			if len(list) == 0 {
				v.failf("the list is empty, so nobody can come; name an address")
			}
		}
		for _, e := range list {
			a, ok := l.address(e)
			if !ok {
				continue
			}
			c.Listen = append(c.Listen, Endpoint{Address: a, Listen: true, Pos: e.spot().String()})
			uses = append(uses, &use{what: called, stream: c.Name, writes: true, address: a, listen: true, value: e, at: e.spot()})
		}
	}
	if v, ok := t.get("connect"); !ok {
		t.missingf(`[[stream]] has no connect; give it connect = "unix:/run/qemu/vm1.vnc" or another address`)
	} else if a, ok := l.address(v); ok {
		c.Connect = Endpoint{Address: a, Pos: v.spot().String()}
		to := &use{what: "the other side of " + called, address: a, value: v, at: v.spot()}
		for _, u := range uses {
			if u.place() != "" && u.place() == to.place() && sameHost(u, to) {
				v.failf("%s: it is where this stream listens, so it would connect to itself", describe(v.v))
			}
		}
		uses = append(uses, to)
	}
	t.done()
	l.uses = append(l.uses, uses...)
	l.cfg.Streams = append(l.cfg.Streams, c)
}

// same says whether two streams are alike, wherever they are written.
func (c *StreamConfig) same(o *StreamConfig) bool {
	return c.Name == o.Name && c.Wait == o.Wait && c.Connect.Address.String() == o.Connect.Address.String() &&
		slices.EqualFunc(c.Listen, o.Listen, func(a, b Endpoint) bool { return a.Address.String() == b.Address.String() })
}
