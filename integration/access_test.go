package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// rules puts others in force; says is what the log then has.
func (d *door) rules(says, text string) {
	d.t.Helper()
	write(d.t, d.path("rules.toml"), text)
	logged := len(d.stderr.text())
	d.signal(d.t, syscall.SIGHUP)
	if !d.stderr.until(patience, func(data []byte) bool { return strings.Contains(string(data[logged:]), says) }) {
		d.t.Fatalf("SIGHUP: no %q in the log: %s", says, d.stderr.text()[logged:])
	}
}

// heard fails the test unless the guest was typed exactly want at, and a word of the
// operator's behind it.
func (d *door) heard(want string) {
	d.t.Helper()
	word := fmt.Sprintf("<%d>", len(d.guest.out.text()))
	a := d.attach()
	a.types(d.t, word)
	d.guest.sees(d.t, word)
	a.kill()
	if have := d.guest.out.text(); !strings.HasSuffix(have, want+word) || strings.Contains(strings.TrimSuffix(have, want+word), "typed") {
		d.t.Errorf("the guest was typed %q, want %q and then %q", have, want, word)
	}
}

const reread = "access rules reloaded"

// On every way in nobody reads or types where the rules do not say so, not one byte;
// and the operator may everything all the time.
func TestAccess(t *testing.T) {
	d := newDoor(t, "[[access]]\nwho = [\"user:other\", \"token:other\", \"unix:nobody-at-all\", \"cert:CN=other\", \"san:*.example.org\"]\nmay = [\"read\", \"write\"]\non = \"*\"\n")
	nobody := func(why string) {
		t.Helper()
		for _, w := range d.ways {
			u := w.come()
			io.WriteString(u.in, "typed by "+w.name) // it may be cut already
			if _, ended := u.out.ends(patience); !ended {
				t.Fatalf("%s: %s was not cut; it saw %q", why, w.name, u.out.text())
			}
			have := u.out.text()
			raw := w.name == "unix" || w.name == "tcp" || w.name == "tls" || w.name == "pty"
			if raw && have != "" || strings.Contains(have, "SECRET") || strings.Contains(have, "OF THE CONSOLE") {
				t.Errorf("%s: %s saw %q", why, w.name, have)
			}
		}
		d.has("vm", 0)
		d.heard("")
	}
	nobody("rules for others")

	d.rules(reread, "[[access]]\nwho = \"anyone\"\nmay = \"read\"\non = \"vm\"\n")
	want := 0
	for _, w := range d.ways {
		u := w.come()
		u.sees(t, secretText)
		u.types(t, "typed by "+w.name)
		want += len("typed by " + w.name)
	}
	eventually(t, patience, func() error {
		if n := d.info("vm").Refused["not_permitted"]; n != int64(want) {
			return fmt.Errorf("%d bytes were refused, want %d", n, want)
		}
		return nil
	})
	d.heard("")

	// who is known types; of the others the unknown are cut while they are there
	known := ""
	for _, w := range d.ways {
		if w.who != "" {
			known += fmt.Sprintf("%q, ", w.who)
		}
	}
	d.has("vm", len(d.ways))
	d.rules(reread, "[[access]]\nwho = ["+known+"]\nmay = [\"read\", \"write\"]\non = \"v*\"\n")
	ofNobody := 0
	for _, w := range d.ways {
		if w.who == "" {
			ofNobody++
		}
	}
	d.has("vm", len(d.ways)-ofNobody)
	here := len(d.ways) - ofNobody
	for _, w := range d.ways {
		if w.who == "" || w.name == "pty" { // of a pty there is one client at a time
			continue
		}
		u := w.come()
		u.sees(t, secretText)
		here++
		u.types(t, "typed by "+w.name)
		d.guest.sees(t, "typed by "+w.name)
		if all := d.clients("vm"); all[len(all)-1].Who != w.who || !strings.HasPrefix(all[len(all)-1].Peer, w.who+" ") {
			t.Errorf("%s is shown as %+v, want %s", w.name, all[len(all)-1], w.who)
		}
	}
	for _, w := range d.ways {
		if w.who == "" {
			u := w.come()
			if _, ended := u.out.ends(patience); !ended || strings.Contains(u.out.text(), "SECRET") {
				t.Errorf("%s: ended %v, saw %q", w.name, ended, u.out.text())
			}
		}
	}
	d.has("vm", here)

	d.rules("nobody may anything now", "[[access]]\nwho = \"anyone\"\nmay = \"raed\"\non = \"vm\"\n")
	d.has("vm", 0)
	guest := d.guest.out.text()
	d.guest.types(t, " AND MORE")
	for _, w := range d.ways {
		u := w.come()
		io.WriteString(u.in, "typed by "+w.name)
		if _, ended := u.out.ends(patience); !ended || strings.Contains(u.out.text(), "SECRET") || strings.Contains(u.out.text(), "MORE") {
			t.Errorf("broken rules: %s: ended %v, saw %q", w.name, ended, u.out.text())
		}
	}
	a := d.attach()
	a.types(t, "still mine")
	d.guest.sees(t, "still mine")
	if have := d.guest.out.text(); have != guest+"still mine" {
		t.Errorf("the guest was typed %q, want %q", have, guest+"still mine")
	}
}

// check tells what somebody may, and which rule says so.
func TestCheckAccess(t *testing.T) {
	d := newDaemon(t, folder(t), "[[chardev]]\nname = \"vm\"\ndevice = \"null:\"\n\n[[access]]\nwho = \"unix:root\"\nmay = [\"read\", \"control\"]\non = \"vm*\"\n", nil)
	check := func(args ...string) (string, string, int) {
		return execute(t, d.command(append([]string{"check", "-c", d.config}, args...)...))
	}
	for who, want := range map[string][]string{
		"unix:root":      {"may      read, control\n", "may not  write, admin\n", d.config + ":7:1 "},
		"cert:CN=nobody": {"may not  read, write, control, admin\n", "no rule is for cert:CN=nobody on vm"},
	} {
		stdout, stderr, code := check("--who", who, "--on", "vm")
		for _, w := range want {
			if code != 0 || !strings.Contains(stdout, w) {
				t.Errorf("%s: exit %d, no %q in %s%s", who, code, w, stdout, stderr)
			}
		}
	}
	if stdout, stderr, code := check("--who", "unix:root", "--on", "vn"); code != 1 || !strings.Contains(stderr, `"vm"`) {
		t.Errorf("of no chardev: exit %d: %s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := check("--who", "unix:root"); code != 2 || !strings.Contains(stderr, "--on") {
		t.Errorf("on nothing: exit %d: %s%s", code, stdout, stderr)
	}
}

// Somebody else of this host has at the control socket what the rules say. (Only root
// can become somebody else; for others the routes are walked in package chardev.)
func TestAccessToControl(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	dir := folder(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	text := "include = [\"rules.toml\"]\n[[chardev]]\nname = \"vm\"\ndevice = \"sim:echo\"\nfrontends = [\"unix:front?mode=0666\"]\n"
	d := &door{daemon: newDaemon(t, dir, text, nil)}
	write(t, d.config, strings.Replace(text, "include", "state = \"state\"\ncontrol = \"unix:control?mode=0666\"\ninclude", 1))
	write(t, d.path("rules.toml"), "")
	d.serve()
	const uid = 65533
	ask := func(method, path string) string {
		cmd := exec.Command(program(t, "socat"), "-t0.1", "STDIO", "UNIX-CONNECT:"+d.path("control"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{uid - 1}}}
		p := startCmd(t, cmd)
		p.types(t, method+" /api/v1/chardevs"+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		p.exits(t, patience)
		return p.out.text()
	}
	asks := func(why string, list bool, show, kick string) {
		t.Helper()
		if a := ask("GET", ""); strings.Contains(a, `"vm"`) != list {
			t.Errorf("%s: the list is %s", why, a)
		}
		for what, want := range map[string]string{"GET /vm": show, "GET /vm/clients": show, "DELETE /vm/clients/99": kick, "POST /vm/break": kick} {
			method, path, _ := strings.Cut(what, " ")
			if a := ask(method, path); !strings.Contains(a, want) {
				t.Errorf("%s: %s: %s, want %s", why, what, a, want)
			}
		}
	}
	d.rules(reread, fmt.Sprintf("[[access]]\nwho = \"unix:%d\"\nmay = \"read\"\non = \"other\"\n", uid))
	asks("another chardev", false, `no chardev \"vm\"`, `no chardev \"vm\"`)
	d.rules(reread, fmt.Sprintf("[[access]]\nwho = \"group:%d\"\nmay = \"read\"\non = \"vm\"\n", uid-1))
	asks("reading, by a group", true, "200 OK", "403 Forbidden")
	d.rules(reread, fmt.Sprintf("[[access]]\nwho = \"unix:%d\"\nmay = [\"read\", \"control\"]\non = \"vm\"\n", uid))
	if a := ask("DELETE", "/vm/clients/99"); !strings.Contains(a, "has no client 99") {
		t.Errorf("a kick: %s", a)
	}
	d.event("vm", "refused", d.info("vm").Since)
}
