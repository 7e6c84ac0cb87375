package transcript

import (
	"time"

	"chardevd/chardev/internal/journal"
)

// A Source is a console's stream as it can be read: the bytes, when they came, and
// what happened beside them. It belongs to one goroutine at a time.
type Source interface {
	// Oldest is the offset of the first byte that is held, Head when there is none.
	Oldest() int64
	// Head is the offset behind the last byte.
	Head() int64
	// Read reads up to len(buf) bytes from an offset on. Where the byte there is not
	// held it gives none, and how many are missing up to the next that is, or to the
	// head. At the head it returns (0, 0, nil).
	Read(at int64, buf []byte) (n int, missing int64, err error)
	// Holes are those in the stream: what is missing there was mostly never printed.
	Holes() journal.Holes
	// Time is when the byte at an offset came, to the millisecond, and up to which
	// offset (exclusive) all came then. Zero: that is not known. It is cheap when the
	// offsets ascend.
	Time(at int64) (t time.Time, until int64)
	// Find is the offset of the first byte that came at t or later; at most Head.
	Find(t time.Time) int64
	// Events calls f with the events in from <= offset < to, and those at to when it
	// is the head, in order, until f says false.
	Events(from, to int64, f func(journal.Event) bool) error
}
