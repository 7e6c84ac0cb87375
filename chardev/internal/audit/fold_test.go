package audit

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// At whatever rate somebody is refused, foldTime has some lines of it and a sum that
// has all the others; when it is over the next one stands by itself again.
func TestFlood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	synctest.Test(t, func(t *testing.T) {
		l := Open(path, slog.New(slog.DiscardHandler))
		refused := func(n int, peer, why string) {
			for range n {
				l.Note(Record{What: Refused, Peer: peer, Chardev: "vm", Why: why})
			}
		}
		refused(1000, "192.0.2.1:77", "first")
		refused(3, "192.0.2.2:77", "another")
		time.Sleep(foldTime / 2)
		refused(500, "192.0.2.1:78", "last")
		time.Sleep(foldTime)
		synctest.Wait()
		if l.fold.sums != nil || !l.fold.due.IsZero() {
			t.Errorf("%d sums are kept, due %v", len(l.fold.sums), l.fold.due)
		}
		refused(foldAfterRefused+1, "192.0.2.1:79", "again")
		closed(t, l)
	})
	list := read(t, path)
	if len(list) != foldAfterRefused+3+1+foldAfterRefused+1 {
		t.Fatalf("%d lines: %+v", len(list), list)
	}
	sum := list[foldAfterRefused+3]
	if sum.Count != 1500-foldAfterRefused || sum.Why != "last" || sum.Peer != "192.0.2.1:78" || sum.Until.Sub(sum.Time) != foldTime/2 {
		t.Errorf("%+v", sum)
	}
	if last := list[len(list)-1]; last.Count != 0 || last.Why != "again" || !last.Until.IsZero() {
		t.Errorf("a sum of one is %+v", last)
	}
}

// Of any records all are told: one by one or in sums, whose numbers and bytes are
// right, and who is let in is never in one with somebody else.
func TestFoldLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fold
		now := time.Unix(1e9, 0)
		type total struct{ n, bytes int64 }
		want, have := map[key]total{}, map[key]total{}
		var lines int
		tell := func(list ...Record) {
			for _, r := range list {
				lines++
				sum := have[keyOf(&r)]
				sum.n += int64(max(1, r.Count))
				sum.bytes += r.BytesIn
				have[keyOf(&r)] = sum
			}
		}
		people := rapid.IntRange(1, 2*foldMost).Draw(t, "people")
		for range rapid.IntRange(0, 3000).Draw(t, "records") {
			who := int(rapid.Uint16().Draw(t, "who")) % people
			r := Record{Time: now, What: Detach, Who: []string{fmt.Sprint("user:", who)}, BytesIn: int64(who)}
			sum := want[keyOf(&r)]
			sum.n, sum.bytes = sum.n+1, sum.bytes+r.BytesIn
			want[keyOf(&r)] = sum
			if f.take(&r) {
				tell(r)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond)
			tell(f.ended(now, false)...)
		}
		tell(f.ended(now, true)...)
		if len(want) != len(have) {
			t.Fatalf("%d people, told of %d", len(want), len(have))
		}
		for k, w := range want {
			if have[k] != w {
				t.Fatalf("%v: %v, told %v", k, w, have[k])
			}
		}
		if f.sums != nil || !f.due.IsZero() {
			t.Fatal("something is kept")
		}
	})
}

// Refusals from very many addresses, of an IPv6 network too, make no more lines than
// are bounded, and a table that is.
func TestManyStrangers(t *testing.T) {
	var f fold
	now := time.Unix(1e9, 0)
	told, in := 0, 0
	refuse := func(peer string) {
		r := Record{Time: now, What: Refused, Peer: peer, Chardev: "vm"}
		if f.take(&r) {
			told++
		}
		in++
	}
	for i := range 1000 {
		refuse(fmt.Sprintf("[2001:db8::%x]:1", i)) // one source
	}
	if told != foldAfterRefused {
		t.Errorf("a /64 made %d lines", told)
	}
	for i := range 10000 {
		refuse(fmt.Sprintf("192.0.%d.%d:1", i/256, i%256))
	}
	r := Record{Time: now, What: Attach, Who: []string{"user:alice"}}
	if !f.take(&r) {
		t.Error("alice is lost among strangers")
	}
	if len(f.sums) > foldMost+1 || told > foldMost+foldAfterRefused {
		t.Errorf("%d sums, %d lines", len(f.sums), told)
	}
	for _, s := range f.ended(now, true) {
		told += max(1, s.Count)
	}
	if told != in {
		t.Errorf("%d refused, %d told", in, told)
	}
}

// Where no rule asks who somebody is, very many who come and go make no more lines than
// refusals do, and the sums have all of them; people who are known are told one by one.
func TestManyAnonymous(t *testing.T) {
	var f fold
	now := time.Unix(1e9, 0)
	told := 0
	for i := range 10000 {
		peer := fmt.Sprintf("198.51.%d.%d:1", i>>8, i&255)
		for _, r := range []Record{{What: Attach}, {What: Detach, BytesOut: 1}} {
			r.Time, r.Peer, r.Chardev = now, peer, "vm"
			if f.take(&r) {
				told++
			}
		}
	}
	if told > foldMost {
		t.Errorf("%d lines", told)
	}
	if r := (Record{Time: now, What: Attach, Who: []string{"user:alice"}, Peer: "192.0.2.1:1"}); !f.take(&r) || r.Peer == "" {
		t.Errorf("alice is not told of, or as %+v", r)
	}
	var comes, goes, bytes int
	for _, r := range f.ended(now, true) {
		switch r.What {
		case Attach:
			comes += r.Count
		case Detach:
			goes, bytes = goes+r.Count, bytes+int(r.BytesOut)
		}
	}
	if comes+goes+told != 20000 || bytes != goes {
		t.Errorf("%d lines, and sums of %d, %d and %d bytes", told, comes, goes, bytes)
	}
}
