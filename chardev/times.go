package chardev

import (
	"bytes"
	"math"
	"slices"
	"sort"

	"chardevd/chardev/internal/journal"
)

// times are when the bytes of a console came, as far as the journal does not tell
// it yet. A byte came at the time of the last mark before it. Guarded by hub.mu.
type times struct {
	marks []journal.Mark
	last  int64 // the time of the last mark; it stands here as the marks of many consoles are in no cache
	fresh bool  // the next byte begins a line
}

// timesOf goes on with what another one had.
func timesOf(marks []journal.Mark, fresh bool) times {
	t := times{marks: marks, fresh: fresh}
	if k := len(marks); k > 0 {
		t.last = marks[k-1].Time
	}
	return t
}

const (
	// smooth is how fine the times of bytes that begin no line are, in ms: that of a
	// screen, so that a recording plays as it was.
	smooth = 16

	// maxMarks is how many are kept; of more every second one is let go.
	maxMarks = 32 << 10
)

// note tells of a chunk at an offset that came now (Unix ms). A line that begins in
// it came now, to the millisecond.
func (t *times) note(at int64, chunk []byte, now int64) {
	since := now - t.last // negative after the clock was set back
	if since != 0 && (since < 0 || since >= smooth || t.fresh || bytes.IndexByte(chunk[:len(chunk)-1], '\n') >= 0) {
		t.marks, t.last = append(t.marks, journal.Mark{At: at, Time: now}), now
	}
	t.fresh = chunk[len(chunk)-1] == '\n'
}

// full is whether one more mark costs memory.
func (t *times) full() bool { return len(t.marks) == cap(t.marks) }

// trim makes room for marks: what is needed only for bytes before an offset is
// forgotten, and of too many every second one; the first and the newest stay.
func (t *times) trim(before int64) {
	t.drop(before)
	if len(t.marks) < maxMarks {
		return
	}
	k := 0
	for i := 0; i < len(t.marks); i += 2 {
		t.marks[k] = t.marks[i]
		k++
	}
	t.marks = append(t.marks[:k], t.marks[len(t.marks)-1])
}

// drop forgets what is needed only for bytes before an offset.
func (t *times) drop(before int64) {
	k := t.index(before)
	if k > 0 {
		t.marks = slices.Delete(t.marks, 0, k)
	}
}

// index is where the last mark at or before an offset is; -1: there is none.
func (t *times) index(at int64) int {
	return sort.Search(len(t.marks), func(i int) bool { return t.marks[i].At > at }) - 1
}

// at returns when the byte at an offset came (Unix ms), and up to which offset that
// holds; ok is false if it is not known.
func (t *times) at(at int64) (ms, until int64, ok bool) {
	i := t.index(at)
	until = math.MaxInt64
	if i+1 < len(t.marks) {
		until = t.marks[i+1].At
	}
	if i < 0 {
		return 0, until, false
	}
	return t.marks[i].Time, until, true
}

// between appends the marks from one offset up to another to dst.
func (t *times) between(dst []journal.Mark, from, to int64) []journal.Mark {
	for i := t.index(from-1) + 1; i < len(t.marks) && t.marks[i].At < to; i++ {
		dst = append(dst, t.marks[i])
	}
	return dst
}

// lose forgets what came before an offset, and when the byte there came is a mark.
func (t *times) lose(before int64) {
	t.drop(before)
	if len(t.marks) > 0 {
		t.marks[0].At = max(t.marks[0].At, before)
	}
}

// find returns the offset of the first mark at or after a time (Unix ms).
func (t *times) find(ms int64) (at int64, ok bool) {
	i := slices.IndexFunc(t.marks, func(m journal.Mark) bool { return m.Time >= ms })
	if i < 0 {
		return 0, false
	}
	return t.marks[i].At, true
}
