package history

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// pattern is the byte that belongs at an offset.
func pattern(at int64) byte { return byte(at*7 + at>>8*13 + at>>16) }

func commit(h *History, n int) {
	at := h.Head()
	for n > 0 {
		s := h.Space()
		k := min(n, len(s))
		for i := range k {
			s[i] = pattern(at + int64(i))
		}
		h.Commit(k)
		at += int64(k)
		n -= k
	}
}

// commitWide is commit of a space that is filled and widened to at most size.
func commitWide(h *History, size int) {
	at, s := h.Head(), h.Space()
	n := len(s)
	for i := range n {
		s[i] = pattern(at + int64(i))
	}
	if n < size {
		s = h.Widen(s, size)
		for i := n; i < len(s); i++ {
			s[i] = pattern(at + int64(i))
		}
	}
	h.Commit(len(s))
}

// The history is compared with the simplest thing that could be one: readers at
// random places get exactly the bytes of their offsets, or are told how many
// are missing, and what they hold does not change under them.
func TestReadersSeeTheStreamAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 100, 4 << 10, 20000, 256 << 10}).Draw(t, "size")
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		var spare *Spare
		if spareSize := rapid.SampledFrom([]int64{0, 10000, 1 << 30}).Draw(t, "spare"); spareSize > 0 {
			spare = NewSpare(spareSize)
		}
		h := New(size, start, spare)
		keep := int64(math.MaxInt64)
		readers := []*Reader{h.Reader(), h.Reader(), h.Reader()}
		cursors := []int64{start, start, start}
		type held struct{ got, want []byte }
		holds := make([][]held, len(readers))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch i := rapid.IntRange(-4, len(readers)-1).Draw(t, "who"); {
			case i == -4:
				commitWide(h, rapid.IntRange(1, MaxBlock).Draw(t, "wide"))
			case i == -3:
				keep = h.Head() - int64(rapid.IntRange(0, size).Draw(t, "kept"))
				h.Keep(keep)
			case i < 0:
				commit(h, rapid.IntRange(0, 3*size+5000).Draw(t, "n"))
				want, most := min(int(h.Head()-start), size), size+2*MaxBlock
				if spare != nil {
					want = max(want, int(max(0, min(h.Head()-keep, h.Head()-start, h.taken))))
					most += int(min(KeepMost, h.taken+spare.left.Load(), max(0, h.Head()-keep)))
				}
				if have := h.held(); have < want || have > most {
					t.Fatalf("holds %d bytes of %d, want %d to %d; window %d", have, h.Head()-start, want, most, size)
				}
			case holds[i] == nil:
				r, at := readers[i], cursors[i]
				if rapid.Bool().Draw(t, "late") {
					at = h.Head() - min(h.Head()-start, int64(rapid.IntRange(0, 2*size).Draw(t, "replay")))
				}
				bufs, missing := r.Next(at, rapid.IntRange(1, 100000).Draw(t, "max"))
				cursors[i] = at
				if at < h.Oldest() {
					if missing != h.Oldest()-at || bufs != nil {
						t.Fatalf("at %d, oldest %d: missing %d", at, h.Oldest(), missing)
					}
					r.Release()
					cursors[i] += missing
					continue
				}
				if missing != 0 || len(bufs) == 0 && at != h.Head() {
					t.Fatalf("at %d of %d: %d slices, %d missing", at, h.Head(), len(bufs), missing)
				}
				holds[i] = []held{}
				for _, b := range bufs {
					want := make([]byte, len(b))
					for k := range want {
						want[k] = pattern(at + int64(k))
					}
					at += int64(len(b))
					holds[i] = append(holds[i], held{b, want})
				}
			default:
				for _, hd := range holds[i] {
					if !bytes.Equal(hd.got, hd.want) {
						t.Fatalf("reader %d: its bytes at %d changed while it held them", i, cursors[i])
					}
					cursors[i] += int64(len(hd.got))
				}
				readers[i].Release()
				holds[i] = nil
			}
		}
	})
}

// OldestAfter foretells what Commit will drop, exactly: the pace depends on it.
func TestOldestAfter(t *testing.T) {
	h := New(50000, 0, nil)
	for range 500 {
		n := 1 + rand.IntN(len(h.Space()))
		want := h.OldestAfter(n)
		commit(h, n)
		if got := h.Oldest(); got != want {
			t.Fatalf("oldest is %d, foretold %d", got, want)
		}
	}
}

// What is kept is there up to the spare's end, given back when nobody keeps it, and
// no more than a history's part of it.
func TestKeep(t *testing.T) {
	spare := NewSpare(KeepMost + 1<<20)
	a, b := New(64<<10, 0, spare), New(64<<10, 0, spare)
	a.Keep(0)
	b.Keep(0)
	commit(a, 8<<20)
	if a.Oldest() != 0 {
		t.Fatalf("dropped what was to be kept, up to %d", a.Oldest())
	}
	commit(a, 16<<20)
	if held := a.held(); held < KeepMost || held > KeepMost+64<<10+2*MaxBlock {
		t.Fatalf("holds %d bytes", held)
	}
	commit(b, 4<<20)
	if held := b.held(); held < 1<<20 || held > 1<<20+64<<10+2*MaxBlock {
		t.Fatalf("holds %d bytes of the %d that were left", held, 1<<20)
	}
	a.Keep(a.Head())
	b.Keep(b.Head())
	if left := spare.left.Load(); left != KeepMost+1<<20 || a.held() > 64<<10+MaxBlock {
		t.Fatalf("holds %d bytes, and %d are left", a.held(), left)
	}
}

// One writes at full speed while others read: for the race detector, and every
// reader's bytes are compared.
func TestConcurrentReaders(t *testing.T) {
	h := New(32<<10, 0, nil)
	const total = 8 << 20
	var wg sync.WaitGroup
	for range 4 {
		r := h.Reader()
		wg.Go(func() {
			for at := int64(0); at < total; {
				bufs, missing := r.Next(at, 10000)
				at += missing
				for _, b := range bufs {
					for k := range b {
						if b[k] != pattern(at+int64(k)) {
							t.Errorf("wrong byte at %d", at+int64(k))
							r.Release()
							return
						}
					}
					at += int64(len(b))
				}
				r.Release()
			}
		})
	}
	commit(h, total)
	wg.Wait()
}

func TestAnIdleHistoryIsSmall(t *testing.T) {
	h := New(1<<20, 0, nil)
	if n := len(h.Space()); n != minBlock {
		t.Errorf("the first block has %d bytes, want %d", n, minBlock)
	}
}

// Who asks for space again and again and writes nothing, as the sessions of a device do that
// comes and goes, leaves no blocks behind.
func TestSpaceThatIsNotWritten(t *testing.T) {
	h := New(1<<20, 0, nil)
	for range 16 { // as fast as can be
		h.Commit(len(h.Space()))
	}
	before := len(h.blocks)
	for range 8 {
		h.Space()
	}
	if n := len(h.blocks); n > before+1 {
		t.Errorf("%d blocks, were %d", n, before)
	}
}

// One that goes on where another was holds what that held, as somebody may want the oldest
// byte of it; a smaller one holds less. It takes little more memory than that, also when
// more comes.
func TestRestore(t *testing.T) {
	all := func(h *History) []byte {
		r := h.Reader()
		defer r.Release()
		bufs, _ := r.Next(h.Oldest(), int(h.Head()-h.Oldest()))
		return slices.Concat(bufs...)
	}
	takes := func(h *History) (n int) {
		for _, b := range h.blocks {
			n += len(b.buf)
		}
		return n
	}
	for _, size := range []int{4 << 10, 32 << 10, 256 << 10, 1 << 20} {
		for _, chunk := range []int{0, 1, 100, 7000, 64 << 10, MaxBlock} {
			was := New(size, 1000, nil)
			for n := 0; n < 3*size && chunk > 0 && n < 2000*chunk; n += chunk {
				commit(was, chunk)
			}
			held := all(was)
			now := Restore(size, held, was.Head(), nil)
			if now.Head() != was.Head() || now.Oldest() != was.Oldest() || !bytes.Equal(all(now), held) {
				t.Errorf("%d in chunks of %d: %d to %d were held, now %d to %d", size, chunk, was.Oldest(), was.Head(), now.Oldest(), now.Head())
			}
			now.Space()
			if most := len(held) + max(minBlock, len(held)/8); takes(now) > most {
				t.Errorf("%d in chunks of %d: %d bytes take %d", size, chunk, len(held), takes(now))
			}
			small := Restore(size/4, held, was.Head(), nil)
			if small.Head() != was.Head() || len(all(small)) < min(size/4, len(held)) || len(all(small)) > size/4+MaxBlock {
				t.Errorf("%d in chunks of %d: a smaller one holds %d to %d", size, chunk, small.Oldest(), small.Head())
			}
		}
	}
}

// A window that is to be smaller is so when the writer asks for space the next time, as what
// was asked before may rely on it; or with Trim.
func TestSetSize(t *testing.T) {
	const large, small = 64 << 10, 4 << 10
	fill := func() *History {
		h := New(large, 0, nil)
		for range 2 * large / minBlock {
			p := h.Space()
			h.Commit(min(len(p), minBlock))
		}
		return h
	}
	held := func(h *History) int64 { return h.Head() - h.Oldest() }

	h := fill()
	n := len(h.Space())
	before := h.OldestAfter(n)
	h.SetSize(small)
	if h.Size() != small {
		t.Errorf("its size is %d", h.Size())
	}
	if h.Commit(n); h.Oldest() != before {
		t.Errorf("the oldest is %d, and was to be %d", h.Oldest(), before)
	}
	n = len(h.Space())
	after := h.OldestAfter(n)
	if h.Commit(n); h.Oldest() != after || held(h) > large/2 {
		t.Errorf("the oldest is %d of %d, and was to be %d", h.Oldest(), h.Head(), after)
	}

	h = fill()
	h.SetSize(small)
	if h.Trim(); held(h) < small || held(h) > large/2 {
		t.Errorf("%d bytes are held", held(h))
	}
	h.SetSize(large)
	for range 2 * large / minBlock {
		p := h.Space()
		h.Commit(min(len(p), minBlock))
	}
	if held(h) < large {
		t.Errorf("only %d bytes are held of what it is to hold again", held(h))
	}
}
