package channel

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestGlobMatches(t *testing.T) {
	for _, c := range []struct{ glob, path, parts string }{
		{"/run/*.serial", "/run/vm1.serial", "[vm1]"},
		{"/run/*.serial", "/run/.serial", "no"}, // a dot that is not written
		{"/run/.*", "/run/.x", "[x]"},
		{"/run/*.serial", "/run/a/b.serial", "no"},
		{"/run/*/s.sock", "/run/vm1/s.sock", "[vm1]"},
		{"/run/*-*", "/run/a-b-c", "[a-b c]"},
		{"/d/tty[A-C]?", "/d/ttyB7", "[B 7]"},
		{"/d/tty[!A-C]*", "/d/ttyB7", "no"},
		{"/d/tty[]x]", "/d/tty]", "[]]"},
		{"/d/a.b*", "/d/axb", "no"},
		{`/d/\*[*]`, "/d/**", "[*]"},
		{"/d/ä?", "/d/äö", "[ö]"},
		{"//d/../d/./x", "/d/x", "[]"},
	} {
		g, err := ParseGlob(c.glob)
		if err != nil {
			t.Errorf("%s: %v", c.glob, err)
			continue
		}
		have := "no"
		if parts, ok := g.Match(c.path); ok {
			have = fmt.Sprint(parts)
		}
		if have != c.parts {
			t.Errorf("%s on %s: %s, want %s", c.glob, c.path, have, c.parts)
		}
		if n := g.Wildcards(); have != "no" && n != len(func() []string { p, _ := g.Match(c.path); return p }()) {
			t.Errorf("%s: %d wildcards", c.glob, n)
		}
	}
	for _, bad := range []string{"run/*", "", "/run/[", "/run/[]", "/run/[z-a]", `/run/\`} {
		if g, err := ParseGlob(bad); err == nil {
			t.Errorf("%q: %+v", bad, g)
		}
	}
}

// A globSight is what the last look of a watch saw of sockets and devices.
type globSight struct {
	*GlobWatch
	have []string
}

func (w *globSight) look(t *testing.T) {
	t.Helper()
	matches, err := w.Look()
	if err != nil {
		t.Fatal(err)
	}
	w.have = nil
	for _, m := range matches {
		if m.Type == fs.ModeSocket || m.Type == fs.ModeDevice|fs.ModeCharDevice {
			w.have = append(w.have, m.Path)
		}
	}
}

// seen waits until exactly these paths were seen, looking only when the watch says so.
func seen(t *testing.T, w *globSight, want ...string) {
	t.Helper()
	dog := time.After(watchdog)
	for !slices.Equal(w.have, want) {
		select {
		case <-w.C:
			w.look(t)
		case <-dog:
			t.Fatalf("see %q, want %q", w.have, want)
		}
	}
}

// sock makes a socket.
func sock(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

// globWatch watches patterns, and has looked once.
func globWatch(t *testing.T, patterns ...string) *globSight {
	t.Helper()
	var globs []*Glob
	for _, p := range patterns {
		g, err := ParseGlob(p)
		must(t, err)
		globs = append(globs, g)
	}
	w := &globSight{GlobWatch: WatchGlobs(globs...)}
	t.Cleanup(w.Close)
	w.look(t)
	return w
}

// Folders come, go, come again, are renamed and replaced; wildcards stand in folders too.
func TestGlobWatch(t *testing.T) {
	dir := t.TempDir()
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	w := globWatch(t, at("run/qemu/*.serial"), at("run/vms/*/serial.sock"), at("deep/*/console/s"))
	seen(t, w)
	must(t, os.MkdirAll(at("run/qemu"), 0o700))
	seen(t, w)
	sock(t, at("run/qemu/vm1.serial"))
	must(t, os.WriteFile(at("run/qemu/plain.serial"), nil, 0o600))
	seen(t, w, at("run/qemu/vm1.serial"))
	must(t, os.MkdirAll(at("run/vms/a"), 0o700))
	sock(t, at("run/vms/a/serial.sock"))
	seen(t, w, at("run/qemu/vm1.serial"), at("run/vms/a/serial.sock"))
	must(t, os.Rename(at("run/vms/a"), at("run/vms/b")), os.MkdirAll(at("run/vms/a"), 0o700))
	seen(t, w, at("run/qemu/vm1.serial"), at("run/vms/b/serial.sock"))
	sock(t, at("run/vms/a/serial.sock"))
	seen(t, w, at("run/qemu/vm1.serial"), at("run/vms/a/serial.sock"), at("run/vms/b/serial.sock"))
	must(t, os.RemoveAll(at("run")))
	seen(t, w)
	// Another folder has the path of one that was renamed further up, and is as empty.
	must(t, os.MkdirAll(at("deep/a/console"), 0o700))
	sock(t, at("deep/a/console/s"))
	seen(t, w, at("deep/a/console/s"))
	must(t, os.Rename(at("deep/a"), at("deep/b")), os.MkdirAll(at("deep/a/console"), 0o700))
	seen(t, w, at("deep/b/console/s"))
	w.look(t) // the second of the two changes may still be to be told
	sock(t, at("deep/a/console/s"))
	seen(t, w, at("deep/a/console/s"), at("deep/b/console/s"))
	must(t, os.RemoveAll(at("deep")))
	seen(t, w)
	for range 3 { // of the same path, and perhaps of the same inode
		must(t, os.MkdirAll(at("run/qemu"), 0o700))
		sock(t, at("run/qemu/vm2.serial"))
		seen(t, w, at("run/qemu/vm2.serial"))
		must(t, os.RemoveAll(at("run/qemu")))
		seen(t, w)
	}
}

// What a symbolic link leads to counts, when it comes and when it goes; and the way to a
// folder may be one.
func TestGlobWatchLinks(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("one"), 0o700), os.Mkdir(at("two"), 0o700), os.Symlink("one", at("by-id")), os.Symlink("../tty", at("one/usb")))
	w := globWatch(t, at("by-id/*"))
	seen(t, w)
	must(t, os.Symlink("/dev/null", at("tty")))
	seen(t, w, at("by-id/usb"))
	must(t, os.Remove(at("tty")))
	seen(t, w)
	must(t, os.Symlink("/dev/zero", at("two/other")), os.Symlink("two", at("new")), os.Rename(at("new"), at("by-id")))
	seen(t, w, at("by-id/other"))
}

// Of much that comes and goes at random nothing is missed at the end, and the watches are
// of what is there.
func TestGlobWatchStorm(t *testing.T) {
	dir := t.TempDir()
	w := globWatch(t, filepath.Join(dir, "*/*.s"))
	seen(t, w)
	rnd := rand.New(rand.NewPCG(1, 2))
	done := make(chan []string)
	go func() {
		there := map[string]bool{}
		for range 2000 {
			sub := filepath.Join(dir, fmt.Sprint(rnd.IntN(5)))
			if rnd.IntN(50) == 0 {
				os.RemoveAll(sub)
				for path := range there {
					if filepath.Dir(path) == sub {
						delete(there, path)
					}
				}
				continue
			}
			os.MkdirAll(sub, 0o700)
			path := filepath.Join(sub, fmt.Sprint(rnd.IntN(20), ".s"))
			if there[path] {
				os.Remove(path)
				delete(there, path)
			} else if os.Symlink("/dev/null", path) == nil {
				there[path] = true
			}
		}
		var all []string
		for path := range there {
			all = append(all, path)
		}
		slices.Sort(all)
		done <- all
	}()
	for {
		select {
		case all := <-done:
			seen(t, w, all...)
			if len(w.watches) > 200 {
				t.Errorf("%d watches", len(w.watches))
			}
			return
		case <-w.C:
			w.look(t)
		}
	}
}
