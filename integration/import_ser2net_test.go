package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What Debian ships as /etc/ser2net.yaml becomes a config that the daemon takes: of its
// four connections the two that are first at a port.
func TestImportSer2netOfDebian(t *testing.T) {
	const shipped = "/etc/ser2net.yaml"
	if _, err := os.Stat(shipped); err != nil {
		t.Fatalf("%v: install the Debian package ser2net (integration/install.sh does)", err)
	}
	dir := folder(t)
	p := start(t, chardevd(t), "import", "ser2net", shipped)
	if code := p.exits(t, patience); code != 0 {
		t.Fatalf("it ends with %d: %s", code, p.stderr.text())
	}
	for _, want := range []string{
		"name = \"con0096\"\ndevice = \"serial:/dev/ttyS0?baud=9600&hangup=false\"\nfrontends = [\"tcp://localhost:2000\"]\n",
		"name = \"con1096\"\ndevice = \"serial:/dev/ttyS1?baud=9600&hangup=false\"\nfrontends = [\"tcp://localhost:2001\"]\n",
	} {
		if !strings.Contains(p.out.text(), want) {
			t.Errorf("%s is not in\n%s", want, p.out.text())
		}
	}
	for _, want := range []string{
		": connection con0192 is left out: /dev/ttyS0 is con0096's already",
		": connection con1192 is left out: /dev/ttyS1 is con1096's already",
		": banner: ", ": kickolduser: ", ": telnet-brk-on-sync: ",
	} {
		if !strings.Contains(p.stderr.text(), shipped+":") || !strings.Contains(p.stderr.text(), want) {
			t.Errorf("%q is not told of in\n%s", want, p.stderr.text())
		}
	}
	write(t, dir+"/chardev.toml", p.out.text())
	if got := run(t, chardevd(t), "check", "-c", dir+"/chardev.toml"); got != "ok\n" {
		t.Errorf("check says %q", got)
	}
}

// The client of TestImportSer2net: what pyserial sees of a port that echoes. It is to have
// ign_set_control: ser2net gives no answer about the modem lines of a pty.
const importClient = `
import os, serial, sys, termios
tty = os.open(sys.argv[2], os.O_RDWR | os.O_NOCTTY)
port = serial.serial_for_url(sys.argv[1], baudrate=9600, timeout=10)
def echo(data):
    port.write(data)
    return port.read(len(data)) == data
print(echo(b"hello"), echo(bytes(range(256))), echo(b"\r\n\r\0\xff\xff\r"))
for baud in (115200, 300, 57600):
    port.baudrate = baud
    print(port.baudrate, echo(b"at %d" % baud), termios.tcgetattr(tty)[5] == getattr(termios, "B%d" % baud))
port.stopbits = 2
print(port.stopbits, echo(b"two"), termios.tcgetattr(tty)[2] & termios.CSTOPB != 0)
port.close()
`

// A ser2net that serves ports, and a chardevd with what import makes of its config, are the
// same to who comes: raw, by telnet, and as pyserial's rfc2217://; and so is a second one,
// where there is room for one.
func TestImportSer2net(t *testing.T) {
	raw, tel, set := newEchoTTY(t), newEchoTTY(t), newEchoTTY(t)
	dir := folder(t)
	write(t, dir+"/client.py", importClient)
	config := func(ports [3]int) string {
		return fmt.Sprintf(`%%YAML 1.1
---
define: &banner no \p
default:
  name: speed
  value: 19200n81
  class: serialdev
connection: &raw
  accepter: tcp,127.0.0.1,%d
  connector: serialdev,%s,local
connection: &tel
  accepter: telnet,tcp,127.0.0.1,%d
  connector: serialdev,
    %s,
    9600n81,local
  options:
    max-connections: 3
connection: &set
  accepter: telnet(rfc2217),tcp,127.0.0.1,%d
  connector: serialdev,%s,9600n81,local
`, ports[0], raw.tty.Name(), ports[1], tel.tty.Name(), ports[2], set.tty.Name())
	}
	// ask is what comes back, and the line's speed meanwhile. (ser2net sets the line back
	// when the last one has left.)
	ask := func(port int, what string, line func() *unix.Termios) string {
		var c net.Conn
		eventually(t, patience, func() (err error) {
			c, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			return err
		})
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, what); err != nil {
			return err.Error()
		}
		n := len(what)
		got := make([]byte, n)
		m, err := io.ReadFull(c, got)
		return fmt.Sprintf("%d bytes of %d, the same: %t, %v, at %o", m, n, string(got[:m]) == what[:m], err, line().Cflag&unix.CBAUD)
	}
	// second says what becomes of a second one while the first is there.
	second := func(port int) string {
		first, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		first.SetDeadline(time.Now().Add(patience))
		first.Write([]byte("here"))
		if _, err := io.ReadFull(first, make([]byte, 4)); err != nil {
			return "not asked for, as the one before is there still: " + err.Error()
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return "closed"
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(patience))
		all, err := io.ReadAll(c) // ser2net says why, in words of its own
		if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
			return fmt.Sprintf("%q, and it stays", all)
		}
		return "closed"
	}
	var every []byte
	for i := range 64 << 8 {
		every = append(every, byte(i))
	}
	sees := func(ports [3]int) string {
		var b bytes.Buffer
		fmt.Fprintln(&b, ask(ports[0], string(every), func() *unix.Termios { return raw.line(t) }))
		eventually(t, patience, func() error { // who was there has left, for it too
			if got := second(ports[0]); got != "closed" {
				return fmt.Errorf("a second one: %s", got)
			}
			return nil
		})
		p := startTTY(t, program(t, "telnet"), "127.0.0.1", fmt.Sprint(ports[1]))
		p.sees(t, "Escape character")
		p.types(t, "by telnet")
		p.sees(t, "by telnet")
		p.kill()
		fmt.Fprintln(&b, run(t, program(t, "/usr/bin/python3"), dir+"/client.py", fmt.Sprintf("rfc2217://127.0.0.1:%d?ign_set_control", ports[2]), set.tty.Name()))
		return b.String()
	}

	ports := [3]int{freePort(t), freePort(t), freePort(t)}
	write(t, dir+"/ser2net.yaml", config(ports))
	old := start(t, program(t, "ser2net"), "-d", "-c", dir+"/ser2net.yaml", "-P", dir+"/pid")
	want := sees(ports)
	old.kill()

	ports = [3]int{freePort(t), freePort(t), freePort(t)}
	write(t, dir+"/other.yaml", config(ports))
	d := startDaemon(t, run(t, chardevd(t), "import", "ser2net", dir+"/other.yaml"), nil)
	d.is("raw", "up")
	if got := sees(ports); got != want || !strings.Contains(got, "115200 True True\n300 True True\n57600 True True\n2 True True\n") {
		t.Errorf("with ser2net:\n%s\nand with what was imported:\n%s", want, got)
	}
}
