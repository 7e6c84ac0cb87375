package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/chardev/internal/access"
)

// A Store tells who showed a secret. Its methods may be called by many at once.
type Store struct {
	dir      string
	computed func()

	reload sync.Mutex // one Reload at a time
	tokens atomic.Pointer[book[Token]]
	users  atomic.Pointer[book[User]]

	limits limits
	turn   chan struct{} // whoever has put something in computes a hash
	decoy  hash          // of no password

	// Who waits for turn, and who has it: those who come from where their account was
	// shown rightly before, and strangers, who can fill their own queue only.
	friends, strangers atomic.Int64
}

// NewStore returns a store of the accounts in a state folder, of which none is in force
// before the first Reload. computed is called after each hash of a password, which
// leaves much garbage; nil: nobody wants to know.
func NewStore(dir string, computed func()) *Store {
	s := &Store{dir: dir, computed: computed, turn: make(chan struct{}, 1), decoy: usual}
	s.tokens.Store(&book[Token]{})
	s.users.Store(&book[User]{})
	return s
}

// Paths are the files, to be watched.
func (s *Store) Paths() []string {
	return []string{filepath.Join(s.dir, TokensFile), filepath.Join(s.dir, UsersFile)}
}

// A book is what is in force of a file, by what is shown: the SHA-256 of a token in
// hex, the name of a user. It is not changed once it is made.
type book[R record] map[string]*account[R]

// An account is one of a book.
type account[R record] struct {
	record R
	who    access.Identity // which stands on this account
}

func (b book[R]) records() (list []R) {
	for _, a := range b {
		list = append(list, a.record)
	}
	return list
}

// renewed is the book of what a file says now. What is as it was stays the same
// account.
func (b book[R]) renewed(list []R) book[R] {
	next := book[R]{}
	for _, r := range list {
		old := b[r.shown()]
		if old == nil || !reflect.DeepEqual(old.record, r) {
			old = &account[R]{r, identityOf(r)}
		}
		next[r.shown()] = old
	}
	return next
}

// less are the names of the accounts that are in b and not in other, sorted.
func (b book[R]) less(other book[R]) (names []string) {
	for shown, a := range b {
		if other[shown] != a {
			names = append(names, a.who.String())
		}
	}
	slices.Sort(names)
	return names
}

// end ends the accounts of b that are not in next.
func (b book[R]) end(next book[R], now time.Time) {
	for shown, a := range b {
		if next[shown] != a {
			a.who.Accounts[0].End(a.who.String() + " " + a.record.gone(now))
		}
	}
}

// identityOf is who shows a secret, on an account of its own.
func identityOf(r record) access.Identity {
	who := access.Identity{Names: []access.Name{r.called()}, Accounts: []*access.Account{new(access.Account)}}
	for _, g := range r.groups() {
		who.Names = append(who.Names, access.Name{Kind: access.Group, Text: g})
	}
	return who
}

// News are what Reload found.
type News struct {
	Tokens, Users int       // that are in force
	Begun         []string  // what they are called that are new, or were changed: token:ci, user:alice
	Ended         []string  // and those that are gone, or were changed
	Next          time.Time // when the next token expires; zero: none does
}

// Reload reads the files again. What is gone or was changed, or has expired by now,
// ends as an access.Account; what is as it was stays. The error says what is wrong with
// one of the files, or with both: what that one said before stays in force, but for
// what has expired. A file that is missing has no accounts.
func (s *Store) Reload(now time.Time) (News, error) {
	s.reload.Lock()
	defer s.reload.Unlock()
	var news News
	tokens, wrong := read[Token](s.Paths()[0])
	if wrong != nil {
		tokens = s.tokens.Load().records()
	}
	tokens = slices.DeleteFunc(tokens, func(t Token) bool { return t.expired(now) })
	for _, t := range tokens {
		if !t.Expires.IsZero() && (news.Next.IsZero() || t.Expires.Before(news.Next)) {
			news.Next = t.Expires
		}
	}
	users, wrongUsers := read[User](s.Paths()[1])
	if wrongUsers != nil {
		users = s.users.Load().records()
	}
	news.Tokens, news.Users = len(tokens), len(users)
	put(&s.tokens, tokens, now, &news)
	put(&s.users, users, now, &news)
	return news, errors.Join(wrong, wrongUsers)
}

// put has the accounts of a file in force.
func put[R record](in *atomic.Pointer[book[R]], list []R, now time.Time, news *News) {
	old := *in.Load()
	next := old.renewed(list)
	in.Store(&next)
	old.end(next, now)
	news.Begun = append(news.Begun, next.less(old)...)
	news.Ended = append(news.Ended, old.less(next)...)
}

// Token tells who shows a token. An error is ErrWrong or a *LimitedError. It does not
// wait.
func (s *Store) Token(_ context.Context, secret string, from Source) (access.Identity, error) {
	sum := sha256.Sum256([]byte(secret))
	now := time.Now()
	// How long the look-up takes tells of the sum of what was shown, which tells nothing
	// of the secrets there are.
	if a := (*s.tokens.Load())[hex.EncodeToString(sum[:])]; a != nil && !a.record.expired(now) {
		return a.who, nil
	}
	return access.Identity{}, s.limits.wrongToken(from, now)
}

// waitingMost is how many friends, and how many strangers, may wait for a hash to be
// computed, and waitingAfter when one who may not is to try again.
const (
	waitingMost  = 16
	waitingAfter = time.Second
)

// Password tells who shows a user's password. An error is ErrWrong, a *LimitedError, or
// that of ctx. It waits until those who came before were answered, at most twice
// waitingMost.
func (s *Store) Password(ctx context.Context, user, password string, from Source) (access.Identity, error) {
	known := user
	if checkName(user) != nil {
		known = "" // what can be nobody's is all one to the limits
	}
	try, err := s.limits.begin(known, from, time.Now())
	if err != nil {
		return access.Identity{}, err
	}
	a := (*s.users.Load())[user]
	queue := &s.strangers
	if try.friend {
		queue = &s.friends
	}
	right, err := s.compute(ctx, queue, a, password)
	switch {
	case err != nil:
		try.undo(time.Now())
		return access.Identity{}, err
	case !right:
		return access.Identity{}, ErrWrong
	}
	try.right(time.Now())
	return a.who, nil
}

// compute says whether the password is that of a, when it is its turn. It takes as long
// if there is no such account.
func (s *Store) compute(ctx context.Context, queue *atomic.Int64, a *account[User], password string) (right bool, err error) {
	defer queue.Add(-1)
	if queue.Add(1) > waitingMost {
		return false, &LimitedError{waitingAfter}
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if len(password) > maxPassword {
		password = "" // no account's, and hashed as fast as one that is
	}
	h := s.decoy
	if a != nil {
		if h, err = parseHash(a.record.Password); err != nil {
			return false, err // which read has seen to be right
		}
	}
	right = h.matches(password) && a != nil
	if s.computed != nil {
		s.computed()
	}
	return right, nil
}
