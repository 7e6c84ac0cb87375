package chardev

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// Sessions of the HTTP API, and tickets. Sessions are kept in the state folder
// (session_kept.go); tickets are in memory, and a restart ends them.

const (
	sessionIdle  = 12 * time.Hour     // a session ends when nothing was asked or attached with it for so long,
	sessionLasts = 7 * 24 * time.Hour // and in any case after so long
	sessionsMost = 4096               // of all; the one that was idle for the longest gives way,
	sessionsEach = 64                 // of one token or user; so nobody logs out others by logging in

	ticketLasts = 30 * time.Second
	ticketsMost = 1024 // that are not used yet; the oldest gives way,
	ticketsEach = 64   // of one caller, by name
)

// What a session and a ticket end of.
var (
	errSessionOver = errors.New("the session has lasted for as long as one may: log in again")
	errLoggedOut   = errors.New("logged out")
	errCrowded     = errors.New("too many sessions: log in again")
)

// A secretHash is what is kept of a secret that is handed out, so that to find it by
// one takes the same time whatever is there.
type secretHash [sha256.Size]byte

func hashOf(secret string) secretHash { return sha256.Sum256([]byte(secret)) }

// newSecret is a secret of 160 random bits or more, and its hash.
func newSecret() (string, secretHash) {
	secret := rand.Text() + rand.Text()
	return secret, hashOf(secret)
}

// webSessions are all sessions and tickets. Nothing runs while nobody asks, but for a
// timer for each session.
type webSessions struct {
	mu       sync.Mutex
	sessions map[secretHash]*webSession
	tickets  map[secretHash]ticket
	ctx      context.Context // all end with it at the latest
	keeping  keeping
}

// A webSession is somebody who has logged in over HTTP.
type webSession struct {
	who   access.Identity
	ctx   context.Context // ends with it, and with the daemon
	end   context.CancelCauseFunc
	ends  time.Time
	stamp string // of its account (accounts.Store.Stamp)

	all *webSessions

	// guarded by all.mu
	over bool      // it was dropped
	held int       // requests and clients that are served with it
	used time.Time // when one of them has begun or ended
	kept time.Time // what the file says of used
}

// A ticket stands for somebody, once.
type ticket struct {
	who     access.Identity
	session *webSession // nil: of none
	until   time.Time
}

func newWebSessions() *webSessions {
	return &webSessions{sessions: map[secretHash]*webSession{}, tickets: map[secretHash]ticket{}, ctx: context.Background()}
}

// begin begins a session of somebody, and returns its secret.
func (a *webSessions) begin(who access.Identity) (string, *webSession) {
	now := time.Now()
	secret, key := newSecret()
	stamp := a.keeping.stamp(who)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep(now, who)
	s := a.add(key, who, stamp, now, now.Add(sessionLasts))
	a.changed()
	return secret, s
}

// add adds a session of somebody. Called with mu held.
func (a *webSessions) add(key secretHash, who access.Identity, stamp string, used, ends time.Time) *webSession {
	s := &webSession{who: who, stamp: stamp, all: a, used: used, kept: used, ends: ends}
	lasting, stop := context.WithDeadlineCause(a.ctx, ends, errSessionOver)
	ended, end := context.WithCancelCause(lasting)
	s.ctx, s.end = ended, func(why error) { end(why); stop() }
	a.sessions[key] = s
	return s
}

// drop ends a session. Called with mu held.
func (a *webSessions) drop(key secretHash, why error) {
	s := a.sessions[key]
	delete(a.sessions, key)
	s.over = true
	s.end(why)
	a.changed()
}

// sweep ends the sessions that are over, and one more if there is no room for another of
// who. Called with mu held.
func (a *webSessions) sweep(now time.Time, who access.Identity) {
	var all, own idlest
	for key, s := range a.sessions {
		if s.isOver(now) {
			a.drop(key, errSessionOver)
			continue
		}
		all.see(key, s.held > 0, s.used)
		if s.who.String() == who.String() {
			own.see(key, s.held > 0, s.used)
		}
	}
	switch {
	case own.n >= sessionsEach:
		all = own
	case all.n < sessionsMost:
		return
	}
	a.drop(all.key, errCrowded)
}

// An idlest is of many things the one that is to give way: one with which nothing is
// served before one with which something is, and then the one whose time is the longest
// ago.
type idlest struct {
	n    int // how many were seen
	key  secretHash
	held bool
	used time.Time
}

func (i *idlest) see(key secretHash, held bool, used time.Time) {
	if i.n == 0 || i.held && !held || i.held == held && used.Before(i.used) {
		i.key, i.held, i.used = key, held, used
	}
	i.n++
}

// isOver is called with all.mu held. A session that is served no longer as the daemon ends
// is not over.
func (s *webSession) isOver(now time.Time) bool {
	return s.over || !now.Before(s.ends) || s.who.Ended() != "" || s.held == 0 && now.Sub(s.used) >= sessionIdle
}

// find returns the session of a secret.
func (a *webSessions) find(secret string) (*webSession, *channel.HandshakeError) {
	key, now := hashOf(secret), time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[key]
	if s != nil && s.isOver(now) {
		a.drop(key, errSessionOver)
		s = nil
	}
	if s == nil {
		return nil, &channel.HandshakeError{Status: http.StatusUnauthorized, Reason: "the session is over: log in again"}
	}
	return s, nil
}

// hold keeps the session from being idle until release is called.
func (s *webSession) hold() (release func()) {
	note := func(n int) {
		s.all.mu.Lock()
		defer s.all.mu.Unlock()
		s.held += n
		s.used = time.Now()
		if s.used.Sub(s.kept) >= usedKept && !s.over {
			s.all.changed()
		}
	}
	note(1)
	return func() { note(-1) }
}

// logOut ends a session and its tickets. Who is attached with it is cut. What is returned
// is closed when the session is not in the file any more either.
func (a *webSessions) logOut(s *webSession) (kept <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, one := range a.sessions {
		if one == s {
			a.drop(key, errLoggedOut)
		}
	}
	if a.keeping.writing == nil {
		return over
	}
	return a.keeping.writing
}

// issue returns a ticket for somebody, and until when it can be used.
func (a *webSessions) issue(who access.Identity, s *webSession) (string, time.Time) {
	now := time.Now()
	t := ticket{who, s, now.Add(ticketLasts)}
	secret, key := newSecret()
	a.mu.Lock()
	defer a.mu.Unlock()
	var all, own idlest
	for key, t := range a.tickets {
		if now.After(t.until) {
			delete(a.tickets, key)
			continue
		}
		all.see(key, false, t.until)
		if t.who.String() == who.String() {
			own.see(key, false, t.until)
		}
	}
	switch {
	case own.n >= ticketsEach:
		delete(a.tickets, own.key)
	case all.n >= ticketsMost:
		delete(a.tickets, all.key)
	}
	a.tickets[key] = t
	return secret, t.until
}

// redeem takes a ticket, which is used then.
func (a *webSessions) redeem(secret string) (*webSession, access.Identity, *channel.HandshakeError) {
	key, now := hashOf(secret), time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.tickets[key]
	delete(a.tickets, key)
	if !ok || now.After(t.until) || t.who.Ended() != "" || t.session != nil && t.session.isOver(now) {
		return nil, access.Identity{}, &channel.HandshakeError{Status: http.StatusUnauthorized, Reason: "the ticket is used, too old, or none: get another"}
	}
	return t.session, t.who, nil
}
