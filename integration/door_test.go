package integration

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	osuser "os/user"
	"strings"
	"testing"
)

// A door is a daemon with a guest that the test plays, every way in to it, and rules
// in a file of their own.
type door struct {
	*daemon
	guest *wire
	ways  []way
	token string
	web   string // an address of [http]
}

// A way in: how somebody comes, and what the rules call who comes there.
type way struct {
	name string
	who  string // "": nothing is known of them
	come func() *user
}

// The accounts of a door: alice's password, and the token's secret.
const alicesPassword = "through the looking glass"

// secretText is what the guest has said before anybody comes.
const secretText = "SECRET OF THE CONSOLE"

func newDoor(t *testing.T, rules string) *door {
	t.Helper()
	ca := newAuthority(t)
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]any{"ca": ca.dir}
	for _, name := range []string{"tcp", "tls", "ws", "wss", "telnet", "com", "login", "tellogin", "wslogin", "web", "webs"} {
		v[name] = freePort(t)
	}
	d := &door{daemon: newDaemon(t, folder(t), `
include = ["rules.toml"]
[http]
listen = ["tcp://127.0.0.1:@web@", "tls://127.0.0.1:@webs@?credentials=mutual", "unix:web"]
[credentials.mutual]
cert = "@ca@/server-cert.pem"
key = "@ca@/server-key.pem"
client_ca = "@ca@/ca-cert.pem"
[defaults]
replay = "4KiB"
[[chardev]]
name = "vm"
device = { listen = "unix:guest" }
frontends = [
  "unix:front", "tcp://127.0.0.1:@tcp@", "tls://127.0.0.1:@tls@?credentials=mutual", "ws://127.0.0.1:@ws@",
  "wss://127.0.0.1:@wss@?credentials=mutual", "telnet://127.0.0.1:@telnet@", "rfc2217://127.0.0.1:@com@", "pty:tty",
]
[[chardev.frontend]]
listen = "tcp://127.0.0.1:@login@"
login = true
[[chardev.frontend]]
listen = "telnet://127.0.0.1:@tellogin@"
login = true
[[chardev.frontend]]
listen = "ws://127.0.0.1:@wslogin@"
login = true
`, v), web: fmt.Sprint("127.0.0.1:", v["web"])}
	d.token = strings.TrimSpace(d.makes("", "token", "add", "ci"))
	d.makes(alicesPassword+"\n", "user", "add", "alice")
	write(t, d.path("rules.toml"), rules)
	d.serve()
	d.guest = dial(t, "unix", d.path("guest"))
	d.is("vm", "up")
	d.guest.types(t, secretText)
	eventually(t, patience, func() error {
		if n := d.info("vm").Offset; n != int64(len(secretText)) {
			return fmt.Errorf("the guest has printed %d bytes", n)
		}
		return nil
	})

	config := ca.client()
	cert, err := tls.LoadX509KeyPair(ca.file("client-cert.pem"), ca.file("client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{cert}
	at := func(name string) string { return fmt.Sprint("127.0.0.1:", v[name]) }
	plain := func(network, address string) func() *user {
		return func() *user { return &dial(t, network, address).user }
	}
	loggedIn := func(u *user, name, password string) *user {
		u.sees(t, "login: ")
		u.types(t, name+"\r")
		u.sees(t, "password: ")
		u.types(t, password+"\r")
		return u
	}
	ws := func(port, path string, header map[string]string) func() *user {
		return func() *user { return d.websocket(dialSilent(t, "tcp", at(port)), "http://"+at(port)+path, header) }
	}
	secure := func(port, path string, header map[string]string) func() *user {
		return func() *user {
			c, err := tls.Dial("tcp", at(port), config)
			if err != nil {
				t.Fatal(err)
			}
			return d.websocket(newWire(t, c, port), "https://"+at(port)+path, header)
		}
	}
	const attach = "/api/v1/chardevs/vm/ws?since=-4KiB"
	bearer := map[string]string{"Authorization": "Bearer " + d.token}
	d.ways = []way{
		{"unix", "unix:" + me.Username, plain("unix", d.path("front"))},
		{"tcp", "", plain("tcp", at("tcp"))},
		{"tls", "cert:CN=client", func() *user { return &dialTLS(t, at("tls"), config).user }},
		{"ws", "", ws("ws", "/", nil)},
		{"ws with a token", "token:ci", ws("ws", "/", bearer)},
		{"wss", "cert:CN=client", secure("wss", "/", nil)},
		{"login", "user:alice", func() *user { return loggedIn(&dial(t, "tcp", at("login")).user, "alice", alicesPassword) }},
		{"login by telnet", "token:ci", func() *user { return loggedIn(&dial(t, "tcp", at("tellogin")).user, "token", d.token) }},
		{"login by ws", "user:alice", func() *user { return loggedIn(ws("wslogin", "/", nil)(), "alice", alicesPassword) }},
		{"ws with a password", "user:alice", ws("wslogin", "/", map[string]string{"Authorization": basic("alice", alicesPassword)})},
		{"http", "", ws("web", attach, nil)},
		{"http with a token", "token:ci", ws("web", attach, bearer)},
		{"http with a session", "user:alice", func() *user {
			return ws("web", attach, map[string]string{"Cookie": d.logIn()})()
		}},
		{"http with a ticket", "user:alice", func() *user {
			return ws("web", attach+"&ticket="+d.ticket(d.logIn()), nil)()
		}},
		{"https", "cert:CN=client", secure("webs", attach, nil)},
		{"http over unix", "unix:" + me.Username, func() *user {
			return d.websocket(dialSilent(t, "unix", d.path("web")), "http://localhost"+attach, nil)
		}},
		{"telnet", "", plain("tcp", at("telnet"))},
		{"rfc2217", "", plain("tcp", at("com"))},
		{"pty", "unix:" + me.Username, func() *user {
			return &start(t, program(t, "socat"), "STDIO", "FILE:"+d.path("tty")+",raw,echo=0").user
		}},
	}
	return d
}

// basic is an Authorization header of a password.
func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// websocket attaches over a connection. Who is refused is a user who sees the answer
// and its end.
func (d *door) websocket(w *wire, url string, header map[string]string) *user {
	d.t.Helper()
	all := map[string]string{"Sec-WebSocket-Protocol": "chardev.v1, binary"}
	maps.Copy(all, header)
	answer, br := upgrade(d.t, w.Conn, url, all)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return framed(w, br)
	}
	w.drain(io.MultiReader(strings.NewReader(answer.Status+"\n"), answer.Body))
	return &w.user
}

// asks makes a request of [http] and returns the answer and its body.
func (d *door) asks(method, path, body string, header map[string]string) (*http.Response, string) {
	d.t.Helper()
	r, err := http.NewRequest(method, "http://"+d.web+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	r.Host = cmp.Or(r.Header.Get("Host"), r.Host)
	r.Close = true
	answer, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer, string(text)
}

// logIn is a session of alice's, as a Cookie header.
func (d *door) logIn() string {
	d.t.Helper()
	a, body := d.asks("POST", "/api/v1/session", fmt.Sprintf(`{"user": "alice", "password": %q}`, alicesPassword), nil)
	if a.StatusCode != 200 || len(a.Cookies()) != 1 {
		d.t.Fatalf("login: %s %s", a.Status, body)
	}
	return a.Cookies()[0].Name + "=" + a.Cookies()[0].Value
}

// ticket is one of who has a session.
func (d *door) ticket(cookie string) string {
	d.t.Helper()
	var t struct{ Ticket string }
	a, body := d.asks("POST", "/api/v1/ticket", "", map[string]string{"Cookie": cookie})
	if err := json.Unmarshal([]byte(body), &t); err != nil || t.Ticket == "" {
		d.t.Fatalf("ticket: %s %s", a.Status, body)
	}
	return t.Ticket
}

// framed is a user whose text goes in websocket frames; what is seen has the heads of
// the frames in it.
func framed(w *wire, r io.Reader) *user {
	w.drain(r)
	return &user{name: w.name, out: w.out, in: framer{w.Conn}}
}

type framer struct{ io.Writer }

func (f framer) Write(p []byte) (int, error) {
	if _, err := f.Writer.Write(frame(opBinary, string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
