package chardev

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// newEventRig is a logRig whose consoles vm1, which has a device, and vm2, which has
// none, are watched by whoever may read; that is everybody.
func newEventRig(t *testing.T) *logRig {
	b := newBench(t, 64<<10, "exclusive")
	s := serverOf()
	s.gate.rules.Store(access.New(nil))
	for _, name := range []string{"vm1", "vm2"} {
		h := b.hub
		if name == "vm2" {
			h = newHub(b.hub.log, b.hub.hist, "off")
		}
		h.name, h.gate = name, &s.gate
		s.put(consoleOf(h, name, &Endpoint{Listen: true, Address: channel.MustParseAddress("unix:vm")}))
	}
	s.all()[0].device.Load().status.set(StateUp, nil)
	r := &logRig{bench: b, control: &control{server: s, ctx: b.ctx, stuck: 20 * time.Second}}
	r.server = httptest.NewUnstartedServer(r.control.handler())
	r.server.Config.ReadTimeout, r.server.Config.WriteTimeout = rigDeadline, rigDeadline
	r.server.Config.BaseContext = func(net.Listener) context.Context { return r.ctx }
	_, end := channel.Pipe(1)
	r.server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return withPeer(ctx, end) }
	r.plug()
	r.server.Start()
	t.Cleanup(r.server.Close)
	return r
}

// An sseReader reads server-sent events.
type sseReader struct {
	t testing.TB
	r *bufio.Reader
}

// next is the next event.
func (s sseReader) next() (name, id, data string) {
	s.t.Helper()
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v", data, err)
		}
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); key {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if data != "" {
				return name, id, data
			}
		}
	}
}

// sees reads summaries until one is as it is to be.
func (s sseReader) sees(what string, ok func(Summary) bool) (seen []Summary) {
	s.t.Helper()
	for {
		name, _, data := s.next()
		var one Summary
		if err := json.Unmarshal([]byte(data), &one); name != "chardev" || err != nil {
			s.t.Fatalf("%s: %s %s, %v", what, name, data, err)
		}
		if seen = append(seen, one); ok(one) {
			return seen
		}
	}
}

// watch asks for events.
func (r *logRig) watch(ctx context.Context) (sseReader, *http.Response) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(ctx, "GET", r.server.URL+"/api/v1/events", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { a.Body.Close() })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%s, %v", a.Status, a.Header)
	}
	return sseReader{r.t, bufio.NewReader(a.Body)}, a
}

func TestEvents(t *testing.T) {
	r := newEventRig(t)
	r.says("one\r\nlogin: ")
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := r.watch(ctx)
	name, _, data := s.next()
	var all []Summary
	if err := json.Unmarshal([]byte(data), &all); name != "snapshot" || err != nil || len(all) != 2 {
		t.Fatalf("it begins with %s %s, %v", name, data, err)
	}
	if one := all[0]; one.Name != "vm1" || one.State != StateUp || one.LastLine != "login:" || one.Offset != 12 || one.Epoch != "E" || one.LastByte == nil || one.Clients != 0 {
		t.Errorf("vm1 is %+v", one)
	}
	if two := all[1]; two.Name != "vm2" || two.State != StateDown || two.LastByte != nil {
		t.Errorf("vm2 is %+v", two)
	}

	// what is printed is told once a second, and at the end as it is then
	began := time.Now()
	for i := range 100 {
		r.says(fmt.Sprintf("line %d\n", i))
		<-time.After(10 * time.Millisecond)
	}
	seen := s.sees("lines", func(one Summary) bool { return one.LastLine == "line 99" && one.Offset == r.hub.hist.Head() })
	if n, most := len(seen), int(time.Since(began)/time.Second)+2; n > most {
		t.Errorf("100 lines are told %d times, at most %d are due", n, most)
	}

	// who comes, types and goes is told at once
	far, _ := r.attach(1<<10, 0, func(c *client) { c.who = unixUser("alice") })
	s.sees("a client", func(one Summary) bool { return one.Clients == 1 && one.Attached[0] == "unix:alice" })
	far.Write([]byte("x"))
	s.sees("the writer", func(one Summary) bool { return strings.HasPrefix(one.Writer, "client ") })
	far.Close()
	s.sees("its end", func(one Summary) bool { return one.Clients == 0 && one.Writer == "" && len(one.Attached) == 0 })
	r.guest.Close()
	s.sees("the device's end", func(one Summary) bool { return one.Name == "vm1" && one.State == StateOpening })

	// rules that change
	gone := func(want string) {
		t.Helper()
		if name, _, data := s.next(); name != "gone" || data != want {
			t.Errorf("%s %s, want gone %s", name, data, want)
		}
	}
	gate := &r.control.server.gate
	gate.rules.Store(access.Nobody("of a test"))
	r.control.server.board.raiseAll()
	gone(`{"name":"vm1"}`)
	gone(`{"name":"vm2"}`)
	gate.rules.Store(access.New(nil))
	r.control.server.board.raiseAll()
	s.sees("vm2 again", func(one Summary) bool { return one.Name == "vm2" })

	cancel()
	r.ends("the caller is gone")
	if n := r.control.server.board.watched.Load(); n != 0 {
		t.Errorf("%d watch", n)
	}
}

// While nobody reads, nothing gathers but marks; and who reads nothing for long is
// cut.
func TestEventsOfAStuckReader(t *testing.T) {
	r := newEventRig(t)
	r.control.stuck = 500 * time.Millisecond
	for range 2000 { // so that answers are long
		r.control.server.board.add(r.control.server.all()[0])
	}
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprint(conn, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r.says("something to be told: " + strings.Repeat("x", 300))
	await(t, "somebody to watch", func() bool { return r.control.server.board.watched.Load() == 1 })
	over := make(chan struct{})
	go func() {
		r.control.attached.Wait()
		close(over)
	}()
	watchdog := time.After(60 * time.Second)
	for i := 0; ; i++ {
		select {
		case <-over:
			if n := r.control.server.board.watched.Load(); n != 0 {
				t.Errorf("%d watch", n)
			}
			return
		case <-watchdog:
			t.Fatal("who reads nothing is not cut")
		case <-time.After(5 * time.Millisecond):
			r.says("x")
			r.control.server.board.raiseAll()
		}
	}
}

// A daemon that goes down ends the answer.
func TestEventsEndWithTheDaemon(t *testing.T) {
	r := newEventRig(t)
	s, a := r.watch(t.Context())
	s.next()
	r.stop()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		t.Errorf("it is cut: %v", err)
	}
	r.ends("the daemon goes down")
}

// A hello and a gap have their offset also where it is 0, and other messages have none.
func TestMessagesHaveTheirOffset(t *testing.T) {
	for m, want := range map[Message]string{
		{Type: "hello", Chardev: "vm"}:    `{"type":"hello","chardev":"vm","offset":0}`,
		{Type: "gap", Offset: 0, Size: 7}: `{"type":"gap","size":7,"offset":0}`,
		{Type: "gap", Offset: 9, Size: 7}: `{"type":"gap","size":7,"offset":9}`,
		{Type: "notice", Text: "x"}:       `{"type":"notice","text":"x"}`,
	} {
		if have, err := json.Marshal(m); err != nil || string(have) != want {
			t.Errorf("%s, %v; want %s", have, err, want)
		}
	}
}
