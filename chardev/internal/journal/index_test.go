package journal

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// memory is a file that is only read.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(m).ReadAt(p, at) }
func (m memory) Stat() (info, error)                    { return info{size: int64(len(m))}, nil }
func (memory) Write([]byte) (int, error)                { return 0, io.ErrClosedPipe }
func (memory) WriteAt([]byte, int64) error              { return io.ErrClosedPipe }
func (memory) Writev([][]byte) (int, error)             { return 0, io.ErrClosedPipe }
func (memory) Sync() error                              { return nil }
func (memory) Truncate(int64) error                     { return io.ErrClosedPipe }
func (memory) Close() error                             { return nil }

// records returns what an index holds, and where its records end.
func records(t testing.TB, b []byte) (bodies []string, c *cursor) {
	c = &cursor{f: memory(b), pos: headerSize}
	for {
		ok, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return bodies, c
		}
		bodies = append(bodies, string(c.kind)+string(c.body))
	}
}

// someIndex is a header and a record of each kind.
func someIndex() []byte {
	b := header{epoch: epoch{1, 2}, base: 100, made: 5, counted: 2, reserve: 1000}.bytes()
	b = appendOpened(b, 7, [16]byte{1})
	at := len(b)
	b = begin(b, recMarks)
	b = appendMark(b, Mark{}, Mark{100, 50})
	b = appendMark(b, Mark{100, 50}, Mark{170, 49})
	b = finish(b, at)
	b = appendGap(b, gap{200, 300, 100, false})
	b = appendEvent(b, Event{310, time.UnixMilli(9), "kind", "text"})
	at = len(b)
	b = finish(binary.AppendUvarint(begin(b, recReserve), 5000), at)
	return appendTrailer(b, recClosed, trailer{end: 400, head: 400, reserve: 5000, size: 200, gaps: 1})
}

// TestIndexIsReadWhateverIsDamaged changes each byte of an index: at most one
// record is lost, and none is made up.
func TestIndexIsReadWhateverIsDamaged(t *testing.T) {
	whole := someIndex()
	want, _ := records(t, whole)
	if len(want) != 6 {
		t.Fatal(want)
	}
	for i := headerSize; i < len(whole); i++ {
		b := bytes.Clone(whole)
		b[i] ^= 0x55
		got, _ := records(t, b)
		if len(got) != len(want)-1 {
			t.Fatalf("byte %d: %d records, not %d", i, len(got), len(want)-1)
		}
		for k, next := 0, 0; k < len(got); k++ {
			for next < len(want) && want[next] != got[k] {
				next++
			}
			if next++; next > len(want) {
				t.Fatalf("byte %d: made up %q", i, got[k])
			}
		}
	}
	for n := headerSize; n < len(whole); n++ {
		got, c := records(t, whole[:n])
		if len(got) >= len(want) || c.hurt > 0 {
			t.Fatalf("of %d bytes: %d records, %d damages", n, len(got), c.hurt)
		}
	}
}

func TestHeader(t *testing.T) {
	b := someIndex()
	h, err := parseHeader(b)
	if want := (header{epoch: epoch{1, 2}, base: 100, made: 5, counted: 2, reserve: 1000}); err != nil || h != want {
		t.Fatal(h, err)
	}
	for i := range headerSize {
		c := bytes.Clone(b)
		c[i]++
		if _, err := parseHeader(c); err == nil {
			t.Errorf("byte %d is not looked at", i)
		}
	}
}

func TestNames(t *testing.T) {
	for file, ok := range map[string]bool{
		"vm1.log": true, "vm1.idx": true, "vm1-20261123-160102.log": true, "vm1-20261123-160102_002.log.zst": true,
		"vm10.log": false, "vm1-20261123-160102_2.log": false, "vm1-20261323-160102.log": false, "vm1-20261123-160102_001.log": false,
		"vm1-20261123-160102_.log": false, "vm1-x.log": false, "vm2.log": false, "vm1x.log": false,
	} {
		s, ext, got := parseName("vm1", file)
		if got != ok || ok && s.stem("vm1")+ext != file {
			t.Errorf("%s: %v %q %v", file, s, ext, got)
		}
	}
	s, last := stamp{100, 1}, stamp{}
	for range 3000 {
		next := stamp{sec: 100}.after(s)
		if s = next; !last.before(s) || last != (stamp{}) && !(last.stem("a")+".log" < s.stem("a")+".log") {
			t.Fatalf("%s does not come after %s", s.stem("a"), last.stem("a"))
		}
		last = s
	}
}

// FuzzIndex reads any bytes as an index.
func FuzzIndex(f *testing.F) {
	f.Add(someIndex(), int64(200))
	f.Add(someIndex()[:120], int64(0))
	f.Add([]byte{}, int64(5))
	f.Fuzz(func(t *testing.T, b []byte, data int64) {
		if data < 0 || data > 1<<40 {
			return
		}
		s, err := surveyIndex(memory(b), data)
		if err != nil {
			return
		}
		if s.whole < headerSize || s.whole > int64(len(b)) || s.end < 0 || s.top < 0 {
			t.Fatalf("%+v of %d bytes", s, len(b))
		}
		c := &cursor{f: memory(b), pos: headerSize}
		runs, _ := c.runs([]run{{s.base, 0}})
		for i := 1; i < len(runs); i++ {
			if runs[i].at < runs[i-1].at || runs[i].pos < runs[i-1].pos {
				t.Fatal("runs go back", runs)
			}
		}
		bodies, _ := records(t, b)
		for _, r := range bodies {
			parseEvent([]byte(r[1:]))
			parseMarks(nil, []byte(r[1:]))
			firstMark([]byte(r[1:]))
		}
	})
}

// FuzzSeekTable reads any bytes as compressed data.
func FuzzSeekTable(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := openZipped(memory(b))
		if err != nil {
			return
		}
		defer z.Close()
		z.ReadAt(make([]byte, 100), 0)
		z.ReadAt(make([]byte, frameSize), frameSize)
	})
}

// TestZstdcat has the program of that name read what was compressed, whose time
// stays that of the data.
func TestZstdcat(t *testing.T) {
	k := newKeeper(realWorld(), 0, 0, nil)
	dir := filepath.Join(t.TempDir(), "vm1")
	j, err := open(dir, "vm1", Options{MaxSize: 600 << 10, Keep: 10, Compress: true}, k)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a line of a log, and not the only one\n", 40_000)
	for rest := text; rest != ""; {
		n := min(len(rest), 50_000)
		appendAll(t, j, rest[:n])
		rest = rest[n:]
	}
	settle(k, j)
	if got := readAll(t, j, 0); got != text {
		t.Fatalf("%d bytes, not %d", len(got), len(text))
	}
	files, err := filepath.Glob(dir + "/*" + zstdExt)
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	out, err := exec.Command("zstdcat", append([]string{"-f"}, files...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	cur, err := os.ReadFile(dir + "/vm1.log")
	if err != nil {
		t.Fatal(err)
	}
	if string(out)+string(cur) != text {
		t.Fatalf("zstdcat gives %d bytes", len(out))
	}
	closeAll(t, k, j)

	// A frame that is damaged is a gap of its size; the others are there.
	edit(t, files[0], func(b []byte) []byte { b[20] ^= 0xff; return b })
	if j, err = open(dir, "vm1", Options{Keep: 10}, stillKeeper(realWorld())); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, j, 0); got != strings.Repeat(".", frameSize)+text[frameSize:] {
		t.Fatal("a damaged frame is not told as a gap of its size")
	}
	// So is all of a segment that has no table.
	edit(t, files[0], func(b []byte) []byte { return b[:len(b)-3] })
	if j, err = open(dir, "vm1", Options{Keep: 10}, stillKeeper(realWorld())); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, j, 0); len(got) != len(text) || strings.TrimLeft(got, ".") != strings.TrimLeft(text[600_000:], ".") {
		t.Fatal("a segment without a table is not told as a gap of its size")
	}
}
