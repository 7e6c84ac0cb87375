package accounts

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrWrong is the error of a secret that is nobody's. It never says what was wrong.
var ErrWrong = errors.New("the name or the secret is wrong")

// LimitedError is the error of one who may not try now.
type LimitedError struct{ After time.Duration } // how long not; more than 0

func (e *LimitedError) Error() string {
	return fmt.Sprintf("too many tries: try again in %d s", e.Seconds())
}

// Seconds is After in whole seconds, so that who waits as long may try (Retry-After,
// RFC 9110 section 10.2.3).
func (e *LimitedError) Seconds() int { return int((e.After + time.Second - 1) / time.Second) }

// A rate is how often something may fail: most times at once, and once more for each
// interval that has passed.
type rate struct {
	most     int
	interval time.Duration
}

// The rates. A source alone gets nowhere near what an account takes, so whoever guesses
// a name from one address does not shut it out elsewhere.
var (
	perSource  = rate{10, 10 * time.Second}
	perAccount = rate{30, 2 * time.Second} // 43 000 guesses a day from all of the world
)

// tableMost is how many keys a table has room for.
const tableMost = 4096

// A table counts the failures of each of many keys by the generic cell rate algorithm
// (ITU-T I.371, annex A): of each it has one time, at which all of its failures are
// forgotten. Nothing runs while nobody asks. The zero table is empty.
type table[K comparable] struct {
	forgotten map[K]time.Time
	all       time.Time // when all of all keys is forgotten
}

// wait is how long a key may not fail once more; 0: it may now.
func (t *table[K]) wait(k K, r rate, now time.Time) time.Duration {
	return max(0, t.forgotten[k].Sub(now.Add(time.Duration(r.most-1)*r.interval)))
}

// charge counts a failure. Called if there is nothing to wait for.
func (t *table[K]) charge(k K, r rate, now time.Time) {
	if now.After(t.all) {
		t.forgotten = nil // with the memory that it grew to
	}
	if t.forgotten == nil {
		t.forgotten = map[K]time.Time{}
	}
	at, known := t.forgotten[k]
	if !known && len(t.forgotten) >= tableMost {
		t.evict()
	}
	if at.Before(now) {
		at = now
	}
	t.set(k, at.Add(r.interval))
}

// giveBack takes one failure back.
func (t *table[K]) giveBack(k K, r rate, now time.Time) {
	at, known := t.forgotten[k]
	if !known { // evicted
		return
	}
	if at = at.Add(-r.interval); at.After(now) {
		t.set(k, at)
	} else {
		delete(t.forgotten, k)
	}
}

func (t *table[K]) set(k K, at time.Time) {
	t.forgotten[k] = at
	if at.After(t.all) {
		t.all = at
	}
}

// evict makes room: of a few keys, as they come, it drops the one that has failed
// least, so that those who guess stay.
func (t *table[K]) evict() {
	var least K
	var at time.Time
	n := 0
	for k, v := range t.forgotten {
		if n == 0 || v.Before(at) {
			least, at = k, v
		}
		if n++; n == 16 {
			break
		}
	}
	delete(t.forgotten, least)
}

// A pair is an account and a source from where it was shown rightly before.
type pair struct {
	account string
	from    Source
}

// limits hold up whoever fails too often. A try counts as a failure from its begin on,
// so that many at once are as many; if it was none it is given back.
//
// A try counts for its source and for the account. But where an account was shown
// rightly from a source before, tries count for this pair alone: who guesses the name
// elsewhere, or other names there, does not shut it out.
//
// Tokens cannot be guessed, so a right one is never held up; of wrong ones there are
// only so many from a source, and they hold up no passwords.
type limits struct {
	mu       sync.Mutex
	tokens   table[Source]
	sources  table[Source]
	accounts table[string]
	pairs    table[pair]
	friends  map[pair]struct{} // where somebody was right
}

// friendsMost is how many pairs are remembered.
const friendsMost = 4096

// A try is one attempt to show a secret.
type try struct {
	limits *limits
	pair   pair
	friend bool // it counts for the pair
}

// wrongToken counts a token that is nobody's and returns ErrWrong, or a *LimitedError.
func (l *limits) wrongToken(from Source, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after := l.tokens.wait(from, perSource, now); after > 0 {
		return &LimitedError{after}
	}
	l.tokens.charge(from, perSource, now)
	return ErrWrong
}

// begin counts a try of a password, unless it is one too many: then it returns a
// *LimitedError.
func (l *limits) begin(account string, from Source, now time.Time) (*try, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &try{limits: l, pair: pair{account, from}}
	if _, t.friend = l.friends[t.pair]; t.friend {
		if after := l.pairs.wait(t.pair, perSource, now); after > 0 {
			return nil, &LimitedError{after}
		}
		l.pairs.charge(t.pair, perSource, now)
		return t, nil
	}
	if after := max(l.sources.wait(from, perSource, now), l.accounts.wait(account, perAccount, now)); after > 0 {
		return nil, &LimitedError{after}
	}
	l.sources.charge(from, perSource, now)
	l.accounts.charge(account, perAccount, now)
	return t, nil
}

// undo takes a try back of which nothing came.
func (t *try) undo(now time.Time) {
	l := t.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.friend {
		l.pairs.giveBack(t.pair, perSource, now)
		return
	}
	l.sources.giveBack(t.pair.from, perSource, now)
	l.accounts.giveBack(t.pair.account, perAccount, now)
}

// right ends a try whose secret was right.
func (t *try) right(now time.Time) {
	t.undo(now)
	l := t.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.friends == nil {
		l.friends = map[pair]struct{}{}
	}
	if len(l.friends) >= friendsMost {
		for p := range l.friends { // any
			delete(l.friends, p)
			break
		}
	}
	l.friends[t.pair] = struct{}{}
}
