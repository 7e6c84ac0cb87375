package journal

import (
	"slices"
	"testing"
)

func TestHoles(t *testing.T) {
	h := Holes{{10, 20}, {25, 125}}
	for _, c := range []struct{ from, n, oldest, want int64 }{
		{130, 0, 0, 130},
		{130, 5, 0, 125}, // all behind the newer hole
		{130, 6, 0, 24},  // one before it
		{130, 10, 0, 20}, // all between them
		{130, 11, 0, 9},  // one before the older one
		{130, 20, 0, 0},  // that is all
		{130, 1 << 62, 0, 0},
		{130, 1 << 62, 9, 9},
		{130, 1 << 62, 10, 20}, // nothing is left before a hole
		{130, 1 << 62, 60, 125},
		{125, 1, 0, 24},
	} {
		if got := h.Back(c.from, c.n, c.oldest); got != c.want {
			t.Errorf("%d bytes before %d, from %d on, is %d, want %d", c.n, c.from, c.oldest, got, c.want)
		}
	}
	for _, c := range []struct {
		at, missing, want int64
		hole              bool
	}{
		{0, 10, 10, false},
		{0, 11, 10, false},
		{10, 5, 5, true},
		{10, 50, 10, true},
		{20, 50, 5, false},
		{124, 50, 1, true},
		{125, 50, 50, false},
	} {
		if got, hole := h.Cut(c.at, c.missing); got != c.want || hole != c.hole {
			t.Errorf("of %d at %d: %d, %v; want %d, %v", c.missing, c.at, got, hole, c.want, c.hole)
		}
	}
}

// Where runs that were killed ended are holes, for ever, whatever comes between. What
// could not be written is none.
func TestARunThatWasKilledLeavesAHole(t *testing.T) {
	dir := t.TempDir()
	o := Options{MaxSize: 8, Keep: 100, Compress: true}
	killed := func(j *Journal, reserve int64) *Journal {
		t.Helper()
		if err := j.Reserve(reserve); err != nil {
			t.Fatal(err)
		}
		j.keeper.forget(j)
		j.shut()
		return mustOpen(t, dir, o)
	}
	closed := func(j *Journal, head int64) *Journal {
		t.Helper()
		if err := j.Close(head); err != nil {
			t.Fatal(err)
		}
		return mustOpen(t, dir, o)
	}
	expect := func(j *Journal, start int64, want ...Hole) {
		t.Helper()
		if got := j.Holes(); j.Start() != start || !slices.Equal(got, want) {
			t.Fatalf("it goes on at %d with the holes %v, and not at %d with %v", j.Start(), got, start, want)
		}
	}
	j := mustOpen(t, dir, o)
	appendAll(t, j, "one ")
	j = killed(j, 10)
	expect(j, 10, Hole{4, 10})
	j = killed(j, 20) // before it printed
	expect(j, 20, Hole{4, 20})
	j = closed(j, 20) // likewise, in order
	expect(j, 20, Hole{4, 20})
	appendAll(t, j, "twice ") // in another segment
	if _, err := j.Append(30, [][]byte{[]byte("three")}, nil); err != nil {
		t.Fatal(err)
	}
	j = closed(j, 40) // not all was written
	expect(j, 40, Hole{4, 20})
	appendAll(t, j, "four") // the segment is full
	j = killed(j, 50)
	expect(j, 50, Hole{4, 20}, Hole{44, 50})
	appendAll(t, j, "five six")
	want := "one ................twice ....three.....four......five six"
	if got := readAll(t, j, 0); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := j.Events(0, j.End(), func(e Event) bool {
		if e.Kind == KindGap { // who looks is told by the hole
			t.Errorf("%s is told twice", e.Text)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	v, err := View(j.dir, "vm1")
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Holes(); !slices.Equal(got, j.Holes()) {
		t.Errorf("a view has the holes %v", got)
	}
}
