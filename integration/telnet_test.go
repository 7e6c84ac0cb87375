package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"chardevd/channel"
)

// An echoTTY is a raw terminal whose far end gives back what it gets.
type echoTTY struct {
	tty *os.File // its name is where a port can be opened
}

func newEchoTTY(t *testing.T) *echoTTY {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	raw.Iflag, raw.Oflag, raw.Lflag = 0, 0, 0
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, raw); err != nil {
		t.Fatal(err)
	}
	echoing := make(chan struct{})
	go func() {
		defer close(echoing)
		io.Copy(master, master) // until EIO, when nobody has the slave
	}()
	t.Cleanup(func() {
		slave.Close()
		<-echoing
		master.Close()
	})
	return &echoTTY{slave}
}

// line is how a program has set it.
func (e *echoTTY) line(t testing.TB) *unix.Termios {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(e.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// serialClient runs pyserial's client against a URL and sees each step.
func serialClient(t *testing.T, url string, loop ...string) {
	t.Helper()
	p := start(t, program(t, "/usr/bin/python3"), append([]string{"serialclient.py", url}, loop...)...)
	if code := p.exits(t, 60*time.Second); code != 0 {
		t.Fatalf("pyserial ends with %d:\n%s\n%s", code, p.out.text(), p.stderr.text())
	}
	got := p.out.text()
	for _, want := range []string{
		"open within 2 s: True\necho: True\nevery byte: True\nbaud: 115200\nbaud: 300\nbaud: 57600\n",
		"mode: 7E2\nmode: 5O1.5\nmode: 6M1\nmode: 8S1\nmode: 8N1\nrtscts: False\nxonxoff: False\nmodem lines: True\n",
		"dtr, rts: (True, True)\nbreak: False\npurge: 0\necho again: True\nafter opening again: True\ndone\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("pyserial's steps:\n%s\nwhere this is missing:\n%s", got, want)
		}
	}
}

// pyserial's rfc2217:// at a console that has no line of its own: every setting is
// answered. The second URL is how labgrid opens its ports.
func TestRFC2217WithPyserial(t *testing.T) {
	v := map[string]any{"port": freePort(t), "tty": newEchoTTY(t).tty.Name()}
	d := startDaemon(t, `
[[chardev]]
name = "it"
device = "pty:@tty@"
frontends = ["rfc2217://127.0.0.1:@port@"]
`, v)
	d.is("it", "up")
	for _, options := range []string{"", "?ign_set_control&timeout=3.0"} {
		serialClient(t, expand("rfc2217://127.0.0.1:@port@", v)+options)
	}
}

// Our client at pyserial's example server, whose port is a loop, and pyserial's
// client at ours: every setting, break and modem line goes through both.
func TestRFC2217ThroughBothEnds(t *testing.T) {
	v := map[string]any{"server": freePort(t), "port": freePort(t)}
	s := start(t, program(t, "/usr/bin/python3"), "serialserver.py", fmt.Sprint(v["server"]))
	if err := s.stderr.sees(patience, "TCP/IP port"); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, `
[[chardev]]
name = "it"
device = "rfc2217://127.0.0.1:@server@"
frontends = ["rfc2217://127.0.0.1:@port@"]
`, v)
	d.is("it", "up")
	serialClient(t, expand("rfc2217://127.0.0.1:@port@", v), "loop")
}

// ser2net carries every byte to our client, and sets its port as we say.
func TestRFC2217WithSer2net(t *testing.T) {
	tty := newEchoTTY(t)
	port := freePort(t)
	dir := folder(t)
	write(t, dir+"/ser2net.yaml", fmt.Sprintf(`%%YAML 1.1
---
connection: &it
  accepter: telnet(rfc2217),tcp,127.0.0.1,%d
  connector: serialdev,%s,9600n81,local
`, port, tty.tty.Name()))
	start(t, program(t, "ser2net"), "-d", "-c", dir+"/ser2net.yaml", "-P", dir+"/pid")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	at := channel.MustParseAddress(fmt.Sprintf("rfc2217://127.0.0.1:%d", port))
	var c channel.Channel
	eventually(t, patience, func() (err error) {
		c, err = channel.Dial(ctx, at)
		return err
	})
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	want := bytes.Repeat(append(all, "\r\n\r\x00\xff\xff\r"...), 10)
	back, set := make(chan []byte, 1), make(chan error, 1)
	go func() {
		got := make([]byte, len(want))
		n, _ := io.ReadFull(c, got)
		back <- got[:n]
		io.Copy(io.Discard, c) // and the answers to what is asked
	}()
	if _, err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	if got := <-back; !bytes.Equal(got, want) {
		t.Errorf("%d bytes come back of %d, or others", len(got), len(want))
	}
	l, _ := channel.As[channel.Line](c)
	go func() {
		set <- l.SetLine(ctx, channel.LineConfig{Baud: 115200, DataBits: 7, Parity: channel.ParityEven, StopBits: channel.StopTwo})
	}()
	if err := <-set; err != nil {
		t.Error(err)
	}
	now := tty.line(t)
	if now.Cflag&unix.CBAUD != unix.B115200 || now.Cflag&unix.CSTOPB == 0 { // a pty has no parity
		t.Errorf("the port is set to %o", now.Cflag)
	}
	if have, err := l.Line(ctx); have.Baud != 115200 || have.StopBits != channel.StopTwo {
		t.Errorf("ser2net says %v, %v", have, err)
	}
	c.Close()
}

// A person's telnet: the size of the window reaches the command on the console and
// nothing of it the command's input, a key is a key, and a break that this console
// does not have is told.
func TestTelnetClient(t *testing.T) {
	v := map[string]any{"port": freePort(t)}
	d := startDaemon(t, `
[[chardev]]
name = "sh"
device = "exec:PS1='> ' exec sh"
frontends = ["telnet://127.0.0.1:@port@"]
`, v)
	d.is("sh", "up")
	p := startTTY(t, program(t, "telnet"), "127.0.0.1", fmt.Sprint(v["port"]))
	p.sees(t, "Escape character")
	d.has("sh", 1)
	p.types(t, "stty size\r")
	p.sees(t, "\n24 80")
	if err := pty.Setsize(p.tty, &pty.Winsize{Rows: 48, Cols: 255}); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGWINCH)
	eventually(t, patience, func() error {
		p.types(t, "stty size\r")
		return p.out.sees(time.Second, "\n48 255")
	})
	p.types(t, "\x1d")
	p.sees(t, "telnet> ")
	p.types(t, "send brk\r")
	d.event("sh", "refused", time.Time{})
	p.types(t, "printf '%s\\n' 'one\x7fly' | cat -v\r")
	p.sees(t, "\nonly")
	for _, bad := range []string{"not found", "^M", "^@"} {
		if strings.Contains(p.out.text(), bad) {
			t.Errorf("the console shows %q:\n%s", bad, p.out.text())
		}
	}
}

// Kermit's telnet, with which people drive consoles from scripts.
func TestTelnetWithKermit(t *testing.T) {
	v := map[string]any{"port": freePort(t), "com": freePort(t), "tty": newEchoTTY(t).tty.Name()}
	d := startDaemon(t, `
[[chardev]]
name = "it"
device = "pty:@tty@"
frontends = ["telnet://127.0.0.1:@port@", "rfc2217://127.0.0.1:@com@"]
`, v)
	d.is("it", "up")
	for _, port := range []string{"port", "com"} {
		script := d.path(port + ".ksc")
		write(t, script, expand(`set host 127.0.0.1 @`+port+`@ /telnet
if fail exit 1
output knock knock\13
input 10 knock knock\13
if fail exit 2
set exit warning off
exit 0
`, v))
		p := startTTY(t, program(t, "kermit"), script, "-Y", "-Q")
		if code := p.exits(t, patience); code != 0 {
			t.Errorf("kermit ends with %d:\n%s", code, p.out.text())
		}
	}
}
