package integration

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A guest that prints at full rate, and 50 raw clients: through upgrades nobody is
// disconnected, and no line is missing or comes twice.
func TestUpgradeBesideAGuest(t *testing.T) {
	tcp := freePort(t)
	d, g := newCounter(t, `frontends = ["unix:front", "tcp://127.0.0.1:@tcp@", "pty:front.tty"]`, map[string]any{"tcp": tcp})
	var all []*reader
	for range 25 {
		all = append(all, check(t, dialSilent(t, "unix", d.path("front")).Conn))
	}
	for range 24 {
		all = append(all, check(t, dialSilent(t, "tcp", port(tcp)).Conn))
	}
	tty, err := os.OpenFile(d.path("front.tty"), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	all = append(all, check(t, ttyConn{tty}))
	d.has("vm", len(all))
	g.cont()
	for i := range upgradesAtOnce() {
		all[0].gets(t, 2000)
		if out, stderr, code := d.cli("upgrade"); code != 0 {
			t.Fatalf("upgrade %d: code %d, %q, %s", i, code, out, stderr)
		}
		all[len(all)-1].gets(t, 2000)
	}
	for _, r := range all {
		r.gets(t, 2000)
		r.whole(t)
	}
	d.has("vm", len(all))
}

// The daemon ends in time whoever does not read, and whatever has not answered yet.
func TestTheEndWithSlowClients(t *testing.T) {
	tcp, tls, web := freePort(t), freePort(t), freePort(t)
	d, g := newCounter(t, `frontends = ["unix:front", "tcp://127.0.0.1:@tcp@", "tls+tcp://127.0.0.1:@tls@", "pty:front.tty"]
[http]
listen = ["tcp://127.0.0.1:@web@"]`, map[string]any{"tcp": tcp, "tls": tls, "web": web})
	for range 30 {
		dialSilent(t, "unix", d.path("front"))
		dialSilent(t, "tcp", port(tcp))
	}
	for range 5 {
		dialSilent(t, "tcp", port(tls)) // its handshake never comes
		stuck := dialSilent(t, "tcp", port(web))
		if _, err := stuck.Write([]byte("GET / HTT")); err != nil {
			t.Fatal(err)
		}
		d.attachAt("vm", nil)
	}
	tty, err := os.OpenFile(d.path("front.tty"), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	d.has("vm", 66)
	healthy := check(t, dialSilent(t, "unix", d.path("front")).Conn)
	g.cont()
	healthy.gets(t, 50_000)
	began := time.Now()
	d.cmd.Process.Signal(syscall.SIGTERM)
	if code := d.exits(t, patience); code != 0 {
		t.Errorf("it ends with %d: %s", code, d.stderr.text())
	}
	t.Logf("it took %v to end", time.Since(began).Round(10*time.Millisecond))
}
