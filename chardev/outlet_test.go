package chardev

import (
	"net"
	"testing"

	"chardevd/channel"
)

// Only what can not write without waiting, and layers, which must not be cut short, have an
// outbox: it is 128 bytes for each of thousands of clients.
func TestWhoHasAnOutbox(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	con := &console{hub: b.hub, front: &channel.Env{Below: withoutWaiting}}
	below := func(address string) func(channel.Channel) channel.Channel {
		a := channel.MustParseAddress(address)
		return con.newFrontend(&FrontendConfig{Endpoint: Endpoint{Address: a, Listen: true}}).env.Below
	}
	medium, far := channel.Pipe(1)
	defer far.Close()
	slow, end := net.Pipe()
	defer end.Close()
	for _, c := range []struct {
		name  string
		ch    channel.Channel
		boxes bool // it has an outbox
		boxed bool // which a client's bytes go to
	}{
		{"plain", below("tcp://127.0.0.1:0")(medium), false, false},
		{"plain, after a login", withOutbox(below("tcp://127.0.0.1:0")(medium)), true, false},
		{"one that can only wait", below("tcp://127.0.0.1:0")(channel.FromConn(slow)), true, true},
		{"below layers", layered{below("telnet://127.0.0.1:0")(medium)}, true, true},
		{"below layers, after a login", withOutbox(layered{below("telnet://127.0.0.1:0")(medium)}), true, true},
	} {
		if _, ok := channel.As[*channel.Outbox](c.ch); ok != c.boxes {
			t.Errorf("%s: it has an outbox: %v", c.name, ok)
		}
		if _, ok := newOutlet(c.ch).(*boxed); ok != c.boxed {
			t.Errorf("%s: its outlet is a %T", c.name, newOutlet(c.ch))
		}
	}
	medium.Close()
	slow.Close()
}

// layered stands for a layer.
type layered struct{ channel.Channel }

func (l layered) Unwrap() channel.Channel { return l.Channel }

// A fullOutlet takes nothing.
type fullOutlet struct {
	outlet
	borne bool
}

func (s *fullOutlet) bear(on bool) { s.borne = on }
func (s *fullOutlet) weight() int  { return 1 }
func (s *fullOutlet) await() bool  { return false }

// Who fell behind although there was patience with it gets none for a while; but to fall
// behind meanwhile, when there was none, does not make that longer.
func TestPatienceComesBack(t *testing.T) {
	h := newBench(t, 16<<10, "shared").hub
	h.apart = true
	out := new(fullOutlet)
	c := &client{hub: h, out: out, reader: h.hist.Reader()}
	keepsUp := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.setState(c, live)
		h.regroup()
	}
	fallsBehind := func() {
		h.fallBehind(c)
		c.pumps.Wait()
	}
	keepsUp()
	if !out.borne {
		t.Fatal("there is no patience with who keeps up alone")
	}
	fallsBehind()
	until := c.hasty
	for range 3 {
		keepsUp()
		if out.borne && thisMoment() < until {
			t.Fatal("there is patience with who has just worn it out")
		}
		if !out.borne {
			fallsBehind()
			if c.hasty != until {
				t.Fatal("who fell behind without patience gets none for longer")
			}
		}
	}
	c.hasty = thisMoment() - 1
	keepsUp()
	if !out.borne {
		t.Error("patience does not come back")
	}
}
