package transcript

import (
	"bytes"

	"chardevd/chardev/internal/journal"
)

// sseText writes what textLines shows as server-sent events, whose data is text as a
// string of JSON. One with an ID ends a line, or a note, behind which one goes on there;
// one without has more of a line that is not whole: it comes again, as the same bytes, to
// who goes on at the last ID.
type sseText struct {
	text  textLines
	shown bytes.Buffer // by text, and not told yet
	output
	next Place // behind the lines that were told
}

// newSSEText begins with an event that has no text, so that the place is known.
func newSSEText(text textLines, out output, at Place) *sseText {
	s := &sseText{text: text, output: out, next: at}
	s.text.w = &s.shown
	s.buf = append(at.append(append(s.buf, "id: "...)), "\ndata: \"\"\n\n"...)
	return s
}

// tell tells what was shown.
func (s *sseText) tell(whole bool) error {
	if err := s.text.write(); err != nil {
		return err
	}
	if s.shown.Len() == 0 {
		return nil
	}
	if whole {
		s.buf = append(s.next.append(append(s.buf, "id: "...)), '\n')
	}
	s.buf, _ = appendString(append(s.buf, "data: "...), s.shown.Bytes())
	s.buf = append(s.buf, "\n\n"...)
	s.shown.Reset()
	return s.more()
}

func (s *sseText) line(l line) error {
	s.next.to(l.at + int64(len(l.raw)))
	if err := s.text.line(l); err != nil {
		return err
	}
	return s.tell(true)
}

func (s *sseText) apart() error { return s.text.apart() }

func (s *sseText) gap(at, size int64) error {
	s.next.to(at + size)
	if err := s.text.gap(at, size); err != nil {
		return err
	}
	return s.tell(true)
}

func (s *sseText) event(e journal.Event) error {
	s.next.happened(e)
	if err := s.text.event(e); err != nil {
		return err
	}
	return s.tell(true)
}

func (s *sseText) idle(at int64, unfinished []byte) error {
	if err := s.text.idle(at, unfinished); err != nil {
		return err
	}
	if err := s.tell(false); err != nil {
		return err
	}
	return s.flush()
}

func (s *sseText) end() error {
	if err := s.tell(false); err != nil {
		return err
	}
	return s.flush()
}
