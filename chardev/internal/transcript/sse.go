package transcript

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"chardevd/chardev/internal/journal"
)

// sseLines writes server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): the objects of
// jsonLines, each in an event whose ID is where to go on behind it (see Place). Gaps
// are events of type gap, and what happened those of type event; the others have none.
type sseLines struct {
	jsonLines
	next Place // behind what was written
}

// begin begins an event behind which one goes on at an offset.
func (s *sseLines) begin(kind string, next int64) {
	s.next.to(next)
	if kind != "" {
		s.buf = append(append(append(s.buf, "event: "...), kind...), '\n')
	}
	s.buf = append(s.buf, "id: "...)
	s.buf = s.next.append(s.buf)
	s.buf = append(s.buf, "\ndata: "...)
}

// finish ends an event whose object is written.
func (s *sseLines) finish(err error) error {
	s.buf = append(s.buf, '\n')
	return err
}

func (s *sseLines) line(l line) error {
	s.begin("", l.at+int64(len(l.raw)))
	return s.finish(s.jsonLines.line(l))
}

func (s *sseLines) gap(at, size int64, why string) error {
	s.begin("gap", at+size)
	return s.finish(s.jsonLines.gap(at, size, why))
}

func (s *sseLines) event(e journal.Event) error {
	s.next.happened(e)
	s.begin("event", s.next.Offset)
	return s.finish(s.jsonLines.event(e))
}

// sseBytes is sseLines with the bytes as they come in place of lines.
type sseBytes struct{ sseLines }

// sseBlock is how many bytes an event has at most.
const sseBlock = 16 << 10

func (s *sseBytes) bytes(at int64, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), sseBlock)
		s.sseLines.begin("", at+int64(n))
		s.jsonLines.begin(at, s.when(at))
		s.buf = base64.StdEncoding.AppendEncode(append(s.buf, `,"base64":"`...), p[:n])
		s.buf = append(s.buf, '"')
		if err := s.finish(s.jsonLines.finish()); err != nil {
			return err
		}
		at, p = at+int64(n), p[n:]
	}
	return nil
}

func (s *sseBytes) idle() error { return s.flush() }

// sseRaw is sseLines with the bytes of each line.
type sseRaw struct{ sseLines }

func (s *sseRaw) line(l line) error {
	s.sseLines.begin("", l.at+int64(len(l.raw)))
	s.jsonLines.begin(l.at, s.when(l.at))
	s.buf = base64.StdEncoding.AppendEncode(append(s.buf, `,"base64":"`...), l.raw)
	s.buf = append(s.buf, '"')
	return s.finish(s.jsonLines.finish())
}

// A Place is where somebody who was given a stream goes on. As text it is OFFSET,
// OFFSET+EVENTS, or either with @EPOCH behind it.
type Place struct {
	Offset int64
	Events int    // so many of what happened at that offset are known
	Epoch  string // "": that of the console, for ever
}

// to goes on to an offset.
func (p *Place) to(offset int64) {
	if offset != p.Offset {
		p.Offset, p.Events = offset, 0
	}
}

// happened goes on behind an event.
func (p *Place) happened(e journal.Event) {
	if e.Offset >= p.Offset { // else in a gap that was told
		p.to(e.Offset)
		p.Events++
	}
}

func (p Place) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, p.Offset, 10)
	if p.Events > 0 {
		dst = strconv.AppendInt(append(dst, '+'), int64(p.Events), 10)
	}
	if p.Epoch != "" {
		dst = append(append(dst, '@'), p.Epoch...)
	}
	return dst
}

// ParsePlace reads what was written as a place.
func ParsePlace(s string) (p Place, err error) {
	at, epoch, _ := strings.Cut(s, "@")
	at, events, has := strings.Cut(at, "+")
	var n, k uint64
	if n, err = strconv.ParseUint(at, 10, 63); err == nil && has {
		k, err = strconv.ParseUint(events, 10, 31)
	}
	if err != nil {
		return Place{}, fmt.Errorf("want the ID of an event, like 4096, have %q", s)
	}
	return Place{Offset: int64(n), Events: int(k), Epoch: epoch}, nil
}

// Resume has the query go on at a place.
func (q *Query) Resume(p Place) {
	q.Since, q.Lines, q.resumed = Since{kind: sinceOffset, n: p.Offset}, 0, p
}
