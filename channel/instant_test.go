package channel

import (
	"math"
	"testing"
	"time"
)

// An instant is past when the time it was made of is, and stays the same moment.
func TestInstant(t *testing.T) {
	if never := instantOf(time.Time{}); never.past() || !never.time().IsZero() {
		t.Error("no deadline has passed, or is one")
	}
	now := time.Now()
	for _, c := range []struct {
		name string
		at   time.Time
		past bool
	}{
		{"now", now, true},
		{"a moment ago", now.Add(-1), true},
		{"before the process began", began.Add(-time.Hour), true},
		{"when it began", began, true},
		{"just before", began.Add(-1), true},
		{"the beginning of Unix", time.Unix(1, 0), true},
		{"long before Unix", time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), true},
		{"by the wall clock", now.Add(-time.Second).Round(0), true},
		{"soon", now.Add(time.Hour), false},
		{"soon by the wall clock", now.Add(time.Hour).Round(0), false},
		{"in a hundred years", now.AddDate(100, 0, 0), false},
		{"in a thousand years", now.AddDate(1000, 0, 0), false},
		{"as late as can be", time.Unix(math.MaxInt64>>1, 0), false},
	} {
		i := instantOf(c.at)
		if i == 0 || i.past() != c.past {
			t.Errorf("%s: instant %d, past %v", c.name, i, i.past())
		}
		if again := instantOf(i.time()); i.time().IsZero() || again.past() != c.past {
			t.Errorf("%s: instant %d is %d again", c.name, i, again)
		}
	}
	in := now.Add(time.Hour)
	if off := instantOf(in).time().Sub(in).Abs(); off > time.Minute {
		t.Errorf("off by %v", off)
	}
}
