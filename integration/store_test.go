package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A keeper stands for systemd's descriptor store: it keeps what a daemon stores, and starts
// the next one with that.
type keeper struct {
	d    *daemon
	room int

	mu    sync.Mutex
	names []string
	fds   []int
	last  string // the last message
}

// newKeeper makes one for a daemon that is not started yet.
func newKeeper(d *daemon, room int) *keeper {
	d.t.Helper()
	path := d.path("notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		d.t.Fatal(err)
	}
	k := &keeper{d: d, room: room}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for k.hear(c) {
		}
	}()
	d.t.Cleanup(func() {
		c.Close()
		<-done
		k.close()
	})
	d.prefix = append(d.prefix, "env", "NOTIFY_SOCKET="+path, fmt.Sprintf("FDSTORE=%d", room))
	return k
}

// hear takes a message; false: none comes any more.
func (k *keeper) hear(c *net.UnixConn) bool {
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*253))
	n, nr, _, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return false
	}
	vars := map[string]string{}
	for _, line := range strings.Split(string(text[:n]), "\n") {
		name, value, _ := strings.Cut(line, "=")
		vars[name] = value
	}
	var fds []int
	if nr > 0 {
		msgs, err := unix.ParseSocketControlMessage(rights[:nr])
		if err == nil {
			fds, err = unix.ParseUnixRights(&msgs[0])
		}
		if err != nil {
			k.d.t.Error(err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = string(text[:n])
	name := vars["FDNAME"]
	if vars["FDSTOREREMOVE"] == "1" {
		for i := slices.Index(k.names, name); i >= 0; i = slices.Index(k.names, name) {
			unix.Close(k.fds[i])
			k.names, k.fds = slices.Delete(k.names, i, i+1), slices.Delete(k.fds, i, i+1)
		}
	}
	for _, fd := range fds {
		if vars["BARRIER"] == "1" {
			unix.Close(fd)
			continue
		}
		if vars["FDSTORE"] != "1" || vars["FDPOLL"] != "0" || len(k.names) >= k.room || slices.Contains(k.names, name) {
			k.d.t.Errorf("with %d in a store of %d came %q", len(k.names), k.room, text[:n])
			unix.Close(fd)
			continue
		}
		unix.CloseOnExec(fd)
		k.names, k.fds = append(k.names, name), append(k.fds, fd)
	}
	return true
}

// close closes what is kept, as when a service is stopped for good.
func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, fd := range k.fds {
		unix.Close(fd)
	}
	k.names, k.fds = nil, nil
}

// size is how many descriptors are kept.
func (k *keeper) size() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.names)
}

// stop ends the daemon, as a manager does, and start starts the next one.
func (k *keeper) stop() {
	d := k.d
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	if code := d.exits(d.t, patience); code != 0 {
		d.t.Fatalf("it ends with %d: %s", code, d.stderr.text())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last != "BARRIER=1" { // without it systemd may not know any more whose the descriptors are
		d.t.Errorf("its last message was %q", k.last)
	}
}

func (k *keeper) start() {
	d := k.d
	d.t.Helper()
	k.mu.Lock()
	for i, fd := range k.fds {
		mine, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			d.t.Fatal(err)
		}
		d.files = append(d.files, os.NewFile(uintptr(mine), k.names[i]))
	}
	names := strings.Join(k.names, ":")
	k.mu.Unlock()
	before := d.prefix
	d.prefix = append(slices.Clone(before), "sh", "-c", fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec "$@"`, len(d.files), names), "sh")
	d.run()
	for _, f := range d.files {
		f.Close()
	}
	d.files, d.prefix = nil, before
	d.waitReady()
}

func (k *keeper) restart() {
	k.d.t.Helper()
	k.stop()
	k.start()
}

const storeConfig = `
[[chardev]]
name = "guest"
device = { listen = "unix:guest.sock" }
frontends = ["unix:front"]

[[chardev]]
name = "command"
device = "exec:echo begin; exec cat"
`

// eofSoon waits until the other end of c is closed, and returns what came before.
func eofSoon(t testing.TB, c net.Conn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("it is not closed: %v", err)
	}
	return string(got)
}

// What the store has no room for is closed, clients first; and what the next daemon has no
// use for is closed too. A command begins anew.
func TestTheStoreIsSmall(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), storeConfig, nil)
	k := newKeeper(d, 5) // the document, two listeners and the control socket's, the guest
	d.serve()
	guest := dialSilent(t, "unix", d.path("guest.sock"))
	d.is("guest", "up")
	c := dialSilent(t, "unix", d.path("front"))
	d.has("guest", 1)
	if _, err := io.WriteString(guest.Conn, "before"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		if at := d.info("guest").Offset; at != 6 {
			return fmt.Errorf("offset %d", at)
		}
		return nil
	})
	k.stop()
	if got := eofSoon(t, c.Conn); got != "before" {
		t.Errorf("the client that went got %q", got)
	}
	if n := k.size(); n != 5 {
		t.Errorf("%d descriptors are stored", n)
	}
	if !strings.Contains(d.stderr.text(), "FileDescriptorStoreMax") {
		t.Errorf("it does not say that the store is small: %s", d.stderr.text())
	}
	k.start()
	c = dialSilent(t, "unix", d.path("front"))
	d.has("guest", 1)
	if _, err := io.WriteString(guest.Conn, "after"); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 5)
	if _, err := io.ReadFull(c.Conn, b); err != nil || string(b) != "after" {
		t.Errorf("%q, %v", b, err)
	}
	d.is("command", "up")

	// The config of the next one has no guest.
	write(t, d.config, "state = \"state\"\ncontrol = \"unix:control\"\n"+storeConfig[strings.LastIndex(storeConfig, "[[chardev]]"):])
	k.restart()
	eofSoon(t, guest.Conn)
	eofSoon(t, c.Conn)
}

// Half of a store, as is left when the daemon is killed while it stores, is nothing.
func TestAStoreThatIsNotComplete(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), storeConfig, nil)
	k := newKeeper(d, 100)
	d.serve()
	guest := dialSilent(t, "unix", d.path("guest.sock"))
	d.is("guest", "up")
	k.stop()
	k.mu.Lock()
	i := slices.Index(k.names, "chardevd-handover")
	if i < 0 || i != len(k.names)-1 {
		t.Fatalf("the document is stored at %d of %q", i, k.names)
	}
	unix.Close(k.fds[i])
	k.names, k.fds = k.names[:i], k.fds[:i]
	k.mu.Unlock()
	k.start()
	eofSoon(t, guest.Conn)
	if !strings.Contains(d.stderr.text(), "not complete") {
		t.Errorf("it says nothing: %s", d.stderr.text())
	}
	again := dialSilent(t, "unix", d.path("guest.sock"))
	d.is("guest", "up")
	if n := k.size(); n != 0 {
		t.Errorf("%d descriptors are still in the store", n)
	}
	again.Close()
}

// A client that reads nothing for a while has all of it in the end, over restarts.
func TestARestartWithAStalledClient(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), storeConfig, nil)
	k := newKeeper(d, 100)
	d.serve()
	guest := dialSilent(t, "unix", d.path("guest.sock"))
	d.is("guest", "up")
	c := dialSilent(t, "unix", d.path("front"))
	d.has("guest", 1)
	const piece = 400_000 // more than a socket takes, and less than the history has
	var at int64
	for range 2 {
		if _, err := guest.Conn.Write(printed(at, at+piece)); err != nil {
			t.Fatal(err)
		}
		at += piece
		eventually(t, patience, func() error {
			if have := d.info("guest").Offset; have != at {
				return fmt.Errorf("at %d of %d", have, at)
			}
			return nil
		})
		k.restart()
	}
	c.Conn.SetReadDeadline(time.Now().Add(patience))
	if err := new(pageChecker).reads(c.Conn, at); err != nil {
		t.Error(err)
	}
	for _, e := range d.info("guest").Events {
		if e.Kind == "gap" {
			t.Error(e.Text)
		}
	}
}

// A service that is stopped for good has given its clients what was printed.
func TestStoppedForGood(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), storeConfig, nil)
	k := newKeeper(d, 100)
	d.serve()
	guest := dialSilent(t, "unix", d.path("guest.sock"))
	d.is("guest", "up")
	c := dialSilent(t, "unix", d.path("front"))
	d.has("guest", 1)
	page := make([]byte, 30_000) // a socket takes that at once
	fill(page, 0)
	if _, err := guest.Conn.Write(page); err != nil {
		t.Fatal(err)
	}
	// What the daemon has not read when it is told to end stays in the socket.
	eventually(t, patience, func() error {
		if d.info("guest").Offset == 0 {
			return errors.New("nothing is read yet")
		}
		return nil
	})
	k.stop()
	k.close()
	got := eofSoon(t, c.Conn)
	d.serve()
	if i := d.info("guest"); i.Offset == 0 || got != string(page[:i.Offset]) {
		t.Errorf("the client got %d bytes, and the journal has %d", len(got), i.Offset)
	}
}
