package chardev

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// What was counted of a chardev's bytes goes on.
func TestASuccessorGoesOnCounting(t *testing.T) {
	was := newBench(t, 16<<10, "shared").hub
	for i := range was.refused {
		was.refused[i].Store(int64(10 + i))
	}
	for i := range was.dropped {
		was.dropped[i].Store(int64(20 + i))
	}
	con := &console{name: "vm", hub: was}
	con.device.Store(newDevice(was, nil, &Endpoint{Address: channel.MustParseAddress("null:")}))
	left := con.handOver()
	now := newBench(t, 16<<10, "shared").hub
	now.resume(left)
	for i := range now.refused {
		if n := now.refused[i].Load(); n != int64(10+i) {
			t.Errorf("refused as %d: %d", i, n)
		}
	}
	for i := range now.dropped {
		if n := now.dropped[i].Load(); n != int64(20+i) {
			t.Errorf("dropped as %d: %d", i, n)
		}
	}
}

// What nobody goes on listening on is gone from the disk, too: because the config has it no
// more, or because there is no successor.
func TestNamesGoWithWhatNobodyGoesOnWith(t *testing.T) {
	for name, ends := range map[string]func(*testing.T, *Handover, string){
		"another config": func(t *testing.T, left *Handover, path string) {
			if err := os.WriteFile(path, []byte("[[chardev]]\nname = 'b'\ndevice = 'null:'\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			begun(t, leftTo(t, path, left))()
		},
		"no successor": func(_ *testing.T, left *Handover, _ string) { left.End() },
	} {
		t.Run(name, func(t *testing.T) {
			clearEnvironment(t)
			path := write(t, `
http.listen = ["unix:http"]
[[chardev]]
name = "a"
device = { listen = "unix:guest" }
log = false
frontends = ["unix:front", "tls+unix:tls", "pty:pty"]
[[stream]]
name = "s"
listen = "unix:stream"
connect = "unix:nobody"
`, nil)
			names := []string{"http", "guest", "front", "tls", "pty", "stream"}
			s := leftTo(t, path, nil)
			over := make(chan error, 1)
			go func() { over <- s.Run(t.Context(), func() { s.Leave() }) }()
			if err := <-over; err != nil {
				t.Fatal(err)
			}
			left := s.Left()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			there := func(name string) bool {
				_, err := os.Lstat(filepath.Join(filepath.Dir(path), name))
				return err == nil
			}
			for _, name := range names {
				if !there(name) {
					t.Errorf("%s is not there for the successor", name)
				}
			}
			ends(t, left, path)
			for _, name := range names {
				if there(name) {
					t.Errorf("%s is there yet", name)
				}
			}
		})
	}
}

// What a disk does not take waits in memory, and no successor has it: there is none until
// the disk takes it.
func TestNoUpgradeWhileTheDiskTakesNothing(t *testing.T) {
	clearEnvironment(t)
	s := leftTo(t, write(t, "[[chardev]]\nname = 'a'\ndevice = 'null:'\n", nil), nil)
	t.Cleanup(func() { s.Close() })
	s.Successor = &Successor{Check: func() error { return nil }}
	h := s.console("a").hub
	full := errors.New("the disk is full")
	h.scribe.setError(full)
	if err := s.Upgrade(); err != nil {
		t.Errorf("nothing waits: %v", err)
	}
	<-s.leaving
	h.hist.Commit(copy(h.hist.Space(), "text"))
	err := s.Upgrade()
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "chardev a: 4 bytes") {
		t.Errorf("%v", err)
	}
	if len(s.leaving) != 0 {
		t.Error("it leaves")
	}
	h.scribe.setError(nil)
	if err := s.Upgrade(); err != nil || len(s.leaving) != 1 {
		t.Errorf("written: %v", err)
	}
}

// Who could be no web page before an upgrade is none after it: what has to be cut where people
// come from anywhere is input like any other.
func TestNobodyIsSuspectedBehindAnUpgrade(t *testing.T) {
	clearEnvironment(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := write(t, `
[[chardev]]
name = "a"
device = { listen = "unix:guest" }
log = false
[[chardev.frontend]]
connect = "tcp://`+l.Addr().String()+`"
`, nil)
	s := leftTo(t, path, nil)
	ready, over := make(chan struct{}), make(chan error, 1)
	go func() { over <- s.Run(t.Context(), func() { close(ready) }) }()
	<-ready
	dialled, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.openFor(theDaemon{}, "a", wantedFrontend{as: &access.Identity{Operator: true}}, ours); err != nil {
		t.Fatal(err)
	}
	opened, err := net.FileConn(theirs)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	guest, err := net.Dial("unix", filepath.Join(filepath.Dir(path), "guest"))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	h := s.console("a").hub
	await(t, "all to be there", func() bool { return h.device.Load() != nil && len(h.clientInfos()) == 2 })
	s.Leave()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	left := s.Left()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	defer begun(t, leftTo(t, path, left))()
	for name, c := range map[string]net.Conn{"dialled": dialled, "opened": opened} {
		const typed = "GET / HTTP/1.1\r\n"
		if _, err := io.WriteString(c, typed); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(typed))
		guest.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(guest, got); err != nil || string(got) != typed {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// leftTo is a server of a config file that goes on with what another one has left.
func leftTo(t *testing.T, path string, from *Handover) *Server {
	t.Helper()
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := TakeOver(cfg, slog.New(slog.DiscardHandler), from)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
