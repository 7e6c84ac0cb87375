package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A thousand TCP clients that say nothing on the TLS port and a thousand on the
// ws port: others get in beside them, and the silent ones are cut when the time
// for handshakes, 10 s, is over.
func TestSilentClients(t *testing.T) {
	c := newCrowd(t)
	c.echoRuns(c.g)
	const n = 1000
	var silent []net.Conn
	var mu sync.Mutex
	t.Cleanup(func() {
		for _, c := range silent {
			c.Close()
		}
	})
	t0 := time.Now()
	for range n {
		for _, key := range []string{"tls", "ws"} {
			conn, err := net.DialTimeout("tcp", c.at(key), patience)
			if err != nil {
				t.Fatal(err)
			}
			silent = append(silent, conn)
		}
	}
	t.Logf("%d connected in %v", len(silent), time.Since(t0))

	var cut []time.Duration
	var wg sync.WaitGroup
	for _, conn := range silent {
		wg.Go(func() {
			conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			buf := make([]byte, 512)
			for {
				_, err := conn.Read(buf) // an alert or an error page may come before the end
				if err == nil {
					continue
				}
				if e, ok := err.(net.Error); ok && e.Timeout() {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				cut = append(cut, time.Since(t0))
				return
			}
		})
	}

	for range 3 {
		t1 := time.Now()
		w := dialTLS(t, c.at("tls"), c.ca.client())
		w.echoes(t, "past them by tls")
		t2 := time.Now()
		conn, br := dialWS(t, c.at("ws"))
		conn.Write(frame(opBinary, "past them by ws"))
		framesUntil(t, conn, br, "past them by ws")
		t.Logf("a TLS client got in and was echoed in %v, a websocket client in %v", t2.Sub(t1), time.Since(t2))
	}
	mu.Lock()
	gone := len(cut)
	mu.Unlock()

	// Each is cut, and none before its time.
	wg.Wait()
	if len(cut) != 2*n {
		t.Fatalf("%d of %d silent clients were cut", len(cut), 2*n)
	}
	first, last := slices.Min(cut), slices.Max(cut)
	t.Logf("cut from %v to %v after the first connected", first, last)
	if gone > n {
		t.Errorf("the others were in only when %d of %d silent ones had been cut", gone, 2*n)
	}
	if first < 9*time.Second {
		t.Errorf("a silent client was cut after %v: it has 10 s", first)
	}
}

// at is host:port of a network frontend.
func (c *crowd) at(key string) string { return fmt.Sprint("127.0.0.1:", c.v[key]) }

// A ping of 4 bytes and a data frame in one segment: the pong carries the 4
// bytes, the data arrive. A text frame does as well as a binary one, and a frame
// that comes byte by byte.
func TestPingAndDataTogether(t *testing.T) {
	c := newCrowd(t)
	conn, br := dialWS(t, c.at("ws"))
	c.g.cont()
	framesUntil(t, conn, br, "ECHO READY\r\n")
	conn.Write(append(frame(opPing, "four"), frame(opBinary, "and data")...))
	pongs := framesUntil(t, conn, br, "and data")
	for len(pongs) == 0 {
		op, payload, err := readFrame(conn, br)
		if err != nil {
			t.Fatalf("no pong: %v", err)
		}
		if op == opPong {
			pongs = append(pongs, string(payload))
		}
	}
	if len(pongs) != 1 || pongs[0] != "four" {
		t.Errorf("pongs %q, want one of 4 bytes", pongs)
	}
	conn.Write(frame(opText, "as text"))
	framesUntil(t, conn, br, "as text")
	for _, b := range frame(opBinary, strings.Repeat("piecemeal ", 20)) {
		conn.Write([]byte{b})
	}
	framesUntil(t, conn, br, strings.Repeat("piecemeal ", 20))
}

// Who may open a websocket: no Origin or the same; a Host that a page elsewhere
// cannot make the browser send; headers of a size that browsers send.
func TestWebsocketHandshake(t *testing.T) {
	c := newCrowd(t)
	here := c.at("ws")
	_, p, _ := net.SplitHostPort(here)
	for _, test := range []struct {
		name, host string
		headers    map[string]string
		status     int
	}{
		{"no Origin", here, nil, 101},
		{"localhost", "localhost:" + p, nil, 101},
		{"the same Origin", here, map[string]string{"Origin": "http://" + here}, 101},
		{"an 8 KiB cookie", here, map[string]string{"Cookie": "c=" + strings.Repeat("x", 8<<10)}, 101},
		{"subprotocols", here, map[string]string{"Sec-WebSocket-Protocol": "chat, binary"}, 101},
		{"a foreign Origin", here, map[string]string{"Origin": "https://example.org"}, 403},
		{"the Origin of another port", here, map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
		{"Origin null", here, map[string]string{"Origin": "null"}, 403},
		{"a foreign Host", "rebound.example.org:" + p, nil, 403},
		{"a foreign Host with its Origin", "rebound.example.org", map[string]string{"Origin": "http://rebound.example.org"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := dialSilent(t, "tcp", here)
			answer, _ := handshake(t, w.Conn, test.host, test.headers)
			if answer.StatusCode != test.status {
				t.Errorf("%s, want %d", answer.Status, test.status)
			}
			if have := answer.Header.Get("Sec-WebSocket-Protocol"); test.name == "subprotocols" && have != "binary" {
				t.Errorf("subprotocol %q, want binary", have)
			}
		})
	}
	t.Run("100 KiB of headers", func(t *testing.T) {
		w := dialSilent(t, "tcp", here)
		w.SetDeadline(time.Now().Add(patience))
		head := "GET / HTTP/1.1\r\nHost: " + here + "\r\nCookie: c=" + strings.Repeat("x", 100<<10)
		go w.Write([]byte(head)) // it may be cut before all is read
		w.drain(w.Conn)
		w.isCut(t, patience)
		if strings.Contains(w.out.text(), fmt.Sprint(http.StatusSwitchingProtocols)) {
			t.Errorf("taken: %q", w.out.text())
		}
	})
}

// A web page can make a browser POST to any port, and ssh -L leads from one to a UNIX
// socket. On a raw frontend that is cut, behind TLS too, and nothing of it is typed at the
// guest, nor what chardevd's own commands ask of a daemon; http=allow permits it.
func TestWebPageAtRawPort(t *testing.T) {
	guarded, open, secured := freePort(t), freePort(t), freePort(t)
	dir := folder(t)
	g := unixGuest(t, echoImage(t), dir+"/guest")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = ["unix:front", "tcp://127.0.0.1:@guarded@", "tcp://127.0.0.1:@open@?http=allow", "tls://127.0.0.1:@tls@"]
`, map[string]any{"guarded": guarded, "open": open, "tls": secured})
	d.serve()
	d.is("vm", "up")
	watcher := dial(t, "unix", d.path("front"))
	d.has("vm", 1)
	g.cont()
	watcher.sees(t, "ECHO READY\r\n")
	post := func(method string) string {
		return method + " / HTTP/1.1\r\nHost: " + port(guarded) + "\r\nContent-Length: 8\r\n\r\nreboot\r\n"
	}
	for _, method := range []string{"POST", "GET", "OPTIONS", "PUT"} {
		w := dial(t, "tcp", port(guarded))
		w.types(t, post(method))
		w.isCut(t, patience)
		u := dial(t, "unix", d.path("front"))
		u.types(t, post(method))
		u.isCut(t, patience)
		c, err := tls.Dial("tcp", port(secured), &tls.Config{InsecureSkipVerify: true}) // a browser that trusts it
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, post(method))
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s over TLS is not cut", method)
		}
	}
	if _, stderr, code := execute(t, d.command("list", "--control", "unix:"+d.path("front"))); code != 1 || !strings.Contains(stderr, "is that a console's frontend?") {
		t.Errorf("list of a console's frontend: %d, %s", code, stderr)
	}
	watcher.echoes(t, "k")
	if said := watcher.out.text(); said != "ECHO READY\r\nk" {
		t.Errorf("the guest was typed at by a web page: %q", said)
	}
	w := dial(t, "tcp", port(guarded))
	w.echoes(t, "POP is no request; GET neither")
	w = dial(t, "tcp", port(open))
	w.echoes(t, post("POST"))
}
