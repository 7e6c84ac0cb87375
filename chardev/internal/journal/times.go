package journal

import (
	"errors"
	"sort"
	"time"
)

// times is what a Reader knows of when bytes came: the marks of one batch.
type times struct {
	seg   *segment // nil: none
	index *cursor  // nil: gone
	made  int64    // before the first mark
	marks []Mark   // the batch
	until int64    // offset up to which it holds
}

func (t *times) leave() {
	if t.index != nil {
		t.index.close()
	}
	*t = times{marks: t.marks[:0]}
}

// Time returns when the byte at an offset came, to the millisecond, and the offset
// up to which all bytes have the same time. It is cheap when it is called with
// ascending offsets. The time is zero where nothing is known of it: until is
// where something may be.
func (r *Reader) Time(at int64) (when time.Time, until int64) {
	t := &r.times
	seg, next := r.j.locate(at)
	if seg == nil {
		return time.Time{}, next
	}
	if t.seg == nil || t.seg.base != seg.base {
		if t.enter(r.j, seg) != nil {
			return time.Time{}, next
		}
	}
	if len(t.marks) > 0 && at < t.marks[0].At && t.index != nil {
		t.index.seek(headerSize)
		t.marks, t.until = t.marks[:0], seg.base
	}
	if at >= t.until {
		t.advance(at, next)
	}
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].At > at })
	until = min(t.until, next)
	if i < len(t.marks) {
		until = t.marks[i].At
	}
	if i == 0 {
		return unixMilli(t.made), until
	}
	return unixMilli(t.marks[i-1].Time), until
}

// enter opens the index of a segment.
func (t *times) enter(j *Journal, seg *segment) error {
	t.leave()
	c, err := j.index(seg)
	if err != nil {
		return err
	}
	h, err := readHeader(c.f)
	if err != nil {
		c.close()
		return err
	}
	t.seg, t.index, t.made, t.until = seg, c, h.made, seg.base
	return nil
}

// advance goes on to the batch that an offset is in. All marks of bytes before end
// are in the index.
func (t *times) advance(at, end int64) {
	c, batch := t.index, int64(-1) // where the last one is that begins at or before it
	t.until = end
	for {
		ok, err := c.next()
		if !ok || err != nil {
			break
		}
		if c.kind != recMarks {
			continue
		}
		if m, ok := firstMark(c.body); ok && m.At > at {
			t.until = m.At
			c.seek(c.at)
			break
		}
		batch = c.at
	}
	if batch < 0 {
		return
	}
	c.seek(batch) // others were only looked at
	if ok, err := c.next(); ok && err == nil {
		t.marks = parseMarks(t.marks[:0], c.body)
	}
	c.seek(c.pos) // if it still grows, it is read again
}

// Find returns the offset of the first byte that came at a time or later; End if
// there is none.
func (j *Journal) Find(when time.Time) int64 {
	ms := when.UnixMilli()
	if when.Nanosecond()%int(time.Millisecond) != 0 {
		ms++ // marks tell milliseconds
	}
	j.mu.Lock()
	segments := make([]*segment, 0, len(j.segments))
	for _, s := range j.segments {
		if s.last >= ms {
			segments = append(segments, s)
		}
	}
	j.mu.Unlock()
	for _, s := range segments {
		if at, ok := j.findIn(s, ms); ok {
			return min(at, j.End()) // the byte itself may be lost
		}
	}
	return j.End()
}

// findIn looks for the first mark of a time or later in one segment.
func (j *Journal) findIn(s *segment, ms int64) (int64, bool) {
	c, err := j.index(s)
	if err != nil {
		return 0, false
	}
	defer c.close()
	var marks []Mark
	for {
		ok, err := c.next()
		if !ok || err != nil {
			return 0, false
		}
		if c.kind != recMarks {
			continue
		}
		marks = parseMarks(marks[:0], c.body)
		for _, m := range marks {
			if m.Time >= ms {
				return m.At, true
			}
		}
	}
}

// Events calls f with the events of an interval of offsets, in the order in which
// they were noted, until f returns false. to itself is not in it, unless it is End
// (or beyond).
func (j *Journal) Events(from, to int64, f func(Event) bool) error {
	if to >= j.End() {
		to++
	}
	j.mu.Lock()
	// One that was noted at the end of a segment, or a little ahead of the bytes, is
	// in the index before that of its offset.
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base >= from })
	k := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base > to })
	segments := append([]*segment(nil), j.segments[max(i-1, 0):k]...)
	j.mu.Unlock()
	for _, s := range segments {
		more, err := j.eventsIn(s, from, to, f)
		if err != nil {
			return advise(err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

func (j *Journal) eventsIn(s *segment, from, to int64, f func(Event) bool) (more bool, err error) {
	c, err := j.index(s)
	if errors.Is(err, errGone) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer c.close()
	for {
		ok, err := c.next()
		if !ok || err != nil {
			return true, err
		}
		if c.kind != recEvent {
			continue
		}
		e, ok := parseEvent(c.body)
		if ok && e.Offset >= from && e.Offset < to && !f(e) {
			return false, nil
		}
	}
}
