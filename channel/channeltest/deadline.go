package channeltest

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"chardevd/channel"
)

// past is a deadline that was never met.
var past = time.Unix(1, 0)

var readDeadlines = property{
	name:     "read_deadlines",
	sentence: "A read deadline, past, to come or set while a Read waits, gives os.ErrDeadlineExceeded as a net.Error, loses no byte and leaves writes alone.",
	check: func(p *pair) error {
		buf := make([]byte, 100)
		timeout := func(what string) error {
			n, err := p.a.Read(buf)
			if err := isTimeout(err); n != 0 || err != nil {
				return fmt.Errorf("%s: Read returned %d bytes, %w", what, n, err)
			}
			return nil
		}
		if err := p.a.SetReadDeadline(past); err != nil {
			return err
		}
		for range 3 {
			if err := timeout("past"); err != nil {
				return err
			}
		}
		for _, f := range p.flows() {
			if f.from != p.a || f.to == p.a {
				continue
			}
			if err := say(f, "written while reads time out"); err != nil {
				return err
			}
		}
		start := time.Now()
		if err := p.a.SetReadDeadline(start.Add(30 * time.Millisecond)); err != nil {
			return err
		}
		if err := timeout("to come"); err != nil {
			return err
		}
		if early := 30*time.Millisecond - time.Since(start); early > 0 {
			return fmt.Errorf("Read timed out %v before the deadline", early)
		}
		for i := range 20 {
			if err := p.a.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			done := async(func() error { return timeout("set while waiting") })
			if i%2 == 0 {
				time.Sleep(time.Millisecond) // half of them wait by now, probably
			}
			if err := p.a.SetDeadline(past); err != nil {
				return err
			}
			err, ok := ended(soon, done)
			if !ok {
				return errors.New("a Read that waits is not freed by a deadline that has passed")
			}
			if err != nil {
				return err
			}
			if err := p.a.SetDeadline(time.Time{}); err != nil {
				return err
			}
		}
		fill(buf, 0xEE)
		for _, f := range p.flows() {
			if f.to != p.a {
				continue
			}
			if err := inPieces(f); err != nil {
				return err
			}
			if i := differ(buf, bytes.Repeat([]byte{0xEE}, len(buf))); i >= 0 {
				return errors.New("a Read that had timed out wrote into its buffer later")
			}
		}
		return nil
	},
}

// inPieces sends bytes a piece at a time, the next one when a Read has timed out.
func inPieces(f flow) error {
	b := data(6, 20_000)
	timedOut := make(chan struct{})
	sent := async(func() error {
		rnd := random(7)
		for at := 0; at < len(b); {
			if _, ok := <-timedOut; !ok {
				return nil
			}
			n := min(1+rnd.IntN(300), len(b)-at)
			if err := write(f.from, b[at:at+n]); err != nil {
				return err
			}
			at += n
		}
		return nil
	})
	defer close(timedOut)
	rnd := random(8)
	var got []byte
	buf := make([]byte, 200)
	for len(got) < len(b) {
		if err := f.to.SetReadDeadline(time.Now().Add(time.Duration(rnd.IntN(300)) * time.Microsecond)); err != nil {
			return err
		}
		n, err := read(f.to, buf)
		got = append(got, buf[:n]...)
		if err == nil {
			continue
		}
		if err := isTimeout(err); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", len(got), len(b), err)
		}
		select {
		case timedOut <- struct{}{}:
		case err := <-sent:
			if err != nil {
				return err
			}
			sent = nil // all is sent
		default: // it is writing
		}
	}
	if !bytes.Equal(got, b) {
		return fmt.Errorf("bytes were lost or changed around deadlines: %d arrived of %d", len(got), len(b))
	}
	return f.to.SetReadDeadline(time.Time{})
}

// deadForEver sees that every kind of write fails on a write side that is dead.
func deadForEver(c channel.Channel) error {
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	for range 3 {
		if _, err := c.Write([]byte("x")); err == nil {
			return errors.New("Write works again")
		}
		if _, err := c.Writev([][]byte{[]byte("y"), []byte("z")}); err == nil {
			return errors.New("Writev works again")
		}
		if tw, ok := c.(channel.TryWriter); ok {
			if _, err := tw.TryWritev([][]byte{[]byte("t")}); err == nil {
				return errors.New("TryWritev works again")
			}
		}
	}
	return nil
}

var writeDeadlines = property{
	name:     "write_deadlines",
	sentence: "A write deadline frees a Write that waits; after an error of a write every later write fails, and reading goes on.",
	pairs:    3,
	check: func(p *pair) error {
		// Past.
		a := p.a
		if err := a.SetWriteDeadline(past); err != nil {
			return err
		}
		_, err := a.Write([]byte("x"))
		if err := isTimeout(err); err != nil {
			return fmt.Errorf("past: %w", err)
		}
		if err := deadForEver(a); err != nil {
			return fmt.Errorf("after a deadline in the past: %w", err)
		}
		if p.b != nil {
			if err := say(flow{"b to a", p.b, a}, "the other way"); err != nil {
				return err
			}
		}
		if p.traits.NeverFull != "" {
			return nil
		}
		// To come, and set while a Write waits.
		for i, when := range []string{"to come", "set while waiting"} {
			e := p.ends[1+i]
			if i == 0 {
				if err := e.a.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
					return err
				}
			}
			f := startFlood(e.a)
			f.settle()
			if i == 1 {
				if err := e.a.SetWriteDeadline(past); err != nil {
					return err
				}
			}
			err, ok := ended(5*soon, f.done)
			if !ok {
				return fmt.Errorf("%s: the Write is not freed", when)
			}
			if err == nil {
				return fmt.Errorf("%d bytes were written and nobody read: nothing holds a writer back", f.sent.Load())
			}
			if err := isTimeout(err); err != nil {
				return fmt.Errorf("%s: %w", when, err)
			}
			if err := deadForEver(e.a); err != nil {
				return fmt.Errorf("%s: %w", when, err)
			}
			if e.b == nil {
				continue
			}
			if err := say(flow{"b to a", e.b, e.a}, "the other way"); err != nil {
				return err
			}
			if err := p.prefix(e, f.sent.Load()); err != nil {
				return err
			}
		}
		return nil
	},
}

// prefix closes a and sees that what b reads is a beginning of what was flooded:
// no byte changed, skipped or sent twice on the way to the error.
func (p *pair) prefix(e ends, most int64) error {
	if err := e.a.Close(); err != nil {
		return err
	}
	chunk := data(9, 64<<10)
	buf := make([]byte, 64<<10)
	at := int64(0)
	for {
		if p.traits.NoEnd != "" { // what was written is there by now
			e.b.SetReadDeadline(time.Now().Add(soon / 5))
		}
		n, err := read(e.b, buf)
		for _, got := range buf[:n] {
			if want := chunk[at%int64(len(chunk))]; got != want {
				return fmt.Errorf("byte %d is %#02x, should be %#02x, around a write that failed", at, got, want)
			}
			at++
		}
		if err != nil { // an end, or a stream that broke off
			break
		}
	}
	// A layer may have counted less than what it gave away, but by a record at most.
	if at > most+64<<10 {
		return fmt.Errorf("%d bytes arrived, but at most %d were written", at, most)
	}
	return nil
}
