package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// transportsConfig has devices of the kinds that are not in upgradeConfig, and what takes the
// output as a file or a command does.
const transportsConfig = `
[[chardev]]
name = "command"
device = "command:cat command.out & exec cat >command.in"
log = false
frontends = ["tcp://127.0.0.1:@p0@", "unix:command.u", "pty:command.p"]

[[chardev]]
name = "fd"
device = "fd:3"
frontends = ["tcp://127.0.0.1:@p1@", "unix:fd.u", "pty:fd.p"]

[[chardev]]
name = "udp"
device = "udp://127.0.0.1:@there@?local=127.0.0.1:@here@"
frontends = ["unix:udp.u"]

[[chardev]]
name = "follow"
device = "file:grows?mode=follow"
log = false
frontends = ["unix:follow.u", "file:copy"]
  [[chardev.frontend]]
  connect = "command:cat >printed"

[[chardev]]
name = "pipe"
device = "pipe:qemu"
frontends = ["unix:pipe.u"]
`

// outOnly is a guest that is not typed at.
type outOnly struct{ io.WriteCloser }

func (outOnly) Read([]byte) (int, error) { return 0, io.EOF }

// Commands, descriptors, datagrams and files live through upgrades: no byte is missing or
// twice, in what is printed and what is typed. QEMU's pipes are opened anew, and what is in
// them waits there.
func TestUpgradeOfTransports(t *testing.T) {
	values := map[string]any{"there": freePort(t), "here": freePort(t)}
	for i := range 2 {
		values[fmt.Sprintf("p%d", i)] = freePort(t)
	}
	d := newDaemon(t, folder(t), transportsConfig, values)
	pipes := bothPipes{namedPipe(t, d.path("command.in")), namedPipe(t, d.path("command.out"))}
	theirs, guest := connectedPair(t)
	d.files = []*os.File{theirs}
	at := func(name string) *net.UDPAddr {
		return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: values[name].(int)}
	}
	datagrams, err := net.DialUDP("udp", at("there"), at("here"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { datagrams.Close() })
	grows, err := os.OpenFile(d.path("grows"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { grows.Close() })
	namedPipe(t, d.path("qemu.in"))
	quiet := []*upgraded{
		{name: "follow", guest: outOnly{grows}},
		{name: "pipe", guest: outOnly{namedPipe(t, d.path("qemu.out"))}},
	}
	d.serve()
	theirs.Close()

	stopped, all := make(chan struct{}), make(chan struct{})
	var printing, reading sync.WaitGroup
	failed := make(chan error, 10)
	for _, u := range quiet {
		d.is(u.name, "up")
		y := &typist{console: u, conn: dialSilent(t, "unix", d.path(u.name+".u")).Conn}
		d.has(u.name, map[string]int{"follow": 3, "pipe": 1}[u.name])
		printing.Go(func() { failed <- u.prints(stopped) })
		reading.Go(func() { failed <- y.reads(all) })
	}
	d.is("udp", "up")
	talker := dialSilent(t, "unix", d.path("udp.u")).Conn
	d.has("udp", 1)
	reading.Go(func() { failed <- talk(datagrams, talker, stopped) })
	pid := d.cmd.Process.Pid
	d.replacedUnderLoad([]*upgraded{
		{name: "command", guest: pipes}, {name: "fd", guest: guest},
	}, values, func(i int) {
		out, stderr, code := d.cli("upgrade")
		if code != 0 || !strings.HasPrefix(out, fmt.Sprintf("upgraded: process %d is chardevd", pid)) {
			t.Errorf("upgrade %d: code %d, %q, %s", i, code, out, stderr)
		}
	})
	close(stopped)
	printing.Wait()
	close(all)
	for _, u := range quiet { // whoever has all already looks again
		if err := u.print(make([]byte, 500)); err != nil {
			t.Error(err)
		}
	}
	reading.Wait()
	for len(failed) > 0 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	d.hasNo("follow", "down")
	d.hasNo("follow", "detach")
	d.hasNo("udp", "down")
	for _, name := range []string{"copy", "printed"} {
		eventually(t, patience, func() error {
			text, err := os.ReadFile(d.path(name))
			if err != nil {
				return err
			}
			var seen pageChecker
			if _, err := seen.Write(text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if want := quiet[0].out.Load(); seen.at != want {
				return fmt.Errorf("%s has %d bytes, and %d were printed", name, seen.at, want)
			}
			return nil
		})
	}
}

// talk has a guest and a client answer each other until stop is closed. More than one datagram
// at a time could be too much for a socket that nobody reads for a while.
func talk(guest, client net.Conn, stop <-chan struct{}) error {
	var seen pageChecker
	buf := make([]byte, 500)
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		fill(buf, seen.at)
		deadline := time.Now().Add(patience)
		guest.SetDeadline(deadline)
		client.SetDeadline(deadline)
		_, err := guest.Write(buf)
		if err == nil {
			_, err = io.ReadFull(client, buf)
		}
		if err == nil {
			_, err = seen.Write(buf)
		}
		word := fmt.Sprintf("%08x", n)
		if err == nil {
			_, err = io.WriteString(client, word)
		}
		if err == nil {
			_, err = io.ReadFull(guest, buf[:len(word)])
		}
		if err == nil && string(buf[:len(word)]) != word {
			err = fmt.Errorf("%q came and %q was typed", buf[:len(word)], word)
		}
		if err != nil {
			return fmt.Errorf("udp, after %d bytes: %w", seen.at, err)
		}
	}
}

// connectedPair is two ends of a stream: a file to be given away, and a connection.
func connectedPair(t testing.TB) (*os.File, net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(pair[1]), "theirs"), os.NewFile(uintptr(pair[0]), "ours")
	conn, err := net.FileConn(ours)
	if err = errors.Join(err, ours.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close(); conn.Close() })
	return theirs, conn
}
