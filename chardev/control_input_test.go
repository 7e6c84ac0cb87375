package chardev

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// post types a body over the API.
func (r *logRig) post(ctx context.Context, body io.Reader) (int, Problem) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(ctx, "POST", r.server.URL+"/api/v1/chardevs/vm1/input", body)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.server.Client().Do(q)
	if err != nil {
		return 0, Problem{Detail: err.Error()}
	}
	defer a.Body.Close()
	var p Problem
	if a.StatusCode != 204 {
		if err := json.NewDecoder(a.Body).Decode(&p); err != nil {
			r.t.Errorf("%s: %v", a.Status, err)
		}
	}
	return a.StatusCode, p
}

// hears has the guest read what it was typed.
func (r *logRig) hears(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.guest, got); err != nil || string(got) != want {
		r.t.Fatalf("the guest was typed %.50q, %v; want %.50q", got, err, want)
	}
}

func TestInputIsTyped(t *testing.T) {
	r := newLogRig(t)
	for _, text := range []string{"root\n", "\x00\xff\r", ""} {
		if status, p := r.post(t.Context(), strings.NewReader(text)); status != 204 {
			t.Fatalf("%q: %d %+v", text, status, p)
		}
		r.hears(text)
	}
	most := strings.Repeat("0123456789abcdef", inputBodyMax/16)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		r.hears(most)
	}()
	if status, p := r.post(t.Context(), strings.NewReader(most)); status != 204 {
		t.Errorf("as much as goes: %d %+v", status, p)
	}
	<-heard
	// of too much nothing is typed, whether or not its length is told
	for _, body := range []io.Reader{strings.NewReader(most + "x"), io.MultiReader(strings.NewReader(most), strings.NewReader("x"))} {
		if status, p := r.post(t.Context(), body); status != 413 {
			t.Errorf("too much: %d %+v", status, p)
		}
	}
	if n := r.hub.bytesIn.Load(); n != int64(len("root\n\x00\xff\r")+inputBodyMax) {
		t.Errorf("the device was given %d bytes", n)
	}
}

// Who types over the API has an exclusive input until the end of the request.
func TestInputOfTheWriter(t *testing.T) {
	r := newLogRig(t)
	r.hub.input.Store(new("exclusive"))
	r.post(t.Context(), strings.NewReader("one"))
	r.hears("one")
	holder := func() *client {
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return r.hub.writer.holder
	}
	if c := holder(); c != nil {
		t.Errorf("%s has the input", c)
	}
	far, c := r.attach(1<<10, 0, nil)
	far.Write([]byte("two"))
	r.hears("two")
	status, p := r.post(t.Context(), strings.NewReader("three"))
	if status != 409 || p.Reason != "not_writer" || p.Taken != 0 || p.Detail != "vm1: the device was given 0 of 5 bytes: somebody else has the input" {
		t.Errorf("%d %+v", status, p)
	}
	if holder() != c {
		t.Errorf("%v has the input", holder())
	}

	// one under way has it, for as long as the device takes
	far.Close()
	await(t, "the input to be free", func() bool { return holder() == nil })
	text := strings.Repeat("x", 300<<10)
	done := make(chan int)
	go func() { status, _ := r.post(t.Context(), strings.NewReader(text)); done <- status }()
	await(t, "a request to have the input", func() bool { return holder() != nil && holder().frontend == "input" })
	if status, p := r.post(t.Context(), strings.NewReader("y")); status != 409 || p.Reason != "not_writer" {
		t.Errorf("beside another: %d %+v", status, p)
	}
	<-time.After(2 * rigDeadline) // of the server's, which is not for this
	r.hears(text)
	if status := <-done; status != 204 {
		t.Errorf("its answer is %d", status)
	}
}

// A device that takes nothing is felt by who typed, alone; who goes away waits no
// longer, and not many may wait.
func TestInputOfAStuckDevice(t *testing.T) {
	r := newLogRig(t)
	text := bytes.Repeat([]byte("x"), 300<<10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	for range postsMost {
		go func() {
			for ctx.Err() == nil { // the rig's server cuts who is slow to begin
				r.post(ctx, bytes.NewReader(text))
			}
			done <- struct{}{}
		}()
	}
	await(t, "all to wait", func() bool { return r.posts() == postsMost })
	if status, p := r.post(t.Context(), strings.NewReader("x")); status != 503 {
		t.Errorf("one too many: %d %+v", status, p)
	}
	r.says("still here")
	a := r.get(t.Context(), "format=raw")
	if body, err := io.ReadAll(a.Body); string(body) != "still here" {
		t.Errorf("the log is %q, %v", body, err)
	}
	await(t, "the others to wait for the device", func() bool { return r.posts() == postsMost })
	cancel()
	for range postsMost {
		<-done
	}
	await(t, "nobody to wait", func() bool { return r.posts() == 0 })
}

// posts are how many requests type.
func (r *logRig) posts() (n int) {
	s := &r.control.server.posts
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.of {
		n += of
	}
	return n
}

// Bodies that do not come keep out whose they are, and nobody else.
func TestSlowBodiesKeepNobodyElseOut(t *testing.T) {
	r := newLogRig(t)
	body, slow := io.Pipe()
	var gone sync.WaitGroup
	defer gone.Wait()
	defer slow.Close()
	for range postsMost {
		gone.Go(func() { r.post(t.Context(), body) })
	}
	await(t, "all to wait", func() bool { return r.posts() == postsMost })
	if status, p := r.post(t.Context(), strings.NewReader("x")); status != 503 {
		t.Errorf("one too many: %d %+v", status, p)
	}
	other := *r
	other.server = httptest.NewUnstartedServer(r.control.handler())
	_, end := channel.Pipe(1)
	bob := access.Identity{Names: []access.Name{{Kind: access.Unix, Text: "bob"}}}
	other.server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, peerKey{}, peer{ch: end, who: bob})
	}
	other.server.Start()
	defer other.server.Close()
	if status, p := other.post(t.Context(), strings.NewReader("y")); status != 204 {
		t.Errorf("somebody else: %d %+v", status, p)
	}
	r.hears("y")
}

func TestInputIsRefused(t *testing.T) {
	r := newLogRig(t)
	r.hub.name = "vm1"
	r.hub.gate.rules.Store(rulesOf(t, "[[access]]\nwho = 'anyone'\nmay = 'write'\non = 'vm1'\n"))
	text := strings.Repeat("x", 300<<10)
	ends := func(what func(), status int, reason string) {
		t.Helper()
		type result struct {
			int
			Problem
		}
		done := make(chan result)
		before := r.hub.bytesIn.Load()
		go func() { status, p := r.post(t.Context(), strings.NewReader(text)); done <- result{status, p} }()
		await(t, "it to be under way", func() bool { return r.hub.bytesIn.Load() > before })
		what()
		if have := <-done; have.int != status || have.Reason != reason || have.Taken != r.hub.bytesIn.Load()-before {
			t.Errorf("%+v, want %d %s; the device was given %d bytes", have, status, reason, r.hub.bytesIn.Load()-before)
		}
	}
	ends(func() {
		r.hub.gate.rules.Store(access.Nobody("of a test"))
		r.hub.review()
	}, 403, "not_permitted")
	r.hub.gate.rules.Store(access.New(nil))
	r.hears(text[:r.hub.bytesIn.Load()])
	ends(func() { r.guest.Close() }, 409, "device_down")
	await(t, "the device to be gone", func() bool { return r.hub.device.Load() == nil })
	if status, p := r.post(t.Context(), strings.NewReader("x")); status != 409 || p.Reason != "device_down" {
		t.Errorf("no device: %d %+v", status, p)
	}
	r.hub.input.Store(new("off"))
	if status, p := r.post(t.Context(), strings.NewReader("x")); status != 409 || p.Reason != "input_off" {
		t.Errorf("no input: %d %+v", status, p)
	}
}

// Who wants a device opened anew does not wait for the next try.
func TestNextTryIsWanted(t *testing.T) {
	var r retry
	r.limits.Store(&Reconnect{Min: time.Hour, Max: time.Hour})
	r.soon()
	r.soon()
	if !r.pause(t.Context(), nil) || r.wait != 0 {
		t.Errorf("it waits for %v", r.wait)
	}
	r.soon()
	r.made()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r.pause(ctx, nil) {
		t.Error("what was wanted before a success is wanted still")
	}
}

// A request that has ended types no more.
func TestWhoHasEndedTypesNoMore(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	b.plug()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _, ok := b.hub.typed(ctx, caller{who: access.Identity{Operator: true}}, make([]byte, 4*inputMax))
	if typed, refused := c.typed.Load(), c.refused.Load(); ok || typed != 0 || refused != 4*inputMax {
		t.Errorf("%d bytes were typed and %d refused, ok %v", typed, refused, ok)
	}
}
