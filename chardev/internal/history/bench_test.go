package history

import (
	"fmt"
	"testing"
)

// A round is what one chunk of the device costs: it is committed, and read by all
// readers, who keep up.
func round(h *History, readers []*Reader) {
	n := len(h.Space())
	h.Commit(n)
	at := h.Head() - int64(n)
	for _, r := range readers {
		r.Next(at, MaxBlock)
		r.Release()
	}
}

// busy is a history whose blocks have grown to their full size.
func busy(n int) (*History, []*Reader) {
	h := New(256<<10, 0, nil)
	readers := make([]*Reader, n)
	for i := range readers {
		readers[i] = h.Reader()
	}
	for range 1000 {
		round(h, readers)
	}
	return h, readers
}

func BenchmarkRound(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d readers", n), func(b *testing.B) {
			h, readers := busy(n)
			b.SetBytes(MaxBlock)
			b.ReportAllocs()
			for b.Loop() {
				round(h, readers)
			}
		})
	}
}
