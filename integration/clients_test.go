package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crowd is a daemon with one echo guest behind every kind of frontend.
type crowd struct {
	*daemon
	g  *guest
	ca *authority
	v  map[string]any
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{ca: newAuthority(t), v: map[string]any{
		"tcp": freePort(t), "tls": freePort(t), "ws": freePort(t), "wss": freePort(t),
	}}
	dir := folder(t)
	c.g = unixGuest(t, echoImage(t), dir+"/guest")
	c.daemon = newDaemon(t, dir, c.ca.credentials()+`
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = [
  "unix:front", "pty:tty", "tcp://127.0.0.1:@tcp@", "tls://127.0.0.1:@tls@?credentials=test",
  "ws://127.0.0.1:@ws@", "wss://127.0.0.1:@wss@?credentials=test",
]
`, c.v)
	c.serve()
	c.is("vm", "up")
	return c
}

// join starts every kind of client and returns when all are attached.
func (c *crowd) join(t *testing.T) []*prog {
	t.Helper()
	ca := c.ca.file("ca-cert.pem")
	python := func(args ...string) *prog {
		p := start(t, program(t, "/usr/bin/python3"), append([]string{"wsclient.py"}, args...)...)
		if !p.stderr.until(patience, func(data []byte) bool { return strings.Contains(string(data), "open") }) {
			t.Fatalf("python3 websockets (Debian package python3-websockets): %s", p.stderr.text())
		}
		return p
	}
	named := func(name string, p *prog) *prog { p.name = name; return p }
	local := func(key string) string { return fmt.Sprint("127.0.0.1:", c.v[key]) }
	ps := []*prog{
		named("socat-unix", start(t, program(t, "socat"), "STDIO", "UNIX-CONNECT:"+c.path("front"))),
		named("socat-tcp", start(t, program(t, "socat"), "STDIO", "TCP:"+local("tcp"))),
		named("socat-tls", start(t, program(t, "socat"), "STDIO", "OPENSSL:"+strings.Replace(local("tls"), "127.0.0.1", "localhost", 1)+",cafile="+ca)),
		named("ncat", start(t, program(t, "ncat"), "127.0.0.1", fmt.Sprint(c.v["tcp"]))),
		named("ncat-ssl", start(t, program(t, "ncat"), "--ssl-verify", "--ssl-trustfile", ca, "localhost", fmt.Sprint(c.v["tls"]))),
		named("openssl", start(t, program(t, "openssl"), "s_client", "-quiet", "-verify_return_error", "-CAfile", ca, "-connect", local("tls"))),
		// Without lock files, which are for real lines and need a folder to write to.
		named("picocom", startTTY(t, program(t, "picocom"), "--quiet", "--nolock", c.path("tty"))),
		named("python-ws", python("ws://"+local("ws"))),
		named("python-ws-text", python("ws://"+local("ws"), "text")),
		named("python-wss", python("wss://"+local("wss"), ca)),
	}
	c.has("vm", len(ps))
	return ps
}

// Every kind of client at one console at once: what one types all see, and when
// all type at the same time nothing is lost and all see the same.
func TestEveryClient(t *testing.T) {
	c := newCrowd(t)
	users := c.join(t)
	c.g.cont()
	for _, u := range users {
		u.sees(t, "ECHO READY\r\n")
	}
	for _, u := range users {
		text := "<" + u.name + " was here>"
		u.types(t, text)
		for _, other := range users {
			other.sees(t, text)
		}
	}

	const each = 40
	var typing sync.WaitGroup
	for i, u := range users {
		typing.Go(func() { fmt.Fprint(u.in, strings.Repeat(string(rune('A'+i)), each)) })
	}
	typing.Wait()
	for _, u := range users {
		u.out.until(patience, func(data []byte) bool { return len(data)-u.out.at >= each*len(users) })
		said := u.out.text()[u.out.at:]
		for i, other := range users {
			if n := strings.Count(said, string(rune('A'+i))); n != each {
				t.Errorf("%s saw %d of %d bytes of %s", u.name, n, each, other.name)
			}
		}
		if first := users[0].out.text()[users[0].out.at:]; said != first {
			t.Errorf("%s saw %q, %s saw %q", u.name, said, users[0].name, first)
		}
	}

	// list and clients say the same as they do
	stdout, stderr, code := c.cli("list", "--json")
	for _, want := range []string{`"name"`, `"state"`, `"up"`, `"since"`, `"device"`, `"clients"`, `"bytes_in"`, `"bytes_out"`, `"last_byte"`, `"frontends"`, `"address"`, `"error"`} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("list --json: exit %d, no %s in %s%s", code, want, stdout, stderr)
		}
	}
	stdout, stderr, code = c.cli("clients", "vm", "--json")
	if n := strings.Count(stdout, `"id"`); code != 0 || n != len(users) {
		t.Errorf("clients vm --json: exit %d, %d clients, want %d: %s%s", code, n, len(users), stdout, stderr)
	}
	for _, args := range [][]string{{"list"}, {"clients", "vm"}} {
		if stdout, stderr, code = c.cli(args...); code != 0 || !strings.Contains(stdout, "unix:") {
			t.Errorf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
	}
}

// kick cuts one client and nobody else; what does not exist is said.
func TestKick(t *testing.T) {
	c := newCrowd(t)
	a, b := dial(t, "unix", c.path("front")), dial(t, "tcp", fmt.Sprint("127.0.0.1:", c.v["tcp"]))
	c.has("vm", 2)
	var id string
	for _, client := range c.clients("vm") {
		if strings.Contains(client.Frontend, "tcp") {
			id = client.ID
		}
	}
	if stdout, stderr, code := c.cli("kick", "vm", id); code != 0 {
		t.Fatalf("kick: exit %d: %s%s", code, stdout, stderr)
	}
	b.isCut(t, patience)
	c.has("vm", 1)
	c.g.cont()
	a.sees(t, "ECHO READY")
	a.echoes(t, "still here")
	for _, args := range [][]string{{"kick", "vm", id}, {"kick", "vm", "no such"}, {"clients", "other"}, {"kick", "other", "1"}} {
		if _, stderr, code := c.cli(args...); code != 1 || stderr == "" {
			t.Errorf("%v: exit %d, want 1 with a message: %q", args, code, stderr)
		}
	}
	for _, args := range [][]string{{"kick", "vm"}, {"no-such-command"}, {"list", "--no-such-flag"}} {
		if _, stderr, code := c.cli(args...); code != 2 || stderr == "" {
			t.Errorf("%v: exit %d, want 2 with a message: %q", args, code, stderr)
		}
	}
	cmd := c.command("list", "--control", "unix:"+c.path("nobody"))
	if _, stderr, code := execute(t, cmd); code != 1 || !strings.Contains(stderr, "nobody") {
		t.Errorf("list without a daemon: exit %d, want 1 and the socket's name: %q", code, stderr)
	}
}

// QEMU is killed and started again: clients of every kind stay, the break is an
// event, and the data flow again.
func TestGuestRestarted(t *testing.T) {
	c := newCrowd(t)
	users := c.join(t)
	c.g.cont()
	for _, u := range users {
		u.sees(t, "ECHO READY\r\n")
	}
	before := c.clients("vm")
	for round := range 2 {
		t0 := time.Now()
		c.g.kill()
		c.event("vm", "down", t0)
		if i := c.info("vm"); i.State == "up" {
			t.Errorf("round %d: the guest is dead and the device is up", round)
		}
		t0 = time.Now()
		c.g.restart() // returns when its socket is back
		back := time.Now()
		c.event("vm", "up", t0)
		c.g.cont()
		for _, u := range users {
			u.sees(t, "ECHO READY\r\n")
		}
		gone := time.Since(back)
		t.Logf("round %d: data again %v after the socket was back", round, gone)
		if gone > 3*time.Second {
			t.Errorf("round %d: data only %v after the socket was back", round, gone)
		}
		for _, u := range users {
			if !u.running() {
				t.Errorf("round %d: %s did not stay: %s", round, u.name, u.stderr.text())
			}
			u.echoes(t, "back in round "+fmt.Sprint(round))
		}
	}
	after := c.clients("vm")
	ids := map[string]bool{}
	for _, a := range after {
		ids[a.ID] = true
	}
	for _, b := range before {
		if !ids[b.ID] {
			t.Errorf("client %s on %s did not stay", b.ID, b.Frontend)
		}
	}
}

// What is typed while the guest is away is refused and counted, and does not
// run when it is back.
func TestNoStaleInput(t *testing.T) {
	c := newCrowd(t)
	u := dial(t, "unix", c.path("front"))
	c.has("vm", 1)
	c.g.cont()
	u.sees(t, "ECHO READY\r\n")
	c.g.kill()
	c.is("vm", "down")
	u.types(t, "stale")
	eventually(t, patience, func() error {
		if n := refused(c.info("vm")); n != 5 {
			return fmt.Errorf("%d bytes refused, want 5", n)
		}
		return nil
	})
	c.g.restart()
	c.is("vm", "up")
	c.g.cont()
	u.sees(t, "ECHO READY\r\n")
	u.echoes(t, "fresh")
	if strings.Contains(u.out.text(), "stale") {
		t.Errorf("typed while the guest was away, ran when it was back: %q", u.out.text())
	}
}

// refused is how many bytes of input were not taken, for whatever reason.
func refused(i info) (n int64) {
	for _, v := range i.Refused {
		n += v
	}
	return n
}

// chardevd is killed with kill -9: no file it left behind stops the next one.
func TestDaemonKilled(t *testing.T) {
	c := newCrowd(t)
	c.echoRuns(c.g)
	for round := range 3 {
		users := c.join(t)
		users[0].echoes(t, "before")
		c.kill()
		t0 := time.Now()
		c.serve()
		took := time.Since(t0)
		t.Logf("round %d: ready %v after the start", round, took)
		if limit := time.Second; took > limit && !raceEnabled || took > 3*limit {
			t.Errorf("round %d: ready only after %v", round, took)
		}
		for _, f := range c.info("vm").Frontends {
			if f.State == "down" || f.Error != "" {
				t.Errorf("round %d: frontend %s is %s: %s", round, f.Address, f.State, f.Error)
			}
		}
		for _, u := range users {
			u.cmd.Process.Kill()
		}
		for _, u := range users {
			<-u.done
		}
		c.is("vm", "up")
		c.has("vm", 0)
	}
	users := c.join(t)
	users[0].echoes(t, "and after all that")
}

// A second daemon on the same state folder is refused and told whose it is; the
// first one does not notice.
func TestSecondDaemon(t *testing.T) {
	dir := folder(t)
	const text = `
[[chardev]]
name = "vm"
device = "null:"
frontends = ["unix:front"]
`
	d := newDaemon(t, dir, text, nil)
	d.serve()
	u := dial(t, "unix", d.path("front"))
	d.has("vm", 1)
	// one with the same file, and one that has only the state folder in common
	other := dir + "/other.toml"
	write(t, other, expand("state = \"state\"\ncontrol = \"unix:control2\"\n[[chardev]]\nname = \"x\"\ndevice = \"null:\"\nfrontends = [\"unix:front2\"]\n", nil))
	for _, file := range []string{d.config, other} {
		stdout, stderr, code := execute(t, d.command("serve", "-c", file))
		if code != 1 || strings.Contains(stdout, "ready") {
			t.Errorf("%s: exit %d, want 1; stdout %q", file, code, stdout)
		}
		if !strings.Contains(stderr, fmt.Sprint(d.cmd.Process.Pid)) || !strings.Contains(stderr, "state") {
			t.Errorf("%s: the message names neither process %d nor the folder: %q", file, d.cmd.Process.Pid, stderr)
		}
		if err := exec.Command("test", "-e", dir+"/front2").Run(); err == nil {
			t.Errorf("%s: it made a socket before it gave up", file)
		}
	}
	d.has("vm", 1)
	if _, ended := u.out.ends(0); ended {
		t.Error("the first daemon's client was cut")
	}
	d.signal(t, syscall.SIGTERM)
	if code := d.exits(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// and when it has gone, the folder is free
	d.serve()
}
