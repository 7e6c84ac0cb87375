package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An onrush is what strangers do as often as they can, eight at a time.
type onrush struct {
	name string
	at   string // the frontend, or [http]
	n    int    // how often in the long form; a tenth of it otherwise
	hold bool   // all stay until all are there
	says string // first
	ends bool   // and then the daemon is to end it
}

var floods = []onrush{
	{name: "half-open TLS", at: "tls", n: 5000, hold: true, says: "\x16\x03\x01\x02\x00\x01"},
	{name: "half-open websockets", at: "ws", n: 5000, hold: true, says: "GET / HTTP/1.1\r\nHost: localhost\r\n"},
	{name: "half-open telnet", at: "telnet", n: 5000, hold: true, says: "\xff\xfb"},
	{name: "websockets of a foreign page", at: "ws", n: 5000, says: "GET / HTTP/1.1\r\nHost: rebound.example.org\r\n\r\n", ends: true},
	{name: "no TLS at all", at: "tls", n: 5000, says: "GET / HTTP/1.1\r\n\r\n", ends: true},
	{name: "half-open logins", at: "login", n: 5000, hold: true},
	{name: "half-open HTTP", at: "http", n: 5000, hold: true, says: "GET / HTTP/1.1\r\n"},
	{name: "guesses of passwords", at: "login", n: 5000, says: strings.Repeat("alice\nsecret\n", 3), ends: true},
	{name: "guesses of tokens, by a websocket", at: "ws", n: 5000, says: "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer cdt_guess\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", ends: true},
	{name: "guesses of tokens, by the API", at: "http", n: 5000, says: "GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer cdt_guess\r\n\r\n", ends: true},
	{name: "connects and drops", at: "tcp", n: 10000},
	{name: "connects and drops within TLS", at: "tls", n: 10000},
}

// While strangers come in floods of every kind, who is there is echoed as before and
// nobody of them is cut, newcomers get in, and the log and the audit have few lines of
// it; the audit's sums say how many it were. Afterwards memory and descriptors are as
// they were.
func TestFloods(t *testing.T) {
	ca := newAuthority(t)
	d, v := floodedDaemon(t, ca)
	other, ov := floodedDaemon(t, ca)
	other.serve()
	token, stderr, code := execute(t, d.command("token", "add", "ci", "-c", d.config))
	if code != 0 {
		t.Fatal(stderr)
	}
	token, _, _ = strings.Cut(token, "\n")
	d.serve()
	d.is("vm", "up")
	at := func(key string) string { return fmt.Sprint("127.0.0.1:", v[key]) }
	there := dial(t, "tcp", at("tcp"))
	ws, br := dialWS(t, at("ws"))
	framed := newWire(t, ws, "ws")
	framed.drain(br)
	typist := dialSilent(t, "unix", d.path("front"))
	reader := dialTLS(t, at("tls"), ca.client())
	d.has("vm", 4)
	p := ping(t, typist.Conn, reader)

	memory := d.resident()
	began := time.Now()
	came := map[string]int{} // by frontend
	var most int64           // memory, while they are there
	wave := func(f onrush, n int) {
		f.come(t, at(f.at), n, func() {
			most = max(most, d.resident())
			t0 := time.Now()
			dialTLS(t, at("tls"), ca.client()).Close()
			t.Logf("a newcomer by TLS, past %s, was in after %v", f.name, time.Since(t0))
			c, err := net.DialTimeout("tcp", at("http"), patience)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(c, "GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", token)
			if said, err := io.ReadAll(c); err != nil || !strings.Contains(string(said), `"token:ci"`) {
				t.Errorf("a right token, past %s: %v, %s", f.name, err, said)
			}
		})
		came[f.at] += n
	}
	for _, f := range floods {
		wave(f, 100) // what is made once is made now
	}
	d.has("vm", 4)
	least := d.fds() // who is refused may be on the way out yet
	eventually(t, patience, func() error {
		before := least
		if least = d.fds(); least < before || least > 60 {
			return fmt.Errorf("%d descriptors", least)
		}
		return nil
	})
	fds, threads := d.fds(), d.threads()

	p.since()
	p.await(t, 500) // of nothing but the healthy
	t.Logf("alone: %v", p.since())
	for _, f := range floods {
		n := f.n / 10
		if long {
			n = f.n
		}
		t0 := time.Now()
		wave(f, n)
		here := p.since()
		t.Logf("%s: %d in %v, beside them %v", f.name, n, time.Since(t0).Round(time.Millisecond), here)
		if !long || raceEnabled {
			continue
		}
		// The strangers need cores, too: the same again, at another daemon.
		f.come(t, fmt.Sprint("127.0.0.1:", ov[f.at]), n, func() {})
		elsewhere := p.since()
		t.Logf("%s: if they are at another daemon %v", f.name, elsewhere)
		if here.p99 > 3*elsewhere.p99+10*time.Millisecond {
			t.Errorf("%s: the echo takes %v (p99) beside them, %v if they are at another daemon", f.name, here.p99, elsewhere.p99)
		}
	}
	d.has("vm", 4)
	eventually(t, patience, func() error {
		if n := d.fds(); n > fds+4 { // whoever waits for a client's socket has one more, to wait at
			return fmt.Errorf("%d descriptors, %d before", n, fds)
		}
		return nil
	})
	bound := threads + 10 // the runtime keeps a thread that it had to make
	if raceEnabled {
		bound += 30 // each of its system calls counts as one that may wait
	}
	if n := d.threads(); n > bound {
		t.Errorf("%d threads, %d before", n, threads)
	}
	eventually(t, patience, func() error {
		if n := d.resident(); n > memory+12<<20 && !raceEnabled {
			return fmt.Errorf("%d KiB of memory, %d before", n>>10, memory>>10)
		}
		return nil
	})
	t.Logf("memory: %d KiB before, at most %d, %d after", memory>>10, most>>10, d.resident()>>10)
	if most > memory+128<<20 && !raceEnabled {
		t.Errorf("memory grew from %d to %d KiB meanwhile", memory>>10, most>>10)
	}

	typed := p.stop()
	there.sees(t, typed)
	framed.sees(t, typed)
	for _, w := range []*wire{there, framed, reader} {
		if _, ended := w.out.ends(0); ended {
			t.Errorf("%s was cut", w.name)
		}
	}
	d.stops()
	tenths := 1 + int(time.Since(began)/(10*time.Second))
	if n := strings.Count(d.stderr.text(), "\n"); n > 64*7*tenths {
		t.Errorf("%d lines of log", n)
	}
	d.auditTells(t, v, came, tenths)
}

// floodedDaemon is a daemon with a frontend of every kind, and their ports.
func floodedDaemon(t *testing.T, ca *authority) (*daemon, map[string]any) {
	t.Helper()
	v := map[string]any{}
	for _, name := range []string{"tcp", "tls", "ws", "telnet", "login", "http"} {
		v[name] = freePort(t)
	}
	return newDaemon(t, folder(t), ca.credentials()+`
[http]
listen = ["tcp://127.0.0.1:@http@"]
[[chardev]]
name = "vm"
device = "sim:echo"
frontends = [
  "unix:front", "tcp://127.0.0.1:@tcp@", "tls://127.0.0.1:@tls@?credentials=test", "ws://127.0.0.1:@ws@",
  "telnet://127.0.0.1:@telnet@",
]
  [[chardev.frontend]]
  listen = "tcp://127.0.0.1:@login@"
  login = true
`, v), v
}

// auditTells holds the audit against how many came at each frontend: what it has of
// each must be right in number, and not many lines.
func (d *daemon) auditTells(t *testing.T, at map[string]any, came map[string]int, tenths int) {
	t.Helper()
	text, err := os.ReadFile(d.path("state/audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	have, lines := map[string]int{}, 0
	for line := range strings.Lines(string(text)) {
		var r struct {
			What, Frontend string
			Count          int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		frontend, _, _ := strings.Cut(r.Frontend, ":")
		for name, port := range at {
			if strings.Contains(r.Frontend, fmt.Sprint(":", port)) {
				frontend = name
			}
		}
		have[frontend+" "+r.What] += max(1, r.Count)
		lines++
		if r.What == "missing" {
			t.Errorf("the audit lacks records: %s", line)
		}
	}
	t.Logf("%d lines of audit: %v", lines, have)
	for _, by := range []string{"tls", "ws", "telnet", "login"} {
		n := have[by+" refused"]
		if by == "telnet" { // one who is not cut soon is somebody who does not know it
			n += have[by+" attach"]
		}
		if n != came[by] {
			t.Errorf("%d came by %s to be refused, the audit has %d", came[by], by, n)
		}
	}
	for _, by := range []string{"tcp", "tls", "ws", "unix"} {
		if in, out := have[by+" attach"], have[by+" detach"]; in != out || in == 0 {
			t.Errorf("%d came by %s, %d went", in, by, out)
		}
	}
	if lines > 250*tenths {
		t.Errorf("%d lines", lines)
	}
}

// come lets n of them come; meanwhile is called when as many as can be are there.
func (f *onrush) come(t *testing.T, address string, n int, meanwhile func()) {
	t.Helper()
	var mu sync.Mutex
	var held []net.Conn
	var failed error
	var all sync.WaitGroup
	one := func() error {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return err
		}
		if f.hold {
			mu.Lock()
			held = append(held, c)
			mu.Unlock()
		} else {
			defer c.Close()
		}
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, f.says) // of too many the oldest are cut
		if f.ends {
			_, err = io.Copy(io.Discard, c)
			if e, ok := err.(net.Error); ok && e.Timeout() {
				return fmt.Errorf("%s: not ended within %v", f.name, patience)
			}
		}
		return nil
	}
	const at = 8
	for i := range at {
		all.Go(func() {
			for range (n + i) / at {
				if err := one(); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	if failed != nil {
		t.Fatalf("%s: %v", f.name, failed)
	}
	meanwhile()
	for _, c := range held {
		c.Close()
	}
}

// A pinger types, and waits until it sees that, again and again.
type pinger struct {
	mu    sync.Mutex
	took  []time.Duration
	n     int
	err   error
	end   chan struct{}
	ended chan struct{}
}

// pingTime is how often a pinger types.
const pingTime = 2 * time.Millisecond

func ping(t *testing.T, typist net.Conn, reader *wire) *pinger {
	p := &pinger{end: make(chan struct{}), ended: make(chan struct{})}
	go p.run(typist, reader)
	t.Cleanup(func() { p.stop() })
	return p
}

func pong(n int) string { return fmt.Sprintf("%07d\n", n) }

func (p *pinger) run(typist net.Conn, reader *wire) {
	defer close(p.ended)
	tick := time.NewTicker(pingTime)
	defer tick.Stop()
	for {
		select {
		case <-p.end:
			return
		case <-tick.C:
		}
		p.n++
		t0 := time.Now()
		if _, p.err = io.WriteString(typist, pong(p.n)); p.err != nil {
			return
		}
		if p.err = reader.out.sees(patience, pong(p.n)); p.err != nil {
			return
		}
		took := time.Since(t0)
		p.mu.Lock()
		p.took = append(p.took, took)
		p.mu.Unlock()
	}
}

// await waits for n echoes.
func (p *pinger) await(t *testing.T, n int) {
	t.Helper()
	eventually(t, patience, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.took) < n {
			return fmt.Errorf("%d echoes", len(p.took))
		}
		return nil
	})
}

// stop ends it, and returns what it typed last.
func (p *pinger) stop() string {
	select {
	case <-p.end:
	default:
		close(p.end)
	}
	<-p.ended
	return pong(p.n)
}

// Times are of many echoes.
type times struct {
	n                int
	median, p99, max time.Duration
}

func (t times) String() string {
	return fmt.Sprintf("%d echoes: median %v, p99 %v, at most %v", t.n, t.median, t.p99, t.max)
}

// since is how long the echoes took since it was last asked.
func (p *pinger) since() times {
	p.mu.Lock()
	took := p.took
	p.took = nil
	p.mu.Unlock()
	if len(took) == 0 {
		return times{}
	}
	slices.Sort(took)
	return times{len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}
