package chardev

import "time"

// A moment is when something happened, for what counts how long ago that is. It is a third
// of a time.Time, of which an idle console would have two dozen, and knows nothing of the
// clock on the wall. The zero moment is longer ago than anybody looks.
type moment time.Duration // since born

// born is before the process began.
var born = time.Now().Add(-24 * time.Hour)

func thisMoment() moment { return moment(time.Since(born)) }

// longAgo is a deadline that is past: it frees who waits, and wakes what rests.
var longAgo = time.Unix(1, 0)

// since is how long n was before m.
func (m moment) since(n moment) time.Duration { return time.Duration(m - n) }

func (m moment) add(d time.Duration) moment { return m + moment(d) }

func (m moment) time() time.Time { return born.Add(time.Duration(m)) }
