package transcript

import (
	"encoding/base64"
	"strconv"
	"time"

	"chardevd/chardev/internal/journal"
)

// jsonLines writes an object a line.
type jsonLines struct {
	output
	clock
	name string
}

// begin begins an object about what is at an offset.
func (s *jsonLines) begin(at int64, t time.Time) {
	s.buf = append(s.buf, '{')
	if s.name != "" {
		s.buf, _ = appendString(append(s.buf, `"chardev":`...), []byte(s.name))
		s.buf = append(s.buf, ',')
	}
	s.buf = strconv.AppendInt(append(s.buf, `"offset":`...), at, 10)
	if !t.IsZero() {
		s.buf = t.UTC().AppendFormat(append(s.buf, `,"time":"`...), timeForm)
		s.buf = append(s.buf, '"')
	}
}

// text adds a member whose value is text.
func (s *jsonLines) text(key string, p []byte) (whole bool) {
	s.buf = append(append(append(s.buf, `,"`...), key...), `":`...)
	s.buf, whole = appendString(s.buf, p)
	return whole
}

func (s *jsonLines) finish() error {
	s.buf = append(s.buf, "}\n"...)
	return s.more()
}

func (s *jsonLines) line(l line) error {
	s.begin(l.at, s.when(l.at))
	p := l.text()
	if !s.text("line", p) {
		s.buf = base64.StdEncoding.AppendEncode(append(s.buf, `,"base64":"`...), p)
		s.buf = append(s.buf, '"')
	}
	if l.cut {
		s.buf = append(s.buf, `,"cut":true`...)
	}
	if !l.match {
		s.buf = append(s.buf, `,"context":true`...)
	}
	return s.finish()
}

func (s *jsonLines) apart() error { return nil }

func (s *jsonLines) gap(at, size int64, why string) error {
	s.begin(at, time.Time{})
	s.buf = strconv.AppendInt(append(s.buf, `,"gap":`...), size, 10)
	if why != "" {
		s.text("why", []byte(why))
	}
	return s.finish()
}

func (s *jsonLines) event(e journal.Event) error {
	s.begin(e.Offset, e.Time)
	s.text("event", []byte(e.Kind))
	s.text("text", []byte(e.Text))
	return s.finish()
}

func (s *jsonLines) idle(int64, []byte) error { return s.flush() }
func (s *jsonLines) end() error               { return s.flush() }
