package channel

import (
	"math"
	"time"
)

// An instant is a deadline in a third of the room of a time.Time: ns of the clock that
// time.Time compares by if it can, which nobody sets, since the process began. 0 is never.
type instant int64

var began = time.Now()

// instantOf is the instant of a time, which the wall clock says as of now if it has no
// reading of the other one: as with the deadlines of package net.
func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	now, left := int64(time.Since(began)), int64(time.Until(t))
	if left > math.MaxInt64-now {
		return math.MaxInt64
	}
	return instant(max(1, now+left)) // 1 is past, and not never
}

// time is the instant as a time.Time, which is zero if it is never.
func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return began.Add(time.Duration(i))
}

// longAgo is a deadline that is past: it frees who waits, and wakes what rests.
var longAgo = time.Unix(1, 0)

// past says whether the instant has come.
func (i instant) past() bool { return i != 0 && int64(time.Since(began)) >= int64(i) }
