package transcript

import (
	"bytes"
	"context"
	"errors"
	"math"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"chardevd/chardev/internal/journal"
)

// A flushed is a writer that notes what it has at each flush.
type flushed struct {
	bytes.Buffer
	seen []string
}

func (f *flushed) Flush() error {
	f.seen = append(f.seen, f.String())
	f.Reset()
	return nil
}

// follow shows a source to which steps are added one after the other, each when the
// query waits. It returns what was seen in between and at the end.
func follow(t *testing.T, q Query, src *memory, steps ...func()) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &flushed{}
	q.Follow = true
	q.Wait = func(ctx context.Context, beyond int64) error {
		if beyond != src.Head() {
			t.Errorf("it waits beyond %d at %d", beyond, src.Head())
		}
		if len(steps) == 0 {
			cancel()
			return ctx.Err()
		}
		steps[0]()
		steps = steps[1:]
		return nil
	}
	from, to, err := q.Range(ctx, src, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r, err := q.Write(ctx, src, from, to, w)
	if err != nil || r.Next != src.Head() {
		t.Errorf("it ends with %+v, %v", r, err)
	}
	return w.seen
}

func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		q    Query
		want []string
	}{
		"text":     {Query{}, []string{"a\nb", "c", "é", "", "\n", "d ^[[?25hx", "\n"}},
		"colour":   {Query{Colour: true}, []string{"a\nb", "c", "é", "", "\n", "\x1b[31md\x1b[0m ^[[?25hx", "\n"}},
		"grep":     {Query{Grep: regexp.MustCompile(".")}, []string{"a\n", "", "", "", "bcé\n", "", "d ^[[?25hx\n"}},
		"raw":      {Query{Format: Raw}, []string{"a\nb", "c\xc3", "\xa9", "\r", "\r\n\x1b[3", "1md\x1b[0m \x1b[?25hx", ""}},
		"from end": {Query{Since: Since{kind: sinceEnd}}, []string{"", "c", "é", "", "\n", "d ^[[?25hx", "\n"}},
	} {
		src := &memory{data: []byte("a\nb")}
		add := func(s string) func() { return func() { src.data = append(src.data, s...) } }
		got := follow(t, c.q, src, add("c\xc3"), add("\xa9"), add("\r"), add("\r\n\x1b[3"), add("1md\x1b[0m \x1b[?25hx"))
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: seen is %q, want %q", name, got, c.want)
		}
	}
}

// What comes has its own time, also when it comes behind the last mark.
func TestFollowTimes(t *testing.T) {
	inUTC(t)
	src := &memory{data: []byte("a\n"), marks: []mark{{0, 1000}}}
	add := func(s string, ms int64) func() {
		return func() { src.marks = append(src.marks, mark{src.Head(), ms}); src.data = append(src.data, s...) }
	}
	got := follow(t, Query{Timestamps: true}, src, add("b\nc", 2000), add("d\ne\n", 3000))
	want := []string{"1970-01-01T00:00:01.000Z a\n", "1970-01-01T00:00:02.000Z b\n1970-01-01T00:00:02.000Z c", "d\n1970-01-01T00:00:03.000Z e\n", ""}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("seen is %q, want %q", got, want)
	}
	src = &memory{data: []byte("a"), marks: []mark{{0, 1000}}}
	got = follow(t, Query{Format: Asciicast, Cols: 80, Rows: 24}, src, add("b", 2500))
	if want := `[1.500,"o","b"]` + "\n"; len(got) < 2 || got[1] != want {
		t.Errorf("recorded is %q, want %q", got, want)
	}
}

// Events show when they happen, once, also while nothing is printed.
func TestFollowEvents(t *testing.T) {
	src := &memory{data: []byte("login: ")}
	event := func(kind string) func() {
		return func() { src.events = append(src.events, journal.Event{Offset: src.Head(), Kind: kind}) }
	}
	got := follow(t, Query{Events: true}, src,
		event("down"), event("up"), func() { src.data = append(src.data, "root\n"...) }, event("down"),
		func() { src.data = append(src.data, "0123456789"...); src.oldest = 15 })
	want := []string{"login: ", "\n[down: ]\n", "[up: ]\n", "root\n", "[down: ]\n", "[gap: at most 3 bytes are missing at offset 12]\n3456789", "\n"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("seen is %q, want %q", got, want)
	}
}

// An error and the end of ctx come in their places.
func TestItEndsWhereItEnds(t *testing.T) {
	src := &memory{data: bytes.Repeat([]byte("0123456789abcde\n"), block/4)}
	q := Query{Format: Raw}
	var w bytes.Buffer
	r, err := q.Write(t.Context(), brokenAt{src, 3 * block}, 0, src.Head(), &w)
	if err != errBroken || r.Next != 3*block || w.Len() != 3*block {
		t.Errorf("%+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err = q.Write(ctx, src, 0, src.Head(), cancelling{cancel})
	if !errors.Is(err, context.Canceled) || r.Next != block {
		t.Errorf("after its end: %+v, %v", r, err)
	}
}

type brokenAt struct {
	*memory
	at int64
}

func (b brokenAt) Read(at int64, buf []byte) (int, int64, error) {
	if at >= b.at {
		return 0, 0, errBroken
	}
	return b.memory.Read(at, buf)
}

// A cancelling is a writer that nobody reads after the first write.
type cancelling struct{ cancel func() }

func (c cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

// A rushing source's device prints more than its window whenever it has its turn.
type rushing struct {
	*memory
	mu   sync.Mutex
	head int64
}

const rushWindow = 4 << 10

// An enough is a writer that ends the query after so many writes.
type enough struct {
	left   int
	cancel func()
}

func (e *enough) Write(p []byte) (int, error) {
	if e.left--; e.left == 0 {
		e.cancel()
	}
	return len(p), nil
}

// run prints until ctx ends.
func (r *rushing) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		r.head += 2 * rushWindow
		r.mu.Unlock()
		runtime.Gosched()
	}
}

func (r *rushing) Read(at int64, buf []byte) (int, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if missing := r.head - rushWindow - at; missing > 0 {
		return 0, missing, nil
	}
	return int(min(r.head-at, int64(len(buf)))), 0, nil
}

// Whoever is overtaken at each turn of the device gets what is held all the same.
func TestAFollowerThatIsAlwaysOvertaken(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the device's turn is when the reader gives way
	const watchdog = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), watchdog)
	src := &rushing{memory: &memory{}, head: 2 * rushWindow}
	var wg sync.WaitGroup
	wg.Go(func() { src.run(ctx) })
	q := Query{Format: Raw, Follow: true, Wait: func(ctx context.Context, _ int64) error {
		runtime.Gosched()
		return ctx.Err()
	}}
	w := &enough{left: 1000, cancel: cancel}
	r, err := q.Write(ctx, src, 0, math.MaxInt64, w)
	cancel()
	wg.Wait()
	if err != nil && !errors.Is(err, context.Canceled) || w.left > 0 {
		t.Errorf("it wants %d writes more: %+v, %v", w.left, r, err)
	}
	if given := r.Next - r.Lost; r.Lost > 4*given { // a turn costs it one window of two
		t.Errorf("it was given %d bytes, and has lost %d", given, r.Lost)
	}
}
