package journal

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestNoFile puts what is no file in the place of the current segment's data. The
// keeper must not wait for a FIFO's other end, or stumble over any of it again and
// again; the bytes that were taken away are a gap, what comes then is kept, and the
// next run has the folder.
func TestNoFile(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(log string) error
	}{
		{"a FIFO", func(log string) error { return syscall.Mkfifo(log, 0o600) }},
		{"a folder", func(log string) error { return os.Mkdir(log, 0o700) }},
		{"a link to a device", func(log string) error { return os.Symlink("/dev/null", log) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "vm1")
			log := filepath.Join(dir, "vm1.log")
			options := Options{MaxSize: 10, Keep: 100, Compress: true}
			k := newKeeper(realWorld(), 0, time.Millisecond, nil)
			j, err := open(dir, "vm1", options, k)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, "01234")
			if err := os.Remove(log); err != nil {
				t.Fatal(err)
			}
			if err := c.put(log); err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, "56789")                         // to the file that has no name any more, or the next if that was seen
			for _, s := range []string{"abcdefghij", "kl"} { // and two segments after it
				if _, err := j.Append(j.next(), [][]byte{[]byte(s)}, nil); err != nil {
					t.Fatal(err)
				}
			}
			settle(k, j)
			if got := readAll(t, j, 0); got != "..........abcdefghijkl" && got != ".....56789abcdefghijkl" {
				t.Errorf("%q", got)
			}
			closeAll(t, k, j)

			k = newKeeper(realWorld(), 0, 0, nil)
			if j, err = open(dir, "vm1", options, k); err != nil {
				t.Fatal(err)
			}
			appendAll(t, j, "mnop")
			if got := readAll(t, j, j.End()-4); got != "mnop" {
				t.Errorf("again: %q", got)
			}
			closeAll(t, k, j)
		})
	}
}
