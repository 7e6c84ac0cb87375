package accounts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// A bucket is what a table does for one key, done slowly: it is full with most, and
// gets one more each interval after it was not full.
type bucket struct {
	r        rate
	failures []time.Time // when each is forgotten
}

func (b *bucket) forget(now time.Time) {
	b.failures = slices.DeleteFunc(b.failures, func(at time.Time) bool { return !at.After(now) })
}

func (b *bucket) wait(now time.Time) time.Duration {
	b.forget(now)
	if len(b.failures) < b.r.most {
		return 0
	}
	return b.failures[len(b.failures)-b.r.most].Sub(now)
}

func (b *bucket) charge(now time.Time) {
	b.forget(now)
	at := now
	if n := len(b.failures); n > 0 {
		at = b.failures[n-1]
	}
	b.failures = append(b.failures, at.Add(b.r.interval))
}

func (b *bucket) giveBack(now time.Time) {
	b.forget(now)
	if n := len(b.failures); n > 0 {
		b.failures = b.failures[:n-1]
	}
}

// A table does for each key what a bucket of its own would, and in any time there are
// no more failures than the rate says.
func TestTableIsABucketForEachKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate{rapid.IntRange(1, 5).Draw(t, "most"), time.Duration(rapid.IntRange(1, 10).Draw(t, "interval"))}
		var have table[int]
		want := map[int]*bucket{}
		charged := map[int][]time.Time{}
		now := epoch
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "passes")))
			k := rapid.IntRange(0, 2).Draw(t, "key")
			b := want[k]
			if b == nil {
				b = &bucket{r: r}
				want[k] = b
			}
			wait := have.wait(k, r, now)
			if w := b.wait(now); wait != w {
				t.Fatalf("key %d at %v waits %d, want %d", k, now.Sub(epoch), wait, w)
			}
			switch {
			case rapid.IntRange(0, 4).Draw(t, "what") == 0:
				have.giveBack(k, r, now)
				b.giveBack(now)
				charged[k] = nil // a time that has been given back cannot be told from the others
			case wait == 0:
				have.charge(k, r, now)
				b.charge(now)
				charged[k] = append(charged[k], now)
			case have.wait(k, r, now.Add(wait-1)) == 0 || have.wait(k, r, now.Add(wait)) != 0:
				t.Fatalf("key %d at %v may fail again in %d, and not when it was told", k, now.Sub(epoch), wait)
			}
			for _, times := range charged {
				for i := range times {
					for j := i + r.most; j < len(times); j++ {
						if int(times[j].Sub(times[i])/r.interval) < j+1-i-r.most {
							t.Fatalf("%d failures from %v to %v", j+1-i, times[i].Sub(epoch), times[j].Sub(epoch))
						}
					}
				}
			}
		}
	})
}

// However many keys fail, a table has room for so many; those that fail most stay, and
// when all is forgotten nothing is left.
func TestTableIsBounded(t *testing.T) {
	var tb table[int]
	for range perSource.most {
		tb.charge(-1, perSource, epoch)
	}
	for k := range 20 * tableMost {
		if tb.wait(k, perSource, epoch) == 0 {
			tb.charge(k, perSource, epoch)
		}
	}
	if len(tb.forgotten) != tableMost {
		t.Errorf("it has %d keys, want %d", len(tb.forgotten), tableMost)
	}
	if tb.wait(-1, perSource, epoch) == 0 {
		t.Error("who guessed most was dropped for those who failed once")
	}
	later := epoch.Add(time.Duration(perSource.most)*perSource.interval + 1)
	tb.charge(5, perSource, later)
	if len(tb.forgotten) != 1 {
		t.Errorf("it has %d keys when all but one is forgotten", len(tb.forgotten))
	}
}

func source(n int) Source {
	return FromIP(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
}

// fails makes wrong tries until there may be no more, and says how many there were.
func fails(l *limits, account string, from Source, now time.Time) (n int, after time.Duration) {
	for {
		if _, err := l.begin(account, from, now); err != nil {
			return n, err.(*LimitedError).After
		}
		n++
	}
}

// Who guesses a name from one address is held up there, with every name, and nobody
// else is.
func TestWhoGuessesIsHeldUp(t *testing.T) {
	var l limits
	if n, after := fails(&l, "alice", source(1), epoch); n != perSource.most || after != perSource.interval {
		t.Errorf("%d tries, and then none for %v", n, after)
	}
	if _, err := l.begin("bob", source(1), epoch); err == nil {
		t.Error("the source may try another name")
	}
	if _, err := l.begin("alice", source(2), epoch); err != nil {
		t.Errorf("alice is shut out elsewhere: %v", err)
	}
	// For as long as it goes on.
	now, tries := epoch, 0
	for range 3600 {
		now = now.Add(time.Second)
		n, _ := fails(&l, "alice", source(1), now)
		tries += n
		try, err := l.begin("alice", source(3), now)
		if err != nil {
			t.Fatalf("alice is shut out elsewhere at %v: %v", now.Sub(epoch), err)
		}
		try.undo(now)
	}
	if want := 3600 / int(perSource.interval/time.Second); tries != want {
		t.Errorf("%d guesses in an hour, want %d", tries, want)
	}
}

// Many who guess a name hold up each other, and whoever comes from a new address; not
// who was there before.
func TestManyGuessOneName(t *testing.T) {
	var l limits
	try, err := l.begin("alice", source(0), epoch)
	if err != nil {
		t.Fatal(err)
	}
	try.right(epoch)
	now, tries := epoch, 0
	for s := range 600 {
		now = now.Add(time.Second)
		for n := range 100 {
			if _, err := l.begin("alice", source(1+100*s+n), now); err == nil {
				tries++
			}
		}
		try, err := l.begin("alice", source(0), now)
		if err != nil {
			t.Fatalf("alice is shut out at home at %v: %v", now.Sub(epoch), err)
		}
		try.right(now)
	}
	if want := perAccount.most + 600/int(perAccount.interval/time.Second); tries < want-1 || tries > want {
		t.Errorf("%d guesses in ten minutes, want %d", tries, want)
	}
	if _, err := l.begin("alice", source(1<<20), now); err == nil {
		t.Error("an address where alice never was may guess")
	}
	// And who sits where she was, as behind one proxy, has no more tries than elsewhere.
	if n, _ := fails(&l, "alice", source(0), now); n != perSource.most {
		t.Errorf("%d guesses at home, want %d", n, perSource.most)
	}
	if len(l.sources.forgotten) > tableMost || len(l.accounts.forgotten) != 1 || len(l.friends) != 1 {
		t.Errorf("%d sources, %d accounts, %d friends are remembered", len(l.sources.forgotten), len(l.accounts.forgotten), len(l.friends))
	}
}

// What was right costs nothing, nor what came to nothing.
func TestRightTriesCostNothing(t *testing.T) {
	var l limits
	for i := range 1000 {
		try, err := l.begin("alice", source(1), epoch)
		if err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
		if i%2 == 0 {
			try.undo(epoch)
		} else {
			try.right(epoch)
		}
	}
	if n := len(l.sources.forgotten) + len(l.accounts.forgotten) + len(l.pairs.forgotten); n != 0 {
		t.Errorf("%d are remembered to have failed", n)
	}
	for i := range 2 * friendsMost {
		try, err := l.begin(fmt.Sprint(i), source(i), epoch)
		if err != nil {
			t.Fatal(err)
		}
		try.right(epoch)
	}
	if len(l.friends) != friendsMost {
		t.Errorf("%d friends are remembered, want %d", len(l.friends), friendsMost)
	}
}

// Wrong tokens are held up; right ones never are, nor passwords by wrong tokens.
func TestWrongTokens(t *testing.T) {
	s := newShop(t)
	ci := s.token("ci", time.Time{})
	s.must(s.AddUser("alice", "correct horse", nil))
	s.news()
	for i := range 2 * perSource.most {
		_, err := s.Token(context.Background(), ci+"x", home)
		limited, ok := errors.AsType[*LimitedError](err)
		if ok != (i >= perSource.most) || !ok && err != ErrWrong {
			t.Fatalf("wrong token %d: %v", i, err)
		}
		if ok && (limited.Seconds() < 1 || limited.Seconds() > int(perSource.interval/time.Second)) {
			t.Errorf("held up for %v", limited.After)
		}
		if names(s.shows(ci)) != "token:ci" {
			t.Fatalf("after wrong token %d", i)
		}
	}
	if names(s.types("alice", "correct horse")) != "user:alice" { // once, as a hash takes long
		t.Fatal("alice is shut out by wrong tokens")
	}
}

// Names that cannot be are all one, and make no table grow.
func TestNamesThatCannotBe(t *testing.T) {
	s := newShop(t)
	s.decoy.memory, s.decoy.passes = 8, 1 // there is nobody to hide
	for i := range 1000 {
		if _, err := s.Password(context.Background(), fmt.Sprintf("a b %d", i), "x", source(i/5)); err == nil {
			t.Fatal("it is somebody")
		}
	}
	if k := slices.Collect(maps.Keys(s.limits.accounts.forgotten)); len(k) != 1 || k[0] != "" {
		t.Errorf("remembered: %q", k)
	}
}

// A hash is computed at a time, and so many wait for it, whose end is no wrong try.
// However many strangers wait, who was right before may wait too.
func TestWaitingIsBounded(t *testing.T) {
	s := newShop(t)
	s.must(s.AddUser("alice", "correct horse", nil))
	s.news()
	if s.types("alice", "correct horse").Names == nil { // so that she was right at home
		t.Fatal("alice is not known")
	}
	s.turn <- struct{}{} // somebody takes long
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, waitingMost)
	for i := range waitingMost {
		go func() {
			_, err := s.Password(ctx, "alice", "correct horse", source(1+i))
			errs <- err
		}()
	}
	for s.strangers.Load() < waitingMost {
		runtime.Gosched() // until all of them wait
	}
	_, err := s.Password(context.Background(), "alice", "correct horse", source(0))
	if l, ok := errors.AsType[*LimitedError](err); !ok || l.After != waitingAfter {
		t.Errorf("one too many: %v", err)
	}
	atHome := make(chan error, 1)
	go func() {
		_, err := s.Password(context.Background(), "alice", "correct horse", home)
		atHome <- err
	}()
	for s.friends.Load() < 1 && len(atHome) == 0 {
		runtime.Gosched() // until she waits as well
	}
	cancel()
	for range waitingMost {
		if err := <-errs; err != context.Canceled {
			t.Errorf("who waited: %v", err)
		}
	}
	if n := s.strangers.Load(); n != 0 || len(s.limits.sources.forgotten) != 0 {
		t.Errorf("%d wait still, %d have failed", n, len(s.limits.sources.forgotten))
	}
	<-s.turn
	if err := <-atHome; err != nil {
		t.Errorf("who waited at home: %v", err)
	}
	if names(s.types("alice", "correct horse")) != "user:alice" {
		t.Error("nobody is answered any more")
	}
}

// Neither what is computed nor how often tells whether there is such a user.
func TestNobodyIsComputedToo(t *testing.T) {
	s := newShop(t)
	computed := 0
	s.Store = NewStore(s.Dir, func() { computed++ })
	s.must(s.AddUser("alice", "correct horse", nil))
	s.news()
	alice := (*s.users.Load())["alice"]
	h, err := parseHash(alice.record.Password)
	s.must(err)
	if d := s.decoy; d.memory != h.memory || d.passes != h.passes || d.lanes != h.lanes || len(d.salt) != len(h.salt) || len(d.tag) != len(h.tag) {
		t.Errorf("alice costs %v, and nobody %v", h, d)
	}
	for i, user := range []string{"alice", "nobody"} {
		if s.types(user, "wrong"); computed != i+1 {
			t.Errorf("%d hashes were computed", computed)
		}
	}
}

func TestSources(t *testing.T) {
	ip := func(s string) Source { return FromIP(netip.MustParseAddr(s)) }
	for _, c := range []struct {
		a, b Source
		same bool
	}{
		{ip("192.0.2.1"), ip("::ffff:192.0.2.1"), true},
		{ip("192.0.2.1"), ip("192.0.2.2"), false},
		{ip("2001:db8::1"), ip("2001:db8::ffff:2"), true},
		{ip("2001:db8::1"), ip("2001:db8:0:1::1"), false},
		{ip("fe80::1%eth0"), ip("fe80::2"), true},
		{FromUser(1), FromUser(2), false},
		{FromUser(1), FromPlace("1"), false},
	} {
		if (c.a == c.b) != c.same {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}
