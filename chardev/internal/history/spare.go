package history

import "sync/atomic"

// KeepMost is how many bytes a history holds beyond its window at most.
const KeepMost = 16 << 20

// A Spare is memory that histories share for what they keep beyond their windows.
type Spare struct{ left atomic.Int64 }

// NewSpare returns size bytes of it.
func NewSpare(size int64) *Spare {
	s := new(Spare)
	s.left.Store(size)
	return s
}

// Keep holds the bytes from an offset on beyond the window, as long as these are no
// more than 16 MiB and the spare has that much; past this the oldest are dropped.
// The next call moves the offset. Until the first one nothing is kept.
func (h *History) Keep(from int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep = from
	h.drop(h.past(0))
	h.settle()
}

// kept is whether a block that ends before the edge of the window is held all the
// same.
func (h *History) kept(b *block, edge int64) bool {
	return h.spare != nil && b.end() > h.keep && edge-b.at <= min(KeepMost, h.taken+h.spare.left.Load())
}

// settle takes from the spare what is held beyond the window now.
func (h *History) settle() {
	beyond := int64(max(0, h.held()-h.size-MaxBlock))
	if beyond != h.taken {
		h.spare.left.Add(h.taken - beyond)
		h.taken = beyond
	}
}
