package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// simTransport is a guest that is simulated, to try things with and for tests:
//
//	sim:boot     boots, then a prompt with a few commands; see help
//	sim:counter  numbered lines, without end; input is thrown away
//	sim:echo     gives back what it gets
//
// Every dial is a machine of its own that is switched on then. Options: rate= is
// how many bytes a second it prints (absent: as fast as they are taken; but the
// log of sim:boot takes its second), burst= how many of them at once (default: a
// hundredth of rate), unplug= after what time the stream ends. A guest that is
// not read waits, as one behind a serial line with flow control does.
var simTransport = &transport{
	name: "sim",
	what: "the name of a simulation",
	options: []optionDef{
		{name: "rate", check: isSize},
		{name: "burst", check: isSize},
		{name: "unplug", check: isDuration},
	},
	check: func(a Address) error {
		if _, ok := simulations[a.Where]; !ok {
			return unknown("simulation", a.Where, slices.Sorted(maps.Keys(simulations)))
		}
		return nil
	},
	dial: dialSim,
}

// simulations are what a guest does until its stream ends. They return the error
// that ended it.
var simulations = map[string]func(*guest) error{
	"boot":    (*guest).boot,
	"counter": (*guest).counter,
	"echo":    (*guest).echo,
}

// simBuffer is how many bytes are under way to and from a guest.
const simBuffer = 16 << 10

func dialSim(ctx context.Context, _ *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	run, ok := simulations[a.Where]
	if !ok {
		return nil, unknown("simulation", a.Where, slices.Sorted(maps.Keys(simulations)))
	}
	g := &guest{off: make(chan struct{})}
	var unplug time.Duration
	for _, o := range []struct {
		key string
		set func(string) error
	}{
		{"rate", func(v string) (err error) { g.rate, err = ParseSize(v); return }},
		{"burst", func(v string) (err error) { g.burst, err = ParseSize(v); return }},
		{"unplug", func(v string) (err error) { unplug, err = ParseDuration(v); return }},
	} {
		if v := a.Get(o.key); v != "" {
			if err := o.set(v); err != nil {
				return nil, fmt.Errorf("option %s: %w", o.key, err)
			}
		}
	}
	user, end := Pipe(simBuffer)
	g.end = end
	user.local, user.remote = addr{"sim", a.Where}, addr{"sim", a.Where}
	s := &simChannel{PipeEnd: user, guest: g}
	if unplug > 0 {
		s.unplug = time.AfterFunc(unplug, g.switchOff)
	}
	s.running.Go(func() {
		defer g.switchOff()
		run(g) // its error is that its end was closed: nobody is left to be told
	})
	return s, nil
}

// A simChannel is the user's end of a guest's line. It owns the guest.
type simChannel struct {
	*PipeEnd
	guest   *guest
	running sync.WaitGroup
	unplug  *time.Timer // nil: never
}

// Close switches the guest off and waits for it.
func (s *simChannel) Close() error {
	err := s.PipeEnd.Close()
	if s.unplug != nil {
		s.unplug.Stop()
	}
	s.guest.switchOff()
	s.running.Wait()
	return err
}

// A guest is one simulated machine. But for off, all is owned by its goroutine.
type guest struct {
	end         *PipeEnd
	rate, burst int64 // bytes a second, bytes; a rate of 0 does not hold it up

	once sync.Once
	off  chan struct{} // closed when it is switched off

	due     time.Time // when it may print the next burst
	input   []byte    // typed, not looked at yet
	started time.Time // when it booted
	line    []byte    // what is edited at the prompt
	wasCR   bool      // the last key was a carriage return
}

// switchOff ends the stream, and so whatever the guest does. It may be called by
// anybody and more than once.
func (g *guest) switchOff() {
	g.once.Do(func() {
		close(g.off)
		g.end.Close()
	})
}

// print prints b at the guest's rate, waiting for the reader.
func (g *guest) print(b []byte) error {
	for len(b) > 0 {
		n := int64(len(b))
		if g.rate > 0 {
			burst := g.burst
			if burst == 0 {
				burst = max(g.rate/100, 1)
			}
			n = min(n, burst)
			if err := g.pace(time.Duration(float64(n) / float64(g.rate) * float64(time.Second))); err != nil {
				return err
			}
		}
		if _, err := g.end.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// pace waits until the line is free and takes it for d. Time that was not used,
// because nobody read or nothing was to be said, does not come back.
func (g *guest) pace(d time.Duration) error {
	now := time.Now()
	if wait := g.due.Sub(now); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-g.off:
			return net.ErrClosed
		}
		g.due = g.due.Add(d)
		return nil
	}
	g.due = now.Add(d)
	return nil
}

func (g *guest) echo() error {
	buf := make([]byte, 4096)
	for {
		n, err := g.end.Read(buf)
		if err == nil {
			err = g.print(buf[:n])
		}
		if err == io.EOF { // the user ended its half; so does the guest
			return g.end.CloseWrite()
		}
		if err != nil {
			return err
		}
	}
}

// counter prints lines of 12 bytes: ten digits from 0 on, CR and LF.
func (g *guest) counter() error {
	g.end.Discard()
	return g.count(-1, func() error { return nil })
}

// count prints n numbered lines, or without end if n is negative. It asks
// between whether to go on.
func (g *guest) count(n int64, goOn func() error) error {
	var b []byte
	for i := int64(0); n < 0 || i < n; i++ {
		b = fmt.Appendf(b, "%010d\r\n", i)
		if len(b) < 4096 && i != n-1 {
			continue
		}
		if err := g.print(b); err != nil {
			return err
		}
		if err := goOn(); err != nil {
			return err
		}
		b = b[:0]
	}
	return nil
}

// typeAhead is how many bytes a guest takes while it is busy.
const typeAhead = 4096

// errInterrupted is the error of a command that ^C ended.
var errInterrupted = errors.New("interrupted")

// checkInterrupt looks for a ^C in what was typed meanwhile.
func (g *guest) checkInterrupt() error {
	if room := min(g.end.Buffered(), typeAhead-len(g.input)); room > 0 {
		at := len(g.input)
		g.input = append(g.input, make([]byte, room)...)
		n, err := g.end.Read(g.input[at:])
		g.input = g.input[:at+n]
		if err != nil {
			return err
		}
	}
	if i := bytes.IndexByte(g.input, 0x03); i >= 0 {
		g.input = g.input[i+1:]
		return errInterrupted
	}
	return nil
}
