//go:build !race

package chardev

import (
	"testing"

	"chardevd/channel"
)

// An emptyOutlet takes everything.
type emptyOutlet struct{ outlet }

func (emptyOutlet) give(bufs [][]byte) (int64, bool, error) { return channel.SizeOf(bufs), true, nil }
func (emptyOutlet) bear(bool)                               {}
func (emptyOutlet) weight() int                             { return 0 }

// What a device says costs no garbage, however many get it. (The race detector allocates
// on its own.)
func TestChunksAllocateNothing(t *testing.T) {
	for _, n := range []int{1, 8, 64} {
		h := newBench(t, 16<<10, "shared").hub
		for range n {
			c := &client{hub: h, out: emptyOutlet{}}
			h.mu.Lock()
			h.setState(c, live)
			h.mu.Unlock()
		}
		one := func() {
			h.publish(h.hist.Space())
			h.giveOut(nil)
		}
		for range 200 { // until the blocks have grown
			one()
		}
		if a := testing.AllocsPerRun(100, one); a != 0 {
			t.Errorf("%v allocations for a chunk to %d clients", a, n)
		}
		if c := h.live[0]; c.cursor.Load() != h.hist.Head() {
			t.Errorf("the client is at %d of %d", c.cursor.Load(), h.hist.Head())
		}
	}
}
