package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// onDisk is how many bytes the data of a journal takes, and in how many segments.
func (d *daemon) onDisk(name string) (bytes int64, segments int) {
	d.t.Helper()
	for _, file := range append(d.segments(name), d.current(name)) {
		if info, err := os.Stat(file); err == nil { // it may just be sealed or removed
			bytes += info.Size()
			segments++
		}
	}
	return bytes, segments
}

// What is kept is as much as the config says: so many segments, so many bytes of a
// console, so many of all. What is gone is told as a gap to who asks for it.
func TestJournalKeeps(t *testing.T) {
	const printing = 6 << 20
	for _, test := range []struct {
		why, config string
		segments    int   // of a console, at most
		one, all    int64 // bytes on disk, at most
		second      int64 // bytes of the second console that are there, at least
	}{
		{"a number", "[defaults]\nlog = { max_size = '256KiB', keep = 3 }", 3, printing, 2 * printing, 256 << 10},
		{"bytes of each", "[defaults]\nlog = { max_size = '256KiB', keep = 1000, max_total = '1MiB' }", 1000, 1 << 20, 2 << 20, 600 << 10},
		// The total is looked at when a segment is sealed: the one that is begun then comes on top.
		{"bytes of all", "[journal]\nmax_total = '8MiB'\n[defaults]\nlog = { max_size = '1MiB', keep = 1000 }", 1000, printing + 64<<10, 8<<20 + 1<<20, printing},
	} {
		t.Run(test.why, func(t *testing.T) {
			names := []string{"one", "two"}
			d := startDaemon(t, test.config+`
[[chardev]]
name = "one"
device = { listen = "unix:one.guest" }
history = "16KiB"
[[chardev]]
name = "two"
device = { listen = "unix:two.guest" }
history = "16KiB"
`, nil)
			for _, name := range names {
				if err := newPrinter(t, d, name).paced(printing, 20<<20); err != nil {
					t.Fatal(err)
				}
				d.at(name, printing)
			}
			eventually(t, patience, func() error {
				var all int64
				for _, name := range names {
					n, segments := d.onDisk(name)
					if all += n; segments > test.segments || n > test.one || all > test.all || d.info(name).Journal.Behind > 0 {
						return fmt.Errorf("%s has %d bytes in %d segments, all %d bytes", name, n, segments, all)
					}
				}
				return nil
			})
			for i, name := range names {
				var have consoleCopy
				a := d.attachAt(name, query("since", "0", "epoch", d.info(name).Epoch))
				a.copyTo(t, &have, printing)
				for _, s := range have.stretches {
					if i := firstDifference(s.data, printed(s.at, s.end())); i >= 0 || s.end() != printing {
						t.Errorf("%s: what is held from %d to %d is not what was printed (byte %d)", name, s.at, s.end(), i)
					}
				}
				first := have.stretches[0].at
				if first > 0 && a.hello.Offset != first && (len(a.gaps) != 1 || a.gaps[0] != gap{0, first}) {
					t.Errorf("%s: asked from 0, it begins at %d with gaps %v; the first byte is %d", name, a.hello.Offset, a.gaps, first)
				}
				if n := have.size(); i == 1 && n < test.second || n == printing != (i == 1 && test.second == printing) {
					t.Errorf("%s: %d bytes are held", name, n)
				}
			}
		})
	}
}

// A segment is sealed by its age as well, at the next byte at the latest, and its
// name is the time of its first one.
func TestJournalSealsByAge(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
log = { max_span = "1s" }
`, nil)
	p := newPrinter(t, d, "vm")
	before := time.Now()
	if err := p.prints(100); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for time.Since(before) < patience && len(d.segments("vm")) == 0 {
		<-tick.C
		if err := p.prints(100); err != nil {
			t.Fatal(err)
		}
	}
	sealed := d.segments("vm")
	if len(sealed) == 0 {
		t.Fatalf("no segment is sealed after %v", time.Since(before))
	}
	if age := time.Since(before); age < time.Second {
		t.Errorf("a segment is sealed after %v", age)
	}
	var name string
	if _, err := fmt.Sscanf(filepath.Base(sealed[0]), "vm-%s", &name); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("20060102-150405.log", name)
	if err != nil || at.Before(before.UTC().Truncate(time.Second)) || at.After(before.Add(time.Second)) {
		t.Errorf("%s was sealed; its first byte came at %v (%v)", sealed[0], before.UTC(), err)
	}
}
