package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newEcho is a daemon with an echo guest that has said what it says; further
// lines go into its [[chardev]].
func newEcho(t testing.TB, more string, values map[string]any) (*daemon, *guest) {
	t.Helper()
	dir := folder(t)
	g := unixGuest(t, echoImage(t), dir+"/guest")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
`+more, values)
	d.serve()
	d.is("vm", "up")
	d.echoRuns(g)
	return d, g
}

// echoRuns lets the echo guest run and waits until it has said that it does:
// what is typed before is lost.
func (d *daemon) echoRuns(g *guest) {
	d.t.Helper()
	g.cont()
	eventually(d.t, patience, func() error {
		if n := d.info("vm").Offset; n != int64(len("ECHO READY\r\n")) {
			return fmt.Errorf("the guest has printed %d bytes", n)
		}
		return nil
	})
}

// refuses waits until n bytes of input were refused.
func (d *daemon) refuses(name string, n int64) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		if i := d.info(name); refused(i) != n {
			return fmt.Errorf("%d bytes refused, want %d: %v", refused(i), n, i.Refused)
		}
		return nil
	})
}

// input = "off" takes nothing from anybody and counts it.
func TestInputOff(t *testing.T) {
	d, _ := newEcho(t, `input = "off"
frontends = ["unix:front", "pty:tty"]`, nil)
	u := dial(t, "unix", d.path("front"))
	u.types(t, "nobody")
	d.refuses("vm", 6)
	if i := d.info("vm"); i.BytesIn != 0 || i.Offset != int64(len("ECHO READY\r\n")) {
		t.Errorf("typed: %d, echoed: %d", i.BytesIn, i.Offset)
	}
	// its end is still seen
	u.Close()
	d.has("vm", 0)
}

// A read-only frontend takes nothing, one beside it does.
func TestReadOnly(t *testing.T) {
	d, _ := newEcho(t, `
  [[chardev.frontend]]
  listen = "unix:look"
  mode = "read-only"
  [[chardev.frontend]]
  listen = "unix:front"
`, nil)
	looks, types := dial(t, "unix", d.path("look")), dial(t, "unix", d.path("front"))
	d.has("vm", 2)
	looks.types(t, "12345")
	d.refuses("vm", 5)
	types.echoes(t, "typed")
	looks.sees(t, "typed")
	if have := looks.out.text(); have != "typed" {
		t.Errorf("it sees %q", have)
	}
}

// input = "exclusive": who types while it is free has it until he leaves.
func TestInputExclusive(t *testing.T) {
	d, _ := newEcho(t, `input = "exclusive"
frontends = ["unix:front"]`, nil)
	first, second := dial(t, "unix", d.path("front")), dial(t, "unix", d.path("front"))
	d.has("vm", 2)
	first.echoes(t, "mine")
	second.types(t, "or mine")
	d.refuses("vm", 7)
	first.echoes(t, "still mine")
	first.Close()
	d.has("vm", 1)
	second.echoes(t, "now mine")
	if have := second.out.text(); have != "minestill minenow mine" {
		t.Errorf("the second sees %q", have)
	}
}

// A client's end of file ends it, when its input is delivered and it has what was
// published before; with half_close its output goes on.
func TestHalfClose(t *testing.T) {
	d, _ := newEcho(t, `
  [[chardev.frontend]]
  listen = "unix:front"
  [[chardev.frontend]]
  listen = "unix:half"
  half_close = true
`, nil)
	whole, half := dial(t, "unix", d.path("front")), dial(t, "unix", d.path("half"))
	d.has("vm", 2)
	half.echoes(t, "published")
	for _, u := range []*wire{whole, half} {
		text := "last words of " + u.name
		u.types(t, text)
		if err := u.Conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		half.sees(t, text)
	}
	if err, ended := whole.out.ends(patience); !ended || err != io.EOF {
		t.Errorf("after its end of file: ended %v (%v), want an orderly end", ended, err)
	}
	d.has("vm", 1)
	if have := whole.out.text(); !strings.HasPrefix(have, "published") {
		t.Errorf("it did not see what was there before its end: %q", have)
	}
	other := dial(t, "unix", d.path("front"))
	other.echoes(t, "after that")
	half.sees(t, "after that")

	// a program that does so by itself: echo text | socat
	p := start(t, program(t, "socat"), "-t3", "STDIO", "UNIX-CONNECT:"+d.path("half"))
	p.types(t, "from a pipe")
	p.stdin.Close()
	p.sees(t, "from a pipe")
	if code := p.exits(t, patience); code != 0 {
		t.Errorf("socat: exit %d: %s", code, p.stderr.text())
	}
	// Nobody reads what it might send any more: it is the next output that finds
	// nobody there.
	other.echoes(t, "to nobody")
	d.has("vm", 2)
}

// Files that the daemon makes are for its user alone.
func TestModes(t *testing.T) {
	d, _ := newEcho(t, `frontends = ["unix:front", "unix:open?mode=0666", "pty:tty", "ws+unix:web"]`, nil)
	for name, want := range map[string]os.FileMode{
		"front": 0o600, "web": 0o600, "control": 0o600, "open": 0o666, "tty": 0o600, "state": 0o700,
	} {
		fi, err := os.Stat(d.path(name))
		if err != nil {
			t.Error(err)
			continue
		}
		if have := fi.Mode().Perm(); have != want {
			t.Errorf("%s has mode %o, want %o", name, have, want)
		}
	}
	// and where it makes a folder for its state with what is in it
	entries, err := os.ReadDir(d.path("state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if fi, err := e.Info(); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("state/%s: %v, %v: others may look into it", e.Name(), fi.Mode(), err)
		}
	}
}

// The first SIGTERM lets clients have what was published, then ends them in an
// orderly way; nothing that listened is left in the file system.
func TestDrain(t *testing.T) {
	d, g := newCounter(t, `frontends = ["unix:front", "pty:tty"]`, nil)
	slow := dialSilent(t, "unix", d.path("front"))
	live := check(t, dialSilent(t, "unix", d.path("front")).Conn)
	d.has("vm", 2)
	g.cont()
	live.gets(t, 50<<10) // the socket of the slow one holds that much and more
	g.pause()
	var head int64
	eventually(t, patience, func() error {
		before := head
		if head = d.info("vm").Offset; head != before || live.checker().Bytes != head {
			return fmt.Errorf("the guest is held at %d", head)
		}
		return nil
	})
	d.signal(t, syscall.SIGTERM)
	r := check(t, slow.Conn)
	for _, r := range []*reader{live, r} {
		select {
		case <-r.done:
		case <-time.After(patience):
			t.Fatal("a client is not ended by SIGTERM")
		}
		r.whole(t)
		if r.err != nil {
			t.Errorf("the end is not an orderly one: %v", r.err)
		}
		if n := r.checker().Bytes; n != head {
			t.Errorf("it has %d bytes of %d", n, head)
		}
	}
	if code := d.exits(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{"front", "tty", "control"} {
		if _, err := os.Lstat(d.path(name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

// A second signal ends the daemon at once, whatever the first one waits for; one that
// comes with the first, as timeout(1) sends it, is no second one; and one alone does not
// wait for ever for clients that do not read.
func TestSecondSignal(t *testing.T) {
	d, g := newCounter(t, `frontends = ["unix:front"]`, nil)
	g.cont()
	for i, test := range []struct {
		name string
		more func(send func() bool)
		code int
	}{
		{"one", func(func() bool) {}, 0},
		{"two at once", func(send func() bool) { send() }, 0},
		{"a second", func(send func() bool) {
			every := time.NewTicker(10 * time.Millisecond)
			defer every.Stop()
			for send() {
				<-every.C
			}
		}, 1},
	} {
		if i > 0 {
			d.serve()
		}
		for range 3 { // none reads: each has an outbox to be drained
			dialSilent(t, "unix", d.path("front"))
		}
		d.has("vm", 3)
		d.is("vm", "up")
		eventually(t, patience, func() error {
			for _, c := range d.clients("vm") {
				if c.Lag < 64<<10 {
					return fmt.Errorf("it does not lag yet: %+v", c)
				}
			}
			return nil
		})
		t0, logged := time.Now(), len(d.stderr.text())
		d.signal(t, syscall.SIGTERM)
		// Two signals that are pending together are one (signal(7)): wait for the word that
		// the first was taken.
		d.stderr.until(patience, func(data []byte) bool { return len(data) > logged })
		test.more(func() bool {
			select {
			case <-d.done:
				return false
			default:
				return d.cmd.Process.Signal(syscall.SIGTERM) == nil
			}
		})
		code := d.exits(t, 10*time.Second)
		t.Logf("%s: ended %v after the first, %d", test.name, time.Since(t0), code)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.name, code, test.code)
		}
	}
}

// SIGHUP says in the log what it reloads, and leaves alone who is attached.
func TestHangup(t *testing.T) {
	d, _ := newEcho(t, `frontends = ["unix:front"]`, nil)
	u := dial(t, "unix", d.path("front"))
	u.echoes(t, "before")
	logged := len(d.stderr.text())
	d.signal(t, syscall.SIGHUP)
	if !d.stderr.until(patience, func(data []byte) bool { return strings.Contains(strings.ToLower(string(data[logged:])), "reload") }) {
		t.Errorf("SIGHUP: nothing about reloading in the log: %s", d.stderr.text()[logged:])
	}
	u.echoes(t, "after")
	if !d.running() {
		t.Error("SIGHUP ended it")
	}
}
