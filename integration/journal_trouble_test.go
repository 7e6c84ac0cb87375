package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A space is a file system of a limited size, which only what runs in its
// namespace sees.
type space struct {
	*namespace
	root string // where the test sees what is in it
}

func newSpace(t testing.TB, dir, size string) *space {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program(t, "mount")
	n := unshared(t, "mount", fmt.Sprintf("mount -t tmpfs -o size=%s,mode=0700 tmpfs '%s'", size, dir))
	return &space{n, fmt.Sprintf("/proc/%d/root%s", n.cmd.Process.Pid, dir)}
}

// fill leaves no room, and returns what gives it back.
func (s *space) fill() (free func()) {
	s.t.Helper()
	filler := filepath.Join(s.root, "filler")
	f, err := os.Create(filler)
	if err != nil {
		s.t.Fatal(err)
	}
	for piece := make([]byte, 1<<20); len(piece) > 0; {
		if _, err := f.Write(piece); err != nil { // ENOSPC: what is left is less
			piece = piece[:len(piece)/2]
		}
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(filler); err != nil {
			s.t.Fatal(err)
		}
	}
}

// told waits for an event since t0, or an error of the journal, with a word in it.
func (d *daemon) told(name, word string, t0 time.Time) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		i := d.info(name)
		if i.Journal != nil && strings.Contains(i.Journal.Error, word) {
			return nil
		}
		for _, e := range i.Events {
			if e.Time.After(t0) && strings.Contains(e.Text, word) {
				return nil
			}
		}
		return fmt.Errorf("%s has no event with %q: %+v, journal %+v", name, word, i.Events, i.Journal)
	})
}

// A disk is full, with a guest that prints: the console runs on and it is told.
// When there is room again the journal takes up by itself. What was printed is in
// it, or in a gap that it states: no byte is in both or in none, also after a
// restart.
func TestJournalDiskFull(t *testing.T) {
	const before, meanwhile, after = 1 << 20, 48 << 20, 1 << 20 // of which memory keeps 16 MiB
	dir := folder(t)
	full := newSpace(t, dir+"/state/vm", "64m")
	d := newDaemon(t, dir, oneGuest+`
log = { max_size = "4MiB", keep = 100 }
`, nil)
	d.prefix = full.enter()
	d.serve()
	live := dialSilent(t, "unix", d.path("front"))
	d.has("vm", 1)
	p := newPrinter(t, d, "vm")
	var seen pageChecker
	prints := func(n int64) { t.Helper(); p.shows(t, n, 20<<20, live, &seen) }
	written := func() (n int64) {
		all, err := filepath.Glob(full.root + "/vm*.log")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if info, err := os.Stat(f); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	prints(before)
	eventually(t, patience, func() error {
		if n := written(); n != before {
			return fmt.Errorf("%d bytes are in the files, not %d", n, before)
		}
		return nil
	})

	t0 := time.Now()
	free := full.fill()
	prints(meanwhile)
	d.told("vm", "no space left", t0)
	was := written()
	free()
	eventually(t, 3*patience, func() error { // by itself: the guest is silent
		if n := written(); n < was+8<<20 {
			return fmt.Errorf("there is room again; %d bytes are in the files, %d before", n, was)
		}
		return nil
	})
	prints(after)

	const all = before + meanwhile + after
	check := func(t *testing.T) {
		var have consoleCopy
		a := d.attachAt("vm", query("since", "start"))
		a.copyTo(t, &have, all)
		if a.hello.Offset != 0 {
			t.Errorf("it begins at %d", a.hello.Offset)
		}
		var lost int64
		for _, g := range a.gaps {
			lost += g.to - g.from
		}
		for _, s := range have.stretches {
			if i := firstDifference(s.data, printed(s.at, s.end())); i >= 0 {
				t.Errorf("at offset %d it is not what was printed", s.at+int64(i))
			}
		}
		if lost == 0 || lost > meanwhile || lost+have.size() != all {
			t.Errorf("%d bytes are there and %d told as lost of %d; gaps %v", have.size(), lost, int64(all), a.gaps)
		}
		a.conn.Close()
		t.Logf("%d bytes lost, gaps %v", lost, a.gaps)
	}
	t.Run("running", check)
	p.Close()
	d.is("vm", "opening")
	d.stops()
	d.serve()
	t.Run("restarted", check)
}

// A folder that cannot be written to: it is told, the console runs; a start later,
// when it can be, the journal is kept.
func TestJournalReadOnly(t *testing.T) {
	dir := folder(t)
	s := newSpace(t, dir+"/state/vm", "8m")
	mount := func(how string) {
		enter := append(s.enter(), program(t, "mount"), "-o", "remount,"+how, dir+"/state/vm")
		run(t, enter[0], enter[1:]...)
	}
	d := newDaemon(t, dir, oneGuest, nil)
	d.prefix = s.enter()
	for _, how := range []string{"ro", "rw"} {
		mount(how)
		t0 := time.Now()
		d.serve()
		d.watched(1 << 20)
		if how == "ro" {
			d.told("vm", "read-only file system", t0)
		}
		d.stops()
	}
	if data, err := os.ReadFile(s.root + "/vm.log"); err != nil || firstDifference(data, printed(0, 1<<20)) >= 0 {
		t.Errorf("%d bytes are kept: %v", len(data), err)
	}
}

// What is in the journal's place is not the journal's: it is told, the console
// runs, and nothing is deleted or written over.
func TestJournalInAnothersPlace(t *testing.T) {
	for _, test := range []struct {
		why, path, says string
	}{
		{"a file for the folder", "state/vm", "not a directory"},
		{"a folder for the file", "state/vm/vm.log/kept", "vm.log"},
		{"a folder for the index", "state/vm/vm.idx/kept", "vm.idx"},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, folder(t), oneGuest, nil)
			if err := os.MkdirAll(filepath.Dir(d.path(test.path)), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, d.path(test.path), "somebody's")
			t0 := time.Now()
			d.serve()
			d.watched(1 << 20)
			d.told("vm", test.says, t0)
			if have, err := os.ReadFile(d.path(test.path)); err != nil || string(have) != "somebody's" {
				t.Errorf("%s is now %q, %v", test.path, have, err)
			}
		})
	}
}
