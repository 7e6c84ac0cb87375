package transcript

import (
	"bytes"
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chardevd/chardev/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A memory is a Source whose bytes are in memory. It stands for many: forks share it.
type memory struct {
	data   []byte
	oldest int64
	holes  []hole // ascending
	killed journal.Holes
	marks  []mark // ascending
	events []journal.Event
	most   int // so many bytes a Read gives, if not 0
}

type hole struct{ from, to int64 }
type mark struct{ at, ms int64 }

func (m *memory) Oldest() int64 { return m.oldest }
func (m *memory) Head() int64   { return int64(len(m.data)) }

func (m *memory) Read(at int64, buf []byte) (int, int64, error) {
	end := m.Head()
	for _, h := range append([]hole{{0, m.oldest}}, m.holes...) {
		if at >= h.from && at < h.to {
			return 0, h.to - at, nil
		}
		if h.from > at {
			end = min(end, h.from)
		}
	}
	n := copy(buf, m.data[at:end])
	if m.most > 0 {
		n = min(n, m.most)
	}
	return n, 0, nil
}

func (m *memory) Holes() journal.Holes { return m.killed }

func (m *memory) Time(at int64) (time.Time, int64) {
	i, found := slices.BinarySearchFunc(m.marks, at, func(k mark, at int64) int { return int(k.at - at) })
	if !found {
		i--
	}
	until := int64(math.MaxInt64)
	if i+1 < len(m.marks) {
		until = m.marks[i+1].at
	}
	if i < 0 {
		return time.Time{}, max(until, at+1)
	}
	return time.UnixMilli(m.marks[i].ms), max(until, at+1)
}

func (m *memory) Find(t time.Time) int64 {
	for _, k := range m.marks {
		if k.ms >= t.UnixMilli() {
			return k.at
		}
	}
	return m.Head()
}

func (m *memory) Events(from, to int64, f func(journal.Event) bool) error {
	for _, e := range m.events {
		if e.Offset >= from && (e.Offset < to || e.Offset == to && to == m.Head()) && !f(e) {
			return nil
		}
	}
	return nil
}

// show is what a query shows of a source.
func show(t testing.TB, q Query, src Source) (string, Result) {
	t.Helper()
	var w bytes.Buffer
	from, to, err := q.Range(context.Background(), src, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r, err := q.Write(context.Background(), src, from, to, &w)
	if err != nil {
		t.Fatal(err)
	}
	return w.String(), r
}
