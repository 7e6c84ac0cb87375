package transcript

import (
	"fmt"
	"strconv"
	"time"

	"chardevd/chardev/internal/journal"
)

// textLines shows lines to a person.
type textLines struct {
	output
	clock
	name                   string // before each line, if not empty
	offsets, times, colour bool

	begun bool // a line is shown that is not at its end:
	shown int  // so many bytes of it
	open  bool // an SGR sequence is in force
}

// begin begins a line that stands for what is at an offset.
func (s *textLines) begin(at int64, t time.Time, match bool) {
	if s.name != "" {
		s.buf = append(s.buf, s.name...)
		if match {
			s.buf = append(s.buf, ':')
		} else {
			s.buf = append(s.buf, '-') // as grep(1) does
		}
	}
	if s.offsets {
		s.buf = append(strconv.AppendInt(s.buf, at, 10), ' ')
	}
	if s.times {
		if t.IsZero() {
			s.buf = append(s.buf, "- "...)
		} else {
			s.buf = append(t.Local().AppendFormat(s.buf, timeForm), ' ')
		}
	}
}

// stamp is the time of a line, if it is to be shown.
func (s *textLines) stamp(at int64) (t time.Time) {
	if s.times {
		t = s.when(at)
	}
	return t
}

func (s *textLines) line(l line) error {
	s.some(l.at, l.text(), l.match)
	s.finish()
	if l.cut && len(l.raw) == maxLine {
		return s.note(l.at, s.stamp(l.at), fmt.Sprintf("cut: the line goes on at offset %d", l.at+maxLine))
	}
	return s.more()
}

// some shows what was not shown yet of the line p, as far as it is known.
func (s *textLines) some(at int64, p []byte, match bool) {
	if !s.begun {
		s.begin(at, s.stamp(at), match)
		s.begun, s.shown = true, 0
	}
	s.buf, s.open = appendSafe(s.buf, p[s.shown:], s.colour, s.open)
	s.shown = len(p)
}

// finish ends the line that is begun, and its colours.
func (s *textLines) finish() {
	if s.open {
		s.buf = append(s.buf, sgrReset...)
	}
	if s.begun {
		s.buf = append(s.buf, '\n')
	}
	s.begun, s.open = false, false
}

// note shows something that is not the console's.
func (s *textLines) note(at int64, t time.Time, text string) error {
	s.finish()
	s.begin(at, t, true)
	s.buf, _ = appendSafe(append(s.buf, '['), []byte(text), false, false)
	s.buf = append(s.buf, "]\n"...)
	return s.more()
}

func (s *textLines) apart() error {
	s.buf = append(s.buf, "--\n"...)
	return nil
}

func (s *textLines) gap(at, size int64, why string) error {
	return s.note(at, s.stamp(at+size), gapText(at, size, why))
}

func (s *textLines) event(e journal.Event) error { return s.note(e.Offset, e.Time, e.Kind+": "+e.Text) }

func (s *textLines) idle(at int64, unfinished []byte) error {
	if p := unfinished[:settled(unfinished)]; len(p) > 0 {
		s.some(at, p, true)
	}
	return s.flush()
}

func (s *textLines) end() error {
	s.finish()
	return s.flush()
}
