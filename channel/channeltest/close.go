package channeltest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"chardevd/channel"
)

// closeBound is how long a Close may take whatever the peer does.
const closeBound = 6 * time.Second

// closeIn closes c and fails if that takes longer than d.
func closeIn(d time.Duration, c channel.Channel) error {
	err, ok := ended(d, async(c.Close))
	if !ok {
		return fmt.Errorf("Close does not return within %v", d)
	}
	if err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return nil
}

// blockedRead starts a Read of one byte and gives its error.
func blockedRead(c channel.Channel) <-chan error {
	return async(func() error {
		n, err := read(c, make([]byte, 1))
		if n > 0 {
			return errors.New("a byte that nobody sent")
		}
		return err
	})
}

func isClosed(what string, err error) error {
	if !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%s after Close: %w (%T), should be net.ErrClosed", what, orNil(err), err)
	}
	return nil
}

var errNone = errors.New("no error")

func orNil(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

var closeFrees = property{
	name:     "close_frees",
	sentence: "Close frees the reads and writes that wait, at both ends within 1 s; this end's fail with net.ErrClosed, then and for ever.",
	pairs:    3,
	check: func(p *pair) error {
		for _, part := range []func(*pair) error{closeFreesOwn, closeFreesPeersRead, closeFreesPeersWrite} {
			if err := part(p); err != nil {
				return err
			}
		}
		return nil
	},
}

func closeFreesOwn(p *pair) error {
	a := p.ends[0].a
	var reading <-chan error
	if p.traits.Echo == "" { // else the flood would come back to it
		reading = blockedRead(a)
	}
	var writing *flood
	if p.traits.NeverFull == "" {
		writing = startFlood(a)
		writing.settle()
	}
	closed := async(a.Close)
	if reading != nil {
		err, ok := ended(soon, reading)
		if !ok {
			return errors.New("a Read that waits is not freed")
		}
		if err := isClosed("Read", err); err != nil {
			return err
		}
	}
	if writing != nil {
		err, ok := ended(soon, writing.done)
		if !ok {
			return errors.New("a Write that waits is not freed")
		}
		if err := isClosed("Write", err); err != nil {
			return err
		}
	}
	err, ok := ended(closeBound, closed)
	if !ok || err != nil {
		return fmt.Errorf("Close (returned: %v): %w", ok, orNil(err))
	}
	for range 2 {
		_, rerr := a.Read(make([]byte, 1))
		_, werr := a.Write([]byte("x"))
		_, verr := a.Writev([][]byte{[]byte("x")})
		if err := errors.Join(isClosed("Read", rerr), isClosed("Write", werr), isClosed("Writev", verr)); err != nil {
			return err
		}
	}
	return nil
}

func closeFreesPeersRead(p *pair) error {
	e := p.ends[1]
	if e.b == nil || p.traits.NoEnd != "" {
		return nil
	}
	if err := p.greet(e); err != nil {
		return err
	}
	reading := blockedRead(e.b)
	if err := closeIn(closeBound, e.a); err != nil {
		return err
	}
	err, ok := ended(soon, reading)
	if !ok {
		return errors.New("the peer's Read is not freed")
	}
	if err != io.EOF {
		return fmt.Errorf("the peer's Read: %w, should be io.EOF", orNil(err))
	}
	return nil
}

func closeFreesPeersWrite(p *pair) error {
	e := p.ends[2]
	if e.b == nil || p.traits.NeverFull != "" || p.traits.NoEnd != "" {
		return nil
	}
	if err := p.greet(e); err != nil {
		return err
	}
	writing := startFlood(e.b)
	writing.settle()
	if err := closeIn(closeBound, e.a); err != nil {
		return err
	}
	err, ok := ended(soon, writing.done)
	if !ok {
		return errors.New("the peer's Write is not freed")
	}
	if err == nil {
		return errors.New("the peer's Write succeeded without a reader")
	}
	return nil
}

var closeOnce = property{
	name:     "close_once",
	sentence: "Close may be called any number of times and by many goroutines.",
	check: func(p *pair) error {
		var closing []<-chan error
		for range 8 {
			closing = append(closing, async(func() error { return closeIn(closeBound, p.a) }))
		}
		for range 2 {
			closing = append(closing, async(func() error { return closeIn(closeBound, p.a) }))
		}
		for _, c := range closing {
			if err := <-c; err != nil {
				return err
			}
		}
		return closeIn(soon, p.a)
	},
}

var closeBounded = property{
	name:     "close_bounded",
	sentence: "Close returns in bounded time whatever the peer does, also one that never reads.",
	excluded: func(tr Traits) string { return tr.NeverFull },
	pairs:    2,
	check: func(p *pair) error {
		// With a Write that waits.
		f := startFlood(p.ends[0].a)
		f.settle()
		if err := closeIn(closeBound, p.ends[0].a); err != nil {
			return fmt.Errorf("while a Write waits: %w", err)
		}
		// With all buffers full and nobody writing.
		a := p.ends[1].a
		f = startFlood(a)
		f.settle()
		if err := a.SetWriteDeadline(past); err != nil {
			return err
		}
		if _, ok := ended(5*soon, f.done); !ok {
			return errors.New("a Write that waits is not freed by a deadline")
		}
		if err := a.SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
		if err := closeIn(closeBound, a); err != nil {
			return fmt.Errorf("with full buffers: %w", err)
		}
		return nil
	},
}

// endsForEver sees that c is at its orderly end and stays there.
func endsForEver(c channel.Channel) error {
	for range 3 {
		n, err := c.Read(make([]byte, 10))
		if n != 0 || err != io.EOF {
			return fmt.Errorf("Read returned %d, %w, should be 0, io.EOF for ever", n, orNil(err))
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		return nil // it may say that there is nothing left to bound
	}
	if n, err := c.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		return fmt.Errorf("Read with a deadline returned %d, %w, should be 0, io.EOF", n, orNil(err))
	}
	return nil
}

var closeDrains = property{
	name:     "close_drains",
	sentence: "After the peer's Close all that it wrote is read, then io.EOF for ever.",
	excluded: func(tr Traits) string { return tr.NoPeer + tr.Echo + tr.NoEnd },
	pairs:    2,
	check: func(p *pair) error {
		// Read while it comes.
		if err := p.greet(p.ends[0]); err != nil {
			return err
		}
		b := data(4, p.traits.scaled(300_000))
		c := p.crew()
		c.do("the peer", func() error {
			if err := send(p.b, b, 20_000, random(1)); err != nil {
				return err
			}
			if p.traits.LossyClose != "" { // not before all is read
				if err := receive(p.b, []byte("all is read"), 100, random(2)); err != nil {
					return err
				}
			}
			return p.b.Close()
		})
		c.do("reading", func() error {
			if err := receive(p.a, b, 30_000, random(3)); err != nil {
				return err
			}
			if p.traits.LossyClose != "" {
				if err := write(p.a, []byte("all is read")); err != nil {
					return err
				}
			}
			return endsForEver(p.a)
		})
		if err := c.wait(); err != nil {
			return err
		}
		if p.traits.LossyClose != "" {
			return nil
		}
		// Read when the peer is gone already.
		e := p.ends[1]
		if err := p.greet(e); err != nil {
			return err
		}
		c = p.crew()
		gone := make(chan struct{})
		c.do("the peer", func() error {
			defer close(gone)
			if err := write(e.b, b[:1000]); err != nil {
				return err
			}
			return e.b.Close()
		})
		ended(soon/5, gone) // a medium of less than 1000 bytes has it wait for the reader
		c.do("reading late", func() error {
			if err := receive(e.a, b[:1000], 300, random(3)); err != nil {
				return err
			}
			return endsForEver(e.a)
		})
		return c.wait()
	},
}

var closeWrite = property{
	name:     "close_write",
	sentence: "CloseWrite ends the stream to the peer after what was written and leaves the other way open; or it is errors.ErrUnsupported and changes nothing.",
	check: func(p *pair) error {
		if err := p.greet(p.ends[0]); err != nil {
			return err
		}
		if p.traits.NoHalfClose != "" {
			if err := p.a.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("CloseWrite: %w, should be errors.ErrUnsupported", orNil(err))
			}
			if p.traits.NoPeer != "" {
				return write(p.a, []byte("x"))
			}
			return p.greet(p.ends[0])
		}
		b := data(8, p.traits.scaled(200_000))
		if p.traits.NoPeer != "" {
			b = nil
		}
		c := p.crew()
		c.do("the closing end", func() error {
			if err := send(p.a, b, 10_000, random(1)); err != nil {
				return err
			}
			if err := p.a.CloseWrite(); err != nil {
				return fmt.Errorf("CloseWrite: %w", err)
			}
			if _, err := p.a.Write([]byte("x")); err == nil {
				return errors.New("Write works after CloseWrite")
			}
			return nil
		})
		switch {
		case p.traits.Echo != "":
			c.do("what comes back", func() error {
				if err := receive(p.a, b, 10_000, random(2)); err != nil {
					return err
				}
				return endsForEver(p.a)
			})
		case p.b != nil:
			c.do("the peer", func() error {
				if err := receive(p.b, b, 10_000, random(2)); err != nil {
					return err
				}
				if err := endsForEver(p.b); err != nil {
					return err
				}
				if err := p.b.SetReadDeadline(time.Time{}); err != nil {
					return err
				}
				return send(p.b, b, 10_000, random(3))
			})
			c.do("the way that is open", func() error { return receive(p.a, b, 10_000, random(4)) })
		}
		if err := c.wait(); err != nil {
			return err
		}
		if p.b == nil {
			return nil
		}
		if err := closeIn(closeBound, p.b); err != nil {
			return err
		}
		return endsForEver(p.a)
	},
}
