package transcript

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"chardevd/chardev/internal/journal"
)

// journalled writes so many bytes of lines like a kernel's into a journal that is
// compressed, and returns the journal to be read.
func journalled(b testing.TB, size int64) (dir string, j *journal.Journal) {
	b.Helper()
	dir = filepath.Join(b.TempDir(), "vm")
	keeper := journal.NewKeeper(0, 0, slog.New(slog.DiscardHandler))
	j, err := journal.Open(dir, "vm", journal.Options{MaxSize: 32 << 20, Keep: 1000, Compress: true}, keeper)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"usb", "eth0", "link", "up", "down", "device", "new", "error", "pci", "bus", "irq", "memory", "driver", "loaded", "timeout", "reset"}
	var buf []byte
	for at := int64(0); at < size; {
		buf = buf[:0]
		for len(buf) < 1<<20 {
			buf = fmt.Appendf(buf, "[%12.6f] ", float64(at+int64(len(buf)))/1e4)
			for range 4 + r.IntN(8) {
				buf = append(append(buf, words[r.IntN(len(words))]...), ' ')
			}
			buf = fmt.Appendf(buf, "0x%08x\r\n", r.Uint32())
		}
		if n, err := j.Append(at, [][]byte{buf}, []journal.Mark{{At: at, Time: 1e12 + at}}); err != nil || n != int64(len(buf)) {
			b.Fatal(n, err)
		}
		at += int64(len(buf))
	}
	if _, err := j.Append(j.End(), [][]byte{[]byte("Kernel panic - not syncing\r\n")}, nil); err != nil {
		b.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond) // nothing tells when all is compressed
	defer tick.Stop()
	for {
		if plain, _ := filepath.Glob(filepath.Join(dir, "vm-*.log")); len(plain) == 0 {
			break
		}
		<-tick.C
	}
	b.Cleanup(func() {
		if err := j.Close(j.End()); err != nil {
			b.Error(err)
		}
		keeper.Close()
	})
	return dir, j
}

// A journalSource is a journal as a Source.
type journalSource struct {
	*journal.Reader
	j *journal.Journal
}

func (s journalSource) Oldest() int64          { return s.j.Oldest() }
func (s journalSource) Head() int64            { return s.j.End() }
func (s journalSource) Holes() journal.Holes   { return s.j.Holes() }
func (s journalSource) Find(t time.Time) int64 { return s.j.Find(t) }
func (s journalSource) Events(a, b int64, f func(journal.Event) bool) error {
	return s.j.Events(a, b, f)
}

// BenchmarkGrep searches a compressed journal for a literal that stands at its end,
// in any case, and one of two, beside zstdcat | grep. CHARDEVD_GREP_MIB is its size, 64 if
// nobody says.
func BenchmarkGrep(b *testing.B) {
	mib, err := strconv.ParseInt(os.Getenv("CHARDEVD_GREP_MIB"), 10, 64)
	if err != nil {
		mib = 64
	}
	dir, j := journalled(b, mib<<20)
	size := j.End()
	for name, pattern := range map[string]string{"literal": "Kernel panic", "required": "Kernel pa[n]+ic -", "any case": "(?i)kernel panic - n.t", "two": "BUG:|Kernel panic"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				src := journalSource{j.Reader(), j}
				var found bytes.Buffer
				q := Query{Grep: regexp.MustCompile(pattern)}
				if _, err := q.Write(b.Context(), src, 0, size, &found); err != nil || found.String() != "Kernel panic - not syncing\n" {
					b.Fatal(found.String(), err)
				}
				src.Close()
			}
		})
	}
	b.Run("raw", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			src := journalSource{j.Reader(), j}
			q := Query{Format: Raw}
			if r, err := q.Write(b.Context(), src, 0, size, io.Discard); err != nil || r.Next != size {
				b.Fatal(r, err)
			}
			src.Close()
		}
	})
	b.Run("zstdcat", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			out, err := exec.Command("/bin/sh", "-c", "(zstdcat "+dir+"/*.zst; cat "+dir+"/vm.log) | grep -a 'Kernel panic'").CombinedOutput()
			if err != nil || !bytes.HasPrefix(out, []byte("Kernel panic")) {
				b.Fatal(string(out), err)
			}
		}
	})
}
