package channeltest

import (
	"errors"
	"fmt"
	"net"
	"time"

	"chardevd/channel"
)

var allAtOnce = property{
	name:     "all_at_once",
	sentence: "All methods may be called at the same time by many goroutines.",
	bothWays: true,
	check: func(p *pair) error {
		const rounds = 100
		c := p.crew()
		for _, ch := range []channel.Channel{p.a, p.b} {
			if ch == nil {
				continue
			}
			// What fails here fails because it is closed meanwhile: what counts
			// is that nothing hangs, panics or races.
			var halves []<-chan error
			for _, f := range []func(){
				func() { ch.Write([]byte("write")) },
				func() { ch.Writev([][]byte{[]byte("wri"), []byte("tev")}) },
				func() { ch.SetDeadline(time.Now().Add(time.Hour)) },
				func() { ch.SetReadDeadline(time.Now().Add(time.Hour)) },
				func() { ch.SetWriteDeadline(time.Time{}) },
				func() { _ = ch.LocalAddr().String() + ch.RemoteAddr().String() },
			} {
				for range 2 {
					done := make(chan error, 1)
					halves = append(halves, done)
					c.do("calling", func() error {
						for range rounds {
							f()
						}
						done <- nil
						return nil
					})
				}
			}
			for range 2 {
				c.do("reading", func() error {
					buf := make([]byte, 64)
					for {
						if _, err := read(ch, buf); err != nil {
							return nil
						}
					}
				})
			}
			c.do("closing", func() error {
				for _, h := range halves {
					<-h
				}
				again := async(func() error { ch.CloseWrite(); return ch.Close() })
				return errors.Join(ch.Close(), <-again)
			})
		}
		return c.wait()
	},
}

var addresses = property{
	name:     "addresses",
	sentence: "LocalAddr and RemoteAddr are never nil and have a network and a text, before and after Close.",
	check: func(p *pair) error {
		look := func(when string) error {
			for name, addr := range map[string]net.Addr{"LocalAddr": p.a.LocalAddr(), "RemoteAddr": p.a.RemoteAddr()} {
				if addr == nil {
					return fmt.Errorf("%s Close: %s is nil", when, name)
				}
				if addr.Network() == "" {
					return fmt.Errorf("%s Close: %s has no network", when, name)
				}
				_ = addr.String() // "" for an unnamed socket; but no panic
			}
			return nil
		}
		if err := look("before"); err != nil {
			return err
		}
		if err := p.a.Close(); err != nil {
			return err
		}
		return look("after")
	},
}

// nothingLeft is looked at after every property; this one provokes it with the
// ways in which channels end.
var nothingLeft = property{
	name:     "nothing_left",
	sentence: "No goroutine and no descriptor is left of channels that were closed.",
	pairs:    12,
	bothWays: true,
	check: func(p *pair) error {
		for i, e := range p.ends {
			if err := p.greet(e); err != nil {
				return err
			}
			first, second := e.a, e.b
			if second == nil {
				second = first
			}
			if i%2 == 1 {
				first, second = second, first
			}
			var waiting <-chan error
			if i%3 == 1 {
				waiting = blockedRead(second)
			}
			if i%4 == 2 {
				first.SetDeadline(time.Now().Add(time.Hour))
			}
			if i%4 == 3 {
				first.CloseWrite()
			}
			if err := errors.Join(first.Close(), second.Close()); err != nil {
				return err
			}
			if waiting != nil {
				<-waiting
			}
		}
		return nil
	},
}

// memoryBound is what a pair may hold while its ends wait in Read, in bytes. It
// leaves room for a pipe's ring and for several layers, but not for buffers that
// grew with what went through.
const memoryBound = 384 << 10

var littleMemory = property{
	name:     "little_memory",
	sentence: "A channel whose Read waits holds little memory, also after much went through it.",
	excluded: func(tr Traits) string { return tr.Lossy },
	pairs:    8,
	bothWays: true,
	check: func(p *pair) error {
		const much = 1 << 20
		b := data(1, p.traits.scaled(much))
		for _, e := range p.ends {
			c := p.crew()
			for _, f := range e.flows(p.traits) {
				c.do("sending "+f.name, func() error { return write(f.from, b) })
				c.do("receiving "+f.name, func() error { return receive(f.to, b, 64<<10, random(1)) })
			}
			if err := c.wait(); err != nil {
				return err
			}
		}
		var waiting []<-chan error
		for _, e := range p.ends {
			waiting = append(waiting, blockedRead(e.a))
			if e.b != nil {
				waiting = append(waiting, blockedRead(e.b))
			}
		}
		held := int64(heap()) - int64(p.before) - int64(len(b))
		if each := held / int64(len(p.ends)); each > memoryBound {
			return fmt.Errorf("a pair holds %d bytes, more than %d", each, memoryBound)
		}
		if err := p.closeAll(); err != nil {
			return err
		}
		for _, w := range waiting {
			<-w
		}
		return nil
	},
}
