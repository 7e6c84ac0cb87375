package chardev

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"chardevd/chardev/internal/access"
)

var alice = access.Identity{Names: []access.Name{{Kind: access.User, Text: "alice"}}}

func (a *webSessions) has(secret string) bool { s, _ := a.find(secret); return s != nil }

// A session ends when nothing was done with it for long, after its longest time, when
// it is logged out, with its account, and with the daemon; and so does what it serves.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		all := newWebSessions()
		idle, _ := all.begin(ctx, alice)
		kept, of := all.begin(ctx, alice)
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

		long, s := all.begin(ctx, alice)
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

		out, s := all.begin(ctx, alice)
		all.logOut(s)
		if all.has(out) || context.Cause(s.ctx) != errLoggedOut {
			t.Errorf("logged out: %v", context.Cause(s.ctx))
		}

		account := new(access.Account)
		gone, _ := all.begin(ctx, access.Identity{Names: alice.Names, Accounts: []*access.Account{account}})
		account.End("gone")
		if all.has(gone) {
			t.Error("one outlives its account")
		}

		last, s := all.begin(ctx, alice)
		stop()
		if all.has(last) || whyEnded(s.ctx) != errShutdown {
			t.Errorf("one outlives the daemon: %v", whyEnded(s.ctx))
		}
	})
}

// Of too many sessions the one that was idle for the longest gives way, of too many
// tickets the oldest.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWebSessions()
		first, _ := all.begin(t.Context(), alice)
		second, _ := all.begin(t.Context(), alice)
		time.Sleep(time.Second)
		s, _ := all.find(first)
		s.hold()()
		for range sessionsMost - 1 {
			all.begin(t.Context(), alice)
		}
		if n := len(all.sessions); n != sessionsMost || !all.has(first) || all.has(second) {
			t.Errorf("%d sessions; the first %v, the second %v", n, all.has(first), all.has(second))
		}
		oldest, _ := all.issue(alice, nil)
		time.Sleep(time.Second)
		for range ticketsMost {
			all.issue(alice, nil)
		}
		if _, _, refusal := all.redeem(oldest); refusal == nil || len(all.tickets) != ticketsMost {
			t.Errorf("the oldest ticket is refused with %v, there are %d", refusal, len(all.tickets))
		}
		time.Sleep(ticketLasts + 1)
		all.issue(alice, nil)
		if len(all.tickets) != 1 {
			t.Errorf("%d tickets are kept", len(all.tickets))
		}
		all.endAll(func(*webSession) bool { return true }, errLoggedOut)
	})
}

// A ticket serves once, soon, and not longer than what it was given for.
func TestTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWebSessions()
		_, s := all.begin(t.Context(), alice)
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
