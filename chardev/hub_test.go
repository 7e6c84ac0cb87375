package chardev

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/history"
)

func TestMain(m *testing.M) {
	daemonPID = -1
	goleak.VerifyTestMain(m)
}

// long is whether tests that try many things at random may take their time.
var long = os.Getenv("CHARDEVD_LONG") != ""

// A bench is a hub with a device that the test plays.
type bench struct {
	t       testing.TB
	hub     *hub
	guest   *channel.PipeEnd // the test's end of the device
	printed int64

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func newBench(t testing.TB, size int, input string) *bench {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	b := &bench{t: t, hub: newHub(log, history.New(size, 0, nil), input)}
	b.hub.gate.rules.Store(access.New(nil))
	b.ctx, b.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { b.stop(); b.wg.Wait() })
	return b
}

// plug connects the device; it returns when the hub has it.
func (b *bench) plug() {
	guest, dev := channel.Pipe(32 << 10)
	b.guest = guest
	b.wg.Add(1)
	go b.hub.session(b.ctx, channel.NewOutbox(dev), func(error) { b.wg.Done() })
	await(b.t, "the device to be up", func() bool { return b.hub.device.Load() != nil })
}

// print lets the device say the next n bytes of numbers.
func (b *bench) print(n int) {
	b.t.Helper()
	if _, err := b.guest.Write(numbers(b.printed, b.printed+int64(n))); err != nil {
		b.t.Fatalf("the device cannot print: %v", err)
	}
	b.printed += int64(n)
}

// attach makes the far end of a new client.
func (b *bench) attach(pipe, replay int, change func(*client)) (*channel.PipeEnd, *client) {
	far, near := channel.Pipe(pipe)
	out := channel.NewOutbox(near)
	c := &client{hub: b.hub, ch: out, frontend: "test", peer: "test", onLag: "catch-up"}
	if change != nil {
		change(c)
	}
	b.wg.Add(1)
	go c.serve(b.ctx, replay, -1, func(error) { b.wg.Done() })
	await(b.t, "the client to be attached", func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		return c.id != 0
	})
	return far, c
}

// await waits for what is bound to come, for a minute: a machine that is busy with
// others is slow and not wrong.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// readNumbers reads n bytes and checks that they are the stream from an offset on.
func readNumbers(t testing.TB, r io.Reader, from int64, n int) {
	t.Helper()
	got := make([]byte, n)
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("read: %v", err)
	}
	if want := numbers(from, from+int64(n)); !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Fatalf("offset %d: wrong byte, %d bytes after the first", from+int64(i), i)
	}
}

// A client that comes while the device prints at full rate gets exactly what is
// held, as much as it asked for, and then what follows.
func TestNothingMissingOrTwiceAtTheSeam(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	b.print(128 << 10)
	await(t, "the history to be full", func() bool { return b.hub.hist.Head() == 128<<10 })
	var printing sync.WaitGroup
	done := make(chan struct{})
	printing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				b.print(8 << 10)
			}
		}
	})
	for range 100 {
		begin := make(chan int64, 1)
		far, _ := b.attach(16<<10, 32<<10, func(c *client) {
			c.onLag = "block" // no gap but at the seam is possible
			c.person = func(Message) error { return nil }
			c.hello = func(at int64) Message { begin <- at; return Message{} }
		})
		readNumbers(t, far, <-begin, 200<<10)
		far.Close()
	}
	close(done)
	printing.Wait()
}

func TestReplayIsExactlyWhatIsHeld(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	b.print(800)
	await(t, "the bytes", func() bool { return b.hub.hist.Head() == 800 })
	far, _ := b.attach(1<<20, 1<<20, nil)
	readNumbers(t, far, 0, 800)
	b.print(400 << 10)
	readNumbers(t, far, 800, 400<<10)
	far, _ = b.attach(1<<20, 64<<10, nil)
	readNumbers(t, far, b.printed-64<<10, 64<<10)
	b.print(8)
	readNumbers(t, far, b.printed-8, 8)
}

// One stops reading, the other goes on; the one that stopped is told exactly
// what it missed and gets all the rest.
func TestAStoppedClientIsFeltByNobody(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	type gap struct{ at, size int64 }
	var mu sync.Mutex
	var gaps []gap
	slow, sc := b.attach(4<<10, 0, func(c *client) {
		c.person = func(m Message) error {
			if m.Type == "gap" {
				mu.Lock()
				gaps = append(gaps, gap{m.Offset - m.Size, m.Size})
				mu.Unlock()
			}
			return nil
		}
	})
	quick, qc := b.attach(64<<10, 0, func(c *client) { c.onLag = "close" }) // a gap is an end
	const total = 4 << 20
	b.wg.Go(func() { b.print(total) })
	readNumbers(t, quick, 0, total) // with slow not reading at all
	if qc.missed.Load() != 0 {
		t.Errorf("the quick one missed %d bytes", qc.missed.Load())
	}

	for at := int64(0); at < total; {
		got := make([]byte, 1)
		if _, err := io.ReadFull(slow, got); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		for len(gaps) > 0 && gaps[0].at == at {
			at += gaps[0].size
			gaps = gaps[1:]
		}
		mu.Unlock()
		if want := numbers(at, at+1)[0]; got[0] != want {
			t.Fatalf("offset %d: got %02x, want %02x; gaps still to come: %v", at, got[0], want, gaps)
		}
		at++
	}
	if sc.missed.Load() == 0 || sc.missed.Load() != b.hub.missed() || sc.missed.Load()+sc.got.Load() != total {
		t.Errorf("missed %d, got %d of %d", sc.missed.Load(), sc.got.Load(), total)
	}
}

// awaitPaced waits until the device waits for somebody.
func (b *bench) awaitPaced() {
	b.t.Helper()
	await(b.t, "the device to wait", func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		return b.hub.pace != nil && b.hub.pace.began != 0
	})
}

func TestLagPolicies(t *testing.T) {
	for _, policy := range []string{"skip", "close"} {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t, 16<<10, "shared")
			b.plug()
			far, c := b.attach(4<<10, 0, func(c *client) { c.onLag = policy })
			b.print(2 << 20)
			await(t, "all to be published", func() bool { return b.hub.hist.Head() == 2<<20 })
			all := make(chan []byte)
			b.wg.Go(func() {
				p, _ := io.ReadAll(far)
				all <- p
			})
			if policy == "close" {
				<-all // it ends by itself
				return
			}
			await(t, "the skip", func() bool { return c.cursor.Load() == 2<<20 })
			far.CloseWrite()
			if p := <-all; int64(len(p))+c.missed.Load() != 2<<20 {
				t.Errorf("%d bytes read, %d missed, of %d", len(p), c.missed.Load(), 2<<20)
			}
		})
	}
	t.Run("block", func(t *testing.T) {
		b := newBench(t, 16<<10, "shared")
		b.plug()
		far, c := b.attach(4<<10, 0, func(c *client) { c.onLag = "block" })
		b.wg.Go(func() { b.print(2 << 20) })
		b.awaitPaced()
		readNumbers(t, far, 0, 2<<20)
		if c.missed.Load() != 0 {
			t.Errorf("missed %d bytes", c.missed.Load())
		}
	})
	t.Run("block, of a history that becomes less", func(t *testing.T) {
		b := newBench(t, 64<<10, "shared")
		b.plug()
		far, c := b.attach(4<<10, 0, func(c *client) { c.onLag = "block" })
		b.wg.Go(func() { b.print(2 << 20) })
		b.awaitPaced()
		b.hub.setHistory(4 << 10)
		readNumbers(t, far, 0, 1<<20) // less than there is after a gap, which is seen so
		readNumbers(t, far, 1<<20, 1<<20)
		if c.missed.Load() != 0 {
			t.Errorf("missed %d bytes", c.missed.Load())
		}
	})
	t.Run("block leaves", func(t *testing.T) { // and everybody goes on
		b := newBench(t, 16<<10, "shared")
		b.plug()
		_, c := b.attach(4<<10, 0, func(c *client) { c.onLag = "block" })
		quick, _ := b.attach(64<<10, 0, nil)
		b.wg.Go(func() { b.print(2 << 20) })
		b.awaitPaced()
		if !b.hub.kick(c.id) {
			t.Fatal("no such client")
		}
		readNumbers(t, quick, 0, 2<<20)
	})
}

func TestInput(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	far, c := b.attach(4<<10, 0, nil)
	far.Write([]byte("lost"))
	await(t, "input for a device that is down to be refused", func() bool { return b.hub.refused[refusedDown].Load() == 4 })
	b.plug()
	far.Write([]byte("heard"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(b.guest, got); err != nil || string(got) != "heard" {
		t.Fatalf("the device heard %q, %v", got, err)
	}
	await(t, "it to be counted", func() bool { return c.refused.Load() == 4 && b.hub.bytesIn.Load() == 5 })
}

func TestInputIsRefusedToWhoMayNotType(t *testing.T) {
	b := newBench(t, 16<<10, "exclusive")
	b.plug()
	reader, _ := b.attach(4<<10, 0, func(c *client) { c.readOnly.Store(true) })
	first, _ := b.attach(4<<10, 0, nil)
	second, sc := b.attach(4<<10, 0, nil)
	reader.Write([]byte("r"))
	await(t, "the reader to be refused", func() bool { return b.hub.refused[refusedReadOnly].Load() == 1 })
	first.Write([]byte("1"))
	got := make([]byte, 1)
	io.ReadFull(b.guest, got)
	second.Write([]byte("2"))
	await(t, "the second to be refused", func() bool { return b.hub.refused[refusedNotWriter].Load() == 1 })
	first.Close()
	await(t, "the first to be gone", func() bool { b.hub.mu.Lock(); defer b.hub.mu.Unlock(); return b.hub.writer.holder == nil })
	second.Write([]byte("3"))
	io.ReadFull(b.guest, got)
	if string(got) != "3" {
		t.Errorf("the device got %q", got)
	}
	await(t, "it to be counted", func() bool { return sc.typed.Load() == 1 })
}

// A size is told whenever somebody attaches with a window; it must not take the
// exclusive input from those who type.
func TestASizeAloneDoesNotTakeTheInput(t *testing.T) {
	b := newBench(t, 16<<10, "exclusive")
	b.plug()
	_, looker := b.attach(4<<10, 0, nil)
	typist, tc := b.attach(4<<10, 0, nil)
	b.hub.resize(looker, 80, 24)
	typist.Write([]byte("1"))
	await(t, "the key to be taken or refused", func() bool { return tc.typed.Load()+tc.refused.Load() == 1 })
	if tc.refused.Load() != 0 {
		t.Error("who only told a size has the input")
	}
}

// The hello is the first message, whatever happens while a client attaches.
func TestTheHelloComesFirst(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	messages := make(chan string, 2)
	b.attach(4<<10, 0, func(c *client) {
		c.person = func(m Message) error { messages <- m.Type; return nil }
		c.hello = func(int64) Message {
			told := make(chan struct{})
			b.wg.Go(func() {
				b.hub.tell(Message{Type: "device"})
				close(told)
			})
			select {
			case <-told: // too early
			case <-time.After(20 * time.Millisecond):
			}
			return Message{Type: "hello"}
		}
	})
	if first, second := <-messages, <-messages; first != "hello" || second != "device" {
		t.Errorf("the messages are %s, %s", first, second)
	}
}

// A client that ends its input gets what was published, then its end.
func TestEndOfInput(t *testing.T) {
	b := newBench(t, 256<<10, "shared")
	b.plug()
	far, _ := b.attach(8<<10, 0, nil)
	b.print(100 << 10)
	await(t, "all to be published", func() bool { return b.hub.hist.Head() == 100<<10 })
	far.Write([]byte("x"))
	far.CloseWrite()
	readNumbers(t, far, 0, 100<<10)
	if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
	got := make([]byte, 1)
	if io.ReadFull(b.guest, got); string(got) != "x" {
		t.Errorf("the device got %q", got)
	}
}

// Clients come, stall, go on, and break off at random; who stays and reads gets
// everything.
func TestCrowd(t *testing.T) {
	total := 4 << 20
	if long {
		total *= 16
	}
	b := newBench(t, 128<<10, "shared")
	b.plug()
	over, stop := context.WithCancel(b.ctx)
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			for over.Err() == nil {
				far, _ := b.attach(1<<rand.IntN(16), rand.IntN(64<<10), nil)
				leave := context.AfterFunc(over, func() { far.Close() })
				io.CopyN(io.Discard, far, rand.Int64N(200<<10))
				leave()
				far.Close()
			}
		})
	}
	far, c := b.attach(256<<10, 0, func(c *client) { c.onLag = "block" }) // the crowd may be twice as fast
	b.wg.Go(func() { b.print(total) })
	readNumbers(t, far, 0, total)
	stop()
	crowd.Wait()
	if c.missed.Load() != 0 {
		t.Errorf("missed %d bytes", c.missed.Load())
	}
	await(t, "the crowd to be gone", func() bool { b.hub.mu.Lock(); defer b.hub.mu.Unlock(); return len(b.hub.clients) == 1 })
}

// A client that goes over from its pump to the device's goroutine and back again
// and again, as fast as both can, is never forgotten by both.
func TestAClientThatChangesHandsIsNeverForgotten(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	far, _ := b.attach(4, 0, func(c *client) { c.onLag = "block" })
	const total = 512 << 10
	for range 4 { // the hub's mutex is in demand
		b.wg.Go(func() {
			for b.ctx.Err() == nil {
				b.hub.clientInfos()
			}
		})
	}
	b.wg.Go(func() {
		for b.printed < total {
			b.print(8)
		}
	})
	readNumbers(t, far, 0, total)
}

func TestRequestGuard(t *testing.T) {
	for _, s := range []string{"GET / HTTP/1.1\r\n", "POST /x", "OPTIONS *", "CONNECT a:1", "GET http://x/", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		for cut := range len(s) {
			g := new(requestGuard)
			if !g.isRequest([]byte(s[:cut])) && !g.isRequest([]byte(s[cut:])) {
				t.Errorf("%q, cut at %d: not seen", s, cut)
			}
		}
	}
	for _, s := range []string{"get /", "GET\r", "ls GET /", "POSTER /x", "\r\nroot\r", "HEADING", "\x16\x03\x03", "\x16\x03\x01\x02\x00\x02", "x\x16\x03\x01\x02\x00\x01"} {
		g := new(requestGuard)
		if g.isRequest([]byte(s)) || g.isRequest([]byte("GET / HTTP/1.1")) && len(s) >= 16 {
			t.Errorf("%q: taken for a request", s)
		}
	}
}

// A countedOutlet notes how much it was given each time.
type countedOutlet struct {
	outlet
	given []int64
}

func (o *countedOutlet) bear(bool)   {}
func (o *countedOutlet) weight() int { return 1 }
func (o *countedOutlet) give(bufs [][]byte) (int64, bool, error) {
	n := channel.SizeOf(bufs)
	o.given = append(o.given, n)
	return n, true, nil
}

// What a device says that was silent is one chunk, however small the history's blocks
// were, as far as one may be attended to, or as a block can.
func TestADeviceBeginsToSpeak(t *testing.T) {
	for _, c := range []struct {
		much int
		want []int64
	}{{10 << 10, []int64{10 << 10}}, {40 << 10, []int64{attendedChunk, 24 << 10}}} {
		b := newBench(t, 256<<10, "shared")
		guest, end := unixPair(t)
		if _, err := guest.Write(numbers(0, int64(c.much))); err != nil {
			t.Fatal(err)
		}
		guest.CloseWrite()
		out := new(countedOutlet)
		cl := &client{hub: b.hub, out: out, attended: true}
		b.hub.mu.Lock()
		b.hub.setState(cl, live)
		b.hub.mu.Unlock()
		ended := make(chan error, 1)
		b.hub.session(b.ctx, channel.NewOutbox(end), func(err error) { ended <- err })
		if err := <-ended; err != errDeviceEnded {
			t.Errorf("the device ended with %v", err)
		}
		if !slices.Equal(out.given, c.want) {
			t.Errorf("%d bytes came as %d, want %d", c.much, out.given, c.want)
		}
		b.hub.mu.Lock()
		b.hub.setState(cl, detached)
		b.hub.mu.Unlock()
		bufs, _ := b.hub.hist.Reader().Next(0, c.much)
		if got := slices.Concat(bufs...); !bytes.Equal(got, numbers(0, int64(c.much))) {
			t.Errorf("the history has %d bytes that are not what was said", len(got))
		}
	}
}

// unixPair is a connection between UNIX sockets.
func unixPair(t *testing.T) (far, near channel.Channel) {
	t.Helper()
	at := channel.MustParseAddress("unix:" + filepath.Join(t.TempDir(), "s"))
	l, err := channel.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = channel.Dial(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if near, err = l.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	return far, near
}

// A crowd that came while the device was silent is written to by who serves this device
// alone, and not by who attends to all others as well.
func TestAttendLeavesACrowdAlone(t *testing.T) {
	b := newBench(t, 256<<10, "shared")
	guest, end := unixPair(t)
	defer end.Close()
	out := new(countedOutlet)
	b.hub.mu.Lock()
	for range attendedMost + 1 {
		b.hub.setState(&client{hub: b.hub, out: out, attended: true}, live)
	}
	b.hub.mu.Unlock()
	s := &session{hub: b.hub}
	s.in = newReading(channel.NewOutbox(end), &s.going.latch, nil)
	s.in.attendPlainBy(s.attend, s.giveOut, b.hub.crowd)
	if _, err := guest.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	attend := func() bool { defer s.giveOut(); return s.attend() }
	if attend() || len(out.given) != 0 {
		t.Errorf("%d clients were written to", len(out.given))
	}
	b.hub.mu.Lock()
	for _, c := range slices.Clone(b.hub.live)[1:] {
		b.hub.setState(c, detached)
	}
	b.hub.mu.Unlock()
	if !attend() || len(out.given) != 1 {
		t.Errorf("one client was written to %d times", len(out.given))
	}
	b.hub.mu.Lock()
	b.hub.setState(b.hub.live[0], detached)
	b.hub.mu.Unlock()
}
