package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager stands for systemd: it hears what a daemon tells, and holds its sockets.
type manager struct {
	t testing.TB
	c *net.UnixConn
}

// newManager makes one for a daemon that is not started yet.
func newManager(d *daemon, watchdog time.Duration) *manager {
	d.t.Helper()
	path := d.path("notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	d.prefix = append(d.prefix, "env", "NOTIFY_SOCKET="+path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	return &manager{d.t, c}
}

// hears waits for a message that begins with a text, and returns all of it.
func (m *manager) hears(begin string) string {
	m.t.Helper()
	m.c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	for {
		n, err := m.c.Read(b)
		if err != nil {
			m.t.Fatalf("no message %q: %v", begin, err)
		}
		if text := string(b[:n]); strings.HasPrefix(text, begin) {
			return text
		}
	}
}

func TestTheServiceManagerHearsHowItIs(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), `
		[[chardev]]
		name = "up"
		device = "sim:echo"
		[[chardev]]
		name = "down"
		device = "unix:nobody"
	`, nil)
	m := newManager(d, 100*time.Millisecond)
	d.run()
	m.hears("READY=1\nSTATUS=1 of 2 consoles up")
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")

	d.cmd.Process.Signal(syscall.SIGHUP)
	m.hears("RELOADING=1\nMONOTONIC_USEC=")
	m.hears("READY=1\nSTATUS=")

	guest, err := net.Listen("unix", d.path("nobody"))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	m.hears("STATUS=2 of 2 consoles up")
	m.hears("WATCHDOG=1")

	d.cmd.Process.Signal(syscall.SIGTERM)
	m.hears("STOPPING=1")
	if code := d.exits(t, patience); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// passed are sockets that somebody else listens on, as a daemon gets them.
func (d *daemon) passed(listeners ...net.Listener) {
	d.t.Helper()
	for _, l := range listeners {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { f.Close() })
		d.files = append(d.files, f)
	}
	d.prefix = append(d.prefix, "sh", "-c", fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec "$@"`, len(d.files)), "sh")
}

func listenOn(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// The sockets are there before the daemon and after it, and who comes meanwhile is
// served when it is there.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	tcp, web := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "tcp", "127.0.0.1:0")
	control, front := listenOn(t, "unix", filepath.Join(dir, "control")), listenOn(t, "unix", filepath.Join(dir, "front"))
	stray := listenOn(t, "tcp", "127.0.0.1:0")
	d := newDaemon(t, dir, `
		[http]
		listen = ["tcp://@web@"]
		[[chardev]]
		name = "counter"
		device = "sim:counter?rate=1000"
		frontends = ["tcp://@tcp@", "unix:front"]
	`, map[string]any{"web": web.Addr(), "tcp": tcp.Addr()})
	d.passed(tcp, web, control, front, stray)

	for _, when := range []string{"at first", "after a restart"} {
		early, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		local, err := net.Dial("unix", filepath.Join(dir, "front"))
		if err != nil {
			t.Fatal(err)
		}
		d.serve()
		for name, c := range map[string]net.Conn{"tcp": early, "unix": local} {
			c.SetReadDeadline(time.Now().Add(patience))
			if n, err := c.Read(make([]byte, 1)); n != 1 {
				t.Errorf("%s: who came over %s before the daemon got nothing: %v", when, name, err)
			}
			c.Close()
		}
		if stdout, stderr, code := d.cli("list"); code != 0 || !strings.Contains(stdout, "counter") {
			t.Errorf("%s: list: %d %s%s", when, code, stdout, stderr)
		}
		r, err := http.Get("http://" + web.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: http: %s", when, r.Status)
		}
		if n := strings.Count(d.stderr.text(), "a socket was passed that nothing"); n != 1 || !strings.Contains(d.stderr.text(), stray.Addr().String()) {
			t.Errorf("%s: want to be told once of the socket that is for nobody:\n%s", when, d.stderr.text())
		}
		d.cmd.Process.Signal(syscall.SIGTERM)
		if code := d.exits(t, patience); code != 0 {
			t.Errorf("%s: it ends with %d:\n%s", when, code, d.stderr.text())
		}
		for _, name := range []string{"control", "front"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s: a socket of the manager's is gone: %v", when, err)
			}
		}
	}
}
