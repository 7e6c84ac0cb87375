package chardev

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"chardevd/chardev/internal/access"
)

var alice = access.Identity{Names: []access.Name{{Kind: access.User, Text: "alice"}}}

func (a *webSessions) has(secret string) bool { s, _ := a.find(secret); return s != nil }

// endAll logs everybody out.
func (a *webSessions) endAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.sessions {
		a.drop(key, errLoggedOut)
	}
}

// A session ends when nothing was done with it for long, after its longest time, when
// it is logged out, and with its account; and so does what it serves, which the daemon's
// end ends too.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		all := newWebSessions()
		all.ctx = ctx
		idle, _ := all.begin(alice)
		kept, of := all.begin(alice)
		release := of.hold()
		time.Sleep(sessionIdle - time.Second)
		if !all.has(idle) {
			t.Error("one is over too soon")
		}
		time.Sleep(time.Second)
		if all.has(idle) {
			t.Error("one that is idle is not over")
		}
		if !all.has(kept) {
			t.Error("one that is in use is over")
		}
		release()
		time.Sleep(sessionIdle - time.Second)
		if !all.has(kept) {
			t.Error("one that was in use just now is over")
		}

		long, s := all.begin(alice)
		defer s.hold()()
		time.Sleep(sessionLasts - time.Second)
		if !all.has(long) || s.ctx.Err() != nil {
			t.Error("one is over before its time")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if all.has(long) || context.Cause(s.ctx) != errSessionOver {
			t.Errorf("one lasts longer than one may: %v", context.Cause(s.ctx))
		}

		out, s := all.begin(alice)
		all.logOut(s)
		if all.has(out) || context.Cause(s.ctx) != errLoggedOut {
			t.Errorf("logged out: %v", context.Cause(s.ctx))
		}

		account := new(access.Account)
		gone, _ := all.begin(access.Identity{Names: alice.Names, Accounts: []*access.Account{account}})
		account.End("gone")
		if all.has(gone) {
			t.Error("one outlives its account")
		}

		last, s := all.begin(alice)
		stop()
		if !all.has(last) || whyEnded(s.ctx) != errShutdown {
			t.Errorf("at the daemon's end one is there %v, and ends what it serves with %v", all.has(last), whyEnded(s.ctx))
		}
	})
}

// one is somebody else for each number.
func one(i int) access.Identity {
	return access.Identity{Names: []access.Name{{Kind: access.User, Text: strconv.Itoa(i)}}}
}

// However often somebody logs in, or has tickets made, that is at the cost of his own.
func TestNobodyLogsOutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWebSessions()
		all.ctx = t.Context()
		defer all.endAll()
		hers, _ := all.begin(alice)
		ticket, _ := all.issue(alice, nil)
		first, _ := all.begin(one(1))
		time.Sleep(time.Second)
		for range sessionsMost {
			all.begin(one(1))
		}
		if n := len(all.sessions); !all.has(hers) || all.has(first) || n != 1+sessionsEach {
			t.Errorf("%d sessions; hers %v, the first of his %v", n, all.has(hers), all.has(first))
		}
		for range ticketsMost {
			all.issue(one(1), nil)
		}
		if n := len(all.tickets); n != 1+ticketsEach {
			t.Errorf("%d tickets", n)
		}
		if _, _, refusal := all.redeem(ticket); refusal != nil {
			t.Errorf("her ticket: %v", refusal)
		}
	})
}

// Of too many sessions the one that was idle for the longest gives way, of too many
// tickets the oldest.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWebSessions()
		all.ctx = t.Context()
		held, h := all.begin(alice)
		defer h.hold()()
		time.Sleep(time.Second)
		first, _ := all.begin(alice)
		second, _ := all.begin(alice)
		time.Sleep(time.Second)
		s, _ := all.find(first)
		s.hold()()
		for len(all.sessions) < sessionsMost {
			_, key := newSecret()
			another := *s
			another.who = one(len(all.sessions))
			all.sessions[key] = &another
		}
		all.begin(alice)
		if n := len(all.sessions); n != sessionsMost || !all.has(held) || !all.has(first) || all.has(second) {
			t.Errorf("%d sessions; the one held %v, the first %v, the second %v", n, all.has(held), all.has(first), all.has(second))
		}
		oldest, _ := all.issue(alice, nil)
		time.Sleep(time.Second)
		for i := range ticketsMost {
			all.issue(one(i), nil)
		}
		if _, _, refusal := all.redeem(oldest); refusal == nil || len(all.tickets) != ticketsMost {
			t.Errorf("the oldest ticket is refused with %v, there are %d", refusal, len(all.tickets))
		}
		time.Sleep(ticketLasts + 1)
		all.issue(alice, nil)
		if len(all.tickets) != 1 {
			t.Errorf("%d tickets are kept", len(all.tickets))
		}
		all.endAll()
	})
}

// A ticket serves once, soon, and not longer than what it was given for.
func TestTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWebSessions()
		all.ctx = t.Context()
		_, s := all.begin(alice)
		account := new(access.Account)
		good, _ := all.issue(alice, s)
		late, _ := all.issue(alice, nil)
		revoked, _ := all.issue(access.Identity{Accounts: []*access.Account{account}}, nil)
		loggedOut, _ := all.issue(alice, s)
		of, who, refusal := all.redeem(good)
		if of != s || who.String() != "user:alice" || refusal != nil {
			t.Errorf("%v %v %v", of, who, refusal)
		}
		account.End("revoked")
		all.logOut(s)
		time.Sleep(ticketLasts + 1)
		for why, ticket := range map[string]string{"used": good, "late": late, "revoked": revoked, "logged out": loggedOut, "none": "x"} {
			if _, _, refusal := all.redeem(ticket); refusal == nil || refusal.Status != 401 {
				t.Errorf("a ticket that is %s: %v", why, refusal)
			}
		}
	})
}
