//go:build !race

package history

import "testing"

// Blocks are used again, and readers keep what they need. (The race detector
// allocates on its own.)
func TestReadersAllocateNothing(t *testing.T) {
	for _, n := range []int{1, 64} {
		h, readers := busy(n)
		if a := testing.AllocsPerRun(1000, func() { round(h, readers) }); a != 0 {
			t.Errorf("%v allocations for a chunk and %d readers", a, n)
		}
	}
}
