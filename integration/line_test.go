package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// break and attach's ~b at a telnet device: the far end gets IAC BRK for each, and
// is told that there is no line.
func TestBreakOverTelnet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = "telnet://@far@"
`, map[string]any{"far": l.Addr()})
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far := newWire(t, c, "the far end")
	far.drain(c)
	d.is("vm", "up")

	const brk = "\xff\xf3" // IAC BRK (RFC 854)
	for _, args := range [][]string{{"break", "vm"}, {"break", "vm", "20ms"}} {
		if stdout, stderr, code := d.cli(args...); code != 0 || stdout+stderr != "" {
			t.Fatalf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
		far.sees(t, brk)
	}
	a := d.attach()
	for range 2 {
		a.types(t, "\r~b")
		far.sees(t, brk) // it may overtake the \r
	}
	a.types(t, "\r~.")
	if code := a.exits(t, patience); code != 0 {
		t.Errorf("attach: exit %d: %q", code, a.out.text())
	}
	if n := strings.Count(far.out.text(), brk); n != 4 {
		t.Errorf("%d breaks came of 4: %q", n, far.out.text())
	}
	var breaks []string
	for _, e := range d.info("vm").Events {
		if e.Kind == "break" {
			breaks = append(breaks, e.Text)
		}
	}
	who := "the operator unix:"
	if len(breaks) != 4 || !strings.HasPrefix(breaks[0], who) || !strings.HasSuffix(breaks[1], ", 20ms") || !strings.HasPrefix(breaks[2], "client ") {
		t.Errorf("the events are %q; the first two are of %q", breaks, who)
	}
	if _, stderr, code := d.cli("line", "vm"); code != 1 || !strings.Contains(stderr, "this kind of device has none") {
		t.Errorf("line: exit %d: %q", code, stderr)
	}
}

// break and line at pyserial's example server, which says what it is told.
func TestLineOverRFC2217(t *testing.T) {
	port := freePort(t)
	server := start(t, program(t, "/usr/bin/python3"), "serialserver.py", fmt.Sprint(port))
	if err := server.stderr.sees(patience, "TCP/IP port"); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = "rfc2217://127.0.0.1:@port@"
`, map[string]any{"port": port})
	d.is("vm", "up")
	told := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if err := server.stderr.sees(patience, w); err != nil {
				t.Error("the server: ", err)
			}
		}
	}
	cli := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := d.cli(args...)
		if code != 0 || stderr != "" {
			t.Fatalf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	cli("line", "vm", "19200n81", "dtr=on", "rts=on")
	told("set baud rate: 19200", "changed DTR to active", "changed RTS to active")
	if got, want := cli("line", "vm", "57600", "7e2", "rtscts", "dtr=off"), "baud  57600\nmode  7e2\nflow  rtscts\non    rts "; !strings.HasPrefix(got, want) {
		t.Errorf("line says\n%s, want\n%s…", got, want)
	}
	told("set baud rate: 57600", "set data size: 7", "set parity: E", "set stop bits: 2", "changed flow control to RTS/CTS", "changed DTR to inactive")
	if got := cli("list"); !strings.Contains(got, "never      57600e72 rtscts\n") {
		t.Errorf("list says\n%s", got)
	}
	var line struct {
		Baud       int
		Mode, Flow string
		Modem      map[string]bool
	}
	eventually(t, patience, func() error { // the loop's DSR is its DTR, and the server looks every second
		if err := json.Unmarshal([]byte(cli("line", "vm", "--json")), &line); err != nil {
			t.Fatal(err)
		}
		if line.Modem["dsr"] {
			return fmt.Errorf("DSR is on: %+v", line)
		}
		return nil
	})
	if line.Baud != 57600 || line.Mode != "7e2" || line.Flow != "rtscts" || len(line.Modem) != 6 || line.Modem["dtr"] || !line.Modem["rts"] {
		t.Errorf("line --json says %+v", line)
	}
	t0 := time.Now()
	cli("break", "vm", "300ms")
	if took := time.Since(t0); took < 300*time.Millisecond {
		t.Errorf("a break of 300 ms took %v", took)
	}
	told("changed BREAK to active", "changed BREAK to inactive")
	d.event("vm", "break", t0)
	d.event("vm", "line", time.Time{})
}

// A simulated guest has no line, and one that is away has none now.
func TestNoLine(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "sim"
device = "sim:echo"
[[chardev]]
name = "away"
device = "unix:nobody"
`, nil)
	d.is("sim", "up")
	d.is("away", "down")
	for name, why := range map[string]string{"sim": "this kind of device has none", "away": "the device is down"} {
		for _, c := range []struct{ args, what string }{
			{"break NAME", "no break was sent: "},
			{"line NAME", "the serial line: "},
			{"line NAME 9600", "the line is not set: "},
			{"line NAME rts=off", "the modem lines are not set: "},
		} {
			args := strings.Fields(strings.ReplaceAll(c.args, "NAME", name))
			want := "chardevd: " + name + ": " + c.what + why + "\n"
			if stdout, stderr, code := d.cli(args...); code != 1 || stdout != "" || stderr != want {
				t.Errorf("%v: exit %d, %q, want 1 and %q", args, code, stdout+stderr, want)
			}
		}
	}
}

// lines asks and sets the line of a real UART, with the commands in the guest. What
// QEMU does not show, a break that is sent, ends at least, and is told.
func (b *board) lines(t *testing.T) {
	for _, c := range []struct{ command, want string }{
		{"line uart", "baud      115200\nmode      8n1\nflow      none\non        dtr rts cts dsr dcd\noff       ri\nreceived  bytes "},
		{"line uart 57600e72 dtr=off", "baud      57600\nmode      7e2\nflow      none\non        rts cts dsr dcd\noff       dtr ri\n"},
		{"list", "57600e72\n"},
		{"line uart 115200n81 dtr=on", "baud      115200\nmode      8n1\nflow      none\non        dtr rts cts dsr dcd\n"},
		{"line uart", "errors    framing 0, parity 0, overrun 0, buffer overrun 0\n"},
		{"break uart 100ms", ""},
		{"line no-tty", "chardevd: no-tty: the serial line: the device is down\n"},
	} {
		got := b.sh("chardevd " + c.command + " --control unix:/state/control 2>&1")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s says %q, want %q", c.command, got, c.want)
		}
	}
	b.logged("line", "uart")
	b.logged("break", "uart")
}
