package integration

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// files are all in a folder, by name.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// An index is damaged, shortened or gone, of the current segment or of a sealed
// one, after an orderly end: the daemon says so and makes it anew from the bytes,
// of which none is lost or elsewhere; no offset is given twice.
func TestJournalDamagedIndex(t *testing.T) {
	const size, printing = 256 << 10, 900 << 10 // three sealed segments, and the current one
	garble := func(at, n int) func(string) error {
		return func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i := at; i < min(at+n, len(data)); i++ {
				data[i] ^= 0x55
			}
			return os.WriteFile(path, data, 0o600)
		}
	}
	for _, test := range []struct {
		why    string
		sealed bool
		says   string
		damage func(path string) error
	}{
		{"the current one is gone", false, "no index", os.Remove},
		{"the current one is empty", false, "damaged index", func(p string) error { return os.Truncate(p, 0) }},
		{"the current one is torn", false, "vm.idx", func(p string) error { return os.Truncate(p, 70) }},
		{"the current one's header is damaged", false, "damaged index", garble(10, 8)},
		{"the current one's records are damaged", false, "vm.idx is damaged", garble(64, 1<<20)},
		{"a sealed one is gone", true, "no index", os.Remove},
		{"a sealed one's header is damaged", true, "damaged index", garble(0, 30)},
		// A start does not read these; the bytes need them not.
		{"a sealed one's records are damaged", true, "", garble(64, 1<<20)},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
log = { max_size = @size@, keep = 100 }
`, map[string]any{"size": size})
			p := newPrinter(t, d, "vm")
			if err := p.prints(printing); err != nil {
				t.Fatal(err)
			}
			d.at("vm", printing)
			p.Close()
			d.is("vm", "opening")
			d.stops()
			sealed := d.segments("vm")
			if len(sealed) < 2 {
				t.Fatalf("%d sealed segments", len(sealed))
			}
			victim := d.current("vm")
			if test.sealed {
				victim = sealed[1]
			}
			victim = strings.TrimSuffix(victim, ".log") + ".idx"
			if err := test.damage(victim); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Dir(victim)
			before := files(t, dir)

			t0 := time.Now()
			d.serve()
			a := d.attachAt("vm", query("since", "start"))
			head := d.info("vm").Offset
			if head < printing {
				t.Errorf("offsets go on at %d; %d were given out", head, printing)
			}
			var have consoleCopy
			a.copyTo(t, &have, head)
			if n := have.size(); n != printing {
				t.Errorf("%d bytes are held, not %d; gaps %v", n, printing, a.gaps)
			}
			for _, s := range have.stretches {
				if i := firstDifference(s.data, printed(s.at, s.end())); i >= 0 {
					t.Errorf("at offset %d it is not what was printed there", s.at+int64(i))
				}
			}
			if test.says != "" {
				d.told("vm", test.says, t0)
			}
			after := files(t, dir) // maybe by another name: the current one is sealed then
			for name, data := range before {
				same := func(other []byte) bool { return bytes.Equal(other, data) }
				if !slices.ContainsFunc(slices.Collect(maps.Values(after)), same) && strings.HasSuffix(name, ".log") {
					t.Errorf("%s had %d bytes, which are not there any more", name, len(data))
				}
			}

			// And it goes on.
			p = newPrinter(t, d, "vm")
			p.printed = head
			if err := p.prints(size); err != nil {
				t.Fatal(err)
			}
			a.copyTo(t, &have, head+size)
			if last := have.stretches[len(have.stretches)-1]; !bytes.HasSuffix(last.data, printed(head, head+size)) {
				t.Error("what was printed afterwards is not what came")
			}
		})
	}
}

// A journal that a newer chardevd made: it is said, the console runs without one,
// and not a byte of it is touched.
func TestJournalOfNewerVersion(t *testing.T) {
	d := startDaemon(t, oneGuest, nil)
	p := newPrinter(t, d, "vm")
	if err := p.prints(100 << 10); err != nil {
		t.Fatal(err)
	}
	d.at("vm", 100<<10)
	p.Close()
	d.is("vm", "opening")
	d.stops()
	dir := filepath.Dir(d.current("vm"))
	index := filepath.Join(dir, "vm.idx")
	data, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	const versionAt = 7 // behind the magic
	data[versionAt]++
	write(t, index, string(data))
	before := files(t, dir)

	t0 := time.Now()
	d.serve()
	live := dialSilent(t, "unix", d.path("front"))
	d.has("vm", 1)
	p = newPrinter(t, d, "vm")
	var seen pageChecker
	p.shows(t, 1<<20, 20<<20, live, &seen)
	d.told("vm", "newer", t0)
	d.stops()
	after := files(t, dir)
	if len(after) != len(before) {
		t.Errorf("the folder had %d files and has %d", len(before), len(after))
	}
	for name, data := range before {
		if !bytes.Equal(after[name], data) {
			t.Errorf("%s is not as it was", name)
		}
	}
}
