package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// modes are the terminal's settings, to be compared.
func (p *prog) modes(t testing.TB) unix.Termios {
	t.Helper()
	rc, err := p.tty.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var modes *unix.Termios
	var ioctl error
	if err := rc.Control(func(fd uintptr) { modes, ioctl = unix.IoctlGetTermios(int(fd), unix.TCGETS) }); err != nil {
		t.Fatal(err)
	}
	if ioctl != nil {
		t.Fatal(ioctl)
	}
	return *modes
}

// cooked are the modes of a terminal that nobody has touched.
func cooked(t testing.TB) unix.Termios {
	t.Helper()
	return startTTY(t, "true").modes(t)
}

// attach runs it on a terminal and returns when it says that it is attached: what
// is typed before is not for the guest.
func (d *daemon) attach(args ...string) *prog {
	d.t.Helper()
	args = append([]string{"attach", "vm", "--control", "unix:" + d.path("control")}, args...)
	a := startTTY(d.t, chardevd(d.t), args...)
	a.sees(d.t, "attached")
	return a
}

// attach in a terminal: raw while it runs, the escapes at the start of a line,
// and all as before when it ends.
func TestAttach(t *testing.T) {
	d, _ := newEcho(t, `frontends = ["unix:front"]`, nil)
	before := cooked(t)

	a := d.attach()
	d.has("vm", 1)
	a.echoes(t, "typed by hand")
	if m := a.modes(t); m.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Errorf("the terminal is not raw: lflag %#x", m.Lflag)
	}
	a.echoes(t, "\x03") // raw: ^C goes to the guest
	a.echoes(t, "no~.escape within a line")
	a.types(t, "\r~?")
	a.sees(t, "~.") // the help
	a.types(t, "\r~~")
	a.sees(t, "~")
	a.types(t, "\r~.")
	if code := a.exits(t, patience); code != 0 {
		t.Errorf("exit %d after the escape: %q", code, a.out.text())
	}
	if after := a.modes(t); after != before {
		t.Errorf("the terminal is left as %+v, was %+v", after, before)
	}
	d.has("vm", 0)
}

// Another escape, none at all, read-only, and a signal: the terminal is restored.
func TestAttachOptions(t *testing.T) {
	d, _ := newEcho(t, `frontends = ["unix:front"]`, nil)
	before := cooked(t)

	a := d.attach("-e", "%")
	d.has("vm", 1)
	a.types(t, "~.")
	a.sees(t, "~.")
	a.types(t, "\r%.")
	if code := a.exits(t, patience); code != 0 {
		t.Errorf("-e %%: exit %d: %q", code, a.out.text())
	}

	a = d.attach("-e", "none", "--since", "-64KiB")
	d.has("vm", 1)
	a.sees(t, "ECHO READY\r\n~.")
	a.echoes(t, "\r~.")
	a.echoes(t, "still there")
	a.signal(t, syscall.SIGTERM)
	a.exits(t, patience)
	if after := a.modes(t); after != before {
		t.Errorf("after SIGTERM the terminal is left as %+v, was %+v", after, before)
	}
	d.has("vm", 0)

	a = d.attach("--read-only")
	d.has("vm", 1)
	offset := d.info("vm").Offset
	a.types(t, "not to be typed")
	u := dial(t, "unix", d.path("front"))
	u.echoes(t, "seen")
	a.sees(t, "seen")
	if n := d.info("vm").Offset; n != offset+4 {
		t.Errorf("a read-only one typed %d bytes", n-offset-4)
	}
	a.types(t, "\r~.")
	if code := a.exits(t, patience); code != 0 {
		t.Errorf("--read-only: exit %d: %q", code, a.out.text())
	}

	cmd := d.command("attach", "nobody", "--control", "unix:"+d.path("control"))
	if _, stderr, code := execute(t, cmd); code != 1 || !strings.Contains(stderr, "nobody") {
		t.Errorf("attach nobody: exit %d: %q", code, stderr)
	}
}

// The daemon is restarted, in an orderly way and by kill -9: attach says so,
// comes back by itself and goes on.
func TestAttachComesBack(t *testing.T) {
	d, _ := newEcho(t, `frontends = ["unix:front"]`, nil)
	a := d.attach()
	d.has("vm", 1)
	a.echoes(t, "before")
	for _, how := range []string{"stopped", "killed"} {
		said := len(a.out.text())
		if how == "killed" {
			d.kill()
		} else {
			d.stops()
		}
		if !a.out.until(patience, func(data []byte) bool { return len(data) > said }) {
			t.Errorf("%s: attach says nothing", how)
		}
		t.Logf("%s: attach says %q", how, a.out.text()[said:])
		d.serve()
		d.is("vm", "up")
		a.sees(t, "attached")
		d.has("vm", 1)
		a.echoes(t, fmt.Sprintf("after it was %s", how))
	}
	a.types(t, "\r~.")
	if code := a.exits(t, patience); code != 0 {
		t.Errorf("exit %d: %q", code, a.out.text())
	}
}

// attach in a pipe: what a script gives is typed, what comes is printed, nothing
// else.
func TestAttachPiped(t *testing.T) {
	d, _ := newEcho(t, `frontends = ["unix:front"]`, nil)
	a := startCmd(t, d.command("attach", "vm", "--control", "unix:"+d.path("control")))
	d.has("vm", 1)
	a.echoes(t, "from a script\r~.\r")
	a.stdin.Close()
	if code := a.exits(t, patience); code != 0 {
		t.Errorf("exit %d: %s", code, a.stderr.text())
	}
	if have := a.out.text(); have != "from a script\r~.\r" && have != "ECHO READY\r\nfrom a script\r~.\r" {
		t.Errorf("it printed %q", have)
	}
}

// Where nobody may type, or nothing takes it, a script is told so by the exit code.
func TestAttachPipedInVain(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "off"
device = "sim:echo"
input = "off"
[[chardev]]
name = "down"
device = "unix:nobody"
`, nil)
	for name, why := range map[string]string{"off": "the console takes no input", "down": "the device is down"} {
		a := startCmd(t, d.command("attach", name, "--since", "end", "--control", "unix:"+d.path("control")))
		a.types(t, "uptime\n")
		a.stdin.Close()
		if code := a.exits(t, patience); code != 1 || !strings.Contains(a.stderr.text(), "attach "+name+": not all input was taken: "+why) {
			t.Errorf("%s: exit %d: %s", name, code, a.stderr.text())
		}
		if _, stderr, code := d.cli("attach", name); code != 0 || name == "down" && !strings.Contains(stderr, "device down: connect: no such file or directory") { // nothing was typed
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
	}
}
