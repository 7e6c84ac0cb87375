package channeltest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"

	"go.uber.org/goleak"
)

// ends are two connected channels; b is nil if there is no other end.
type ends struct{ a, b channel.Channel }

// A pair is what a check works on.
type pair struct {
	traits Traits
	ends   []ends          // all that were made
	a, b   channel.Channel // those of ends[0]
	before uint64          // heap before they were made
}

func (p *pair) closeAll() error {
	var errs []error
	for _, e := range p.ends {
		errs = append(errs, e.a.Close())
		if e.b != nil {
			errs = append(errs, e.b.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return nil
}

// A flow is a direction in which bytes can be seen to travel.
type flow struct {
	name     string
	from, to channel.Channel
}

func (e ends) flows(tr Traits) []flow {
	switch {
	case tr.Echo != "":
		return []flow{{"a and back", e.a, e.a}}
	case e.b == nil:
		return nil
	}
	return []flow{{"a to b", e.a, e.b}, {"b to a", e.b, e.a}}
}

func (p *pair) flows() []flow { return p.ends[0].flows(p.traits) }

// A crew is goroutines that end together: the first error closes the channels,
// so that the others come free.
type crew struct {
	p    *pair
	wg   sync.WaitGroup
	once sync.Once
	err  error
}

func (p *pair) crew() *crew { return &crew{p: p} }

func (c *crew) do(what string, f func() error) {
	c.wg.Go(func() {
		if err := f(); err != nil {
			c.once.Do(func() {
				c.err = fmt.Errorf("%s: %w", what, err)
				c.p.closeAll()
			})
		}
	})
}

func (c *crew) wait() error {
	c.wg.Wait()
	return c.err
}

// ended waits for done, at least d long, in small steps: where a busy machine
// gives this process little time, the steps and so the whole take longer.
func ended[T any](d time.Duration, done <-chan T) (v T, ok bool) {
	const step = 10 * time.Millisecond
	for range d / step {
		select {
		case v = <-done:
			return v, true
		case <-time.After(step):
		}
	}
	return v, false
}

// async runs f and gives its result.
func async[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// soon is the bound for what a Close or a deadline must free.
const soon = time.Second

// data is n bytes of a stream; different seeds give different ones.
func data(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// read is c.Read, held to what every Read must keep.
func read(c channel.Channel, p []byte) (int, error) {
	n, err := c.Read(p)
	switch {
	case n < 0 || n > len(p):
		return 0, fmt.Errorf("Read of %d bytes returned %d", len(p), n)
	case n == 0 && err == nil && len(p) > 0:
		return 0, errors.New("Read returned 0, nil")
	}
	return n, err
}

// receive reads len(want) bytes in reads of random sizes up to most and compares
// them. After each read it scribbles over what it got and some way beyond, where
// a layer might have left something; not over all, for many a read gets a byte.
func receive(c channel.Channel, want []byte, most int, rnd *rand.Rand) error {
	buf := make([]byte, most)
	for at := 0; at < len(want); {
		p := buf[:1+rnd.IntN(most)]
		n, err := read(c, p)
		if n > len(want)-at {
			return fmt.Errorf("%d bytes more than were sent", n-(len(want)-at))
		}
		if i := differ(p[:n], want[at:at+n]); i >= 0 {
			return fmt.Errorf("byte %d of %d is %#02x, should be %#02x", at+i, len(want), p[i], want[at+i])
		}
		at += n
		if err != nil && at < len(want) {
			return fmt.Errorf("after %d of %d bytes: %w", at, len(want), err)
		}
		fill(p[:min(len(p), 2*n+256)], 0xEE)
	}
	return nil
}

func fill(p []byte, with byte) {
	for i := range p {
		p[i] = with
	}
}

// differ is where two runs of one length differ, or -1.
func differ(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// send writes b in writes of random sizes up to most, some of them vectored.
func send(c channel.Channel, b []byte, most int, rnd *rand.Rand) error {
	for len(b) > 0 {
		k := min(1+rnd.IntN(most), len(b))
		if rnd.IntN(3) == 0 {
			if err := writev(c, split(b[:k], 1+rnd.IntN(5), rnd)); err != nil {
				return err
			}
		} else if err := write(c, b[:k]); err != nil {
			return err
		}
		b = b[k:]
	}
	return nil
}

// write is c.Write of what must be taken whole.
func write(c channel.Channel, p []byte) error {
	n, err := c.Write(p)
	if err == nil && n != len(p) {
		err = fmt.Errorf("Write of %d bytes returned %d, nil", len(p), n)
	}
	return err
}

// writev is c.Writev of what must be taken whole.
func writev(c channel.Channel, bufs [][]byte) error {
	want := int64(0)
	for _, b := range bufs {
		want += int64(len(b))
	}
	n, err := c.Writev(bufs)
	if err == nil && n != want {
		err = fmt.Errorf("Writev of %d bytes in %d slices returned %d, nil", want, len(bufs), n)
	}
	return err
}

// split cuts b into n slices at random places; some are empty.
func split(b []byte, n int, rnd *rand.Rand) [][]byte {
	cuts := []int{0, len(b)}
	for range n - 1 {
		cuts = append(cuts, rnd.IntN(len(b)+1))
	}
	slices.Sort(cuts)
	var out [][]byte
	for i := range n {
		out = append(out, b[cuts[i]:cuts[i+1]])
	}
	return out
}

// say sends a few bytes from one end to the other and sees them arrive. By it
// a layer gets rid of what it owes after its handshake.
func say(f flow, text string) error {
	sent := async(func() error { return write(f.from, []byte(text)) })
	buf := make([]byte, len(text))
	_, err := io.ReadFull(f.to, buf)
	if err == nil && string(buf) != text {
		err = fmt.Errorf("%q arrived as %q", text, buf)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return <-sent
}

// greet is say in every direction.
func (p *pair) greet(e ends) error {
	for _, f := range e.flows(p.traits) {
		if err := say(f, "hello"); err != nil {
			return err
		}
	}
	return nil
}

// mostHeld is more than any medium can hold back.
const mostHeld = 256 << 20

// A flood writes until a write fails.
type flood struct {
	sent atomic.Int64
	done <-chan error // the error that ended it; nil: it never had to wait
}

func startFlood(c channel.Channel) *flood {
	f := new(flood)
	f.done = async(func() error {
		chunk := data(9, 64<<10)
		for f.sent.Load() < mostHeld {
			n, err := c.Write(chunk)
			f.sent.Add(int64(n))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return f
}

// settle returns when the flood has made no progress for a while: probably it
// waits by then. Nothing depends on it but how sharp the check is.
func (f *flood) settle() {
	for last := int64(-1); last != f.sent.Load(); {
		last = f.sent.Load()
		for range 15 {
			if len(f.done) > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// isTimeout says what is wrong with err as that of a deadline that passed.
func isTimeout(err error) error {
	var ne net.Error
	switch {
	case err == nil:
		return errors.New("no error, although the deadline had passed")
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w (%T) is not os.ErrDeadlineExceeded", err, err)
	case !errors.As(err, &ne) || !ne.Timeout():
		return fmt.Errorf("%w (%T) is not a net.Error with Timeout", err, err)
	}
	return nil
}

// stock is what a process has: goroutines and descriptors.
type stock struct {
	goroutines goleak.Option
	files      []string
}

func takeStock() stock { return stock{goleak.IgnoreCurrent(), files()} }

// compare waits a little for what is on its way out.
func (s stock) compare() error {
	err := goleak.Find(s.goroutines)
	now := files()
	for i := 0; i < 100 && len(now) != len(s.files); i++ {
		time.Sleep(10 * time.Millisecond)
		now = files()
	}
	if len(now) != len(s.files) {
		err = errors.Join(err, fmt.Errorf("descriptors before:\n %s\nafter:\n %s",
			strings.Join(s.files, "\n "), strings.Join(now, "\n ")))
	}
	return err
}

// files are the open descriptors, less those of the runtime's poller, which is
// there from the first use on.
func files() []string {
	var out []string
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		to, err := os.Readlink(l)
		if err != nil || strings.Contains(to, "eventpoll") || strings.Contains(to, "eventfd") {
			continue // err: the descriptor of the listing itself
		}
		out = append(out, filepath.Base(l)+" "+to)
	}
	return out
}

// heap is the memory in use, in bytes, stacks included.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the second one empties what sync.Pool kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
