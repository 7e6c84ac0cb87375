package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// damagedJournal makes a journal of three sealed segments and a current one, with
// marks and events, whose bytes are the text that it returns; it ends as after a
// kill -9. The times of its segments are seconds apart.
func damagedJournal(t *testing.T) (dir, text string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "vm1")
	j, err := open(dir, "vm1", Options{MaxSize: 1000, Keep: 10}, stillKeeper(realWorld()))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Reserve(4000); err != nil {
		t.Fatal(err)
	}
	for i := range 35 {
		line := fmt.Sprintf("line %03d%s\n", i, strings.Repeat(".", 91))
		at := int64(len(text))
		if _, err := j.Append(at, [][]byte{[]byte(line)}, []Mark{{at, 1_600_000_000_000 + int64(i)*500}}); err != nil {
			t.Fatal(err)
		}
		if err := j.Note(Event{at, time.UnixMilli(0), "test", fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if err := j.Flush(); err != nil {
			t.Fatal(err)
		}
		text += line
	}
	j.shut()
	return dir, text
}

// dataIn returns all data that is in the files of a folder, whatever they are called.
func dataIn(t *testing.T, dir string) (all string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), indexExt) {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all += string(b)
		}
	}
	return all
}

// TestDecompressed has somebody decompress a segment where it is, wholly or in part:
// nothing of it is lost, and files that only look like the journal's stay.
func TestDecompressed(t *testing.T) {
	for _, part := range []int{1000, 300} {
		dir := filepath.Join(t.TempDir(), "vm1")
		k := newKeeper(realWorld(), 0, 0, nil)
		o := Options{MaxSize: 1000, Keep: 10, Compress: true}
		j, err := open(dir, "vm1", o, k)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("0123456789", 100)
		appendAll(t, j, text)
		appendAll(t, j, "x")
		settle(k, j)
		zst, err := filepath.Glob(dir + "/*" + zstdExt)
		if err != nil || len(zst) != 1 {
			t.Fatal(zst, err)
		}
		other := dir + "/vm1.notes" + tmpExt
		for name, b := range map[string]string{strings.TrimSuffix(zst[0], ".zst"): text[:part], other: "mine"} {
			if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := readAll(t, j, 0); got != text+"x" {
			t.Errorf("%d bytes: %q", part, got)
		}
		v, err := View(dir, "vm1")
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, v, 0); got != text+"x" {
			t.Errorf("%d bytes, in a view: %q", part, got)
		}
		closeAll(t, k, j)
		if j, err = open(dir, "vm1", o, stillKeeper(realWorld())); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, j, 0); got != text+"x" {
			t.Errorf("%d bytes, opened again: %q", part, got)
		}
		if _, err := os.Stat(other); err != nil {
			t.Error(err)
		}
		if aside, _ := filepath.Glob(dir + "/*" + asideExt); len(aside) != (1000-part)/700 {
			t.Errorf("%d bytes: %v", part, aside)
		}
	}
}

func headerOf(t *testing.T, name string) header {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func edit(t *testing.T, name string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// sealedIn returns the names of sealed segments, without their endings.
func sealedIn(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "vm1-*"+dataExt))
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], dataExt)
	}
	return names
}

// TestDamage damages or removes an index in many ways: the bytes are all there,
// under their offsets, and it is told.
func TestDamage(t *testing.T) {
	scribble := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := range 40 {
				b[at+i] ^= byte(i) | 0x80
			}
			return b
		}
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	for _, c := range []struct {
		name   string
		what   func(dir string, sealed []string)
		tell   string
		unsure bool // it is not known which offsets were given out
	}{
		{"nothing", func(string, []string) {}, "at most 500 bytes", false},
		{"the current one is torn", func(dir string, _ []string) { edit(t, dir+"/vm1.idx", cut(3)) }, "torn", false},
		{"and has garbage behind", func(dir string, _ []string) {
			edit(t, dir+"/vm1.idx", func(b []byte) []byte { return append(b, strings.Repeat("x", 99)...) })
		}, "damaged", false},
		{"the current one's header", func(dir string, _ []string) { edit(t, dir+"/vm1.idx", scribble(3)) }, "new epoch", true},
		{"the current one's middle", func(dir string, _ []string) { edit(t, dir+"/vm1.idx", scribble(headerSize+30)) }, "damaged", false},
		{"the current one is empty", func(dir string, _ []string) { edit(t, dir+"/vm1.idx", func([]byte) []byte { return nil }) }, "made anew", true},
		{"the current one is gone", func(dir string, _ []string) { remove(t, dir+"/vm1.idx") }, "made anew", true},
		{"the oldest one is gone", func(_ string, s []string) { remove(t, s[0]+indexExt) }, "made anew", false},
		{"the current one and its data are gone", func(dir string, _ []string) {
			remove(t, dir+"/vm1.idx")
			remove(t, dir+"/vm1.log")
		}, "new epoch", true},
		{"the oldest one and the next one's are gone", func(_ string, s []string) {
			remove(t, s[0]+indexExt)
			remove(t, s[1]+indexExt)
		}, "made anew", false},
		{"one whose data was cut is gone", func(_ string, s []string) {
			remove(t, s[1]+indexExt)
			if err := os.Truncate(s[1]+dataExt, 900); err != nil {
				t.Fatal(err)
			}
		}, "new epoch", true},
		{"a sealed one is gone", func(_ string, s []string) { remove(t, s[1]+indexExt) }, "made anew", false},
		{"a sealed one's header", func(_ string, s []string) { edit(t, s[1]+indexExt, scribble(0)) }, "made anew", false},
		{"a sealed one's middle", func(_ string, s []string) { edit(t, s[1]+indexExt, scribble(headerSize+5)) }, "", false},
		{"a sealed one's trailer", func(_ string, s []string) { edit(t, s[2]+indexExt, cut(10)) }, "", false},
		{"two are gone", func(dir string, s []string) { remove(t, s[2]+indexExt); remove(t, dir+"/vm1.idx") }, "made anew", true},
		{"sealing was cut short", func(dir string, s []string) {
			remove(t, dir+"/vm1.idx")
			remove(t, dir+"/vm1.log")
			if err := os.Rename(s[2]+indexExt, dir+"/vm1.idx"); err != nil {
				t.Fatal(err)
			}
		}, "", false},
		{"beginning was cut short", func(dir string, _ []string) {
			remove(t, dir+"/vm1.log")
			edit(t, dir+"/vm1.idx", func(b []byte) []byte { return b[:20] })
		}, "new epoch", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, text := damagedJournal(t)
			was := headerOf(t, dir+"/vm1.idx").epoch.String()
			c.what(dir, sealedIn(t, dir))
			data := dataIn(t, dir)
			kept := text[:len(data)]
			if strings.HasPrefix(c.name, "one whose data") {
				kept = text[:1000] + strings.Repeat(".", 100) + text[1000:1900] + text[2000:]
			}
			least := int64(4000)
			if c.unsure {
				least = 0
			}
			for range 2 { // what was mended is whole
				j, err := open(dir, "vm1", Options{MaxSize: 1000, Keep: 10}, stillKeeper(realWorld()))
				if err != nil {
					t.Fatal(err)
				}
				told := fmt.Sprint(j.Found())
				if !strings.Contains(told, c.tell) {
					t.Errorf("told %s, not %q", told, c.tell)
				}
				c.tell = ""
				if got := readAll(t, j, 0); got != kept {
					t.Fatalf("%d bytes, not %d: %.200q", len(got), len(kept), got)
				}
				if (j.Epoch() != was) != c.unsure || j.Start() < max(least, int64(len(kept))) {
					t.Errorf("goes on at %d of epoch %s, which was %s (%s)", j.Start(), j.Epoch(), was, told)
				}
				was, c.unsure = j.Epoch(), false
				if now := dataIn(t, dir); len(now) < len(data) {
					t.Fatalf("%d bytes of data are gone", len(data)-len(now))
				}
				appendAll(t, j, "more")
				if got := readAll(t, j, j.Start()); got != "more" {
					t.Fatalf("%q", got)
				}
				if err := j.Note(Event{j.End(), time.Now(), "test", "later"}); err != nil {
					t.Fatal(err)
				}
				end, start := j.End(), j.Start()
				if err := j.Close(end); err != nil {
					t.Fatal(err)
				}
				if got := readAll(t, j, start); got != "more" {
					t.Fatalf("%q", got)
				}
				kept += strings.Repeat(".", int(start)-len(kept)) + "more"
			}
		})
	}
}

func TestUnusableFolders(t *testing.T) {
	t.Run("a file", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "vm1")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, "vm1", Options{}, stillKeeper(realWorld()))
		if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "move the file away") {
			t.Fatal(err)
		}
	})
	t.Run("a newer version", func(t *testing.T) {
		dir, _ := damagedJournal(t)
		edit(t, dir+"/vm1.idx", func(b []byte) []byte { b[len(magic)] = version + 1; return b })
		before := dataIn(t, dir)
		for _, open := range []func() error{
			func() error { _, err := Open(dir, "vm1", Options{}, stillKeeper(realWorld())); return err },
			func() error { _, err := View(dir, "vm1"); return err },
		} {
			var v versionError
			if err := open(); !errors.As(err, &v) || !strings.Contains(err.Error(), dir+"/vm1.idx") {
				t.Fatal(err)
			}
		}
		if dataIn(t, dir) != before {
			t.Fatal("the folder was changed")
		}
	})
	t.Run("read-only", func(t *testing.T) {
		dir, _ := damagedJournal(t)
		w := *realWorld()
		w.fs = readOnly{}
		_, err := open(dir, "vm1", Options{}, stillKeeper(&w))
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "write there") {
			t.Fatal(err)
		}
	})
	t.Run("nothing to view", func(t *testing.T) {
		if _, err := View(filepath.Join(t.TempDir(), "vm1"), "vm1"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	})
}

type readOnly struct{ disk }

func (readOnly) Writable(dir string) error { return pathError("access", dir, syscall.EROFS) }

// TestPowerLoss opens a journal after another boot: the NUL bytes behind what had
// come to the disk are cut, and only then.
func TestPowerLoss(t *testing.T) {
	for _, other := range []bool{false, true} {
		dir, text := damagedJournal(t)
		edit(t, dir+"/vm1.log", func(b []byte) []byte {
			clear(b[len(b)-250:])
			return b
		})
		w := *realWorld()
		if other {
			w.boot[0]++
		}
		j, err := open(dir, "vm1", Options{MaxSize: 1000, Keep: 10}, stillKeeper(&w))
		if err != nil {
			t.Fatal(err)
		}
		want := text[:len(text)-250]
		if !other {
			want += strings.Repeat("\x00", 250)
		}
		if got := readAll(t, j, 0); got != want {
			t.Fatalf("%d bytes, not %d", len(got), len(want))
		}
		if j.Start() != 4000 {
			t.Fatal(j.Start())
		}
		appendAll(t, j, "x")
		if got := readAll(t, j, 0); got != want+strings.Repeat(".", 4000-len(want))+"x" {
			t.Fatalf("%q", got[len(want):])
		}
		if err := j.Close(4001); err != nil {
			t.Fatal(err)
		}
	}
}
