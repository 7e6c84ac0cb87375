package chardev

import (
	"chardevd/chardev/internal/history"
	"log/slog"
	"testing"
	"time"
)

// pushing is how much the device has, in the tests of its pace; it pushes out what c, see
// laggard, wants next.
const pushing = 64 << 10

// laggard returns a hub that is full, and a client c that lags and wants the oldest of it.
func laggard() (h *hub, c *client) {
	h = newHub(slog.New(slog.DiscardHandler), history.New(16<<10, 0, nil), "shared")
	h.prints(64 << 10)
	c = &client{hub: h, onLag: "catch-up", state: lagging}
	c.cursor.Store(h.hist.Oldest())
	c.turn = turn{since: thisMoment(), at: h.hist.Oldest()}
	h.clients, h.lagging = append(h.clients, c), 1
	h.pace = new(pace)
	return h, c
}

// prints has the device print n bytes.
func (h *hub) prints(n int) {
	for range n / 256 {
		h.hist.Space()
		h.hist.Commit(256)
	}
}

// pass lets time pass.
func (h *hub) pass(d time.Duration) {
	for _, m := range []*moment{&h.pace.began, &h.pace.last, &h.pace.span, &h.pace.spentSince} {
		*m = m.add(-d)
	}
	if h.pace.since != 0 {
		h.pace.since = h.pace.since.add(-d)
	}
	for _, c := range h.clients {
		c.turn.since = c.turn.since.add(-d)
	}
}

// waits lets the device wait; it returns what turnLeft says then.
func (h *hub) waits(d time.Duration) time.Duration {
	h.pass(d)
	return h.turnLeft(pushing, d)
}

// Who falls behind is judged by what it takes while it is waited for, not by the
// time before that, in which there may have been nothing to take.
func TestNobodyIsJudgedForTimeWithoutWaiting(t *testing.T) {
	h, c := laggard()
	h.turnLeft(pushing, 0)
	h.waits(time.Millisecond)
	h.pass(time.Second)
	if wait := h.turnLeft(pushing, 0); wait <= 0 || c.turn.mute || h.pace.spent != 0 {
		t.Fatalf("a client that was not waited for yet: the device waits %v for it; has no say: %v; charged: %v", wait, c.turn.mute, h.pace.spent)
	}
	if h.waits(paceTurn); !c.turn.mute || h.pace.spent < paceTurn {
		t.Fatalf("a client that took nothing in %v of waiting keeps its say; charged: %v", paceTurn, h.pace.spent)
	}
}

// Who stops reading is waited for for one turn: that he kept up until then does not count,
// nor that the system takes megabytes for him before his socket is full.
func TestWhoStopsIsWaitedForOnce(t *testing.T) {
	h, c := laggard()
	at := h.hist.Oldest()
	other := &client{hub: h, state: live, turn: turn{live: true, since: thisMoment().add(-time.Minute)}}
	other.cursor.Store(h.hist.Head())
	h.clients = append(h.clients, other)
	c.turn.total = time.Minute
	c.cursor.Store(at - 500<<20)
	h.turnLeft(pushing, 0)
	h.waits(3 * time.Millisecond)

	c.cursor.Store(at)
	h.pass(1400 * time.Millisecond)
	if wait := h.turnLeft(pushing, 0); wait != paceTurn-3*time.Millisecond || c.turn.markAt != at {
		t.Fatalf("no turn began: the device waits %v, the mark is at %d of %d", wait, c.turn.markAt, at)
	}
	// In the turn it is at the head for a moment, the other one all the time.
	const moment = 5 * time.Millisecond
	c.turn.total += moment
	h.pass(moment)
	c.turn.markAt -= 2 << 20
	if h.waits(paceTurn); !c.turn.mute || other.turn.mute {
		t.Fatalf("a client that was waited for for a whole turn keeps its say: %v; the one that waited: %v", !c.turn.mute, !other.turn.mute)
	}
}

// Who is waited for for less than a turn, again and again, is not better off for keeping
// up in between; who takes what it is waited for is.
func TestWhoStopsAgainAndAgainIsWaitedForOnce(t *testing.T) {
	const stop, between = paceTurn - paceGlance, paceTurn + 50*time.Millisecond
	for _, hostile := range []bool{true, false} {
		h, c := laggard()
		var waited time.Duration
		for range 5 {
			h.turnLeft(pushing, 0)
			for stopped := stop; stopped > 0 && !c.turn.mute; stopped -= paceGlance {
				if !hostile {
					c.cursor.Add(paceTake / 8)
					h.prints(paceTake / 8)
				}
				h.waits(paceGlance)
				waited += paceGlance
			}
			if c.turn.mute {
				break
			}
			c.turn.change(thisMoment(), true, c.cursor.Load())
			c.state, h.lagging = live, 0
			h.pass(between)
			h.turnLeft(pushing, 0)
			c.state, h.lagging = lagging, 1
			c.turn.change(thisMoment(), false, c.cursor.Load())
		}
		if most := paceTurn + 2*paceGlance; hostile && waited > most {
			t.Errorf("it is waited for for %v, and not for %v", waited, most)
		}
		if hostile != c.turn.mute {
			t.Errorf("hostile: %v, has no say: %v, after %v of waiting", hostile, c.turn.mute, waited)
		}
	}
}

// What one client owes shortens the turn of nobody else, nor does it keep anybody from being
// judged.
func TestEachIsJudgedForItself(t *testing.T) {
	h, c := laggard()
	h.pace.span = thisMoment()
	quick := &client{hub: h, onLag: "catch-up", state: live, turn: turn{live: true, since: thisMoment()}}
	quick.cursor.Store(h.hist.Head())
	quick.turn.owe(paceLeast)
	h.clients = append(h.clients, quick)
	if wait := h.turnLeft(pushing, 0); wait != paceTurn {
		t.Errorf("a client that owes nothing is waited for for %v", wait)
	}
	if h.waits(paceTurn); !c.turn.mute {
		t.Error("a client that took nothing keeps its say")
	}

	// Two in the way, of which one owes: the other one is next.
	h, c = laggard()
	h.pace.span = thisMoment()
	owing := &client{hub: h, onLag: "catch-up", state: lagging, turn: turn{since: thisMoment(), at: h.hist.Oldest()}}
	owing.cursor.Store(h.hist.Oldest())
	owing.turn.owe(paceTurn - paceLeast)
	h.clients, h.lagging = append(h.clients, owing), 2
	waited := h.turnLeft(pushing, 0)
	if h.waits(waited); waited != paceLeast || !owing.turn.mute || c.turn.mute {
		t.Errorf("after %v the one that owed has no say: %v, the other one: %v", waited, owing.turn.mute, c.turn.mute)
	}
	for range 3 {
		if wait := h.turnLeft(pushing, 0); wait > 0 {
			h.waits(wait)
			waited += wait
		}
	}
	if !c.turn.mute || waited > paceTurn+2*paceGlance {
		t.Errorf("after %v the other one has no say: %v", waited, c.turn.mute)
	}
}

// Who leaves while it is waited for, and comes again, costs no more than who stays, whether
// it goes while the device waits or a moment later.
func TestWhoLeavesAndComesAgainIsWaitedForOnce(t *testing.T) {
	const stop, between = paceTurn - paceGlance, paceTurn + 50*time.Millisecond
	for _, resumes := range []bool{false, true} {
		h, c := laggard()
		h.pace.spentSince = thisMoment()
		var waited time.Duration
		for passed := time.Duration(0); passed < paceSpan-stop-between; passed += stop + between {
			if left := h.turnLeft(pushing, 0); left > 0 {
				left = min(left, stop)
				waited += left
				if h.pass(left); resumes {
					h.setState(c, detached)
					h.turnLeft(pushing, left)
					h.setState(c, lagging)
				}
			}
			h.finish(c)
			h.turnLeft(pushing, 0)
			h.pass(between)
			again := &client{hub: h, onLag: "catch-up"}
			again.cursor.Store(c.cursor.Load())
			h.setState(again, lagging)
			h.clients[0], c = again, again
		}
		if most := 3 * paceTurn; waited > most {
			t.Errorf("they are waited for for %v, and not for %v; they leave later: %v", waited, most, resumes)
		}
		if h.turnLeft(pushing, 0) >= 0 {
			t.Error("who comes again is waited for yet")
		}
		if c.turn.total = paceTrust; h.turnLeft(pushing, 0) <= 0 {
			t.Error("who has kept up for long is not waited for")
		}
	}
}
