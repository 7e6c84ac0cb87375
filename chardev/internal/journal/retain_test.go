package journal

import (
	"bytes"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A stubborn disk does not remove some files.
type stubborn struct {
	disk
	keeps *string // the ending of their names; "": none
}

func (d stubborn) Remove(name string) error {
	if *d.keeps != "" && strings.HasSuffix(name, *d.keeps) {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.EPERM}
	}
	return d.disk.Remove(name)
}

// A segment that can not be removed stays in the journal: what is on the disk is
// counted and can be read, others go in its place, it is told once, and it goes when
// it can.
func TestWhatIsNotRemovedStays(t *testing.T) {
	for _, ext := range []string{dataExt, indexExt} {
		t.Run(ext, func(t *testing.T) {
			var keeps string
			var log bytes.Buffer
			w := *realWorld()
			w.fs = stubborn{keeps: &keeps}
			k := newKeeper(&w, 0, 0, slog.New(slog.NewTextHandler(&log, nil)))
			k.Close()
			dir := filepath.Join(t.TempDir(), "vm1")
			j, err := open(dir, "vm1", Options{MaxSize: 10, Keep: 3}, k)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, "0123456789")
			appendAll(t, j, "abcdefghij")
			oldest := j.segments[0]
			keeps = filepath.Base(j.path(oldest.stamp, ext))
			for _, s := range []string{"ABCDEFGHIJ", "KLMNOPQRST", "UVWXYZ...."} {
				appendAll(t, j, s)
				k.trim(j)
			}
			if n := segments(j); n != 3 || j.segments[0] != oldest {
				t.Errorf("%d segments, the oldest begins at %d", n, j.segments[0].base)
			}
			if size, _ := j.Size(); ext == dataExt && size != sizeOf(t, dir) {
				t.Errorf("%d bytes, on disk are %d", size, sizeOf(t, dir))
			}
			const gone, rest = "....................", "KLMNOPQRSTUVWXYZ...." // others went in its place
			want := "0123456789" + gone + rest
			if ext == indexExt {
				want = ".........." + gone + rest
			}
			if got := readAll(t, j, 0); got != want {
				t.Errorf("%q, not %q", got, want)
			}
			if n := strings.Count(log.String(), "stays"); n != 1 {
				t.Errorf("told %d times: %s", n, log.String())
			}
			told := 0
			if err := j.Events(0, j.End(), func(e Event) bool { told += strings.Count(e.Text, "stays"); return true }); err != nil || told != 1 {
				t.Errorf("%d events tell it, %v", told, err)
			}

			keeps = ""
			appendAll(t, j, "!")
			k.trim(j)
			if size, n := j.Size(); n != 3 || j.segments[0] == oldest || size != sizeOf(t, dir) {
				t.Errorf("%d segments of %d bytes, the oldest begins at %d; on disk are %d bytes", n, size, j.segments[0].base, sizeOf(t, dir))
			}
			j.shut()
		})
	}
}
