package transcript

import (
	"bytes"

	"chardevd/chardev/internal/journal"
)

// sseText writes what textLines shows as server-sent events, whose data is text as a
// string of JSON. One with an ID has lines and notes, behind which one goes on there; one without has more of a line that is not whole: it comes again, as the same bytes, to
// who goes on at the last ID.
type sseText struct {
	text  textLines
	shown bytes.Buffer // by text, and not told yet
	output
	next  Place // behind the lines that were shown
	whole bool  // some of these were not told yet
}

// newSSEText begins with an event that has no text, so that the place is known.
func newSSEText(text textLines, out output, at Place) *sseText {
	s := &sseText{text: text, output: out, next: at}
	s.text.w = &s.shown
	s.buf = append(at.append(append(s.buf, "id: "...)), "\ndata: \"\"\n\n"...)
	return s
}

// gathers tells what was shown, lines or notes, if it is much.
func (s *sseText) gathers(err error) error {
	s.whole = true
	if err != nil || s.shown.Len()+len(s.text.buf) < sseBlock {
		return err
	}
	return s.tell()
}

// tell tells what was shown.
func (s *sseText) tell() error {
	if err := s.text.write(); err != nil {
		return err
	}
	if s.shown.Len() == 0 {
		return nil
	}
	if s.whole {
		s.buf = append(s.next.append(append(s.buf, "id: "...)), '\n')
	}
	s.buf, _ = appendString(append(s.buf, "data: "...), s.shown.Bytes())
	s.buf = append(s.buf, "\n\n"...)
	s.shown.Reset()
	s.whole = false
	return s.more()
}

func (s *sseText) line(l line) error {
	s.next.to(l.at + int64(len(l.raw)))
	return s.gathers(s.text.line(l))
}

func (s *sseText) apart() error { return s.text.apart() }

func (s *sseText) gap(at, size int64, why string) error {
	s.next.to(at + size)
	return s.gathers(s.text.gap(at, size, why))
}

func (s *sseText) event(e journal.Event) error {
	s.next.happened(e)
	return s.gathers(s.text.event(e))
}

func (s *sseText) idle(at int64, unfinished []byte) error {
	if err := s.tell(); err != nil {
		return err
	}
	if err := s.text.idle(at, unfinished); err != nil {
		return err
	}
	if err := s.tell(); err != nil {
		return err
	}
	return s.flush()
}

func (s *sseText) end() error {
	if err := s.tell(); err != nil {
		return err
	}
	return s.flush()
}
