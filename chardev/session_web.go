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

// Sessions of the HTTP API, and tickets. Both are in memory: a restart ends them.

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
}

// A webSession is somebody who has logged in over HTTP.
type webSession struct {
	who  access.Identity
	ctx  context.Context // ends with it, and with the daemon
	end  context.CancelCauseFunc
	ends time.Time

	all *webSessions

	// guarded by all.mu
	held int       // requests and clients that are served with it
	used time.Time // when one of them has begun or ended
}

// A ticket stands for somebody, once.
type ticket struct {
	who     access.Identity
	session *webSession // nil: of none
	until   time.Time
}

func newWebSessions() *webSessions {
	return &webSessions{sessions: map[secretHash]*webSession{}, tickets: map[secretHash]ticket{}}
}

// begin begins a session of somebody, and returns its secret. It ends with ctx at the
// latest.
func (a *webSessions) begin(ctx context.Context, who access.Identity) (string, *webSession) {
	now := time.Now()
	s := &webSession{who: who, all: a, used: now, ends: now.Add(sessionLasts)}
	lasting, stop := context.WithDeadlineCause(ctx, s.ends, errSessionOver)
	ended, end := context.WithCancelCause(lasting)
	s.ctx, s.end = ended, func(why error) { end(why); stop() }
	secret, key := newSecret()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep(now, who)
	a.sessions[key] = s
	return secret, s
}

// sweep ends the sessions that are over, and one more if there is no room for another of
// who. Called with mu held.
func (a *webSessions) sweep(now time.Time, who access.Identity) {
	var all, own idlest
	for key, s := range a.sessions {
		if s.isOver(now) {
			delete(a.sessions, key)
			s.end(errSessionOver)
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
	a.sessions[all.key].end(errCrowded)
	delete(a.sessions, all.key)
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

// isOver is called with all.mu held.
func (s *webSession) isOver(now time.Time) bool {
	return s.ctx.Err() != nil || s.who.Ended() != "" || s.held == 0 && now.Sub(s.used) >= sessionIdle
}

// find returns the session of a secret.
func (a *webSessions) find(secret string) (*webSession, *channel.HandshakeError) {
	key, now := hashOf(secret), time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[key]
	if s != nil && s.isOver(now) {
		delete(a.sessions, key)
		s.end(errSessionOver)
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
	}
	note(1)
	return func() { note(-1) }
}

// logOut ends a session.
func (a *webSessions) logOut(s *webSession) {
	a.endAll(func(one *webSession) bool { return one == s }, errLoggedOut)
}

// endAll ends the sessions of which which is true, and their tickets. Who is attached
// with one is cut.
func (a *webSessions) endAll(which func(*webSession) bool, why error) {
	var over []*webSession
	a.mu.Lock()
	for key, s := range a.sessions {
		if which(s) {
			delete(a.sessions, key)
			over = append(over, s)
		}
	}
	a.mu.Unlock()
	for _, s := range over {
		s.end(why)
	}
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
