package journal

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fill appends n segments of 1000 bytes, and begins another one.
func fill(t *testing.T, j *Journal, n int, ms int64) {
	t.Helper()
	for range n + 1 {
		at := j.next()
		if _, err := j.Append(at, [][]byte{make([]byte, 1000)}, []Mark{{at, ms}}); err != nil {
			t.Fatal(err)
		}
	}
}

func segments(j *Journal) int {
	_, n := j.Size()
	return n
}

// sizeOf is what is on disk in a folder, by its own account.
func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		i, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += i.Size()
	}
	return size
}

func closeAll(t *testing.T, k *Keeper, js ...*Journal) {
	t.Helper()
	for _, j := range js {
		if err := j.Close(j.next()); err != nil {
			t.Error(err)
		}
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want int
	}{
		{"count", Options{Keep: 3}, 3},
		{"one", Options{Keep: 1}, 1},
		{"size", Options{Keep: 100, MaxTotal: 5000}, 4}, // each has an index, too
		{"compressed", Options{Keep: 3, Compress: true}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeper(realWorld(), 0, time.Hour, nil)
			c.o.MaxSize = 1000
			dir := filepath.Join(t.TempDir(), "vm1")
			j, err := open(dir, "vm1", c.o, k)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, j, 10, 1_600_000_000_000)
			settle(k, j)
			if err := j.Flush(); err != nil {
				t.Fatal(err)
			}
			if n := segments(j); n != c.want {
				t.Errorf("%d segments, not %d", n, c.want)
			}
			if size, _ := j.Size(); size != sizeOf(t, dir) {
				t.Errorf("%d bytes, on disk are %d", size, sizeOf(t, dir))
			}
			if k.total.Load() != j.bytes.Load() {
				t.Errorf("in all %d bytes, of %d", k.total.Load(), j.bytes.Load())
			}
			if got := j.Oldest(); got != 11_000-int64(c.want)*1000 {
				t.Errorf("the oldest byte is at %d", got)
			}
			closeAll(t, k, j)
		})
	}
}

func TestRetentionByAge(t *testing.T) {
	w := *realWorld()
	var now atomic.Int64
	now.Store(1_600_000_000_000)
	w.now = func() time.Time { return time.UnixMilli(now.Load()) }
	k := newKeeper(&w, 0, 0, nil)
	j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{MaxSize: 1000, Keep: 100, MaxAge: time.Hour}, k)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 3, now.Load())
	now.Add(time.Hour.Milliseconds() - 1)
	fill(t, j, 3, now.Load())
	settle(k, j)
	if n := segments(j); n != 8 {
		t.Fatal(n)
	}
	now.Add(1) // four are an hour old, to the millisecond
	trimAgain(k, j)
	if n := segments(j); n != 4 {
		t.Fatal(n)
	}
	closeAll(t, k, j)
}

// trimAgain has the keeper trim a journal, and waits for that.
func trimAgain(k *Keeper, j *Journal) {
	k.mu.Lock()
	k.trims.add(j)
	k.poke()
	k.mu.Unlock()
	settle(k, j)
}

// The keeper comes by itself when a segment is too old.
func TestRetentionByAgeIsTimed(t *testing.T) {
	k := newKeeper(realWorld(), 0, 0, nil)
	j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{MaxSize: 1000, Keep: 100, MaxAge: 300 * time.Millisecond}, k)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 3, time.Now().UnixMilli())
	k.mu.Lock()
	for segments(j) > 1 {
		k.released.Wait()
	}
	k.mu.Unlock()
	closeAll(t, k, j)
}

func TestRetentionOfAll(t *testing.T) {
	k := newKeeper(realWorld(), 10_000, 0, nil)
	dir := t.TempDir()
	var js []*Journal
	for _, name := range []string{"a", "b"} {
		j, err := open(filepath.Join(dir, name), name, Options{MaxSize: 1000, Keep: 100}, k)
		if err != nil {
			t.Fatal(err)
		}
		js = append(js, j)
	}
	fill(t, js[0], 3, 1_600_000_000_000)
	fill(t, js[1], 6, 1_600_000_001_000)
	trimAgain(k, js[0]) // the last segment may have grown since
	trimAgain(k, js[1])
	if k.total.Load() > 10_000 {
		t.Errorf("%d bytes in all", k.total.Load())
	}
	if a, b := segments(js[0]), segments(js[1]); a >= 4 || b != 7 {
		t.Errorf("%d and %d segments: the oldest were to go first", a, b)
	}
	closeAll(t, k, js...)
}

// TestGone removes, moves and cuts the current segment below the writer.
func TestGone(t *testing.T) {
	for _, c := range []struct {
		name, tell string
		what       func(log string) error
	}{
		{"removed", "is gone", os.Remove},
		{"renamed", "is gone", func(log string) error { return os.Rename(log, log+".1") }},
		{"cut", "is gone", func(log string) error { return os.Truncate(log, 0) }},
		{"cut in part", "was changed", func(log string) error { return os.Truncate(log, 3) }},
		{"with its folder", "is gone", func(log string) error { return os.RemoveAll(filepath.Dir(log)) }},
	} {
		for _, rest := range []bool{false, true} {
			k := newKeeper(realWorld(), 0, time.Millisecond, nil)
			dir := filepath.Join(t.TempDir(), "vm1")
			j, err := open(dir, "vm1", Options{}, k)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, "0123456789")
			if err := j.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := c.what(dir + "/vm1.log"); err != nil {
				t.Fatal(err)
			}
			if rest {
				j.Rest()
			} else {
				k.mu.Lock()
				k.syncs.add(j)
				k.poke()
				k.mu.Unlock()
				settle(k, j)
			}
			appendAll(t, j, "abc")
			if got := readAll(t, j, 0); got != "..........abc" {
				t.Errorf("%s: %q", c.name, got)
			}
			told := ""
			if err := j.Events(0, j.End(), func(e Event) bool { told += e.Text; return true }); err != nil {
				t.Error(err)
			}
			if !strings.Contains(told, c.tell) || !strings.Contains(told, "10 bytes") {
				t.Errorf("%s: told %q", c.name, told)
			}
			if found := j.Found(); len(found) != 1 || found[0].Text != told || j.Found() != nil {
				t.Errorf("%s: found %v, told %q", c.name, found, told)
			}
			if c.name == "cut in part" && !strings.Contains(dataIn(t, dir), "012") {
				t.Error("what was left is gone")
			}
			closeAll(t, k, j)
			if j, err = open(dir, "vm1", Options{}, stillKeeper(realWorld())); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, j, 0); strings.TrimLeft(got, ".") != "abc" || j.Start() != 13 {
				t.Errorf("%s, again: %q", c.name, got)
			}
		}
	}
}

// A syncCount is a disk that notes what was synced.
type syncCount struct {
	disk
	mu     *sync.Mutex
	synced map[string]bool // by name
}

type syncCountFile struct {
	file
	d    syncCount
	name string
}

func (d syncCount) Open(name string, flag int) (file, error) {
	f, err := d.disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return syncCountFile{f, d, name}, nil
}

func (f syncCountFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.synced[f.name] = true
	return f.file.Sync()
}

// Close brings segments to the disk that were sealed since the keeper was there last.
func TestCloseSyncsAll(t *testing.T) {
	w := *realWorld()
	d := syncCount{mu: new(sync.Mutex), synced: map[string]bool{}}
	w.fs = d
	k := newKeeper(&w, 0, time.Hour, nil)
	dir := filepath.Join(t.TempDir(), "vm1")
	j, err := open(dir, "vm1", Options{MaxSize: 1000, Keep: 10}, k)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 3, 1_600_000_000_000)
	closeAll(t, k, j)
	names, err := filepath.Glob(dir + "/*")
	if err != nil || len(names) != 8 {
		t.Fatal(names, err)
	}
	for _, name := range append(names, dir) {
		if !d.synced[name] {
			t.Errorf("%s is not synced", name)
		}
	}
}

// A reserve is synced also if its segment has another name when the keeper comes.
func TestReserveIsSyncedWhileSealing(t *testing.T) {
	w := *realWorld()
	d := syncCount{mu: new(sync.Mutex), synced: map[string]bool{}}
	w.fs = d
	k := stillKeeper(&w)
	dir := filepath.Join(t.TempDir(), "vm1")
	j, err := open(dir, "vm1", Options{}, k)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "x")
	if err := errors.Join(j.Reserve(100), j.seal()); err != nil {
		t.Fatal(err)
	}
	k.syncReserve(j)
	if names, err := filepath.Glob(dir + "/vm1-*" + indexExt); err != nil || len(names) != 1 || !d.synced[names[0]] {
		t.Error("the index is not synced", names, err)
	}
	j.shut()
}

// What a job of the keeper finds to do for a journal that is forgotten meanwhile is
// not done.
func TestForget(t *testing.T) {
	k := stillKeeper(realWorld())
	j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{Compress: true}, k)
	if err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	j.held++
	k.mu.Unlock()
	var closed sync.WaitGroup
	closed.Go(func() { k.forget(j) })
	for k.keeps(j) {
		runtime.Gosched()
	}
	k.do(j, (*Keeper).trim)
	closed.Wait()
	if len(k.packs) > 0 {
		t.Error("it is to be compressed")
	}
}

// failingSync is a disk whose syncs fail.
type failingSync struct{ disk }

type failingSyncFile struct{ file }

func (d failingSync) Open(name string, flag int) (file, error) {
	f, err := d.disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return failingSyncFile{f}, nil
}

func (failingSyncFile) Sync() error { return pathError("sync", "x", syscall.EIO) }

func TestSyncFailureIsTold(t *testing.T) {
	w := *realWorld()
	w.fs = failingSync{}
	k := newKeeper(&w, 0, time.Millisecond, nil)
	j, err := open(filepath.Join(t.TempDir(), "vm1"), "vm1", Options{}, k)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, "x")
	k.mu.Lock()
	k.syncs.add(j)
	k.poke()
	k.mu.Unlock()
	settle(k, j)
	if err := j.Flush(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := j.Flush(); err != nil {
		t.Fatal("told twice", err)
	}
	if err := j.Close(1); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadersBesideTheWriter reads at the head, from the oldest byte and in a view
// while segments are sealed, compressed and removed as fast as they can be.
func TestReadersBesideTheWriter(t *testing.T) {
	const size = 8 << 20
	k := newKeeper(realWorld(), 0, time.Millisecond, nil)
	dir := filepath.Join(t.TempDir(), "vm1")
	j, err := open(dir, "vm1", Options{MaxSize: 64 << 10, Keep: 8, Compress: true}, k)
	if err != nil {
		t.Fatal(err)
	}
	is := func(at int64) byte { return byte(at>>8) ^ byte(at)*31 }
	if _, err := j.Append(0, [][]byte{{is(0)}}, []Mark{{0, 0}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	v, err := View(dir, "vm1") // which may know newer bytes than marks
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	follow := func(j *Journal, from func() int64) {
		defer wg.Done()
		r := j.Reader()
		defer r.Close()
		buf := make([]byte, 10_000)
		for at := from(); ; {
			last := done.Load()
			n, missing, err := r.Read(at, buf)
			if err != nil {
				t.Error(err)
				return
			}
			for i, b := range buf[:n] {
				if b != is(at+int64(i)) {
					t.Errorf("a wrong byte at %d", at+int64(i))
					return
				}
			}
			if when, until := r.Time(at); n > 0 && (until <= at || !when.IsZero() && when.UnixMilli() != at/4096 && j != v) {
				t.Errorf("the byte at %d is said to be of %d", at, when.UnixMilli())
				return
			}
			if err := j.Events(at, at+1000, func(Event) bool { return true }); err != nil {
				t.Error(err)
				return
			}
			if at += int64(n) + missing; n == 0 && missing == 0 {
				if last {
					return
				}
				at = from()
			}
		}
	}
	wg.Add(3)
	go follow(j, func() int64 { return j.Oldest() })
	go follow(j, func() int64 { return max(j.End()-5000, 0) })
	go follow(v, func() int64 { return v.Oldest() })
	chunk := make([]byte, 4096)
	for at := int64(1); at < size; {
		n := min(int64(len(chunk)), (at/4096+1)*4096-at)
		for i := range n {
			chunk[i] = is(at + i)
		}
		if _, err := j.Append(at, [][]byte{chunk[:n/3], chunk[n/3 : n]}, []Mark{{at, at / 4096}}); err != nil {
			t.Fatal(err)
		}
		if at += n; at%(1<<20) == 0 {
			if err := j.Note(Event{at, time.Now(), "test", "a megabyte"}); err != nil {
				t.Fatal(err)
			}
		}
		if at%(3<<18) == 0 {
			j.Rest()
		}
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	done.Store(true)
	wg.Wait()
	closeAll(t, k, j)
}
