package channel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// wsRequest is a good request with lines added; one that begins with a name of
// the good ones replaces it, or takes it away when nothing follows.
func wsRequest(first string, lines ...string) string {
	head := []string{"Host: localhost:7001", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		for i, h := range head {
			if strings.HasPrefix(h, name+":") {
				head[i] = ""
			}
		}
		if value != "" {
			head = append(head, l)
		}
	}
	out := first + "\r\n"
	for _, h := range head {
		if h != "" {
			out += h + "\r\n"
		}
	}
	return out + "\r\n"
}

// ask sends a request to a server layer and reads the response.
func ask(t *testing.T, address, request string) (*http.Response, string, *bufio.Reader) {
	t.Helper()
	layer, err := wsServerLayer(testEnv(), MustParseAddress(address))
	if err != nil {
		t.Fatal(err)
	}
	a, b := Pipe(256 << 10)
	a.SetReadDeadline(time.Now().Add(limit))
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := layer(testCtx(t), b)
		if err != nil {
			if _, err := b.Read(make([]byte, 1)); !isClosed(err) {
				t.Errorf("the channel of a refused client is not closed: %v", err)
			}
			return
		}
		defer c.Close()
		buf := make([]byte, 100)
		if n, err := c.Read(buf); err == nil {
			c.Write(buf[:n])
		}
	}()
	t.Cleanup(func() { a.Close(); <-done })
	a.Write([]byte(request))
	br := bufio.NewReader(a)
	r, err := http.ReadResponse(br, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("%.100q: %v", request, err)
	}
	body := ""
	if r.StatusCode != 101 {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the body of the refusal: %v", err)
		}
		body = string(text)
		if !r.Close || strings.Count(body, "\n") != 1 || len(body) < 10 {
			t.Errorf("%.100q is refused with close=%v and %q", request, r.Close, body)
		}
		a.CloseWrite()
		if rest, err := io.ReadAll(br); len(rest) != 0 || err != nil {
			t.Errorf("behind the refusal: %q, %v", rest, err)
		}
	}
	return r, body, br
}

func TestWebsocketServerHandshake(t *testing.T) {
	get := "GET / HTTP/1.1"
	for _, test := range []struct {
		address, request string
		status           int
	}{
		{"ws://localhost:1", wsRequest(get), 101},
		{"ws://localhost:1", wsRequest(get, "Cookie: "+strings.Repeat("c", 8<<10)), 101},
		{"ws://localhost:1", strings.ReplaceAll(wsRequest(get), "\r\n", "\n"), 101},
		{"ws://localhost:1", wsRequest(get, "Upgrade: h2c, WebSocket", "Connection: keep-alive, upgrade"), 101},
		{"ws://localhost:1", wsRequest("GET /any/path?query HTTP/1.1"), 101},

		// malformed
		{"ws://localhost:1", "GET/HTTP/1.1\r\n\r\n", 400},
		{"ws://localhost:1", "GET\r\n\r\n", 400},
		{"ws://localhost:1", "GET /\r\n\r\n", 400},
		{"ws://localhost:1", "\r\n\r\n", 400},
		{"ws://localhost:1", "SSH-2.0-OpenSSH\r\n\r\n", 400},
		{"ws://localhost:1", wsRequest("GET / HTTP/x"), 400},
		{"ws://localhost:1", wsRequest("G@T / HTTP/1.1"), 400},
		{"ws://localhost:1", wsRequest("POST / HTTP/1.1"), 400},
		{"ws://localhost:1", wsRequest("GET / HTTP/1.0"), 400},
		{"ws://localhost:1", wsRequest("GET / HTTP/1.7"), 400},
		{"ws://localhost:1", wsRequest("PRI * HTTP/2.0"), 400},
		{"ws://localhost:1", wsRequest(get + "\r\nno colon here"), 400},
		{"ws://localhost:1", wsRequest(get, "Host:"), 400},
		{"ws://localhost:1", wsRequest(get, "Upgrade:"), 400},
		{"ws://localhost:1", wsRequest(get, "Connection: close"), 400},
		{"ws://localhost:1", wsRequest(get, "Sec-WebSocket-Key:"), 400},
		{"ws://localhost:1", wsRequest(get, "Sec-WebSocket-Key: c2hvcnQ="), 400},
		{"ws://localhost:1", wsRequest(get, "Sec-WebSocket-Version:"), 426},
		{"ws://localhost:1", wsRequest(get, "Sec-WebSocket-Version: 8"), 426},
		{"ws://localhost:1", wsRequest(get, "Cookie: "+strings.Repeat("c", wsMaxHead)), 431},
		{"ws://localhost:1", strings.Repeat("x", wsMaxHead+10000), 431},

		// paths
		{"ws://localhost:1/console", wsRequest(get), 404},
		{"ws://localhost:1/console", wsRequest("GET /console?a=b HTTP/1.1"), 101},
		{"ws://localhost:1/a%20b", wsRequest("GET /a%20b HTTP/1.1"), 101},
		{"ws+unix:/x?path=/console", wsRequest("GET /console/ HTTP/1.1"), 404},
		{"ws+unix:/x?path=/console", wsRequest("GET /console HTTP/1.1"), 101},

		// names
		{"ws://localhost:1", wsRequest(get, "Host: 192.0.2.1"), 101},
		{"ws://localhost:1", wsRequest(get, "Host: [2001:db8::1]:80"), 101},
		{"ws://localhost:1", wsRequest(get, "Host: [::1]"), 101},
		{"ws://localhost:1", wsRequest(get, "Host: LocalHost"), 101},
		{"ws://localhost:1", wsRequest(get, "Host: evil.example"), 403},
		{"ws://localhost:1", wsRequest(get, "Host: localhost.evil.example:7001"), 403},
		{"ws://localhost:1?host=ops.example&host=b.example", wsRequest(get, "Host: B.example:1"), 101},
		{"ws://localhost:1?host=ops.example", wsRequest(get, "Host: example"), 403},

		// origins
		{"ws://localhost:1", wsRequest(get, "Origin: http://localhost:7001"), 101},
		{"ws://localhost:1", wsRequest(get, "Origin: https://LOCALHOST:7001"), 101},
		{"ws://localhost:1", wsRequest(get, "Origin: https://localhost", "Host: localhost:443"), 101},
		{"ws://localhost:1", wsRequest(get, "Origin: http://localhost"), 403},
		{"ws://localhost:1", wsRequest(get, "Origin: http://127.0.0.1:7001"), 403},
		{"ws://localhost:1", wsRequest(get, "Origin: https://evil.example"), 403},
		{"ws://localhost:1", wsRequest(get, "Origin: ftp://localhost:7001"), 403},
		{"ws://localhost:1", wsRequest(get, "Origin: null"), 403},
		{"ws://localhost:1", wsRequest(get, "Origin: http://localhost:7001.evil.example"), 403},
		{"ws://localhost:1", wsRequest(get, "Origin: http://localhost:7001", "Origin: https://evil.example"), 403},
		{"ws://localhost:1?origin=https://ops.example&origin=http://b:81", wsRequest(get, "Origin: http://b:81"), 101},
		{"ws://localhost:1?origin=https://ops.example:443", wsRequest(get, "Origin: https://ops.example"), 101},
		{"ws://localhost:1?origin=https://ops.example", wsRequest(get, "Origin: http://ops.example"), 403},
		{"ws://localhost:1?origin=null", wsRequest(get, "Origin: null"), 101},
	} {
		r, body, _ := ask(t, test.address, test.request)
		if r.StatusCode != test.status {
			t.Errorf("%s answers %d to %.300q (%s), want %d", test.address, r.StatusCode, test.request, body, test.status)
		}
		if v := r.Header.Get("Sec-WebSocket-Version"); test.status == 426 && v != "13" {
			t.Errorf("426 with version %q", v)
		}
		// The example of RFC 6455 §1.3.
		if k := r.Header.Get("Sec-WebSocket-Accept"); test.status == 101 && k != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Errorf("accepted with %q", k)
		}
	}
}

func TestWebsocketSubprotocols(t *testing.T) {
	for offered, want := range map[string]string{
		"":                                   "",
		"Sec-WebSocket-Protocol: binary":     "binary",
		"Sec-WebSocket-Protocol: base64":     "",
		"Sec-WebSocket-Protocol: Binary":     "",
		"Sec-WebSocket-Protocol: x , binary": "binary",
	} {
		r, _, _ := ask(t, "ws://localhost:1", wsRequest("GET / HTTP/1.1", offered))
		if got := r.Header.Values("Sec-WebSocket-Protocol"); strings.Join(got, ",") != want {
			t.Errorf("%q is answered with %q", offered, got)
		}
	}
}

func TestWebsocketFrameInOneSegmentWithTheRequest(t *testing.T) {
	r, _, br := ask(t, "ws://localhost:1", wsRequest("GET / HTTP/1.1")+string(masked(ws.OpText, true, "early")))
	if r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	if f := nextFrame(t, br); string(f.Payload) != "early" {
		t.Errorf("%q", f.Payload)
	}
}

func TestWebsocketAddressesThatCannotWork(t *testing.T) {
	for _, test := range []struct {
		address string
		side    func(*Env, Address) (Layer, error)
		want    string
	}{
		{"ws://h:1/a%3Fb", wsServerLayer, "query"},
		{"ws://h:1?origin=http://x", wsClientLayer, "origin="},
		{"ws://h:1?host=x", wsClientLayer, "host="},
	} {
		if _, err := test.side(new(Env), MustParseAddress(test.address)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.address, err, test.want)
		}
	}
	for _, a := range []string{"ws://h:1/a?path=/b", "ws://h:1?path=x", "ws://h:1?origin=x", "ws://h:1?origin=http://x/", "ws://h:1?host=a:1", "ws://h:1?host=", "ws://h:1?orgin=http://x"} {
		if _, err := ParseAddress(a); err == nil {
			t.Errorf("%s is taken", a)
		}
	}
}

// answered runs a client against a server that answers as it is told, and
// returns the request.
func answered(t *testing.T, address string, o *WebsocketOptions, answer func(accept string) string) (Channel, *http.Request, *PipeEnd, error) {
	t.Helper()
	a, b := Pipe(256 << 10)
	b.SetReadDeadline(time.Now().Add(limit))
	var r *http.Request
	served := make(chan struct{})
	go func() {
		defer close(served)
		var err error
		if r, err = http.ReadRequest(bufio.NewReader(b)); err != nil {
			t.Error(err)
			return
		}
		b.Write([]byte(answer(acceptKey(r.Header.Get("Sec-WebSocket-Key")))))
	}()
	var c Channel
	var err error
	if o != nil {
		var w *Websocket
		if w, err = WebsocketClient(testCtx(t), a, *o); w != nil {
			c = w
		}
	} else {
		var layer Layer
		if layer, err = wsClientLayer(testEnv(), MustParseAddress(address)); err != nil {
			t.Fatal(err)
		}
		c, err = layer(testCtx(t), a)
	}
	<-served
	t.Cleanup(func() {
		if err == nil {
			c.Close()
		}
		b.Close()
	})
	if err != nil {
		if _, err := a.Read(make([]byte, 1)); !isClosed(err) {
			t.Errorf("after a failed handshake the channel below is not closed: %v", err)
		}
	}
	return c, r, b, err
}

func switching(accept string, lines ...string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n" +
		strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

func TestWebsocketClientHandshake(t *testing.T) {
	for address, want := range map[string]string{
		"ws://console.example:7001":                    "console.example:7001 /",
		"ws://[::1]:7001/a%20b":                        "[::1]:7001 /a%20b",
		"ws+unix:/x":                                   "localhost /",
		"ws+unix:/x?path=/api/ws%3Fsince=-65536%26x=1": "localhost /api/ws?since=-65536&x=1",
		"ws://h:1/api/ws%3Fsince=1":                    "h:1 /api/ws?since=1",
	} {
		early := rawFrame(ws.Header{Fin: true, OpCode: ws.OpBinary}, []byte("early"))
		c, r, _, err := answered(t, address, nil, func(accept string) string { return switching(accept, "Sec-WebSocket-Protocol: binary") + string(early) })
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got := r.Host + " " + r.RequestURI; got != want {
			t.Errorf("%s asks for %q, want %q", address, got, want)
		}
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-WebSocket-Protocol") != "binary" {
			t.Errorf("header %v", r.Header)
		}
		buf := make([]byte, 100)
		if n, err := c.Read(buf); string(buf[:n]) != "early" || err != nil {
			t.Errorf("the frame behind the answer: %q, %v", buf[:n], err)
		}
	}
	refusal := &HandshakeError{Status: 403, Reason: "origin may not connect"}
	for what, test := range map[string]struct {
		answer string
		want   string
	}{
		"refusal":              {string(refusal.response()), "403 Forbidden: origin may not connect"},
		"refusal unended":      {"HTTP/1.1 500 X\r\n\r\nsome reason", "500 Internal Server Error: some reason"},
		"redirect":             {"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "302 Found"},
		"wrong key":            {switching("bm90IHRoaXMgb25l"), "handshake"},
		"foreign protocol":     {switching("%s", "Sec-WebSocket-Protocol: chat"), "protocol"},
		"endless header":       {"HTTP/1.1 101 X\r\n" + strings.Repeat("A: b\r\n", 20000), "longer than"},
		"endless line":         {"HTTP/1.1 101 X\r\nA: " + strings.Repeat("a", 200000), "longer than"},
		"no HTTP":              {"220 smtp.example ESMTP\r\n", "handshake"},
		"an extension unasked": {switching("%s", "Sec-WebSocket-Extensions: permessage-deflate"), "handshake"},
	} {
		_, _, _, err := answered(t, "ws://localhost:1", nil, func(accept string) string {
			return strings.Replace(test.answer, "%s", accept, 1)
		})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", what, err, test.want)
		}
	}
	o := &WebsocketOptions{Protocols: []string{"chardev.v1"}, OnText: func([]byte) {}, Path: "/ws?since=0"}
	if _, _, _, err := answered(t, "", o, func(accept string) string { return switching(accept) }); err == nil || !strings.Contains(err.Error(), "chardev.v1") {
		t.Errorf("a server without the subprotocol: %v", err)
	}
	a, b := Pipe(64)
	defer b.Close()
	if _, err := WebsocketClient(context.Background(), a, WebsocketOptions{Path: "no slash"}); err == nil {
		t.Error("a bad path was taken")
	}
}

// A pipeListener is an http.Server's listener of one channel.
type pipeListener struct {
	once   sync.Once
	conn   Channel
	closed chan struct{}
}

func (l *pipeListener) Accept() (conn net.Conn, err error) {
	l.once.Do(func() { conn = l.conn })
	if conn != nil {
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return l.conn.LocalAddr() }

// TestUpgradeWebsocket goes the way of the control socket: an HTTP server whose
// connections are channels, a path in its own mux, a subprotocol with messages.
func TestUpgradeWebsocket(t *testing.T) {
	type result struct {
		server *Websocket
		err    error
	}
	for _, test := range []struct {
		protocol, host string
		status         string
	}{{"chardev.v1", "localhost", ""}, {"chardev.v1", "evil.example", "403"}} {
		results := make(chan result, 1)
		texts := make(chan string, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /api/v1/chardevs/{name}/ws", func(w http.ResponseWriter, r *http.Request) {
			o := WebsocketOptions{Protocols: []string{"chardev.v1"}, OnText: func(b []byte) { texts <- string(b) }}
			c, err := UpgradeWebsocket(w, r, o, func(under Channel) Channel { return NewOutbox(under) })
			if err == nil && r.URL.Query().Get("since") != "-65536" {
				t.Errorf("query %q", r.URL.RawQuery)
			}
			results <- result{c, err}
		})
		a, b := Pipe(64 << 10)
		l := &pipeListener{conn: b, closed: make(chan struct{})}
		srv := &http.Server{Handler: mux}
		served := make(chan struct{})
		go func() { defer close(served); srv.Serve(l) }()

		c, err := WebsocketClient(testCtx(t), a, WebsocketOptions{
			Host: test.host, Path: "/api/v1/chardevs/vm1/ws?since=-65536",
			Protocols: []string{test.protocol}, OnText: func([]byte) {},
		})
		r := <-results
		if test.status != "" {
			if refusal, ok := errors.AsType[*HandshakeError](r.err); !ok || fmt.Sprint(refusal.Status) != test.status || err == nil || !strings.Contains(err.Error(), test.status) {
				t.Errorf("%+v: the server says %v, the client %v", test, r.err, err)
			}
		} else if err != nil || r.err != nil {
			t.Fatal(err, r.err)
		} else {
			if _, ok := As[*Outbox](r.server); !ok {
				t.Error("there is no outbox below")
			}
			c.SendText([]byte(`{"type":"break"}`))
			c.Write([]byte("typed"))
			buf := make([]byte, 100)
			n, err := r.server.Read(buf)
			if string(buf[:n]) != "typed" || err != nil || <-texts != `{"type":"break"}` {
				t.Errorf("%q, %v", buf[:n], err)
			}
			r.server.CloseWith(1001, "the daemon stops")
			if _, err := c.Read(buf); err != io.EOF {
				t.Error(err)
			}
			c.Close()
		}
		srv.Close()
		<-served
	}
}

// serveEcho listens and sends back what comes to each client, until t ends.
func serveEcho(t *testing.T, e *Env, address string) net.Addr {
	l, err := e.Listen(testCtx(t), MustParseAddress(address))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			wg.Go(func() { io.Copy(c, c); c.Close() })
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	return l.Addr()
}

const pythonClient = `
import asyncio, ssl, sys, websockets
async def main():
    ctx = ssl.create_default_context(cafile=sys.argv[2])
    async with websockets.connect(sys.argv[1], ssl=ctx, subprotocols=["binary"], max_size=2**20) as c:
        assert c.subprotocol == "binary", c.subprotocol
        big = bytes(i % 251 for i in range(900000))
        for message in ("text\u00e4", b"\x00\xff", big):
            want = message.encode() if isinstance(message, str) else message
            async def read():
                got = b""
                while len(got) < len(want):
                    part = await c.recv()
                    assert isinstance(part, bytes)
                    got += part
                return got
            reader = asyncio.ensure_future(read())
            await c.send(message)
            assert await reader == want
        await (await c.ping(b"ping"))
    print(c.close_code)
asyncio.run(main())
`

// Two clients that nobody here wrote, through the whole of Listen.
func TestForeignClients(t *testing.T) {
	dir := t.TempDir()
	cert, err := SelfSigned(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := testEnv()
	e.SelfSigned = func() (*tls.Certificate, error) { return cert, nil }
	e.Below = func(c Channel) Channel { return NewOutbox(c) }
	ctx := testCtx(t)

	ws := serveEcho(t, e, "wss://127.0.0.1:0")
	out, err := exec.CommandContext(ctx, "/usr/bin/python3", "-c", pythonClient, "wss://"+ws.String()+"/", dir+"/"+SelfSignedFile).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1000" {
		t.Errorf("python3 websockets (package python3-websockets): %v\n%s", err, out)
	}

	plain := serveEcho(t, e, "tls://127.0.0.1:0")
	cmd := exec.CommandContext(ctx, "openssl", "s_client", "-quiet", "-no_ign_eof", "-verify_return_error", "-CAfile", dir+"/"+SelfSignedFile,
		"-verify_ip", "127.0.0.1", "-connect", plain.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var got, said bytes.Buffer
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("openssl (package openssl): %v", err)
	}
	io.WriteString(in, "hello\n")
	io.CopyN(&got, stdout, 6)
	in.Close()
	if err := cmd.Wait(); err != nil || got.String() != "hello\n" {
		t.Errorf("openssl s_client: %v, %q\n%s", err, &got, &said)
	}
}
