package chardev

import (
	"crypto/tls"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/history"
)

// A quietHouse is some consoles whose guests listen on UNIX sockets, and a client
// for each; the test plays both sides.
type quietHouse struct {
	*bench
	guests, clients []channel.Channel
	hubs            []*hub
}

// newQuietHouse makes n consoles with a frontend at an address that ends in a path.
func newQuietHouse(t *testing.T, n int, front string) *quietHouse {
	await(t, "the tests before to end", func() bool { return goroutinesIn("chardevd/") == 0 })
	h := &quietHouse{bench: newBench(t, 16<<10, "shared")}
	dir := t.TempDir()
	cert, err := channel.SelfSigned(dir)
	if err != nil {
		t.Fatal(err)
	}
	env := &channel.Env{Log: h.hub.log, Below: outboxes.Below, SelfSigned: func() (*tls.Certificate, error) { return cert, nil }}
	for i := range n {
		name := filepath.Join(dir, string(rune('a'+i)))
		dev := channel.MustParseAddress("unix:" + name + ".dev")
		users := channel.MustParseAddress(front + name + ".users")
		l, err := channel.Listen(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		b := newHub(h.hub.log, history.New(16<<10, 0, nil), "shared")
		b.gate = h.hub.gate
		d := newDevice(b, env, &Endpoint{Address: dev})
		d.start(h.ctx)
		h.wg.Go(d.work.Wait)
		f := newFrontend(b, env, &FrontendConfig{Endpoint: Endpoint{Address: users, Listen: true}, Mode: "read-write", OnLag: "catch-up"})
		f.start(h.ctx)
		h.wg.Go(f.work.Wait)
		guest, err := l.Accept(t.Context())
		l.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(front, "tls") { // who dials does not know the certificate
			users = channel.MustParseAddress(front + name + ".users?verify=false")
		}
		far, err := env.Dial(t.Context(), users)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { far.Close(); guest.Close() })
		await(t, "the client to be attached", func() bool { return len(b.clientInfos()) == 1 })
		h.guests, h.clients, h.hubs = append(h.guests, guest), append(h.clients, far), append(h.hubs, b)
	}
	return h
}

// pass sends some bytes from one end to the other of each console.
func (h *quietHouse) pass(from, to []channel.Channel) {
	h.t.Helper()
	for i := range from {
		if _, err := io.WriteString(from[i], "hello"); err != nil {
			h.t.Fatal(err)
		}
	}
	for i := range to {
		to[i].SetReadDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, 5)
		if _, err := io.ReadFull(to[i], got); err != nil || string(got) != "hello" {
			h.t.Fatalf("console %d: %q came, error %v", i, got, err)
		}
	}
}

// awaitSilence waits until nobody waits for anything: the one goroutine of what
// rests is all that is left.
func (h *quietHouse) awaitSilence() {
	h.t.Helper()
	n := 0
	defer func() {
		if h.t.Failed() {
			h.t.Logf("%d goroutines for %d idle consoles with a client each, want 1", n, len(h.hubs))
		}
	}()
	await(h.t, "silence", func() bool { n = goroutinesIn("chardevd/"); return n == 1 })
}

// An idle console costs no goroutine, neither for its device nor for its frontend
// nor for its client, whatever the client speaks; and it is idle again after
// it was used.
func TestAnIdleConsoleCostsNoGoroutine(t *testing.T) {
	for _, front := range []string{"unix:", "ws+unix:", "tls+unix:", "ws+tls+unix:"} {
		t.Run(front, func(t *testing.T) {
			h := newQuietHouse(t, 8, front)
			h.awaitSilence()
			for range 2 {
				h.pass(h.guests, h.clients)
				h.pass(h.clients, h.guests)
				h.pass(h.guests, h.clients) // busy now
				h.awaitSilence()
			}
		})
	}
}

// A console that has had a burst keeps its window, and a block or two, but not the blocks that
// the burst went through.
func TestABurstIsNotKept(t *testing.T) {
	const consoles, burst = 8, 4 << 20
	h := newQuietHouse(t, consoles, "unix:")
	h.awaitSilence()
	before := heap()
	for i, guest := range h.guests {
		done := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, h.clients[i], burst)
			done <- err
		}()
		if _, err := guest.Write(make([]byte, burst)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	h.awaitSilence()
	if kept := int(heap()-before) / consoles; kept > 5*history.MaxBlock/2 {
		t.Errorf("%d bytes are kept for each console, of which the window is %d", kept, h.hubs[0].hist.Size())
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what lay in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A plain channel is attended to: its owner is called only for what attend does not do, and
// reads what attend has given back, and then the rest.
func TestAttendedReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	at := channel.MustParseAddress("unix:" + path)
	l, err := channel.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := channel.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	attended, owned := make(chan string, 1), make(chan string, 1)
	var r reading
	owner := func() {
		var all []byte
		for {
			var p [3]byte
			n, err := r.read(p[:])
			all = append(all, p[:n]...)
			if err != nil {
				defer func() { owned <- string(all) + ": " + err.Error() }()
				if err == errSilent {
					r.rest()
				}
				return
			}
		}
	}
	var over latch
	r = newReading(near, &over, owner)
	r.attendBy(func() bool {
		var p [8]byte
		n, ok := r.tryRead(p[:])
		if n > 0 && p[0] == '!' {
			r.giveBack(p[:n])
			return false
		}
		if n > 0 {
			attended <- string(p[:n])
		}
		return ok
	})
	if owner(); <-owned != ": "+errSilent.Error() {
		t.Error("it does not rest at first")
	}
	say := func(text string, from <-chan string, want string) {
		t.Helper()
		if _, err := io.WriteString(far, text); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-from:
			if got != want {
				t.Errorf("%q came as %q, want %q", text, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q did not come", text)
		}
	}
	for range 3 {
		for range 5 {
			say("key", attended, "key")
		}
		say("!it is more", owned, "!it is more: "+errSilent.Error())
	}
	far.Close()
	if got := <-owned; got != ": EOF" {
		t.Errorf("its end came as %q", got)
	}
	near.Close()
}

// Of many devices that are busy at once, and whose clients are not attended to, some are read by a
// goroutine each and the others together: nobody notices, and none is counted as busy when
// all are silent again.
func TestACrowdIsReadTogether(t *testing.T) {
	h := newQuietHouse(t, crowdLeast+4, "telnet+unix:")
	crowd := new(atomic.Int32)
	h.awaitSilence()
	for _, b := range h.hubs {
		b.device.Load().in.attended.crowd = crowd // which it looks at when something comes
	}
	for range 2 {
		for range 20 {
			h.pass(h.guests, h.clients)
		}
		if n := crowd.Load(); n == 0 || n > crowdLeast {
			t.Errorf("%d devices have a goroutine of their own, of %d that are busy; at most %d are to", n, len(h.hubs), crowdLeast)
		}
		h.awaitSilence()
		await(t, "none to be busy", func() bool { return crowd.Load() == 0 })
	}
}

// A client that rests can be cut, and leaves by itself.
func TestAnIdleClientEnds(t *testing.T) {
	h := newQuietHouse(t, 2, "unix:")
	h.awaitSilence()
	if !h.hubs[0].kick(1) {
		t.Fatal("nobody there to be cut")
	}
	if n, err := h.clients[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("who was cut reads %d bytes, %v", n, err)
	}
	h.clients[1].Close()
	for i, why := range []string{errKicked.Error(), "end of input"} {
		await(t, "the client's end", func() bool { return len(h.hubs[i].clientInfos()) == 0 })
		await(t, "its reason", func() bool { return h.hubs[i].hasEvent("detach", why) })
	}
}

// A device that rests and goes is opened again; one that rests ends with the
// daemon.
func TestAnIdleDeviceEnds(t *testing.T) {
	h := newQuietHouse(t, 2, "unix:")
	h.awaitSilence()
	h.guests[0].Close()
	await(t, "the device to be down", func() bool { return h.hubs[0].hasEvent(StateDown, errDeviceEnded.Error()) })
	h.stop()
	h.wg.Wait()
	if h.hubs[1].device.Load() != nil || len(h.hubs[1].clientInfos()) > 0 {
		t.Error("the other console lives on")
	}
}

func (h *hub) hasEvent(kind, text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == kind && strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

// A device that takes nothing is waited for in the order of coming, and each that
// waits goes when it is told to.
func TestInputWaitsInTurn(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	b.plug()
	_, first := b.attach(16, 0, nil)
	s := b.hub.device.Load()
	fill := make([]byte, 40<<10) // more than the pipe to the guest takes
	if err := s.give(first, fill); err != nil {
		t.Fatal(err)
	}
	const waiting = 5
	waits := 0
	for i := range waiting {
		c := &client{hub: b.hub}
		c.rights.Store(uint32(access.All))
		if i == 2 {
			c.going.end()
		}
		started := make(chan struct{})
		b.wg.Go(func() {
			close(started)
			s.give(c, []byte{byte(i)})
		})
		<-started
		if i == 2 {
			continue // it is told to go at once
		}
		waits++
		await(t, "it to wait", func() bool { return goroutinesIn("(*session).give") == waits })
	}
	got := make([]byte, len(fill)+waiting-1)
	if _, err := io.ReadFull(b.guest, got); err != nil {
		t.Fatal(err)
	}
	if tail := got[len(fill):]; string(tail) != "\x00\x01\x03\x04" {
		t.Errorf("the input came in the order %v", tail)
	}
}

// goroutinesIn counts the goroutines, but for those of tests, that are in a function
// whose name has name in it.
func goroutinesIn(name string) int {
	stacks := make([]byte, 1<<20)
	n := 0
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, name) && !strings.Contains(g, "testing.") {
			n++
		}
	}
	return n
}
