package transcript

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"time"

	"chardevd/chardev/internal/journal"
)

// A Format is how a stream is shown.
type Format string

const (
	Text      Format = "text"      // lines for a person, in which nothing steers a terminal
	Raw       Format = "raw"       // the bytes
	JSON      Format = "json"      // an object a line
	Asciicast Format = "asciicast" // a recording, asciicast v2

	SSE      Format = "server-sent events"          // the bytes, each run of them in an object
	SSELines Format = "server-sent events of lines" // an object for each line, as those of JSON
	SSEText  Format = "server-sent events of text"  // Text, each line of it, and what is shown of one that is not whole
)

// MaxContext is how many lines near a match may be asked for.
const MaxContext = 1000

// A Query is what is to be shown of a stream, and how.
type Query struct {
	Since Since
	Until *Since // nil: the head
	Lines int64  // not 0: only so many of the last lines, or of those that match

	Grep    *regexp.Regexp // nil: all lines; else those that match (and events), as they are shown without colours
	Context int            // so many lines before and behind each, at most MaxContext

	Format     Format
	Name       string // the console's: in each object of JSON, and the recording's title
	Names      bool   // Name stands before each line of text
	Offsets    bool   // so does the line's offset
	Timestamps bool   // and the local time at which its first byte came
	Events     bool   // show them, too
	Colour     bool   // SGR sequences stay in text
	Cols, Rows int    // the recording's terminal
	Epoch      string // of the offsets that stand in IDs of server-sent events, if it may be another one later

	resumed Place // where Resume has it go on

	// Follow goes on with what comes until ctx ends, which is no error then. It
	// needs Wait, which returns when the head is beyond an offset or there may be
	// an event that was not, or with ctx's error.
	Follow bool
	Wait   func(ctx context.Context, beyond int64) error
}

// Check says what contradicts itself in q.
func (q *Query) Check() error {
	var wrong []error
	if q.Follow && q.Until != nil {
		wrong = append(wrong, errors.New("follow goes on with what comes, and until ends before: leave out one"))
	}
	if q.Format == Asciicast && q.Grep != nil {
		wrong = append(wrong, errors.New("a recording is of all that was printed: leave out grep"))
	}
	if q.Until != nil && *q.Until == (Since{}) {
		wrong = append(wrong, errors.New("nothing stands before start: give another until"))
	}
	return errors.Join(wrong...)
}

// Backwards is the error of a query that ends before it begins.
type Backwards struct {
	Since, Until Since
	From, To     int64
}

func (b *Backwards) Error() string {
	return fmt.Sprintf("until=%v (offset %d) stands before since=%v (offset %d): exchange them", b.Until, b.To, b.Since, b.From)
}

// Range is from where to where in src the query goes. An error is a *Backwards or
// one of src.
func (q *Query) Range(ctx context.Context, src Source, now time.Time) (from, to int64, err error) {
	if from, err = q.Since.Resolve(src, now); err != nil {
		return 0, 0, err
	}
	to = src.Head()
	if q.Until != nil {
		if to, err = q.Until.Resolve(src, now); err != nil {
			return 0, 0, err
		}
	}
	if to < from {
		return 0, 0, &Backwards{q.Since, *q.Until, from, to}
	}
	if q.Lines == 0 {
		return from, to, nil
	}
	oldest := max(from, src.Oldest())
	if q.Grep == nil {
		from, err = lastLines(src, oldest, to, q.Lines)
	} else {
		from, err = q.lastMatches(ctx, src, oldest, to)
	}
	return from, to, err
}

// matchWindow is how much lastMatches searches at once, in bytes.
const matchWindow = 1 << 20

// lastMatches is where the last q.Lines lines that match begin, or what is to be
// shown before them. It goes backwards.
func (q *Query) lastMatches(ctx context.Context, src Source, from, to int64) (int64, error) {
	found := &matchSink{}
	buf := make([]byte, block)
	m := newMatcher(q.Grep)
	for left, end := q.Lines, to; end > from; {
		begin, err := lastLines(src, from, max(from, end-matchWindow), 1)
		if err != nil {
			return 0, err
		}
		found.at = found.at[:0]
		d := drive{src: src, sink: newSplitter(found, m, 0), buf: buf, at: begin}
		if err := d.through(ctx, end); err != nil {
			return 0, err
		}
		if err := d.sink.end(); err != nil {
			return 0, err
		}
		if n := int64(len(found.at)); n >= left {
			return lastLines(src, from, found.at[n-left], int64(q.Context))
		} else {
			left -= n
		}
		end = begin
	}
	return from, nil
}

// A matchSink notes where the lines are.
type matchSink struct{ at []int64 }

func (s *matchSink) line(l line) error {
	s.at = append(s.at, l.at)
	return nil
}
func (s *matchSink) apart() error                   { return nil }
func (s *matchSink) gap(int64, int64, string) error { return nil }
func (s *matchSink) event(journal.Event) error      { return nil }
func (s *matchSink) idle(int64, []byte) error       { return nil }
func (s *matchSink) end() error                     { return nil }

// A Result is what was shown.
type Result struct {
	Next  int64 // the offset at which to go on
	Lost  int64 // bytes that stood in gaps
	Found int64 // lines and events that match; all that were shown, without Grep. Not counted for Raw without Grep, and Asciicast
}

// followBlock is how much of what comes is read at once, in bytes: a follower costs
// little while it waits.
const followBlock = 16 << 10

// Write shows what is between two offsets of src, as Range gave them, on w. An
// error is one of src, of w, or ctx's; the result tells how far it came.
func (q *Query) Write(ctx context.Context, src Source, from, to int64, w io.Writer) (Result, error) {
	sink, lines := q.sink(src, w, from)
	d := drive{
		src: src, sink: sink, events: q.Events, buf: make([]byte, min(block, max(to-from, followBlock))), at: from,
		seenAt: q.resumed.Offset, seen: q.resumed.Events,
	}
	err := q.recall(ctx, src, lines)
	if err == nil {
		err = d.through(ctx, to)
	}
	if err == nil && q.Follow {
		if err = q.follow(ctx, &d); ctx.Err() != nil {
			err = nil
		}
	}
	if err == nil {
		err = d.settle()
	}
	switch {
	case err != nil:
	case q.Follow && (q.Format == SSE || q.Format == SSELines || q.Format == SSEText):
		err = sink.idle() // a line that is not whole is given when who comes again follows
	default:
		err = sink.end()
	}
	r := Result{Next: d.at, Lost: d.lost}
	if lines != nil {
		r.Found = lines.count
	}
	return r, err
}

// recall makes of lines what it was when it had given what is before the place where the
// query goes on: it may owe lines that stand near a match.
func (q *Query) recall(ctx context.Context, src Source, lines *splitter) error {
	if q.Context == 0 || q.Grep == nil || q.resumed == (Place{}) {
		return nil
	}
	to := q.resumed.Offset
	// Those of the second half are near what matches in the first.
	from, err := lastLines(src, min(src.Oldest(), to), to, 2*int64(q.Context))
	if err != nil {
		return err
	}
	show := lines.sink
	lines.sink = &matchSink{}
	d := drive{src: src, sink: lines, buf: make([]byte, followBlock), at: from}
	err = d.through(ctx, to)
	if err == nil {
		err = d.settle()
	}
	if err == nil {
		err = lines.breakLine(true)
	}
	if q.resumed.Events == 0 { // behind a line that was given, as none before it will be
		lines.before.clear()
		lines.shown, lines.shownTo = true, to
	}
	lines.sink, lines.count = show, 0
	return err
}

// sink makes what shows the stream from an offset on, and the splitter in it if it is
// shown by lines.
func (q *Query) sink(src Source, w io.Writer, from int64) (sink, *splitter) {
	out, when := output{w: w}, clock{src: src}
	var show lineSink
	switch {
	case q.Format == Asciicast:
		return &castSink{output: out, clock: when, cols: q.Cols, rows: q.Rows, title: q.Name}, nil
	case q.Format == Raw && q.Grep == nil:
		return &rawSink{out}, nil
	case q.Format == SSE && q.Grep == nil:
		return &sseBytes{q.events(out, when)}, nil
	case q.Format == SSE:
		show = &sseRaw{q.events(out, when)}
	case q.Format == SSELines:
		show = new(q.events(out, when))
	case q.Format == Raw:
		show = &rawLines{out}
	case q.Format == JSON:
		show = &jsonLines{output: out, clock: when, name: q.Name}
	case q.Format == SSEText:
		next := Place{Offset: from, Epoch: q.Epoch}
		if from == q.resumed.Offset {
			next.Events = q.resumed.Events
		}
		show = newSSEText(q.text(output{}, when), out, next)
	default:
		show = new(q.text(out, when))
	}
	var m *matcher
	if q.Grep != nil {
		m = newMatcher(q.Grep)
	}
	s := newSplitter(show, m, q.Context)
	return s, s
}

func (q *Query) text(out output, when clock) textLines {
	t := textLines{output: out, clock: when, offsets: q.Offsets, times: q.Timestamps, colour: q.Colour}
	if q.Names {
		t.name = q.Name
	}
	return t
}

func (q *Query) events(out output, when clock) sseLines {
	next := Place{Offset: q.resumed.Offset, Events: q.resumed.Events, Epoch: q.Epoch}
	lines := jsonLines{output: out, clock: when}
	if q.Names {
		lines.name = q.Name
	}
	return sseLines{lines, next}
}

// follow shows what comes.
func (q *Query) follow(ctx context.Context, d *drive) error {
	d.buf = make([]byte, followBlock)
	for {
		if err := d.through(ctx, math.MaxInt64); err != nil {
			return err
		}
		if err := d.settle(); err != nil {
			return err
		}
		if err := d.sink.idle(); err != nil {
			return err
		}
		if err := q.Wait(ctx, d.at); err != nil {
			return err
		}
	}
}
