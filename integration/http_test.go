package integration

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const mayLook = "[[access]]\nwho = \"token:ci\"\nmay = [\"read\", \"control\"]\non = \"*\"\n[[access]]\nwho = \"anyone\"\nmay = \"read\"\non = \"vm\"\n"

// What a page of another site, somebody without a secret or somebody with a wrong one
// sends to [http] is refused with what HTTP has for it, and does nothing.
func TestHTTPRefuses(t *testing.T) {
	t.Parallel()
	d := newDoor(t, mayLook)
	a := d.attach()
	id := d.clients("vm")[0].ID
	const list, ws = "GET /api/v1/chardevs", "GET /api/v1/chardevs/vm/ws"
	kick, site := "DELETE /api/v1/chardevs/vm/clients/"+id, "http://"+d.web
	upgrade := map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, c := range []struct {
		why, what string
		header    map[string]string
		status    int
	}{
		{"a look", list, nil, 200},
		{"foreign Host", list, map[string]string{"Host": "evil.example"}, 403},
		{"foreign Host, with the secret", list, map[string]string{"Host": "evil.example:80", "Authorization": "Bearer " + d.token}, 403},
		{"foreign Origin", list, map[string]string{"Origin": "http://evil.example"}, 403},
		{"foreign Origin of a websocket", ws, map[string]string{"Origin": "http://evil.example"}, 403},
		{"foreign Host of a websocket", ws, map[string]string{"Host": "evil.example"}, 403},
		{"forged POST", "POST /api/v1/chardevs/vm/break", map[string]string{"Origin": "http://evil.example"}, 403},
		{"forged POST, with the session", "POST /api/v1/chardevs/vm/break", map[string]string{"Origin": "null", "Cookie": d.logIn()}, 403},
		{"forged POST without an Origin", "POST /api/v1/chardevs/vm/break", map[string]string{"Sec-Fetch-Site": "cross-site", "Cookie": d.logIn()}, 403},
		{"forged login", "POST /api/v1/session", map[string]string{"Origin": "http://evil.example"}, 403},
		{"no secret", kick, map[string]string{"Origin": site}, 401},
		{"no secret for a ticket", "POST /api/v1/ticket", nil, 401},
		{"wrong token", kick, map[string]string{"Authorization": "Bearer " + d.token + "x"}, 401},
		{"wrong token to look", list, map[string]string{"Authorization": "Bearer cdt_x"}, 401},
		{"wrong password", ws, map[string]string{"Authorization": basic("alice", "x")}, 401},
		{"wrong session", list, map[string]string{"Cookie": "chardevd=x"}, 401},
		{"wrong ticket", ws + "?ticket=x", nil, 401},
		{"a secret that may not", kick, map[string]string{"Cookie": d.logIn(), "Origin": site}, 403},
		{"a secret that may not look", "GET /api/v1/chardevs/other", map[string]string{"Cookie": d.logIn()}, 404},
		{"a large head", list, map[string]string{"Cookie": "a=" + strings.Repeat("x", 40<<10)}, 431},
	} {
		header := map[string]string{}
		for k, v := range c.header {
			header[k] = v
		}
		if strings.HasPrefix(c.what, ws) {
			for k, v := range upgrade {
				header[k] = v
			}
		}
		method, path, _ := strings.Cut(c.what, " ")
		answer, body := d.asks(method, path, "", header)
		if answer.StatusCode != c.status || strings.Contains(body, "SECRET") {
			t.Errorf("%s: %s %s, want %d", c.why, answer.Status, body, c.status)
		}
	}
	d.has("vm", 1)
	if answer, body := d.asks("DELETE", "/api/v1/chardevs/vm/clients/"+id, "", map[string]string{"Authorization": "Bearer " + d.token, "Origin": site}); answer.StatusCode != 204 {
		t.Errorf("a kick by who may: %s %s", answer.Status, body)
	}
	a.exits(t, patience)
	d.heard("")
}

// Who does not come to the end of a request is cut after a while, and meanwhile holds
// up nobody; of very many such the oldest are.
func TestHTTPSlowly(t *testing.T) {
	t.Parallel()
	d := newDoor(t, mayLook)
	slow := dial(t, "tcp", d.web)
	io.WriteString(slow.Conn, "GET /api/v1/chardevs HTTP/1.1\r\nHost: localhost\r\nX: ")
	body := dial(t, "tcp", d.web)
	io.WriteString(body.Conn, "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	if answer, _ := d.asks("GET", "/api/v1/chardevs", "", nil); answer.StatusCode != 200 {
		t.Errorf("another one: %s", answer.Status)
	}
	slow.isCut(t, patience)
	body.isCut(t, patience)
	if have := body.out.text(); !strings.HasPrefix(have, "HTTP/1.1 400 ") {
		t.Errorf("half a body is answered with %q", have)
	}

	for _, says := range []string{
		"GET /",
		"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"POST /api/v1/ticket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", // is refused, and goes on
	} {
		first := dial(t, "tcp", d.web)
		io.WriteString(first.Conn, says)
		crowd := make([]net.Conn, 1100)
		for i := range crowd {
			var err error
			if crowd[i], err = net.DialTimeout("tcp", d.web, patience); err != nil {
				t.Fatal(err)
			}
			defer crowd[i].Close() // again, if all is well
			io.WriteString(crowd[i], says)
		}
		at := time.Now()
		first.isCut(t, patience)
		if took := time.Since(at); took > 8*time.Second { // it has 10 s to make a request
			t.Errorf("%q: the first was cut after %v", says, took)
		}
		if answer, _ := d.asks("GET", "/api/v1/chardevs", "", nil); answer.StatusCode != 200 {
			t.Errorf("beside a crowd of %q: %s", says, answer.Status)
		}
		for _, c := range crowd {
			c.Close()
		}
	}
}

// Who is attached with a session is cut when it is logged out, and with a token when
// that is revoked; others stay.
func TestLoggedOut(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "[[access]]\nwho = [\"user:alice\", \"token:ci\"]\nmay = \"read\"\non = \"vm\"\n")
	cookie, other := d.logIn(), d.logIn()
	come := func(header map[string]string) *user {
		u := d.websocket(dialSilent(t, "tcp", d.web), "http://"+d.web+"/api/v1/chardevs/vm/ws?since=start", header)
		u.sees(t, secretText)
		return u
	}
	out, stays := come(map[string]string{"Cookie": cookie}), come(map[string]string{"Cookie": other})
	token := come(map[string]string{"Authorization": "Bearer " + d.token})
	d.has("vm", 3)
	if answer, body := d.asks("DELETE", "/api/v1/session", "", map[string]string{"Cookie": cookie}); answer.StatusCode != 204 {
		t.Fatalf("%s %s", answer.Status, body)
	}
	out.sees(t, "logged out")
	if _, ended := out.out.ends(patience); !ended {
		t.Error("who is logged out is not cut")
	}
	d.makes("", "token", "revoke", "ci")
	if _, ended := token.out.ends(patience); !ended {
		t.Error("who has a token that is revoked is not cut")
	}
	d.has("vm", 1)
	d.guest.types(t, "AND MORE")
	stays.sees(t, "AND MORE")
	for _, who := range []map[string]string{{"Cookie": cookie}, {"Authorization": "Bearer " + d.token}} {
		if answer, _ := d.asks("GET", "/api/v1/chardevs", "", who); answer.StatusCode != 401 {
			t.Errorf("after that: %s", answer.Status)
		}
	}
	d.makes("", "user", "remove", "alice")
	if _, ended := stays.out.ends(patience); !ended {
		t.Error("who is removed is not cut")
	}
}

// A login outlives the daemon, one that is killed too; who has logged out has done so for
// good.
func TestLoginOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	d := newDoor(t, mayLook)
	stays, out := d.logIn(), d.logIn()
	is := func(cookie string, status int) {
		t.Helper()
		if a, body := d.asks("GET", "/api/v1/session", "", map[string]string{"Cookie": cookie}); a.StatusCode != status {
			t.Errorf("%s %s, want %d", a.Status, body, status)
		}
	}
	d.stops()
	d.serve()
	is(stays, 200)
	is(out, 200)
	if a, body := d.asks("DELETE", "/api/v1/session", "", map[string]string{"Cookie": out}); a.StatusCode != 204 {
		t.Errorf("logging out: %s %s", a.Status, body)
	}
	d.cmd.Process.Kill()
	<-d.done
	d.serve()
	is(stays, 200)
	is(out, 401)
}

// Over TLS the cookie of a session goes nowhere else.
func TestHTTPSCookie(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	d := newDaemon(t, folder(t), quietConfig+"\n[http]\nlisten = [\"tls://127.0.0.1:@port@\"]\n", map[string]any{"port": port})
	d.makes(alicesPassword+"\n", "user", "add", "alice")
	d.serve()
	c, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := fmt.Sprintf(`{"user": "alice", "password": %q}`, alicesPassword)
	fmt.Fprintf(c, "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookies := answer.Cookies(); answer.StatusCode != 200 || len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly {
		t.Errorf("%s, %v", answer.Status, cookies)
	}
}

// Who guesses is held up, and somebody who knows is not for long.
func TestHTTPGuessing(t *testing.T) {
	t.Parallel()
	d := newDoor(t, mayLook)
	cookie := d.logIn() // from here alice was right before
	limited := false
	for range 200 {
		answer, _ := d.asks("GET", "/api/v1/session", "", map[string]string{"Authorization": basic("mallory", "guess")})
		if limited = answer.StatusCode == 429; limited {
			if answer.Header.Get("Retry-After") == "" {
				t.Error("it is not told for how long")
			}
			break
		}
	}
	if !limited {
		t.Error("nothing holds up who guesses")
	}
	if answer, _ := d.asks("GET", "/api/v1/chardevs", "", map[string]string{"Cookie": cookie}); answer.StatusCode != 200 {
		t.Errorf("who has a session: %s", answer.Status)
	}
	d.logIn()
}

// The commands reach the daemon over [http] with a token, which they send to nobody in
// the clear.
func TestCommandsShowAToken(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "[[access]]\nwho = \"token:ci\"\nmay = [\"read\", \"write\"]\non = \"vm\"\n")
	run := func(token string, args ...string) (stdout, stderr string, code int) {
		cmd := d.command(args...)
		cmd.Env = append(cmd.Env, "CHARDEVD_TOKEN="+token)
		p := startCmd(t, cmd)
		io.WriteString(p.in, "typed\n") // most take none
		p.stdin.Close()
		code = p.exits(t, patience)
		return p.out.text(), p.stderr.text(), code
	}
	web := "tcp://" + d.web
	for _, c := range []struct {
		why, token string
		args       []string
		says       string
		code       int
	}{
		{"none", "", []string{"list", "--control", web}, "none at all that you may read; a token in $CHARDEVD_TOKEN would be shown", 0},
		{"none, to attach", "", []string{"attach", "vm", "--control", web}, `no chardev "vm"; there is none at all`, 1},
		{"the token", d.token, []string{"list", "--control", web}, "vm ", 0},
		{"the token, for the log", d.token, []string{"log", "vm", "--control", web}, secretText, 0},
		{"the token, to attach", d.token, []string{"attach", "vm", "--control", web, "--since", "start"}, secretText, 0},
		{"a wrong one", d.token + "x", []string{"list", "--control", web}, "wrong", 1},
		{"a wrong one, to attach", d.token + "x", []string{"attach", "vm", "--control", web}, "wrong", 1},
		{"the token, in the clear", d.token, []string{"list", "--control", "tcp://192.0.2.1:1"}, "in the clear", 1},
		{"a wrong one at the control socket, which is not shown it", "x", []string{"list", "--control", "unix:" + d.path(d.control)}, "vm ", 0},
	} {
		stdout, stderr, code := run(c.token, c.args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) || c.token == "" && strings.Contains(stdout, "vm") {
			t.Errorf("%s: exit %d: %s%s", c.why, code, stdout, stderr)
		}
	}
	d.guest.sees(t, "typed")
}
