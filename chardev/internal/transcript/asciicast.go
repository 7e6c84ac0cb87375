package transcript

import (
	"fmt"
	"strconv"
	"time"

	"chardevd/chardev/internal/journal"
)

// castSink writes a recording in asciicast v2
// (https://docs.asciinema.org/manual/asciicast/v2/): a header, then an array a line,
// of the seconds since the first byte, "o" and what was printed. Events and gaps are
// markers ("m"). A character of UTF-8 is never cut in two, and what is none is U+FFFD.
type castSink struct {
	output
	clock
	cols, rows int
	title      string

	begun bool
	start time.Time
	last  time.Duration // since start, of the last array; they never go back
	held  []byte        // the beginning of a character
}

// begin writes the header.
func (s *castSink) begin(t time.Time) {
	if s.begun {
		return
	}
	s.begun, s.start = true, t
	s.buf = fmt.Appendf(s.buf, `{"version":2,"width":%d,"height":%d`, s.cols, s.rows)
	if !t.IsZero() {
		s.buf = fmt.Appendf(s.buf, `,"timestamp":%d`, t.Unix())
	}
	if s.title != "" {
		s.buf, _ = appendString(append(s.buf, `,"title":`...), []byte(s.title))
	}
	s.buf = append(s.buf, "}\n"...)
}

// add adds an array.
func (s *castSink) add(t time.Time, code byte, data []byte) error {
	if !t.IsZero() {
		if s.start.IsZero() { // nothing before has a time
			s.start = t.Add(-s.last)
		}
		s.last = max(s.last, t.Sub(s.start))
	}
	s.buf = strconv.AppendFloat(append(s.buf, '['), s.last.Seconds(), 'f', 3, 64)
	s.buf = append(s.buf, `,"`...)
	s.buf = append(s.buf, code)
	s.buf, _ = appendString(append(s.buf, `",`...), data)
	s.buf = append(s.buf, "]\n"...)
	return s.more()
}

// castBlock is how much is printed at once at most, in bytes.
const castBlock = 16 << 10

func (s *castSink) bytes(at int64, p []byte) error {
	s.begin(s.when(at))
	for len(p) > 0 {
		t := s.when(at)
		n := int(min(int64(len(p)), castBlock, max(1, s.till-at)))
		s.held = append(s.held, p[:n]...)
		at, p = at+int64(n), p[n:]
		whole := len(s.held) - unfinishedRune(s.held)
		if whole == 0 {
			continue
		}
		if err := s.add(t, 'o', s.held[:whole]); err != nil {
			return err
		}
		s.held = append(s.held[:0], s.held[whole:]...)
	}
	return nil
}

// letGo prints what is held: the rest of the character does not come.
func (s *castSink) letGo() error {
	if len(s.held) == 0 {
		return nil
	}
	p := s.held
	s.held = s.held[:0]
	return s.add(time.Time{}, 'o', p)
}

func (s *castSink) gap(at, size int64, why string) error {
	if err := s.letGo(); err != nil {
		return err
	}
	s.begin(s.when(at + size))
	return s.add(s.when(at+size), 'm', []byte(gapText(at, size, why)))
}

func (s *castSink) event(e journal.Event) error {
	s.begin(e.Time)
	return s.add(e.Time, 'm', []byte(e.Kind+": "+e.Text))
}

func (s *castSink) idle() error { return s.flush() }

func (s *castSink) end() error {
	if err := s.letGo(); err != nil {
		return err
	}
	s.begin(time.Time{})
	return s.flush()
}
