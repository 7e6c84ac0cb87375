package journal

import (
	"bytes"
	"path/filepath"
	"testing"
)

// appendAll appends one chunk at the end.
func appendAll(t testing.TB, j *Journal, b string) {
	t.Helper()
	n, err := j.Append(j.next(), [][]byte{[]byte(b)}, nil)
	if err != nil || n != int64(len(b)) {
		t.Fatalf("Append: %d, %v", n, err)
	}
}

// readAll reads all that is held from an offset on; gaps are as many dots.
func readAll(t testing.TB, j *Journal, at int64) string {
	t.Helper()
	r := j.Reader()
	defer r.Close()
	var all []byte
	buf := make([]byte, 7)
	for {
		n, missing, err := r.Read(at, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && missing == 0 {
			return string(all)
		}
		all = append(all, buf[:n]...)
		all = append(all, bytes.Repeat([]byte("."), int(missing))...)
		at += int64(n) + missing
	}
}

func mustOpen(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	k := NewKeeper(0, 0, nil)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	j, err := Open(filepath.Join(dir, "vm1"), "vm1", o, k)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestAppendAndRead(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{MaxSize: 10, Keep: 100})
	appendAll(t, j, "hello ")
	appendAll(t, j, "world, this is long")
	if _, err := j.Append(30, [][]byte{[]byte("ab"), []byte("cd")}, nil); err != nil {
		t.Fatal(err)
	}
	want := "hello world, this is long.....abcd"
	if got := readAll(t, j, 0); got != want {
		t.Fatalf("%q", got)
	}
	if err := j.Close(40); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{MaxSize: 10, Keep: 100})
	if j.Start() != 40 || j.End() != 34 {
		t.Fatal(j.Start(), j.End(), j.Found())
	}
	appendAll(t, j, "x")
	if got := readAll(t, j, 0); got != want+"......x" {
		t.Fatalf("%q", got)
	}
	if err := j.Reserve(1000); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{MaxSize: 10, Keep: 100})
	if j.Start() != 1000 || j.End() != 41 || len(j.Found()) != 1 {
		t.Fatal(j.Start(), j.End(), j.Found())
	}
}
