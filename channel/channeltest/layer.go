package channeltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"chardevd/channel"
)

// An Under is a channel that a layer is to be tested over.
type Under struct {
	Name string
	Make Maker
}

// handshake is how long the two sides of a layer may take to agree.
const handshake = 20 * time.Second

// RunLayer holds a layer, by its two sides, to everything of Run: over a pipe,
// over a tight one that reads a byte at a time, over itself, over a socket and
// over whatever is given besides. Then it looks at what only a layer can get
// wrong: going on after a timeout at any byte, a channel below that fails or
// ends at any byte, files that slip past it, and handshakes with garbage, with nobody
// and in silence.
//
// A layer need not be a TryWriter; traits are else those of the layer.
func RunLayer(t *testing.T, client, server channel.Layer, traits Traits, under ...Under) {
	t.Helper()
	traits.NoTry = cmp.Or(traits.NoTry, "what a layer writes is whole records; not waiting is the business of what lies below")
	slow := traits
	slow.Slow = cmp.Or(slow.Slow, "a byte at a time below, or twice the work")

	l := layer{client, server, traits}
	run := func(name string, make Maker, traits Traits) {
		t.Run(name, func(t *testing.T) { Run(t, l.over(make), traits) })
	}
	run("over_pipe", Wrapped(Pipe(64<<10), func(c channel.Channel) channel.Channel { return Scribble{c} }), traits)
	run("over_single_bytes", Wrapped(Pipe(701), func(c channel.Channel) channel.Channel { return OneByte{c} }), slow)
	run("over_itself", l.over(Pipe(64<<10)), slow)
	run("over_socket", Over("tcp://127.0.0.1:0"), traits)
	for _, u := range under {
		run("over_"+u.Name, u.Make, slow)
	}
	only := func(name, sentence string, f func() error) {
		alone(t, name, func(t *testing.T) {
			if err := f(); err != nil {
				t.Errorf("%s\n%v", sentence, err)
			}
		})
	}
	only("resumes_at_every_byte", "A read that timed out goes on at the same byte, wherever in a record or frame that is.", l.resumes)
	only("failing_at_every_byte", "A channel below that fails or ends, after whatever byte, gives a clean error: no hang, no orderly end.", l.failing)
	only("passes_no_files", "Files are not passed beside a layer: they would slip past what it does to the stream.", l.keepsFiles)
	if traits.NoHandshake != "" {
		t.Logf("handshake is not checked: %s", traits.NoHandshake)
		return
	}
	for _, p := range badPeers {
		const sentence = "A handshake that can not succeed ends with an error, by the end of ctx at the latest, and closes the channel below."
		only("handshake_client_"+p.name, sentence, func() error { return p.meet(client) })
		only("handshake_server_"+p.name, sentence, func() error { return p.meet(server) })
	}
}

type layer struct {
	client, server channel.Layer
	traits         Traits
}

// put puts both sides of the layer on two channels, at the same time. The
// contexts are ended afterwards: they bound the handshake only.
func (l layer) put(a, b channel.Channel) (client, server channel.Channel, cerr, serr error) {
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), handshake)
		defer cancel()
		client, cerr = l.client(ctx, a)
	})
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), handshake)
		defer cancel()
		server, serr = l.server(ctx, b)
	})
	wg.Wait()
	return
}

// over makes channels that speak through the layer.
func (l layer) over(under Maker) Maker {
	return func(t testing.TB) (channel.Channel, channel.Channel) {
		t.Helper()
		a, b := under(t)
		client, server, cerr, serr := l.put(a, b)
		if cerr != nil || serr != nil {
			t.Fatalf("handshake: client: %v; server: %v", cerr, serr)
		}
		return client, server
	}
}

// resumes: a read that timed out, at whatever byte of a record or frame, goes on
// there and loses nothing.
func (l layer) resumes() error {
	pa, pb := channel.Pipe(64 << 10)
	below := []*Stutter{{Channel: pa}, {Channel: pb}}
	client, server, cerr, serr := l.put(below[0], below[1])
	if cerr != nil || serr != nil {
		return fmt.Errorf("handshake: client: %v; server: %v", cerr, serr)
	}
	p := &pair{traits: l.traits, ends: []ends{{client, server}}, a: client, b: server}
	defer p.closeAll()
	below[0].On.Store(true)
	below[1].On.Store(true)
	c := p.crew()
	timeouts := 0
	for i, f := range p.flows() {
		b := data(uint64(i), 5000)
		c.do("sending "+f.name, func() error { return send(f.from, b, 700, random(1)) })
		c.do("receiving "+f.name, func() error {
			var n int
			var err error
			buf := make([]byte, 300)
			for at := 0; at < len(b); {
				n, err = read(f.to, buf)
				if k := min(n, len(b)-at); k != n || differ(buf[:n], b[at:at+n]) >= 0 {
					return fmt.Errorf("bytes from %d on are wrong after a timeout within a record", at)
				}
				at += n
				if err == nil {
					continue
				}
				if err := isTimeout(err); err != nil {
					return fmt.Errorf("after %d bytes: %w", at, err)
				}
				if i == 0 {
					timeouts++
				}
			}
			return nil
		})
	}
	if err := watched(c.wait); err != nil {
		return err
	}
	if timeouts == 0 {
		return errors.New("no timeout of the channel below was ever seen above")
	}
	return nil
}

// watched runs f under the watchdog.
func watched(f func() error) error {
	done := async(f)
	select {
	case err := <-done:
		return err
	case <-time.After(watchdog):
		return fmt.Errorf("it hangs: not done after %v\n%s", watchdog, stacks())
	}
}

// A failure is how the channel below fails after n bytes.
type failure struct {
	name string
	make func(n int64, c channel.Channel) *FailAfter
}

var failures = []failure{
	{"reading fails", func(n int64, c channel.Channel) *FailAfter {
		return &FailAfter{Channel: c, Reads: n, ReadErr: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}
	}},
	{"reading ends", func(n int64, c channel.Channel) *FailAfter {
		return &FailAfter{Channel: c, Reads: n, ReadErr: io.EOF}
	}},
	{"writing fails", func(n int64, c channel.Channel) *FailAfter {
		return &FailAfter{Channel: c, Writes: n, WriteErr: &net.OpError{Op: "write", Err: syscall.EPIPE}}
	}},
}

// points is at how many bytes of a session the channel below is made to fail,
// unless CHARDEVD_TEST_LONG is set: then at every one.
const points = 100

// failing: the channel below fails or ends after any number of bytes: a clean
// error, never a hang, a panic, or an end that is taken for an orderly one.
func (l layer) failing() error {
	for side, name := range []string{"client", "server"} {
		whole := &FailAfter{}
		if err := l.session(side, func(c channel.Channel) *FailAfter { whole.Channel = c; return whole }); err != nil {
			return fmt.Errorf("a session without a failure: %w", err)
		}
		reads, writes := whole.Counts()
		for _, f := range failures {
			total := reads
			if f.name == "writing fails" {
				total = writes
			}
			step := max(total/points, 1)
			if os.Getenv("CHARDEVD_TEST_LONG") != "" {
				step = 1
			}
			for n := int64(0); n < total; n += step {
				err := watched(func() error {
					return l.session(side, func(c channel.Channel) *FailAfter { return f.make(n, c) })
				})
				if err != nil && !errors.Is(err, errSession) {
					return fmt.Errorf("%s's %s after %d of %d bytes: %w", name, f.name, n, total, err)
				}
			}
		}
	}
	return nil
}

// errSession marks the errors that a session whose channel fails should have.
var errSession = errors.New("session")

// session puts the layer on a pipe, of which one side is made to fail by wrap,
// sends a message each way and closes.
func (l layer) session(side int, wrap func(channel.Channel) *FailAfter) error {
	pa, pb := channel.Pipe(64 << 10)
	below := []channel.Channel{pa, pb}
	faulty := wrap(below[side])
	below[side] = faulty
	message := data(1, 300)
	one := func(layer channel.Layer, under channel.Channel) error {
		defer under.Close() // so that the other side ends whatever this one did
		ctx, cancel := context.WithTimeout(context.Background(), handshake)
		defer cancel()
		ch, err := layer(ctx, under)
		if err != nil {
			if _, werr := under.Write([]byte("x")); under == channel.Channel(faulty) && !faulty.Closed() || werr == nil {
				return errors.New("the handshake failed, but the channel below is not closed")
			}
			return fmt.Errorf("%w: handshake: %w", errSession, err)
		}
		defer ch.Close()
		if err := write(ch, message); err != nil {
			return fmt.Errorf("%w: write: %w", errSession, err)
		}
		got := make([]byte, len(message))
		at := 0
		for at < len(got) && err == nil {
			var n int
			n, err = read(ch, got[at:])
			at += n
		}
		switch {
		case differ(got[:at], message[:at]) >= 0:
			return errors.New("wrong bytes")
		case at == len(got):
			return nil
		case err == io.EOF && l.traits.NoEndMark == "":
			return fmt.Errorf("a stream that was cut after %d of %d bytes looks like an orderly end", at, len(got))
		}
		return fmt.Errorf("%w: read: %w", errSession, err)
	}
	var cerr, serr error
	var wg sync.WaitGroup
	wg.Go(func() { cerr = one(l.client, below[0]) })
	wg.Go(func() { serr = one(l.server, below[1]) })
	wg.Wait()
	for _, err := range []error{cerr, serr} { // what should not be, first
		if err != nil && !errors.Is(err, errSession) {
			return err
		}
	}
	return cmp.Or(cerr, serr)
}

// A badPeer is one with whom no handshake can succeed.
type badPeer struct {
	name   string
	size   int // of the pipe to it
	do     func(*channel.PipeEnd)
	silent bool // only the end of ctx ends it
}

var badPeers = []badPeer{
	{"garbage", 64 << 10, func(c *channel.PipeEnd) { c.Discard(); c.Write(data(99, 64<<10)) }, false},
	{"text", 64 << 10, func(c *channel.PipeEnd) {
		c.Discard()
		c.Write([]byte("login: \r\n\r\nPassword: \r\n\r\n"))
		c.CloseWrite()
	}, false},
	{"end", 64 << 10, func(c *channel.PipeEnd) { c.Close() }, false},
	{"reset", 64 << 10, func(c *channel.PipeEnd) { c.Break() }, false},
	{"silence", 64 << 10, func(c *channel.PipeEnd) { c.Discard() }, true},
	{"reads_nothing", 1, func(c *channel.PipeEnd) {}, true},
}

// meet puts the layer on a channel to that peer.
func (p badPeer) meet(l channel.Layer) error {
	under, other := channel.Pipe(p.size)
	defer other.Close()
	defer under.Close()
	limit := handshake
	if p.silent {
		limit = 50 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var talking sync.WaitGroup
	talking.Go(func() { p.do(other) })
	defer talking.Wait()
	type result struct {
		ch  channel.Channel
		err error
	}
	r, ok := ended(5*soon, async(func() result { ch, err := l(ctx, under); return result{ch, err} }))
	switch {
	case !ok:
		under.Close() // frees the talking one too
		return fmt.Errorf("it hangs\n%s", stacks())
	case r.err == nil:
		r.ch.Close()
		return errors.New("it succeeded")
	case p.silent && !errors.Is(r.err, context.DeadlineExceeded) && !errors.Is(r.err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the error is not that of ctx: %w", r.err)
	}
	if _, err := under.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		under.Close()
		return fmt.Errorf("the channel below is not closed: a write gives %w", orNil(err))
	}
	return nil
}
