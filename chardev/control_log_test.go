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
)

// A logRig serves the API over what a bench's device prints. Its server's deadlines
// are short: a log is to outlast them.
type logRig struct {
	*bench
	control *control
	server  *httptest.Server
}

const rigDeadline = 100 * time.Millisecond

func newLogRig(t *testing.T) *logRig {
	r := &logRig{bench: newBench(t, 64<<10, "shared")}
	r.control = &control{server: serverOf(&console{name: "vm1", hub: r.hub, epoch: "E"}), ctx: r.ctx, stuck: 20 * time.Second}
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

// says has the device print something, and returns when it is published.
func (r *logRig) says(text string) {
	r.t.Helper()
	head := r.hub.hist.Head() + int64(len(text))
	if _, err := io.WriteString(r.guest, text); err != nil {
		r.t.Fatal(err)
	}
	await(r.t, "it to be published", func() bool { return r.hub.hist.Head() == head })
}

func (r *logRig) get(ctx context.Context, query string) *http.Response {
	r.t.Helper()
	q, err := http.NewRequestWithContext(ctx, "GET", r.server.URL+"/api/v1/chardevs/vm1/log?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { a.Body.Close() })
	return a
}

func TestLogIsAnswered(t *testing.T) {
	r := newLogRig(t)
	r.says("one\ntwo\x1b[31m!\nthree\n")
	for _, c := range []struct{ query, body, offset, kind string }{
		{"", "one\ntwo!\nthree\n", "0", "text/plain; charset=utf-8"},
		{"colour=true&lines=2&names=true", "vm1:two\x1b[31m!\x1b[0m\nvm1:three\n", "4", "text/plain; charset=utf-8"},
		{"format=raw&since=-6B", "three\n", "14", "application/octet-stream"},
		{"format=raw&since=2&until=4&epoch=E", "e\n", "2", "application/octet-stream"},
		{"grep=t%2B&offsets=true&epoch=gone", "4 two!\n14 three\n", "0", "text/plain; charset=utf-8"},
		{"format=json&lines=1", `{"chardev":"vm1","offset":14,`, "14", "application/x-ndjson"},
		{"format=asciicast&size=100x30", `{"version":2,"width":100,"height":30,`, "0", "application/x-asciicast"},
		{"grep=nothing", "", "0", "text/plain; charset=utf-8"},
		{"since=end", "", "20", "text/plain; charset=utf-8"},
	} {
		a := r.get(t.Context(), c.query)
		body, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != 200 || !strings.HasPrefix(string(body), c.body) || c.body == "" && len(body) > 0 {
			t.Errorf("%s: %s, %q, %v; want %q", c.query, a.Status, body, err, c.body)
		}
		if a.Header.Get(HeaderOffset) != c.offset || a.Header.Get(HeaderEpoch) != "E" || a.Header.Get("Content-Type") != c.kind || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the header is %v", c.query, a.Header)
		}
		next := "20"
		if strings.Contains(c.query, "until=4") {
			next = "4"
		}
		if a.Trailer.Get(TrailerNext) != next || a.Trailer.Get(TrailerLost) != "0" || a.Trailer.Get(TrailerError) != "" || strings.HasPrefix(c.query, "grep=t") && a.Trailer.Get(TrailerFound) != "2" {
			t.Errorf("%s: the trailer is %v", c.query, a.Trailer)
		}
	}
}

// What memory has no more is told: as a line, or only as a sum where there are bytes.
func TestLogTellsGaps(t *testing.T) {
	r := newLogRig(t)
	for range 10 {
		r.says(strings.Repeat(strings.Repeat("x", 999)+"\n", 32))
	}
	oldest := r.hub.hist.Oldest()
	if oldest == 0 {
		t.Fatal("all is held")
	}
	a := r.get(t.Context(), "since=0")
	first, _ := bufio.NewReader(a.Body).ReadString('\n')
	if want := fmt.Sprintf("[gap: at most %d bytes are missing at offset 0]\n", oldest); first != want {
		t.Errorf("it begins with %q, want %q", first, want)
	}
	a = r.get(t.Context(), "since=0&format=raw")
	body, err := io.ReadAll(a.Body)
	if err != nil || int64(len(body)) != r.hub.hist.Head()-oldest || a.Trailer.Get(TrailerLost) != fmt.Sprint(oldest) {
		t.Errorf("%d bytes, %v, %v", len(body), err, a.Trailer)
	}
}

func TestLogRefuses(t *testing.T) {
	r := newLogRig(t)
	r.says("abc")
	for _, c := range []struct {
		query  string
		status int
		want   string
	}{
		{"since=yesterday&until=&lines=-1&context=1001&grep=(&format=html&size=80&follow=yes&sinc=1", 400,
			"context: want a number from 0 to 1000, have \"1001\"\n" +
				"follow: want true or false, have \"yes\"\n" +
				"format: want text, raw, json or asciicast, have \"html\"\n" +
				"grep: error parsing regexp: missing closing ): `(`\n" +
				"lines: want a number from 0 to 4611686018427387904, have \"-1\"\n" +
				"sinc: no such parameter; did you mean \"since\"?\n" +
				"since: want " + PlaceForms + ", have \"yesterday\"\n" +
				"size: want COLUMNSxROWS like 80x24, have \"80\"\n" +
				"until: want " + PlaceForms + `, have ""`},
		{"lines=1&lines=2", 400, "lines: given more than once"},
		{"follow=true&until=end", 400, "follow goes on with what comes, and until ends before: leave out one"},
		{"since=2&until=1", 400, "until=1 (offset 1) stands before since=2 (offset 2): exchange them"},
		{"since=2&epoch=gone", 409, "the offsets of vm1 are those of epoch E, and nothing is held of epoch gone"},
	} {
		a := r.get(t.Context(), c.query)
		var p Problem
		if err := json.NewDecoder(a.Body).Decode(&p); err != nil || a.StatusCode != c.status || p.Detail != c.want {
			t.Errorf("%s: %s, %v, %s\nwant %s", c.query, a.Status, err, p.Detail, c.want)
		}
	}
}

// Follow outlasts the server's deadlines, and ends when the client goes.
func TestLogFollows(t *testing.T) {
	r := newLogRig(t)
	r.says("login: ")
	ctx, cancel := context.WithCancel(t.Context())
	a := r.get(ctx, "follow=true&events=true&lines=1")
	seen := func(want string) {
		t.Helper()
		buf := make([]byte, len(want))
		if n, err := io.ReadFull(a.Body, buf); err != nil || string(buf) != want {
			t.Fatalf("seen is %q, %v; want %q", buf[:n], err, want)
		}
	}
	seen("login: ")
	for i := range 3 {
		<-time.After(rigDeadline) // so that they pass
		r.says(fmt.Sprintf("root%d\n# ", i))
		seen(fmt.Sprintf("root%d\n# ", i))
	}
	r.hub.note("break", "x")
	seen("\n[break: x]\n")
	cancel()
	r.ends("the client is gone")
}

// ends waits until nobody is served.
func (r *logRig) ends(why string) {
	r.t.Helper()
	over := make(chan struct{})
	go func() {
		r.control.attached.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(20 * time.Second):
		r.t.Fatal("a log goes on although " + why)
	}
}

// A client that does not read holds up nobody, and is not cut: it may be a pager.
func TestLogOfAStuckReader(t *testing.T) {
	r := newLogRig(t)
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /api/v1/chardevs/vm1/log?format=raw&follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
	a, err := http.ReadResponse(bufio.NewReader(conn), nil) // so that it begins before what is printed
	if err != nil {
		t.Fatal(err)
	}
	other := r.get(t.Context(), "format=raw&follow=true")
	const size = 32 << 20
	go func() {
		chunk := make([]byte, 64<<10)
		for range size / len(chunk) {
			r.guest.Write(chunk)
		}
	}()
	await(t, "all to be published", func() bool { return r.hub.hist.Head() == size })
	<-time.After(rigDeadline)
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	r.says("!") // which it gets only if it was not cut: how much its socket has taken is the kernel's choice
	if p, err := bufio.NewReader(a.Body).ReadBytes('!'); err != nil {
		t.Errorf("the stuck reader was cut after %d bytes: %v", len(p), err)
	}
	conn.Close()
	other.Body.Close()
	r.ends("both clients are gone")
}

// What is asked for is what is written of it.
func TestLogQueryValues(t *testing.T) {
	q := LogQuery{Since: "5m", Until: "end", Lines: 3, Grep: "a b", Context: 2, Format: "json", Size: "1x2", Epoch: "e", Timestamps: true, Offsets: true, Names: true, Events: true, Colour: true, Follow: true}
	want := "colour=true&context=2&epoch=e&events=true&follow=true&format=json&grep=a+b&lines=3&names=true&offsets=true&since=5m&size=1x2&timestamps=true&until=end"
	if got := q.Values().Encode(); got != want {
		t.Errorf("written is %s, want %s", got, want)
	}
	if got := (LogQuery{}).Values().Encode(); got != "" {
		t.Errorf("nothing is written as %s", got)
	}
	all := LogQuery{Timestamps: true, Offsets: true, Names: true, Events: true, Colour: true, Follow: true}
	if r, err := parseLog(all.Values()); err != nil || !r.Timestamps || !r.Offsets || !r.Names || !r.Events || !r.Colour || !r.Follow {
		t.Errorf("what is on is read as %+v, %v", r, err)
	}
}
