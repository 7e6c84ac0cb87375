//go:build !race

package channel

import (
	"slices"
	"testing"
)

// What a socket or a layer does for each chunk or key it does in memory that it has already,
// or that is used again. (The race detector allocates on its own.)
func TestWritesAllocateNothing(t *testing.T) {
	const runs = 200
	for _, w := range slices.Concat(sockets, layersAlone) {
		ch := w.make(t)
		for _, c := range chunks {
			if a := testing.AllocsPerRun(runs, func() {
				if _, err := ch.Writev(c.bufs); err != nil {
					t.Fatal(err)
				}
				if _, err := ch.Write(c.bufs[0]); err != nil {
					t.Fatal(err)
				}
			}); a != 0 {
				t.Errorf("%s: %v allocations for two writes of %d bytes", w.name, a, c.size)
			}
		}
	}
	for _, layer := range []string{"ws", "telnet", "rfc2217"} { // crypto/tls has garbage for each record that it reads
		for _, c := range chunks {
			if a := testing.AllocsPerRun(runs, carries(t, layer, c.bufs)); a != 0 {
				t.Errorf("%s: %v allocations for %d bytes written and read", layer, a, c.size)
			}
		}
	}
	for _, f := range framings() {
		if a := testing.AllocsPerRun(runs, f.do); a != 0 {
			t.Errorf("%s: %v allocations for a frame of %d bytes", f.name, a, f.size)
		}
	}
}
