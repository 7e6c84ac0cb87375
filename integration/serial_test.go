package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// The daemon inside a guest, where the serial ports have real drivers: a 16550A
// (ttyS1 to ttyS3, 8250) and a USB adapter (ttyUSB0, ftdi_sio). The test holds the
// other ends, and QEMU's monitor pulls the adapter out.

// A board is such a guest.
type board struct {
	*linux
	dir   string
	ports map[int]int // of the guest's TCP ports: that of this host
	log   *wire       // of the daemon that runs in it
	line3 *wire       // the other end of ttyS3, a pty
	fd3   int         // its descriptor: it has the speed that the UART has

	plugged time.Time     // when the adapter was up or down last
	late    time.Duration // at most, from its node to its being up
}

// The TCP ports of the guest that are forwarded: a console each, and the log.
const (
	uartPort = 7001 + iota
	usbPort
	comPort // the first console again, over RFC 2217
	logPort
)

// Descriptors are counted: no log opens any.
const boardConfig = `
state = "/state"
[defaults]
log = false
[[chardev]]
name = "uart"
device = "serial:/dev/ttyS1?baud=115200"
frontends = ["tcp://0.0.0.0:7001?insecure=true", "rfc2217://0.0.0.0:7003?insecure=true"]
[[chardev]]
name = "usb"
device = "serial:usb?vid=0403&pid=6001&interface=0"
  [[chardev.frontend]]
  listen = "tcp://0.0.0.0:7002?insecure=true"
  on_lag = "block"
[[chardev]]
name = "joined"
device = "serial:/dev/ttyS2?baud=9600"
  [[chardev.frontend]]
  connect = "serial:/dev/ttyS3?baud=@baud@&mode=8n1"
[[chardev]]
name = "missing"
device = "serial:/dev/ttyS9"
[[chardev]]
name = "no-tty"
device = "serial:/dev/null"
[[chardev]]
name = "no-usb"
device = "serial:usb?vid=1234"
`

// A second daemon, which wants what the first has.
const secondConfig = `
state = "/second"
[[chardev]]
name = "in-use"
device = "serial:/dev/ttyS1?baud=300"
`

func startBoard(t *testing.T) *board {
	t.Helper()
	b := &board{dir: folder(t), ports: map[int]int{}}
	slave := b.openLine3(t)
	forward := ""
	for _, p := range []int{uartPort, usbPort, comPort, logPort} {
		b.ports[p] = freePort(t)
		forward += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", b.ports[p], p)
	}
	files := map[string]file{
		"bin/chardevd": {staticProgram(t, "../cmd/chardevd"), aProgram},
		"bin/probe":    {staticProgram(t, "./guest/probe"), aProgram},
		"etc/2.toml":   {[]byte(secondConfig), aPlainFile},
		"etc/group":    {[]byte("root:x:0:\ndialout:x:20:\n"), aPlainFile},
		"etc/passwd":   {[]byte("root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n"), aPlainFile},
	}
	for _, baud := range boardSpeeds {
		config := expand(boardConfig, map[string]any{"baud": baud})
		files[fmt.Sprintf("etc/%d.toml", baud)] = file{[]byte(config), aPlainFile}
	}
	b.linux = startLinux(t, files,
		"-chardev", "socket,id=c1,path="+b.dir+"/c1,server=on,wait=off", "-serial", "chardev:c1",
		"-chardev", "socket,id=c2,path="+b.dir+"/c2,server=on,wait=off", "-serial", "chardev:c2",
		"-chardev", "serial,id=c3,path="+slave, "-serial", "chardev:c3",
		"-device", "qemu-xhci,id=usb",
		"-chardev", "socket,id=u0,path="+b.dir+"/u0,server=on,wait=off",
		"-device", "usb-serial,id=us0,bus=usb.0,chardev=u0,always-plugged=on",
		"-netdev", "user,id=n0,restrict=on"+forward, "-device", "virtio-net-pci,netdev=n0,romfile=",
	)
	return b
}

// openLine3 makes the pty behind ttyS3 and returns the path of the guest's end.
func (b *board) openLine3(t *testing.T) string {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close() // it is blocking: see below
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	if b.fd3, err = unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(b.fd3, true); err != nil {
		t.Fatal(err)
	}
	b.line3 = newWire(t, ptyConn{os.NewFile(uintptr(b.fd3), "ttyS3")}, "the other end of ttyS3")
	t.Cleanup(func() { slave.Close() })
	return slave.Name()
}

// A ptyConn is a pty with deadlines, as a connection.
type ptyConn struct{ *os.File }

func (ptyConn) LocalAddr() net.Addr  { return nil }
func (ptyConn) RemoteAddr() net.Addr { return nil }

// boardSpeeds are those of ttyS3, one after the other.
var boardSpeeds = []int{9600, 57600, 115200}

// speedBits are their bits of c_cflag.
var speedBits = map[int]uint32{9600: unix.B9600, 57600: unix.B57600, 115200: unix.B115200}

// serve starts the daemon in the guest.
func (b *board) serve(baud int) {
	b.t.Helper()
	b.sh(fmt.Sprintf("(chardevd serve -c /etc/%d.toml 2>&1 | nc -l -p %d) & until netstat -ltn | grep -q :%d; do usleep 10000; done", baud, logPort, logPort))
	b.log = dial(b.t, "tcp", port(b.ports[logPort]))
	b.log.name = "the daemon's log"
	b.log.sees(b.t, "\nready\n")
}

// stop ends it and says how long that took.
func (b *board) stop() time.Duration {
	b.t.Helper()
	t0 := time.Now()
	b.sh("kill $(pidof chardevd)")
	if _, ok := b.log.out.ends(patience); !ok {
		b.t.Fatal("the daemon does not end")
	}
	return time.Since(t0)
}

// count is how many entries there are in the daemon's folder of /proc.
func (b *board) count(of string) (n int) {
	b.t.Helper()
	text := b.sh("ls /proc/$(pidof chardevd)/" + of + " | wc -l")
	if _, err := fmt.Sscan(text, &n); err != nil {
		b.t.Fatalf("%s of the daemon: %q", of, text)
	}
	return n
}

// plug puts the adapter in; if not always, it is in while somebody is connected to
// its other end.
func (b *board) plug(always bool) {
	b.t.Helper()
	b.qmp("device_add", map[string]any{"driver": "usb-serial", "id": "us0", "bus": "usb.0", "chardev": "u0", "always-plugged": always})
}

// holder connects to the other end of the adapter.
func (b *board) holder(t *testing.T) *wire {
	t.Helper()
	return dialSilent(t, "unix", b.dir+"/u0")
}

// logged waits for a line of the log about a chardev, behind what was waited for
// before, and returns its time, which is the guest's.
func (b *board) logged(kind, chardev string) time.Time {
	b.t.Helper()
	b.log.sees(b.t, " msg="+kind+" chardev="+chardev+" ")
	text := b.log.out.text()[:b.log.out.at]
	line := text[strings.LastIndexByte(text, '\n')+1:]
	stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		b.t.Fatalf("the log's line %q: %v", line, err)
	}
	return at
}

// noise is n bytes of which every value occurs.
func noise(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// exchange sends n bytes each way at once and sees that they arrive as they were.
func exchange(t *testing.T, a, b net.Conn, n int) {
	t.Helper()
	done := make(chan error, 4)
	for i, way := range [][2]net.Conn{{a, b}, {b, a}} {
		data := noise(uint64(i), n)
		way[0].SetDeadline(time.Now().Add(2 * patience))
		go func() {
			_, err := way[0].Write(data)
			done <- err
		}()
		go func() {
			got := make([]byte, n)
			k, err := io.ReadFull(way[1], got)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("bytes were changed")
			}
			if err != nil {
				err = fmt.Errorf("way %d, after %d of %d bytes: %w", i, k, n, err)
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	a.SetDeadline(time.Time{})
	b.SetDeadline(time.Time{})
}

func TestSerialInAGuest(t *testing.T) {
	b := startBoard(t)
	b.asks(t)
	b.serve(boardSpeeds[0])
	c1 := dialSilent(t, "unix", b.dir+"/c1")
	c2 := dialSilent(t, "unix", b.dir+"/c2")
	u0 := b.holder(t)
	client := dialSilent(t, "tcp", port(b.ports[uartPort]))
	b.logged("attach", "uart")
	usbClient := dialSilent(t, "tcp", port(b.ports[usbPort]))
	b.logged("attach", "usb")

	b.toldErrors(t)
	t.Run("bytes", func(t *testing.T) {
		exchange(t, client, c1, 64<<10)
		exchange(t, usbClient, u0, 256<<10)
	})
	t.Run("break", func(t *testing.T) {
		c1.types(t, "before ")
		reads(t, client, "before ")
		b.qmp("chardev-send-break", map[string]any{"id": "c1"})
		b.logged("break", "uart")
		c1.types(t, "after\xff")
		reads(t, client, "after\xff")
	})
	t.Run("line", b.lines)
	t.Run("rfc2217", func(t *testing.T) {
		echoing := make(chan struct{})
		go func() {
			defer close(echoing)
			io.Copy(c1, c1.Conn)
		}()
		client.drain(client.Conn)
		serialClient(t, "rfc2217://"+port(b.ports[comPort]))
		c1.SetReadDeadline(time.Now())
		<-echoing
		c1.SetReadDeadline(time.Time{})
	})
	t.Run("hotplug", func(t *testing.T) { b.hotplug(t, usbClient, u0) })
	t.Logf("the adapter was up again at most %v after its node was there", b.late)
	t.Run("joined", func(t *testing.T) {
		for i, baud := range boardSpeeds {
			if i > 0 {
				b.stop()
				b.serve(baud)
			}
			if tio, err := unix.IoctlGetTermios(b.fd3, unix.TCGETS); err != nil || tio.Cflag&unix.CBAUD != speedBits[baud] {
				t.Errorf("the other end of ttyS3 has the speed %#o, %v; want that of %d baud", tio.Cflag&unix.CBAUD, err, baud)
			}
			exchange(t, c2, b.line3, 4<<10)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		// Nobody reads what ttyS1 sends: the UART's FIFO stays full, as with a flow
		// control that says stop, and the kernel's buffer behind it.
		w := dialSilent(t, "tcp", port(b.ports[uartPort]))
		w.SetWriteDeadline(time.Now().Add(2 * time.Second))
		n, err := w.Write(make([]byte, 8<<20))
		if err == nil {
			t.Fatal("8 MiB were taken by a line that nobody reads")
		}
		if took := b.stop(); took > 5*time.Second {
			t.Errorf("with %d bytes stuck the daemon took %v to end", n, took)
		}
	})
}

// reads wants text next.
func reads(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got[:n], err, text)
	}
	c.SetReadDeadline(time.Time{})
}

// asks has the probe ask ports that nobody uses.
func (b *board) asks(t *testing.T) {
	for command, want := range map[string]string{
		"probe lines /dev/ttyS5":                    "no hardware is behind it",
		"probe lines /dev/ttyS1":                    "modem dtr,rts,cts,dsr,dcd line 115200n81\n",
		"probe lines '/dev/ttyS1?mode=7e2&dtr=off'": "modem rts,cts,dsr,dcd line 115200e72\n",
		"probe lines '/dev/ttyUSB0?baud=31250'":     "line 31250n81\n",
		"probe lines '/dev/ttyS2?baud=230400'":      "the driver refuses 230400 baud",
		"probe loop /dev/ttyS2":                     "none\ndtr,dsr\ndtr,rts,cts,dsr\nrts,cts\n",
		"probe hold /dev/ttyS1":                     "dtr,rts\nrts\n",
		"probe watch /dev/ttyS2":                    "0\n1\n0\n",
		"probe watch /dev/ttyUSB0":                  "0\n1\n0\n",
		"chgrp 20 /dev/ttyS1; chmod 660 /dev/ttyS1; su user -c 'probe lines /dev/ttyS1'": "permission denied: add the daemon's user to the group dialout",
	} {
		if got := b.sh(command); !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %q", command, got, want)
		}
	}
}

// toldErrors sees that each device that cannot be opened says why, while the
// others run.
func (b *board) toldErrors(t *testing.T) {
	list := b.sh("chardevd list --control unix:/state/control")
	for _, want := range []string{"open: no such file or directory: is it plugged in?", "no serial port", "no port is vid=1234: there are ttyUSB0 (vid=0403&pid=6001&"} {
		if !strings.Contains(list, want) || !strings.Contains(b.log.out.text(), want) {
			t.Errorf("the list and the log do not say %q: %s", want, list)
		}
	}
	b.sh("chardevd serve -c /etc/2.toml >/tmp/second 2>&1 & echo $! >/tmp/pid; until grep -q ready /tmp/second; do usleep 10000; done")
	const inUse = `in use: process \d+ \(chardevd\) has it for itself alone`
	list = b.sh("chardevd list --control unix:/second/control; cat /tmp/second; kill $(cat /tmp/pid); wait $(cat /tmp/pid)")
	if n := len(regexp.MustCompile(inUse).FindAllString(list, -1)); n < 2 {
		t.Errorf("a port in use is told %d times: %s", n, list)
	}
	// A user whose group may open the port is kept out by the kernel.
	b.sh("echo friend:x:1001:20::/tmp:/bin/sh >>/etc/passwd")
	if got := b.sh("su friend -c 'probe lines /dev/ttyS1'"); !regexp.MustCompile(inUse).MatchString(got) {
		t.Errorf("a port in use: %q", got)
	}
}
