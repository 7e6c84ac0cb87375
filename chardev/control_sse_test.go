package chardev

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"chardevd/chardev/internal/access"
)

// tail asks for the log as an EventSource does, from the last event on that it has.
func (r *logRig) tail(ctx context.Context, query, last string) (sseReader, *http.Response) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(ctx, "GET", r.server.URL+"/api/v1/chardevs/vm1/log?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Accept", "text/html, text/event-stream;q=0.9")
	if last != "" {
		q.Header.Set("Last-Event-ID", last)
	}
	a, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { a.Body.Close() })
	return sseReader{r.t, bufio.NewReader(a.Body)}, a
}

// An EventSource that is cut again and again while the device prints, some events
// before what was sent to it, gets every byte once.
func TestLogSSE(t *testing.T) {
	r := newLogRig(t)
	var got []byte
	for last := "0"; len(got) < 400<<10; {
		r.print(8 << rand.IntN(10))
		ctx, cancel := context.WithCancel(t.Context())
		s, a := r.tail(ctx, "follow&since=3", last)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s %v", a.Status, a.Header)
		}
		for range 1 + rand.IntN(5) {
			r.print(8)
			kind, id, data := s.next()
			var o struct {
				Offset int64
				Base64 []byte
			}
			if err := json.Unmarshal([]byte(data), &o); err != nil || kind != "" || o.Offset != int64(len(got)) || id != fmt.Sprint(len(got)+len(o.Base64), "@E") {
				t.Fatalf("at %d: event %q, id %s: %.100s, %v", len(got), kind, id, data, err)
			}
			got, last = append(got, o.Base64...), id
		}
		cancel()
	}
	if want := numbers(0, int64(len(got))); string(got) != string(want) {
		t.Error("the bytes are others")
	}
	r.ends("all are gone")
}

func TestLogSSERefuses(t *testing.T) {
	r := newLogRig(t)
	r.says("one\ntwo\nthree")
	for _, c := range []struct {
		query, last string
		status      int
		want        string
	}{
		{"format=asciicast", "", 400, "format: server-sent events are raw, as without it, json or text: have \"asciicast\""},
		{"", "x", 400, "Last-Event-ID: want the ID of an event, like 4096, have \"x\""},
		{"", "1@gone", 409, "the offsets of vm1 are those of epoch E, and nothing is held of epoch gone"},
		{"epoch=gone", "1", 409, "the offsets of vm1 are those of epoch E, and nothing is held of epoch gone"},
	} {
		_, a := r.tail(t.Context(), c.query, c.last)
		var p Problem
		if err := json.NewDecoder(a.Body).Decode(&p); err != nil || a.StatusCode != c.status || p.Detail != c.want {
			t.Errorf("%s, %s: %s, %v, %s\nwant %s", c.query, c.last, a.Status, err, p.Detail, c.want)
		}
	}
	// since= and lines= are for who comes the first time
	s, _ := r.tail(t.Context(), "format=json&since=0&lines=1", "4")
	if _, id, data := s.next(); id != "8@E" || !strings.HasSuffix(data, `,"line":"two"}`) {
		t.Errorf("%s: %s", id, data)
	}
}

// Who reads nothing is cut after some time; who waits is told where it ends when the
// rules say so.
func TestTailsEnd(t *testing.T) {
	r := newLogRig(t)
	r.hub.name = "vm1"
	r.control.stuck = 2 * time.Second
	follow := func() net.Conn {
		conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "GET /api/v1/chardevs/vm1/log?format=raw&follow HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return conn
	}
	requests := func() int {
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return len(r.hub.requests)
	}
	printed := r.hub.hist.Head()
	flood := func(ctx context.Context) {
		chunk := make([]byte, 64<<10)
		for ctx.Err() == nil {
			n, err := r.guest.Write(chunk)
			printed += int64(n)
			if err != nil {
				return
			}
		}
	}
	follow()
	await(t, "a follower", func() bool { return requests() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	flooding := make(chan struct{})
	go func() { defer close(flooding); flood(ctx) }()
	await(t, "it to be cut, as it reads nothing", func() bool { return requests() == 0 })

	cancel()
	<-flooding
	await(t, "all that was printed", func() bool { return r.hub.hist.Head() == printed })
	waiting := r.get(t.Context(), "since=end&follow")
	await(t, "another one", func() bool { return requests() == 1 })
	r.hub.gate.rules.Store(access.Nobody("of a test"))
	r.hub.review()
	if _, err := io.Copy(io.Discard, waiting.Body); err != nil || waiting.Trailer.Get(TrailerNext) != fmt.Sprint(r.hub.hist.Head()) {
		t.Errorf("%v, %v", err, waiting.Trailer)
	}
	await(t, "nobody to be served, as nobody may read it", func() bool { return requests() == 0 })
}

// A stuck is an answer that nobody reads: a write waits for its deadline.
type stuck struct {
	*httptest.ResponseRecorder
	deadline chan time.Time
}

func (s *stuck) SetReadDeadline(time.Time) error    { return nil }
func (s *stuck) SetWriteDeadline(t time.Time) error { s.deadline <- t; return nil }
func (s *stuck) Write([]byte) (int, error) {
	if d := time.Until(<-s.deadline); d > finishTime {
		return 0, fmt.Errorf("it may wait for %v", d)
	}
	return 0, os.ErrDeadlineExceeded
}

// The end of its context ends a tail that is stuck.
func TestStuckTailEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &stuck{httptest.NewRecorder(), make(chan time.Time, 1)}
	out, err := newTail(s, httptest.NewRequest("GET", "/", nil).WithContext(ctx), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Until(<-s.deadline); d < time.Hour/2 {
		t.Errorf("its reader has %v", d)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := out.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	out.end()
}

// What says nothing for long is kept alive, and a rule that ends it is told.
func TestTailIsKeptAlive(t *testing.T) {
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := beginSSE(w, r, time.Hour)
		if err != nil {
			ended <- err
			return
		}
		defer out.end()
		out.quiet = 10 * time.Millisecond
		ended <- out.keptAlive(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	}))
	defer server.Close()
	a, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	want := "retry: 1000\n\n:\n\n:\n\n:\n\n"
	have := make([]byte, len(want))
	if _, err := io.ReadFull(a.Body, have); err != nil || string(have) != want {
		t.Errorf("%q, %v", have, err)
	}
	a.Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
