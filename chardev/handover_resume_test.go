package chardev

import (
	"bytes"
	"slices"
	"testing"

	"chardevd/channel"
	"chardevd/chardev/internal/history"
)

// A successor holds what its predecessor did: somebody without a journal who lags may want
// the oldest byte of it.
func TestASuccessorHoldsTheWholeWindow(t *testing.T) {
	const size = 256 << 10
	for _, chunk := range []int{100, 7000, 64 << 10, history.MaxBlock} {
		h := history.New(size, 0, nil)
		for printed := 0; printed < 3*size; {
			space := h.Space()
			space = space[:min(chunk, len(space))]
			for i := range space {
				space[i] = byte((printed + i) % 251)
			}
			h.Commit(len(space))
			printed += len(space)
		}
		all := func(h *history.History) []byte {
			r := h.Reader()
			defer r.Release()
			bufs, _ := r.Next(h.Oldest(), int(h.Head()-h.Oldest()))
			return slices.Concat(bufs...)
		}
		was := &consoleHandover{Head: h.Head(), window: all(h)}
		now := was.restored(size, nil)
		if now.Head() != h.Head() || now.Oldest() != h.Oldest() || !bytes.Equal(all(now), was.window) {
			t.Errorf("in chunks of %d: %d to %d were held, now %d to %d", chunk, h.Oldest(), h.Head(), now.Oldest(), now.Head())
		}
		if small := was.restored(size/4, nil); small.Head() != h.Head() || small.Head()-small.Oldest() > size/4+history.MaxBlock {
			t.Errorf("a smaller history holds %d to %d", small.Oldest(), small.Head())
		}
	}
}

// What was counted of a chardev's bytes goes on.
func TestASuccessorGoesOnCounting(t *testing.T) {
	was := newBench(t, 16<<10, "shared").hub
	for i := range was.refused {
		was.refused[i].Store(int64(10 + i))
	}
	for i := range was.dropped {
		was.dropped[i].Store(int64(20 + i))
	}
	con := &console{name: "vm", hub: was}
	con.device.Store(newDevice(was, nil, &Endpoint{Address: channel.MustParseAddress("null:")}))
	left := con.handOver()
	now := newBench(t, 16<<10, "shared").hub
	now.resume(left)
	for i := range now.refused {
		if n := now.refused[i].Load(); n != int64(10+i) {
			t.Errorf("refused as %d: %d", i, n)
		}
	}
	for i := range now.dropped {
		if n := now.dropped[i].Load(); n != int64(20+i) {
			t.Errorf("dropped as %d: %d", i, n)
		}
	}
}
