package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A faulty disk fails at one call, or at that and all that follow, after having
// written some of what it should.
type faulty struct {
	disk
	err   error
	at    int  // which call fails, from 1; 0: none
	on    bool // and those behind it
	calls int
	some  *rand.Rand
}

// fails counts a call and says whether it fails.
func (d *faulty) fails() bool {
	d.calls++
	return d.at > 0 && (d.calls == d.at || d.on && d.calls > d.at)
}

// full is whether it lacks room, and nothing else: what has its room there can be written.
func (d *faulty) full() bool { return d.err == syscall.ENOSPC }

func (d *faulty) Open(name string, flag int) (file, error) {
	if flag != os.O_RDONLY && !(d.full() && flag&os.O_CREATE == 0) && d.fails() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: d.err}
	}
	f, err := d.disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f.(*diskFile), d, flag != os.O_RDONLY}, nil
}

func (d *faulty) Rename(from, to string) error {
	if d.fails() {
		return &fs.PathError{Op: "rename", Path: from, Err: d.err}
	}
	return d.disk.Rename(from, to)
}

func (d *faulty) MkdirAll(dir string) error {
	if d.fails() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: d.err}
	}
	return d.disk.MkdirAll(dir)
}

type faultyFile struct {
	*diskFile
	d      *faulty
	writes bool
}

func (f *faultyFile) Write(p []byte) (int, error) { return f.Writev([][]byte{p}) }

func (f *faultyFile) Writev(bufs [][]byte) (int, error) {
	p := bytes.Join(bufs, nil)
	if !f.d.fails() {
		return f.diskFile.Write(p)
	}
	n, err := f.diskFile.Write(p[:f.d.some.IntN(len(p)+1)])
	if err == nil {
		err = &fs.PathError{Op: "write", Path: f.name, Err: f.d.err}
	}
	return n, err
}

func (f *faultyFile) WriteAt(p []byte, off int64) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	if !(f.d.full() && off+int64(len(p)) <= is.size) && f.d.fails() {
		return &fs.PathError{Op: "write", Path: f.name, Err: f.d.err}
	}
	return f.diskFile.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if f.writes && !f.d.full() && f.d.fails() {
		return &fs.PathError{Op: "sync", Path: f.name, Err: f.d.err}
	}
	return nil // it only takes time here
}

func (f *faultyFile) Truncate(size int64) error {
	if f.d.fails() {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: f.d.err}
	}
	return f.diskFile.Truncate(size)
}

// A keeper that does nothing keeps the calls in the same order each time.
func stillKeeper(w *world) *Keeper {
	k := newKeeper(w, 0, 0, nil)
	k.Close()
	return k
}

// A script writes to a journal whose disk fails at one call, tries again what was
// refused, and says what the journal took, and below which offset all were given out.
func script(t *testing.T, dir string, d *faulty, giveUp int) (j *Journal, took map[int64]byte, given int64) {
	w := *realWorld()
	w.fs = d
	took = map[int64]byte{}
	j, err := open(dir, "vm1", Options{MaxSize: 64, Keep: 100}, stillKeeper(&w))
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	try := func(f func() error) bool {
		for failures < giveUp {
			if f() == nil {
				return true
			}
			failures++
		}
		return false
	}
	at := int64(0)
	for i := range 30 {
		if !try(func() error { return j.Reserve(at + 100) }) {
			return j, took, given
		}
		given = at + 100
		if i%7 == 3 {
			at += 5 // a gap
		}
		chunk := bytes.Repeat([]byte{byte('a' + i)}, 1+i*7%40)
		for len(chunk) > 0 {
			k := min(len(chunk), 9)
			n, err := j.Append(at, [][]byte{chunk[:k], chunk[k:]}, []Mark{{at, time.Now().UnixMilli()}})
			for _, b := range chunk[:n] {
				took[at] = b
				at++
			}
			if chunk = chunk[n:]; err != nil {
				if failures++; failures >= giveUp {
					return j, took, given
				}
			}
		}
		if i%5 == 0 {
			try(func() error { return j.Note(Event{at, time.Now(), "test", "something"}) })
		}
		if i%11 == 5 {
			j.Rest()
		}
	}
	try(func() error { return j.Flush() })
	return j, took, given
}

// holds says whether a journal has exactly the bytes that were taken.
func holds(t *testing.T, j *Journal, took map[int64]byte) {
	t.Helper()
	r := j.Reader()
	defer r.Close()
	buf := make([]byte, 50)
	got := 0
	for at := int64(0); ; {
		n, missing, err := r.Read(at, buf)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range buf[:n] {
			if want, ok := took[at+int64(i)]; !ok || want != b {
				t.Fatalf("the byte at %d is %q, not %q (%v)", at+int64(i), b, want, ok)
			}
			got++
		}
		if at += int64(n) + missing; n == 0 && missing == 0 {
			break
		}
	}
	if got != len(took) {
		t.Fatalf("%d bytes are there, %d were taken", got, len(took))
	}
}

// TestFaults has every call to the file system fail once, and for good, with a
// disk that is full, fails or is read-only. What was taken is there, before and
// after the journal is opened anew, and no offset is given twice.
func TestFaults(t *testing.T) {
	count := &faulty{}
	script(t, filepath.Join(t.TempDir(), "vm1"), count, 1)
	if count.calls < 100 {
		t.Fatalf("only %d calls", count.calls)
	}
	for _, errno := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
		for _, on := range []bool{false, true} {
			for at := 1; at <= count.calls; at++ {
				dir := filepath.Join(t.TempDir(), "vm1")
				d := &faulty{err: errno, at: at, on: on, some: rand.New(rand.NewPCG(uint64(at), 1))}
				j, took, given := script(t, dir, d, 3)
				holds(t, j, took)
				j.shut() // as kill -9
				again, err := open(dir, "vm1", Options{MaxSize: 64, Keep: 100}, stillKeeper(realWorld()))
				if err != nil {
					t.Fatalf("%v at call %d: %v", errno, at, err)
				}
				if j.Epoch() == again.Epoch() && again.Start() < given {
					t.Fatalf("%v at call %d: goes on at %d, %d were given out", errno, at, again.Start(), given)
				}
				holds(t, again, took)
				if on && j.Epoch() != again.Epoch() && len(took) > 0 {
					t.Fatal("another epoch")
				}
				again.shut()
			}
		}
	}
}

// A shortWrite is a disk that takes so many bytes and then is full, until left is
// negative.
type shortWrite struct {
	disk
	left *int
}

type shortWriteFile struct {
	file
	left *int
}

func (d shortWrite) Open(name string, flag int) (file, error) {
	f, err := d.disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return shortWriteFile{f, d.left}, nil
}

func (f shortWriteFile) Write(p []byte) (int, error) {
	if *f.left < 0 {
		return f.file.Write(p)
	}
	if *f.left >= len(p) {
		*f.left -= len(p)
		return f.file.Write(p)
	}
	n, err := f.file.Write(p[:*f.left])
	*f.left = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

// WriteAt has the room that the file has.
func (f shortWriteFile) WriteAt(p []byte, off int64) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	if more := off + int64(len(p)) - is.size; *f.left >= 0 && more > 0 {
		if int64(*f.left) < more {
			err = f.file.WriteAt(p[:len(p)-int(more)+*f.left], off)
			*f.left = 0
			return errors.Join(err, syscall.ENOSPC)
		}
		*f.left -= int(more)
	}
	return f.file.WriteAt(p, off)
}

// TestSyncWhileASegmentIsMade has the keeper look at a segment whose index does not
// tell yet, or not wholly, whose it is: nobody changed it.
func TestSyncWhileASegmentIsMade(t *testing.T) {
	for _, left := range []int{0, 20} {
		w := *realWorld()
		w.fs = shortWrite{left: &left}
		j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{}, stillKeeper(&w))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Reserve(1); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		j.keeper.syncAll(j)
		if j.changed.Load() {
			t.Error("it is taken for changed")
		}
		left = -1
		appendAll(t, j, "x")
		if _, n := j.Size(); n != 1 || readAll(t, j, 0) != "x" {
			t.Errorf("%d segments", n)
		}
		j.shut()
	}
}

// TestReserveOnAFullDisk reserves offsets where nothing can be appended any more, be it to the
// current segment or, as a new one could not be begun, to none: they are not given out again.
func TestReserveOnAFullDisk(t *testing.T) {
	for _, c := range []struct {
		name string
		left int // of room
		n    int // appended before
	}{{"in a segment", 0, 10}, {"between two", trailerSize, 64}, {"in the header of the next", trailerSize + 20, 64}} {
		t.Run(c.name, func(t *testing.T) {
			left := -1
			w := *realWorld()
			w.fs = shortWrite{left: &left}
			dir := filepath.Join(t.TempDir(), "vm1")
			j, err := open(dir, "vm1", Options{MaxSize: 64}, stillKeeper(&w))
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, strings.Repeat("a", c.n))
			if err := j.Flush(); err != nil {
				t.Fatal(err)
			}
			left = c.left
			if n, err := j.Append(int64(c.n), [][]byte{[]byte("b")}, nil); n != 0 || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%d bytes were taken of a full disk, %v", n, err)
			}
			for _, to := range []int64{5000, 7000} {
				if err := j.Reserve(to); err != nil {
					t.Fatalf("reserve: %v", err)
				}
			}
			j.shut() // as kill -9
			again, err := open(dir, "vm1", Options{MaxSize: 64}, stillKeeper(realWorld()))
			if err != nil {
				t.Fatal(err)
			}
			if again.Start() != 7000 || again.Epoch() != j.Epoch() {
				t.Errorf("goes on at %d, want 7000; epoch %v, was %v", again.Start(), again.Epoch(), j.Epoch())
			}
			if got := readAll(t, again, 0); got != strings.Repeat("a", c.n) {
				t.Errorf("%d bytes are there, %d were taken", len(got), c.n)
			}
			if n, err := again.Append(7000, [][]byte{[]byte("c")}, nil); n != 1 || err != nil {
				t.Errorf("what comes then is not taken: %v", err)
			}
			again.shut()
		})
	}
}

// An indexSync is a disk on which syncs of an index fail so many times.
type indexSync struct {
	disk
	fail *int
}

type indexSyncFile struct {
	file
	fail *int
}

func (d indexSync) Open(name string, flag int) (file, error) {
	f, err := d.disk.Open(name, flag)
	if err != nil || filepath.Ext(name) != indexExt {
		return f, err
	}
	return indexSyncFile{f, d.fail}, nil
}

func (f indexSyncFile) Sync() error {
	if *f.fail--; *f.fail >= 0 {
		return syscall.EIO
	}
	return f.file.Sync()
}

// A gap is on the disk before the bytes behind it, also when that fails at first.
func TestGapIsSynced(t *testing.T) {
	fail := 2
	w := *realWorld()
	w.fs = indexSync{fail: &fail}
	j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{}, stillKeeper(&w))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "x")
	for range 2 {
		if n, err := j.Append(9, [][]byte{[]byte("y")}, nil); n != 0 || !errors.Is(err, syscall.EIO) {
			t.Error(n, err)
		}
	}
	appendAll(t, j, "y")
	if got := readAll(t, j, 0); got != "x........y" || fail != -1 {
		t.Errorf("%q, %d", got, fail)
	}
	j.shut()
}

// An oldName is a disk on which an index keeps its name while it is stuck.
type oldName struct {
	disk
	stuck *bool
}

func (d oldName) Rename(from, to string) error {
	if *d.stuck && filepath.Ext(from) == indexExt {
		return &fs.PathError{Op: "rename", Path: from, Err: syscall.EIO}
	}
	return d.disk.Rename(from, to)
}

// TestSealingIsEnded has a sealing fail between its two renames. What is done in the
// meantime leaves the bytes under their offsets, also if the daemon is killed then
// and the segment before was removed.
func TestSealingIsEnded(t *testing.T) {
	for _, killed := range []bool{false, true} {
		stuck := false
		w := *realWorld()
		w.fs = oldName{stuck: &stuck}
		dir := filepath.Join(t.TempDir(), "vm1")
		j, err := open(dir, "vm1", Options{MaxSize: 10, Keep: 1}, stillKeeper(&w))
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, "0123456789")
		appendAll(t, j, "abcdefghij")
		j.keeper.remove(j, j.cut(w.now()))
		stuck = true
		for _, try := range []func() error{
			func() error { _, err := j.Append(20, [][]byte{[]byte("x")}, nil); return err },
			func() error { return j.Note(Event{20, w.now(), "test", "something"}) },
		} {
			if err := try(); !errors.Is(err, syscall.EIO) {
				t.Error(err)
			}
		}
		if err := j.Reserve(1000); err != nil { // its index can be written
			t.Error(err)
		}
		j.Rest()
		stuck = false
		want := "..........abcdefghij"
		if killed {
			j.shut()
			if j, err = open(dir, "vm1", Options{MaxSize: 10}, stillKeeper(&w)); err != nil {
				t.Fatal(err)
			}
			if j.Start() != 1000 {
				t.Errorf("goes on at %d, offsets up to 1000 were given out", j.Start())
			}
		} else {
			appendAll(t, j, "x")
			want += "x"
			told := ""
			if err := j.Events(0, j.End(), func(e Event) bool { told += e.Kind + " "; return true }); err != nil || told != KindRotation+" "+KindRotation+" " {
				t.Errorf("told %q, %v", told, err)
			}
		}
		if got := readAll(t, j, 0); got != want {
			t.Errorf("killed %v: %q, not %q", killed, got, want)
		}
		j.shut()
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	d := &faulty{err: syscall.ENOSPC, at: 1, on: true}
	w := *realWorld()
	w.fs = d
	j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{}, stillKeeper(&w))
	if err != nil {
		t.Fatal(err)
	}
	_, err = j.Append(0, [][]byte{[]byte("x")}, nil)
	if !errors.Is(err, syscall.ENOSPC) || !bytes.Contains([]byte(err.Error()), []byte("make room")) {
		t.Fatal(err)
	}
}
