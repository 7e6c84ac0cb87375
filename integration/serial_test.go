package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
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
	joinedPort
	logPort
)

const boardConfig = `
state = "/state"
[[chardev]]
name = "uart"
device = "serial:/dev/ttyS1?baud=115200"
frontends = ["tcp://0.0.0.0:7001?insecure=true"]
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
	for _, p := range []int{uartPort, usbPort, joinedPort, logPort} {
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
	t.Run("hotplug", func(t *testing.T) { b.hotplug(t, usbClient, u0) })
	t.Logf("the adapter was up again at most %v after its node was there", b.late)
	t.Run("joined", func(t *testing.T) {
		for i, baud := range boardSpeeds {
			if i > 0 {
				b.stop()
				b.serve(baud)
			}
			if tio, err := unix.IoctlGetTermios(b.fd3, unix.TCGETS2); err != nil || int(tio.Ospeed) != baud {
				t.Errorf("the other end of ttyS3 has %d baud, %v; want %d", tio.Ospeed, err, baud)
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

// hotplug pulls the adapter out and puts it back, in every state that it may be in.
func (b *board) hotplug(t *testing.T, client, u0 *wire) {
	fds := b.count("fd")
	// Where no node is seen to come, the kernel's uevents tell of it.
	b.sh("unshare -m sh -c 'mount -t tmpfs none /dev; exec probe await usb?vid=0403' >/tmp/await & until grep -q waiting /tmp/await; do usleep 10000; done")
	b.replug(t, "/dev/ttyUSB0")
	eventually(t, patience, func() error {
		if told := b.sh("cat /tmp/await"); !strings.Contains(told, "told") {
			return fmt.Errorf("who waits for uevents says %q", told)
		}
		return nil
	})
	b.logged("down", "usb")
	b.logged("up", "usb")
	exchange(t, client, u0, 4<<10)

	// Its number is taken by somebody who does not let go: it is another one now.
	b.sh("exec 9<>/dev/ttyUSB0")
	b.replug(t, "/dev/ttyUSB1")
	exchange(t, client, u0, 4<<10)
	b.sh("exec 9>&-")

	// From here on the adapter comes and goes with who holds its other end: QEMU
	// does not survive a device_del while that sends.
	b.unplug("us0", "u0")
	down := b.usbIs("down", time.Time{})
	b.plug(false)
	up := b.usbIs("up", down)

	// Blocked: a client that takes nothing has the daemon wait before it reads on.
	// That the port is gone is seen when it does.
	u0.SetWriteDeadline(time.Now().Add(2 * time.Second))
	if n, err := u0.Write(make([]byte, 64<<20)); err == nil {
		t.Fatalf("%d bytes were taken by nobody", n)
	}
	u0.Close()
	u0 = b.holder(t)
	client.drain(client.Conn)
	u0.drain(u0.Conn)
	b.usbIs("up", up)
	b.finds(t, client, u0, "unblocked")

	// Under load, both ways.
	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, w := range []*wire{client, u0} {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w.SetWriteDeadline(time.Now().Add(patience))
				if _, err := w.Write(bytes.Repeat([]byte("load"), 1<<10)); err != nil {
					if w == client {
						t.Error("the client:", err)
					}
					return
				}
			}
		})
	}
	for _, w := range []*wire{client, u0} {
		w.sees(t, strings.Repeat("load", 8<<10)) // it flows
	}
	u0.Close()
	down = b.usbIs("down", time.Time{})
	close(stop)
	load.Wait()
	client.SetWriteDeadline(time.Time{})
	u0 = b.holder(t)
	u0.drain(u0.Conn)
	b.usbIs("up", down)
	b.finds(t, client, u0, "under load")

	n := 5
	if long {
		n = 50
	}
	for i := range n {
		b.replug(t, "/dev/ttyUSB0")
		b.finds(t, client, u0, fmt.Sprint("again ", i))
	}
	if now := b.count("fd"); now > fds {
		t.Errorf("%d descriptors before %d unplugs, %d after", fds, n, now)
	}
	if n := b.count("task"); n > 20 {
		t.Errorf("the daemon has %d threads", n)
	}
}

// replug pulls the adapter out and puts it back, and sees that it is open soon
// after the node is there that the kernel makes for it.
func (b *board) replug(t *testing.T, node string) {
	t.Helper()
	b.unplug("us0", "u0")
	b.plugged = b.usbIs("down", b.plugged)
	b.plug(true)
	b.plugged = b.usbIs("up", b.plugged)
	made, err := time.Parse("2006-01-02 15:04:05.999999999 -0700", strings.TrimSpace(b.sh("stat -c %y "+node)))
	if err != nil {
		t.Fatal(err)
	}
	late := b.plugged.Sub(made)
	if late > time.Second {
		t.Errorf("up %v after %s was there", late, node)
	}
	b.late = max(b.late, late)
}

// usbIs waits until the adapter is up or down since a time after the given one, and
// returns since when, by the guest's clock. The log would not do: it is silent about
// what comes and goes.
func (b *board) usbIs(state string, after time.Time) time.Time {
	b.t.Helper()
	var since time.Time
	eventually(b.t, patience, func() error {
		var all []info
		text := b.sh("chardevd list --json --control unix:/state/control")
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		for _, c := range all {
			if c.Name == "usb" && (c.State == "up") == (state == "up") && c.Since.After(after) {
				since = c.Since
				return nil
			}
		}
		return fmt.Errorf("it is not %s: %s", state, text)
	})
	return since
}

// finds sees that what is typed at either end comes to the other one.
func (b *board) finds(t *testing.T, client, u0 *wire, text string) {
	t.Helper()
	client.types(t, "<to the port, "+text+">")
	u0.sees(t, "<to the port, "+text+">")
	u0.types(t, "<from the port, "+text+">")
	client.sees(t, "<from the port, "+text+">")
}
