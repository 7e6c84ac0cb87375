// Package history keeps the newest bytes of a stream in memory, addressed by
// their offset since the stream began, for one writer and any number of readers,
// who keep their cursors themselves. It knows nothing but bytes.
//
// The bytes lie in blocks that are written once and then only read, so readers
// get them without a copy. A block that no longer belongs to the window is
// written anew as soon as no reader holds it: memory that stays in the cache
// costs a fast stream half as much as fresh memory for the collector.
package history

import (
	"math"
	"slices"
	"sort"
	"sync"
)

const (
	minBlock = 256 // a console that says little costs one of these

	// MaxBlock is what a busy one reads at once at most. It is less than a UNIX socket
	// holds, so that a client like the device can be given all of it, and fills three
	// segments of TCP (package channel's Segment). Measured: 256 KiB cost a third of the
	// rate on UNIX sockets, 64 KiB a quarter on TCP, and 192 KiB a fifth to 8 clients on
	// TCP.
	MaxBlock = 3 * 62 << 10
)

// A block is a run of the stream. Its bytes up to n are never changed while it
// is in the window or pinned.
type block struct {
	at      int64 // offset of buf[0]
	buf     []byte
	n       int  // how many bytes are published
	pins    int  // readers that hold it
	dropped bool // out of the window
}

func (b *block) end() int64 { return b.at + int64(b.n) }

// A History is the window. Space, Widen, Commit and Rest belong to the one writer; all else
// may be called from anywhere.
type History struct {
	start int64  // offset of the first byte
	spare *Spare // for what is kept beyond that; nil: nothing is

	mu     sync.Mutex
	size   int      // how many bytes it holds at least, once there were so many
	next   int      // what that is from the next Space on
	keep   int64    // from here on
	taken  int64    // of the spare
	last   int      // of the last Commit: there will be as much again
	blocks []*block // oldest first; the last one is being written
	free   []*block
}

// New returns an empty history whose first byte has the given offset. It holds the
// newest size bytes, and up to a block (186 KiB) more. A writer that never fills a
// block wastes up to half of it. What Keep asks for beyond that is taken from the
// spare; nil: there is none.
func New(size int, start int64, spare *Spare) *History {
	return &History{size: size, next: size, start: start, spare: spare, keep: math.MaxInt64}
}

// Restore is New of a history that goes on where another one was: up to its head that had
// held these bytes. It holds them all, as far as that one could, in blocks as small as if they
// had come little by little.
func Restore(size int, held []byte, head int64, spare *Spare) *History {
	h := New(size, head-int64(len(held)), spare)
	usual := max(minBlock, len(held)/8)
	n := max(usual, len(held)-size+1) // what is beyond the size is in one block
	for len(held) > 0 {
		n = min(n, len(held), MaxBlock)
		h.blocks = append(h.blocks, &block{at: h.head(), buf: slices.Clone(held[:n]), n: n})
		held, n = held[n:], usual
	}
	h.drop(h.past(0))
	return h
}

// SetSize changes how many bytes it holds. Of a smaller window OldestAfter tells from the next
// Space on, and Commit lets go of the oldest then: what was asked for the Space before holds.
func (h *History) SetSize(size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = size
	h.size = max(h.size, size)
}

// Trim lets go at once of what the window is to hold no more.
func (h *History) Trim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size = h.next
	h.drop(h.past(0))
	h.settle()
}

// Size is how many bytes it is to hold.
func (h *History) Size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

// Space returns where the writer may put the next bytes: at least one byte, at
// most 186 KiB. It stays valid until Commit or Widen. To a writer who wrote much the rest
// of a block is not given if it is less than that: it would cut the next read short.
func (h *History) Space() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size = h.next
	at := h.start
	if k := len(h.blocks); k > 0 {
		last := h.blocks[k-1]
		if left := last.buf[last.n:]; len(left) > h.last || last.n == 0 {
			return left
		}
		at = last.end()
	}
	size := max(minBlock, h.held()/8)
	if h.last >= size/2 { // a fast writer reads more at once
		size = max(size, 4*h.last)
	}
	b := h.block(min(size, MaxBlock))
	b.at = at
	h.blocks = append(h.blocks, b)
	return b.buf
}

// block returns an empty block of about the given size.
func (h *History) block(size int) *block {
	if k := len(h.free); k > 0 && len(h.free[k-1].buf) >= size {
		b := h.free[k-1]
		h.free = h.free[:k-1]
		b.n, b.dropped = 0, false
		return b
	}
	h.free = nil // too small by now
	return &block{buf: make([]byte, size)}
}

// Widen returns, in place of what Space returned, room for size bytes, more than that has and at
// most MaxBlock. It begins with a copy of written, which the writer has put there and not committed.
func (h *History) Widen(written []byte, size int) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.block(size)
	copy(b.buf, written)
	k := len(h.blocks) - 1
	last := h.blocks[k]
	b.at = last.end()
	if last.n > 0 {
		h.blocks = append(h.blocks, b)
	} else { // nobody reads it
		h.blocks[k] = b
	}
	return b.buf[:size]
}

// Commit publishes the first n bytes of what Space returned, and returns their offset. It
// takes constant time (amortized) and never waits for a reader.
func (h *History) Commit(n int) (at int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.blocks[len(h.blocks)-1]
	at = last.end()
	h.last = n
	last.n += n
	h.drop(h.past(0))
	h.settle()
	return at
}

// past counts the blocks that are out of the window when n more bytes are there,
// and not kept beyond it.
func (h *History) past(n int) int {
	k, edge := 0, h.head()+int64(n)-int64(h.size)
	for k+1 < len(h.blocks) && h.blocks[k+1].at <= edge && !h.kept(h.blocks[k], edge) {
		k++
	}
	return k
}

// drop takes the k oldest blocks out of the window.
func (h *History) drop(k int) {
	for _, b := range h.blocks[:k] {
		b.dropped = true
		h.recycle(b)
	}
	h.blocks = slices.Delete(h.blocks, 0, k) // to go on behind them would make append allocate
}

// recycle keeps a block that nobody needs for Space, but not many.
func (h *History) recycle(b *block) {
	if b.pins == 0 && len(h.free) < 4 {
		h.free = append(h.free, b)
	}
}

// Rest lets go of the blocks that are kept for Space: the writer will have nothing for a while.
// After a burst they would be twice what a window of 256 KiB is.
func (h *History) Rest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = nil
}

func (h *History) head() int64 {
	if k := len(h.blocks); k > 0 {
		return h.blocks[k-1].end()
	}
	return h.start
}

func (h *History) oldest() int64 {
	if len(h.blocks) > 0 {
		return h.blocks[0].at
	}
	return h.start
}

func (h *History) held() int { return int(h.head() - h.oldest()) }

// Head is the offset of the next byte to come.
func (h *History) Head() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head()
}

// Oldest is the offset of the oldest byte that is held.
func (h *History) Oldest() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.oldest()
}

// OldestAfter is what Oldest will be when n more bytes are committed.
func (h *History) OldestAfter(n int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.past(n); k < len(h.blocks) {
		return h.blocks[k].at
	}
	return h.start
}

// A Reader holds what one reader is reading. It belongs to one goroutine at a time.
type Reader struct {
	h      *History
	pinned []*block
	bufs   [][]byte
}

// Reader returns a reader.
func (h *History) Reader() *Reader { return &Reader{h: h} }

// Next returns up to max bytes from an offset on, none if that is the head; it
// must not be one that is still to come. The slices are read-only and hold until
// Release, which must follow. If the byte at the offset is not held any more, it
// returns nothing but how many bytes are missing up to the oldest that is.
func (r *Reader) Next(at int64, max int) (bufs [][]byte, missing int64) {
	h := r.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.oldest(); at < o {
		return nil, o - at
	}
	i := sort.Search(len(h.blocks), func(i int) bool { return h.blocks[i].end() > at })
	for ; i < len(h.blocks) && max > 0; i++ {
		b := h.blocks[i]
		part := b.buf[at-b.at : b.n]
		if len(part) == 0 {
			break
		}
		if len(part) > max {
			part = part[:max]
		}
		b.pins++
		r.pinned = append(r.pinned, b)
		r.bufs = append(r.bufs, part)
		at += int64(len(part))
		max -= len(part)
	}
	return r.bufs, 0
}

// Release gives back what Next returned.
func (r *Reader) Release() {
	h := r.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range r.pinned {
		b.pins--
		if b.dropped {
			h.recycle(b)
		}
	}
	clear(r.pinned)
	clear(r.bufs)
	r.pinned, r.bufs = r.pinned[:0], r.bufs[:0]
}
