package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A ledger is what was ever told of a journal: by epoch and offset, which byte.
type ledger struct {
	t    *testing.T
	told map[string]map[int64]byte
	next byte // what is printed next; not the same again soon
}

func (l *ledger) tell(j *Journal, at int64, b []byte, who string) {
	l.t.Helper()
	of := l.told[j.Epoch()]
	if of == nil {
		of = map[int64]byte{}
		l.told[j.Epoch()] = of
	}
	for i, b := range b {
		if was, ok := of[at+int64(i)]; ok && was != b {
			l.t.Fatalf("%s: offset %d of epoch %s is %q, and was told as %q", who, at+int64(i), j.Epoch(), b, was)
		}
		of[at+int64(i)] = b
	}
}

// print returns the next bytes of the console.
func (l *ledger) print(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = ' ' + l.next
		l.next = (l.next + 1) % 89
	}
	return b
}

// read tells all that a journal has.
func (l *ledger) read(j *Journal, who string) {
	l.t.Helper()
	r := j.Reader()
	defer r.Close()
	buf := make([]byte, 1000)
	for at := j.Oldest(); ; {
		n, missing, err := r.Read(at, buf)
		if err != nil {
			l.t.Fatal(err)
		}
		if n == 0 && missing == 0 {
			return
		}
		l.tell(j, at, buf[:n], who)
		at += int64(n) + missing
	}
}

// A stormy daemon writes a journal as a scribe does: what it prints is told at once,
// once it is reserved, and written later, in part.
type stormy struct {
	*ledger
	dir      string
	j        *Journal
	head     int64
	reserved int64
	behind   []byte // what was told, and is not written
}

func (d *stormy) start() {
	d.t.Helper()
	j, err := open(d.dir, "vm1", Options{MaxSize: 500, Keep: 5}, stillKeeper(realWorld()))
	if err != nil {
		d.t.Fatal(err)
	}
	d.j, d.head, d.reserved, d.behind = j, j.Start(), j.Start(), nil
	d.read(j, "at the start")
}

func (d *stormy) kill() { d.j.shut() }

func (d *stormy) print(n int) {
	d.t.Helper()
	if d.head+int64(n) > d.reserved {
		d.reserved = d.head + int64(n) + 300
		if err := d.j.Reserve(d.reserved); err != nil {
			d.t.Fatal(err)
		}
	}
	b := d.ledger.print(n)
	d.tell(d.j, d.head, b, "printed")
	d.head += int64(n)
	d.behind = append(d.behind, b...)
}

// write writes n bytes of what was printed; before it some are lost, as by a disk that is
// too slow.
func (d *stormy) write(lost, n int) {
	d.t.Helper()
	d.behind = d.behind[min(lost, len(d.behind)):]
	n = min(n, len(d.behind))
	at := d.head - int64(len(d.behind))
	if m, err := d.j.Append(at, [][]byte{d.behind[:n]}, []Mark{{at, at}}); err != nil || m != int64(n) {
		d.t.Fatal(m, err)
	}
	d.behind = d.behind[n:]
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func truncate(t *testing.T, name string, size int64) {
	t.Helper()
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

// damage is what somebody does to the files of a journal.
func damage(t *testing.T, dir string, dice *rand.Rand) (what string) {
	t.Helper()
	some := func(pattern string, odds int, do func(name string, size int)) {
		for _, name := range glob(t, dir+"/"+pattern) {
			is, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if dice.IntN(odds) == 0 {
				what += fmt.Sprintf(" %s of %d", filepath.Base(name), is.Size())
				do(name, int(is.Size()))
			}
		}
	}
	rm := func(name string, _ int) { remove(t, name) }
	cut := func(name string, size int) { truncate(t, name, int64(dice.IntN(size+1))) }
	atRecord := func(name string, size int) { // where nobody sees it
		edit(t, name, func(b []byte) []byte {
			ends := []int{0}
			for at := headerSize; at <= len(b); {
				ends = append(ends, at)
				_, _, n := parseRecord(b[at:])
				if n <= 0 {
					break
				}
				at += n
			}
			return b[:min(ends[dice.IntN(len(ends))], len(b))]
		})
	}
	garbage := func(name string, size int) {
		edit(t, name, func(b []byte) []byte {
			at := dice.IntN(size + 1)
			for i := at; i < at+30; i++ {
				switch {
				case i == len(b):
					b = append(b, byte(dice.Uint32()))
				case i != len(magic): // the version: a newer one's index is not touched
					b[i] = byte(dice.Uint32())
				}
			}
			return b
		})
	}
	switch dice.IntN(9) {
	case 0:
		some("vm1.*", 1, rm)
		return "removed" + what
	case 1:
		some("*.idx", 2, rm)
		return "removed" + what
	case 2:
		some("*.log", 2, rm)
		return "removed" + what
	case 3:
		some("*", 3, rm)
		return "removed" + what
	case 4:
		some("vm1.*", 1, cut)
		return "cut" + what
	case 5:
		some("*.idx", 2, cut)
		return "cut" + what
	case 6:
		some("*.idx", 2, atRecord)
		return "cut behind a record" + what
	case 7:
		some("*.idx", 2, garbage)
		return "garbage in" + what
	default:
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		return "removed all"
	}
}

// TestNoOffsetIsGivenTwice damages the files of a journal again and again, while it is
// written and while it is not, and kills who writes it: what was told once under an
// epoch and an offset is never another byte.
func TestNoOffsetIsGivenTwice(t *testing.T) {
	epochs, runs := 0, 0
	for seed := range 100 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(uint64(seed), 7))
			d := &stormy{ledger: &ledger{t: t, told: map[string]map[int64]byte{}}, dir: filepath.Join(t.TempDir(), "vm1")}
			d.start()
			for range 60 {
				switch dice.IntN(12) {
				case 0:
					t.Log(damage(t, d.dir, dice))
				case 1:
					t.Log(damage(t, d.dir, dice))
					d.kill()
					d.start()
					runs++
				case 2:
					d.kill()
					t.Log("killed")
					d.start()
					runs++
				case 3:
					if err := d.j.Close(d.head); err != nil {
						t.Fatal(err)
					}
					t.Log("ended")
					if dice.IntN(2) == 0 {
						t.Log(damage(t, d.dir, dice))
					}
					d.start()
					runs++
				case 4:
					if err := d.j.Flush(); err != nil {
						t.Fatal(err)
					}
				case 5:
					d.j.Rest()
				case 6:
					d.write(1+dice.IntN(20), dice.IntN(200))
				case 7:
					d.read(d.j, "read")
				default:
					d.print(1 + dice.IntN(200))
					d.write(0, dice.IntN(200))
				}
			}
			d.kill()
			d.start()
			d.kill()
			epochs += len(d.told)
		})
	}
	t.Log(runs, "runs,", epochs, "epochs")
}

// TestKilledWhileItIsMended has each call to the file system fail while a damaged journal
// is opened, and all that follow, as they do when the daemon is killed there. The next
// run gives no offset twice either.
func TestKilledWhileItIsMended(t *testing.T) {
	current := func(d *stormy, ext string) string { return filepath.Join(d.dir, "vm1"+ext) }
	for name, what := range map[string]func(d *stormy, sealed []string){
		"nothing":     func(*stormy, []string) {},
		"no current":  func(d *stormy, _ []string) { remove(t, current(d, dataExt)); remove(t, current(d, indexExt)) },
		"no index":    func(d *stormy, _ []string) { remove(t, current(d, indexExt)) },
		"a lost gap":  func(d *stormy, _ []string) { truncate(t, current(d, indexExt), headerSize) },
		"cut":         func(d *stormy, _ []string) { truncate(t, current(d, dataExt), 1) },
		"an orphan":   func(_ *stormy, sealed []string) { remove(t, sealed[1]) },
		"two orphans": func(_ *stormy, sealed []string) { remove(t, sealed[0]); remove(t, sealed[1]) },
		"all but the middle": func(d *stormy, sealed []string) {
			remove(t, current(d, indexExt))
			remove(t, sealed[0])
			remove(t, sealed[2])
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &stormy{ledger: &ledger{t: t, told: map[string]map[int64]byte{}}, dir: filepath.Join(t.TempDir(), "vm1")}
			d.start()
			for range 3 { // segments, each with gaps in it
				d.print(600)
				d.write(0, 200)
				d.write(40, 100)
				d.write(20, 1000)
			}
			d.print(300)
			d.kill()
			d.start()
			d.print(100)
			d.write(0, 100)
			d.print(50)
			d.kill()
			sealed := glob(t, d.dir+"/vm1-*"+indexExt)
			if len(sealed) < 3 {
				t.Fatal(sealed)
			}
			what(d, sealed)
			whole := d.dir
			for at := 1; ; at++ {
				told := map[string]map[int64]byte{}
				for e, of := range d.told {
					told[e] = maps.Clone(of)
				}
				again := &stormy{ledger: &ledger{t: t, told: told}, dir: filepath.Join(t.TempDir(), "vm1")}
				if err := os.CopyFS(again.dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				w := *realWorld()
				fails := &faulty{err: syscall.EIO, at: at, on: true, some: rand.New(rand.NewPCG(uint64(at), 1))}
				w.fs = fails
				if j, err := open(again.dir, "vm1", Options{MaxSize: 500, Keep: 5}, stillKeeper(&w)); err == nil {
					j.shut()
				}
				again.start()
				again.print(900)
				again.write(0, 400)
				again.read(again.j, "later")
				again.kill()
				again.start()
				again.kill()
				if fails.calls < at {
					break
				}
			}
		})
	}
}

// What an index says of a reserve or of a gap is not lost with its end, also where that
// looks as if it had never been longer.
func TestIndexIsCutBehindARecord(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, j *Journal) // what cut takes away
		same bool                           // it keeps its epoch, and goes on at 5000
	}{
		{"a reserve", func(t *testing.T, j *Journal) {
			if err := j.Reserve(5000); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a reserve and events", func(t *testing.T, j *Journal) {
			if err := errors.Join(j.Reserve(5000), j.Note(Event{Offset: 10, Kind: "test"}), j.Flush()); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a gap", func(t *testing.T, j *Journal) {
			if _, err := j.Append(30, [][]byte{[]byte("abc")}, nil); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		for _, ended := range []bool{false, true} {
			dir := t.TempDir()
			j := mustOpen(t, dir, Options{})
			appendAll(t, j, "0123456789")
			if ended {
				if err := j.Close(10); err != nil {
					t.Fatal(err)
				}
				j = mustOpen(t, dir, Options{})
			}
			idx := filepath.Join(j.dir, "vm1.idx")
			is, err := os.Stat(idx)
			if err != nil {
				t.Fatal(err)
			}
			c.run(t, j)
			j.keeper.forget(j)
			j.shut()
			truncate(t, idx, is.Size())
			again := mustOpen(t, dir, Options{})
			if same := again.Epoch() == j.Epoch(); same != c.same || same && again.Start() != 5000 {
				t.Errorf("%s, ended %v: goes on at %d of epoch %s, which was %s", c.name, ended, again.Start(), again.Epoch(), j.Epoch())
			}
			again.keeper.forget(again)
			again.shut()
		}
	}
}

// What is written behind a cut of the current segment is not taken for what was there.
func TestCutIsNoticedByTheWriter(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	appendAll(t, j, "0123456789")
	truncate(t, filepath.Join(j.dir, "vm1.log"), 3)
	appendAll(t, j, "abcdefgh")
	if got, want := readAll(t, j, 0), "..........abcdefgh"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	j.shut()
}

// A reserve is where the next run finds it, also if somebody removed the index: the
// epoch goes on.
func TestReserveNoticesThatTheIndexIsGone(t *testing.T) {
	for name, what := range map[string]func(idx string) error{
		"removed": os.Remove,
		"cut":     func(idx string) error { return os.Truncate(idx, 20) },
		"garbage": func(idx string) error { return os.WriteFile(idx, make([]byte, 500), 0o600) },
	} {
		dir := t.TempDir()
		j := mustOpen(t, dir, Options{})
		appendAll(t, j, "0123456789")
		if err := what(filepath.Join(j.dir, "vm1.idx")); err != nil {
			t.Fatal(err)
		}
		if err := j.Reserve(5000); err != nil {
			t.Fatal(err)
		}
		j.keeper.forget(j)
		j.shut()
		again := mustOpen(t, dir, Options{})
		if again.Start() != 5000 || again.Epoch() != j.Epoch() {
			t.Errorf("%s: goes on at %d of epoch %s, and not at 5000 of %s", name, again.Start(), again.Epoch(), j.Epoch())
		}
		again.shut()
	}
}

// A stuckName is a disk on which files with an ending keep their names.
type stuckName struct {
	disk
	ext *string
}

func (d stuckName) Rename(from, to string) error {
	if *d.ext != "" && strings.HasSuffix(from, "vm1"+*d.ext) {
		return &fs.PathError{Op: "rename", Path: from, Err: syscall.EIO}
	}
	return d.disk.Rename(from, to)
}

// What is reserved while a segment is sealed, wherever that is stuck, is found by the next
// run; and if somebody removes the files then, that is noticed.
func TestReserveWhileASegmentIsSealed(t *testing.T) {
	for _, ext := range []string{dataExt, indexExt, nextExt} {
		for _, removed := range []bool{false, true} {
			stuck := ""
			w := *realWorld()
			w.fs = stuckName{ext: &stuck}
			dir := filepath.Join(t.TempDir(), "vm1")
			o := Options{MaxSize: 10}
			j, err := open(dir, "vm1", o, stillKeeper(&w))
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, "0123456789")
			appendAll(t, j, "abcdefghij")
			stuck = ext
			if n, err := j.Append(20, [][]byte{[]byte("x")}, nil); n != 0 || !errors.Is(err, syscall.EIO) {
				t.Fatal(n, err)
			}
			if err := j.Reserve(1000); err != nil {
				t.Fatal(err)
			}
			j.shut()
			if removed {
				for _, name := range glob(t, dir+"/vm1.*") {
					if ext == nextExt || !strings.HasSuffix(name, nextExt) {
						remove(t, name)
					}
				}
			}
			again, err := open(dir, "vm1", o, stillKeeper(realWorld()))
			if err != nil {
				t.Fatal(err)
			}
			if same := again.Epoch() == j.Epoch(); same == removed || same && again.Start() != 1000 {
				t.Errorf("stuck at %s, removed %v: goes on at %d of epoch %s, which was %s", ext, removed, again.Start(), again.Epoch(), j.Epoch())
			}
			if _, err := os.Stat(filepath.Join(dir, "vm1"+nextExt)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stuck at %s, removed %v: the next index stays: %v", ext, removed, err)
			}
			again.shut()
		}
	}
}

// A segment of another epoch that somebody puts back is not taken for what was told there
// under the present one.
func TestSegmentOfAnotherEpoch(t *testing.T) {
	l := &ledger{t: t, told: map[string]map[int64]byte{}}
	dir, _ := damagedJournal(t)
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	o := Options{MaxSize: 1000, Keep: 10}
	j, err := open(dir, "vm1", o, stillKeeper(realWorld()))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		appendAll(t, j, string(l.print(1000)))
	}
	l.read(j, "written")
	j.shut()
	for _, name := range glob(t, dir+"/vm1-*")[:4] { // those of two segments
		remove(t, name)
	}
	for _, name := range sealedIn(t, old)[:1] {
		for _, ext := range []string{dataExt, indexExt} {
			if err := os.Rename(name+ext, filepath.Join(dir, filepath.Base(name)+ext)); err != nil {
				t.Fatal(err)
			}
		}
	}
	epochs := map[string]bool{j.Epoch(): true}
	for range 2 { // the second time they are all of one
		if j, err = open(dir, "vm1", o, stillKeeper(realWorld())); err != nil {
			t.Fatal(err)
		}
		l.read(j, "opened again")
		epochs[j.Epoch()] = true
		j.shut()
	}
	if len(epochs) != 2 {
		t.Error(epochs)
	}
}
