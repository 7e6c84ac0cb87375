package transcript

import (
	"fmt"
	"io"
	"time"

	"chardevd/chardev/internal/journal"
)

// A sink shows a stream: its bytes in order, the gaps in them, and what happened
// beside them.
type sink interface {
	// bytes takes the bytes at an offset, which are the caller's again afterwards.
	bytes(at int64, p []byte) error
	// gap takes a gap at an offset; why there is one, "": bytes could not be kept.
	gap(at, size int64, why string) error
	// event takes an event at the offset of the next byte.
	event(e journal.Event) error
	// idle is called when all that there is was given, and more may come.
	idle() error
	end() error
}

// A Flusher is a writer that keeps what it is given; Query.Write flushes it when
// there is nothing more to write for now.
type Flusher interface{ Flush() error }

// An output gathers what is to be written.
type output struct {
	w   io.Writer
	buf []byte
}

// outputBlock is how much is gathered, in bytes.
const outputBlock = 32 << 10

// more writes if enough has gathered.
func (o *output) more() error {
	if len(o.buf) < outputBlock {
		return nil
	}
	return o.write()
}

func (o *output) write() error {
	if len(o.buf) == 0 {
		return nil
	}
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// flush writes all, and on to whoever reads.
func (o *output) flush() error {
	if err := o.write(); err != nil {
		return err
	}
	if f, ok := o.w.(Flusher); ok {
		return f.Flush()
	}
	return nil
}

// gapText is a gap in words.
func gapText(at, size int64, why string) string {
	text := fmt.Sprintf("gap: at most %d bytes are missing at offset %d", size, at)
	if why != "" {
		text += ": " + why
	}
	return text
}

// timeForm is how a time is shown: RFC 3339 with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// A clock tells when bytes came, from offset to offset.
type clock struct {
	src      Source
	at, till int64 // they all came at t
	t        time.Time
}

// when is the time of the byte at an offset. It is to be one that ascends.
func (c *clock) when(at int64) time.Time {
	if at < c.at || at >= c.till {
		head := c.src.Head()
		c.t, c.till = c.src.Time(at)
		c.at, c.till = at, min(c.till, head) // what comes has a time of its own
	}
	return c.t
}

// rawSink writes the bytes as they are.
type rawSink struct{ output }

func (s *rawSink) bytes(_ int64, p []byte) error {
	_, err := s.w.Write(p)
	return err
}
func (s *rawSink) gap(int64, int64, string) error { return nil }
func (s *rawSink) event(journal.Event) error      { return nil }
func (s *rawSink) idle() error                    { return s.flush() }
func (s *rawSink) end() error                     { return s.flush() }

// rawLines writes lines as they are.
type rawLines struct{ output }

func (s *rawLines) line(l line) error {
	s.buf = append(s.buf, l.raw...)
	if !l.cut && l.raw[len(l.raw)-1] != '\n' {
		s.buf = append(s.buf, '\n')
	}
	return s.more()
}
func (s *rawLines) apart() error                   { return nil }
func (s *rawLines) gap(int64, int64, string) error { return nil }
func (s *rawLines) event(journal.Event) error      { return nil }
func (s *rawLines) idle(int64, []byte) error       { return s.flush() }
func (s *rawLines) end() error                     { return s.flush() }
