package journal

import (
	"errors"
	"io"
)

// A survey is what an index, and how much data there is beside it, say of a segment.
type survey struct {
	header
	trailer
	boot  [16]byte // of the last run that wrote it
	top   int64    // offsets below it may have been given out
	clean bool     // the last run ended cleanly
	whole int64    // bytes of the index up to the end of the last record
	torn  bool     // behind them is the beginning of one
	hurt  bool     // records are lost
	lost  bool     // and one of a gap may be: behind it bytes are not known by their offset
	leaps int64    // how many records of gaps there are
	short bool     // data is lost that the index tells of
}

// surveyIndex reads an index, only its ends if that is enough. data is the size of
// the segment's data (not compressed).
func surveyIndex(f file, data int64) (s survey, err error) {
	if s.header, err = readHeader(f); err != nil {
		return s, err
	}
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	s.boot = s.header.boot
	if t, kind, ok := readTrailer(f, info.size); ok && t.size == data && t.gaps+1 >= s.header.counted {
		s.trailer, s.whole, s.leaps = t, info.size, t.gaps
		s.clean = kind == recClosed && s.ended(t)
		s.top = t.head
		if !s.clean { // the run went on, or another one did
			s.top = max(t.head, t.reserve, s.header.reserve)
		}
		return s, nil
	}
	return s, s.walk(f, info.size, data)
}

// ended says whether nothing was reserved after the clean end that a trailer tells of:
// what came behind it may have been cut.
func (h header) ended(t trailer) bool { return h.counted == 0 || h.reserve <= t.head }

// readTrailer reads the trailer at the end of an index of a given size.
func readTrailer(f file, size int64) (t trailer, kind byte, ok bool) {
	var b [trailerSize]byte
	if n, err := f.ReadAt(b[:], size-trailerSize); n < len(b) || err != nil && !errors.Is(err, io.EOF) {
		return t, 0, false
	}
	kind, body, n := parseRecord(b[:])
	if n != trailerSize || kind != recClosed && kind != recSealed {
		return t, 0, false
	}
	t, ok = parseTrailer(body)
	return t, kind, ok
}

// gapsIn returns how many gaps the index of a sealed segment ends by telling of; -1: it
// does not.
func gapsIn(f file, size int64) int64 {
	if t, kind, ok := readTrailer(f, size); ok && kind == recSealed {
		return t.gaps
	}
	return -1
}

// walk reads all records.
func (s *survey) walk(f file, size, data int64) error {
	c := &cursor{f: f, pos: headerSize}
	runs := []run{{s.base, 0}}
	var marked int64 // behind the last byte that a mark tells of
	var last byte    // the kind of the last record
	s.top = max(s.base, s.header.reserve)
	for {
		ok, err := c.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		last = c.kind
		switch c.kind {
		case recMarks:
			marks := parseMarks(nil, c.body)
			if len(marks) == 0 {
				continue
			}
			if s.first == 0 {
				s.first = marks[0].Time
			}
			m := marks[len(marks)-1]
			s.last, marked = m.Time, m.At+1
		case recGap:
			g, ok := parseGap(c.body)
			if end := runs[len(runs)-1]; !ok || !end.leadsTo(g) {
				s.hurt = true
				continue
			}
			runs = append(runs, run{g.to, g.pos})
		case recReserve:
			to, _ := parseReserve(c.body)
			s.top = max(s.top, to)
		case recOpened:
			s.boot, _ = parseOpened(c.body)
		case recClosed, recSealed:
			if t, ok := parseTrailer(c.body); ok {
				s.trailer = t
				s.top = max(s.top, t.head, t.reserve)
			}
		}
	}
	s.whole, s.hurt = c.pos, s.hurt || c.hurt > 0
	if c.pos < size {
		s.torn = true
		_, _, n := parseRecord(c.rest())
		s.hurt = s.hurt || n < 0 // not what a write that was cut short leaves
	}
	if last == recClosed {
		if s.clean = s.size == data && s.ended(s.trailer); s.clean {
			s.top = s.trailer.head
		}
		s.hurt = s.hurt || s.size < data // somebody wrote, and did not say so before
		s.short = s.size > data
	}
	s.leaps = int64(len(runs) - 1)
	if s.lost = s.leaps+1 < s.header.counted; s.header.counted == 0 {
		s.lost = s.hurt
	}
	s.hurt = s.hurt || s.lost
	s.size, s.gaps = data, s.leaps
	for runs[len(runs)-1].pos > data {
		runs, s.short = runs[:len(runs)-1], true
	}
	s.end = runs[len(runs)-1].at + data - runs[len(runs)-1].pos
	s.short = s.short || marked > s.end
	s.top = max(s.top, s.end, marked)
	return nil
}

// leadsTo says whether a gap can follow a run: the bytes up to it begin where it
// says, and it goes on further on.
func (r run) leadsTo(g gap) bool {
	return g.pos >= r.pos && g.from == r.at+g.pos-r.pos
}
