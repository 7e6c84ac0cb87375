package transcript

import (
	"bytes"

	"chardevd/chardev/internal/journal"
)

// maxLine is how long a line gets before it is cut into pieces, in bytes without
// its end.
const maxLine = 64 << 10

// A line is a line of the stream, or a piece of one.
type line struct {
	at    int64
	raw   []byte // with its end, if it has one; valid until the call returns
	cut   bool   // the line goes on in the next piece
	match bool   // it is one that was asked for, and does not stand only near one
}

// text is the line without its end: a line feed and the carriage returns before it,
// of which a console often sends several.
func (l line) text() []byte {
	if l.cut {
		return l.raw
	}
	return bytes.TrimRight(bytes.TrimSuffix(l.raw, []byte("\n")), "\r")
}

// A lineSink shows lines, in order.
type lineSink interface {
	line(l line) error
	// apart is called where a line is shown that does not follow upon the one
	// before, when lines near matches are shown.
	apart() error
	gap(at, size int64, why string) error
	event(e journal.Event) error
	// idle is called when all that there is was given, and more may come. The
	// unfinished line begins at the offset; it comes again, whole, by line.
	idle(at int64, unfinished []byte) error
	end() error
}

// A splitter makes lines of the stream and gives a sink all of them, or those that
// match with so many lines before and behind as context says. How the stream comes,
// in which parts, makes no difference.
type splitter struct {
	sink    lineSink
	match   *matcher // nil: all lines
	context int
	count   int64 // lines given that match

	at    int64  // offset of the next byte to come
	carry []byte // the line that is not complete yet, up to maxLine

	before  *lookback // lines that were not given, and may be context
	after   int       // so many lines are still context
	shown   bool      // a line was given
	shownTo int64     // offset behind the last line given
}

func newSplitter(sink lineSink, m *matcher, context int) *splitter {
	s := &splitter{sink: sink, match: m, context: context}
	if m != nil {
		s.before = &lookback{max: context}
	}
	return s
}

// bytes takes the next bytes of the stream.
func (s *splitter) bytes(at int64, p []byte) error {
	s.at = at + int64(len(p))
	if len(s.carry) > 0 {
		k := bytes.IndexByte(p, '\n') + 1
		whole := k > 0
		if !whole {
			k = len(p)
		}
		begin := at - int64(len(s.carry))
		for len(s.carry)+k > maxLine+1 || len(s.carry)+k == maxLine+1 && !whole {
			n := maxLine - len(s.carry)
			s.carry = append(s.carry, p[:n]...)
			if err := s.one(begin, s.carry, true); err != nil {
				return err
			}
			begin, at, p, k = begin+maxLine, at+int64(n), p[n:], k-n
			s.carry = s.carry[:0]
		}
		s.carry = append(s.carry, p[:k]...)
		if !whole {
			return nil
		}
		err := s.one(begin, s.carry, false)
		s.carry = s.carry[:0]
		if err != nil {
			return err
		}
		at, p = at+int64(k), p[k:]
	}
	k := bytes.LastIndexByte(p, '\n') + 1
	if err := s.region(at, p[:k]); err != nil {
		return err
	}
	at, p = at+int64(k), p[k:]
	for len(p) > maxLine {
		if err := s.one(at, p[:maxLine], true); err != nil {
			return err
		}
		at, p = at+maxLine, p[maxLine:]
	}
	s.carry = append(s.carry, p...)
	return nil
}

// region takes whole lines.
func (s *splitter) region(at int64, p []byte) error {
	var c candidates
	for len(p) > 0 {
		if s.match != nil && s.after == 0 {
			// The lines up to the next that may match are not looked at.
			i := c.next(s.match, at, p)
			if i < 0 {
				s.before.keep(at, p)
				return nil
			}
			i = bytes.LastIndexByte(p[:i], '\n') + 1
			s.before.keep(at, p[:i])
			at, p = at+int64(i), p[i:]
		}
		k := bytes.IndexByte(p, '\n') + 1
		for ; k > maxLine+1; k -= maxLine {
			if err := s.one(at, p[:maxLine], true); err != nil {
				return err
			}
			at, p = at+maxLine, p[maxLine:]
		}
		if err := s.one(at, p[:k], false); err != nil {
			return err
		}
		at, p = at+int64(k), p[k:]
	}
	return nil
}

// one takes a line, with its end if it has one, or a piece.
func (s *splitter) one(at int64, p []byte, cut bool) error {
	l := line{at: at, raw: p, cut: cut}
	if s.match == nil {
		s.count++
		l.match = true
		return s.sink.line(l)
	}
	l.match = s.match.matches(l.text())
	switch {
	case l.match:
		if err := s.before.each(s.give); err != nil {
			return err
		}
		s.after = s.context
		s.count++
	case s.after > 0:
		s.after--
	default:
		s.before.add(at, p, cut)
		return nil
	}
	return s.give(l)
}

// give gives the sink a line.
func (s *splitter) give(l line) error {
	if s.shown && l.at != s.shownTo && s.context > 0 {
		if err := s.sink.apart(); err != nil {
			return err
		}
	}
	s.shown, s.shownTo = true, l.at+int64(len(l.raw))
	return s.sink.line(l)
}

// breakLine ends the line that is not complete: something stands in it.
func (s *splitter) breakLine(cut bool) error {
	if len(s.carry) == 0 {
		return nil
	}
	err := s.one(s.at-int64(len(s.carry)), s.carry, cut)
	s.carry = s.carry[:0]
	return err
}

func (s *splitter) gap(at, size int64, why string) error {
	if err := s.breakLine(false); err != nil {
		return err
	}
	s.at = at + size
	if s.match != nil {
		s.before.clear()
		s.after = 0
	}
	return s.sink.gap(at, size, why)
}

// event takes what happened at the offset of the next byte. It is searched like a
// line.
func (s *splitter) event(e journal.Event) error {
	if s.match != nil && !s.match.matches([]byte(e.Kind+": "+e.Text)) {
		return nil
	}
	if err := s.breakLine(true); err != nil {
		return err
	}
	s.count++
	return s.sink.event(e)
}

func (s *splitter) idle() error {
	if s.match != nil {
		return s.sink.idle(s.at, nil)
	}
	return s.sink.idle(s.at-int64(len(s.carry)), s.carry)
}

func (s *splitter) end() error {
	if err := s.breakLine(false); err != nil {
		return err
	}
	return s.sink.end()
}
