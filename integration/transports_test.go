package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mkfifo(t testing.TB, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// runs runs a line of shell in the daemon's folder.
func (d *daemon) runs(line string) {
	d.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = d.dir
	if out, code := cmd.CombinedOutput(); code != nil {
		d.t.Fatalf("%s: %v\n%s", line, code, out)
	}
}

// QEMU's own pipe and udp backends, with the daemon as their peer. (A byte at a time, as a
// datagram that finds the UART's FIFO full is QEMU's to cut.)
func TestDevicesOfQEMU(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		dir := folder(t)
		mkfifo(t, dir+"/p.in")
		mkfifo(t, dir+"/p.out")
		d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "pipe:p"
frontends = ["unix:front"]
`, nil)
		d.serve()
		if i := d.info("vm"); i.State == "up" {
			t.Fatalf("nobody is there, and the device is up")
		}
		g := startGuest(t, echoImage(t), "pipe,path="+dir+"/p")
		d.is("vm", "up")
		u := dial(t, "unix", d.path("front"))
		d.has("vm", 1)
		d.echoRuns(g)
		for _, c := range "through two FIFOs" {
			u.echoes(t, string(c))
		}
		g.kill()
		if i := d.info("vm"); i.State == "up" {
			d.event("vm", "down", time.Time{})
		}
	})
	t.Run("udp", func(t *testing.T) {
		here, there := freePort(t), freePort(t)
		d := newDaemon(t, folder(t), `
[[chardev]]
name = "vm"
device = "udp://127.0.0.1:@there@?local=127.0.0.1:@here@"
frontends = ["unix:front"]
`, map[string]any{"here": here, "there": there})
		d.serve()
		g := startGuest(t, echoImage(t), fmt.Sprintf("udp,host=127.0.0.1,port=%d,localaddr=127.0.0.1,localport=%d", here, there))
		u := dial(t, "unix", d.path("front"))
		d.has("vm", 1)
		g.cont()
		u.sees(t, "ECHO READY\r\n")
		for _, c := range "through datagrams" {
			u.echoes(t, string(c))
		}
	})
	t.Run("udp, learned", func(t *testing.T) {
		at := freePort(t)
		d := newDaemon(t, folder(t), `
[[chardev]]
name = "vm"
device = { listen = "udp://127.0.0.1:@at@" }
frontends = ["unix:front"]
`, map[string]any{"at": at})
		d.serve()
		u := dial(t, "unix", d.path("front"))
		d.has("vm", 1)
		for range 2 { // the second one takes the first one's place
			g := startGuest(t, echoImage(t), fmt.Sprintf("udp,host=127.0.0.1,port=%d", at))
			g.cont()
			u.sees(t, "ECHO READY\r\n")
			for _, c := range "hello" {
				u.echoes(t, string(c))
			}
		}
	})
}

// A command is a device that ends with a status, which is told, and is started again; and
// a frontend that reads what is printed.
func TestCommands(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = "command:echo hello; read x; echo got $x; exit 3"
frontends = ["unix:front"]
  [[chardev.frontend]]
  connect = "command:cat >printed; exit"
`, nil)
	t0 := time.Now()
	u := dial(t, "unix", d.path("front"))
	d.has("vm", 2)
	u.types(t, "this\n")
	u.sees(t, "got this\n")
	d.event("vm", "down", t0)
	u.sees(t, "hello\n")
	eventually(t, patience, func() error {
		for _, e := range d.info("vm").Events {
			if e.Kind == "down" && strings.Contains(e.Text, "exit status 3") {
				return nil
			}
		}
		return fmt.Errorf("no exit status in %+v", d.info("vm").Events)
	})
	eventually(t, patience, func() error {
		b, err := os.ReadFile(d.path("printed"))
		if err == nil && !strings.HasSuffix(string(b), "got this\nhello\n") {
			err = fmt.Errorf("printed: %q", b)
		}
		return err
	})
	d.stops()
	if out, err := exec.Command("ps", "-o", "pid,stat,args", "--ppid", fmt.Sprint(d.cmd.Process.Pid)).Output(); err == nil {
		t.Errorf("left: %s", out)
	}
}

// A log that another program writes and logrotate rotates is a device; and a file is a
// frontend.
func TestFiles(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "log"
device = "file:app.log?mode=follow"
frontends = ["unix:front"]
  [[chardev.frontend]]
  connect = "file:copy"
`, nil)
	u := dial(t, "unix", d.path("front"))
	d.has("log", 2)
	d.runs("echo one >> app.log")
	u.sees(t, "one\n")
	d.runs("mv app.log app.log.1; echo late >> app.log.1; echo two > app.log")
	u.sees(t, "late\ntwo\n")
	d.runs(": > app.log; echo 3 >> app.log")
	u.sees(t, "3\n")
	eventually(t, patience, func() error {
		if b, _ := os.ReadFile(d.path("copy")); string(b) != "one\nlate\ntwo\n3\n" {
			return fmt.Errorf("the copy is %q", b)
		}
		return nil
	})
}

// Frontends for scripts: echo and cat at two FIFOs, and datagrams.
func TestScripts(t *testing.T) {
	at := freePort(t)
	d, _ := newEcho(t, `
frontends = ["pipe:p", "udp://127.0.0.1:@at@", "unix:front"]
`, map[string]any{"at": at})
	u := dial(t, "unix", d.path("front"))
	d.has("vm", 2) // one of them is the pipe, which is always there
	reader := start(t, "cat", d.path("p.out"))
	for _, word := range []string{"first", "second"} {
		d.runs("printf " + word + " > p.in")
		u.sees(t, word)
		reader.sees(t, word)
	}
	socat := start(t, program(t, "socat"), "STDIO", "UDP:"+port(at))
	socat.echoes(t, "by socat")
	u.sees(t, "by socat")
	socat.kill()
	u.echoes(t, "and now nobody has that port")
	d.has("vm", 2)
	reader.kill()
	for range 18 { // more than a FIFO holds: nobody reads it, and nobody waits for that
		u.echoes(t, strings.Repeat("0123456789abcdef", 250)+"\n")
	}
	d.stops()
	for _, left := range []string{"p.in", "p.out"} {
		if _, err := os.Stat(d.path(left)); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", left, err)
		}
	}
}

// Descriptors that the daemon was started with: a connected socket as the device, and one
// that is listened on as a frontend.
func TestGivenDescriptors(t *testing.T) {
	theirs, guest := connectedPair(t)
	l := listenOn(t, "tcp", "127.0.0.1:0")
	lf, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer lf.Close()
	d := newDaemon(t, folder(t), `
[[chardev]]
name = "vm"
device = "fd:3"
frontends = ["fd:4"]
`, nil)
	d.files = []*os.File{theirs, lf}
	d.serve()
	theirs.Close()
	d.is("vm", "up")
	u := dial(t, "tcp", l.Addr().String())
	d.has("vm", 1)
	if _, err := guest.Write([]byte("printed")); err != nil {
		t.Fatal(err)
	}
	u.sees(t, "printed")
	u.types(t, "typed")
	guest.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, 5)
	if n, err := guest.Read(got); err != nil || string(got[:n]) != "typed"[:n] {
		t.Errorf("read %q, %v", got[:n], err)
	}
	d.signal(t, syscall.SIGUSR2) // an upgrade, in place
	eventually(t, patience, func() error {
		if !strings.Contains(d.stderr.text(), "taken over") && d.info("vm").State != "up" {
			return fmt.Errorf("the device is %s", d.info("vm").State)
		}
		return nil
	})
	guest.Close()
	d.event("vm", "down", time.Time{})
}
