package chardev

import (
	"chardevd/chardev/internal/history"
	"log/slog"
	"testing"
	"time"
)

// Who falls behind is judged by what it takes while it is waited for, not by the
// time before that, in which there may have been nothing to take.
func TestNobodyIsJudgedForTimeWithoutWaiting(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), history.New(16<<10, 0, nil), "shared")
	for range 256 {
		h.hist.Space()
		h.hist.Commit(256)
	}
	now := thisMoment()
	c := &client{hub: h, onLag: "catch-up", state: lagging}
	c.cursor.Store(h.hist.Oldest())
	c.turn = turn{since: now, at: h.hist.Oldest(), marked: true, markAt: h.hist.Oldest()}
	h.clients, h.lagging = append(h.clients, c), 1
	// Somebody was waited for a second ago, for a moment.
	h.pace = pace{began: now.add(-time.Second), length: paceTurn, waited: time.Millisecond, spentSince: now}

	const space = 64 << 10 // pushes out what the client wants next
	if wait := h.turnLeft(space, 0); wait <= 0 || c.turn.mute || h.pace.spent != 0 {
		t.Fatalf("a client that was not waited for yet: the device waits %v for it; has no say: %v; charged: %v", wait, c.turn.mute, h.pace.spent)
	}
	if h.turnLeft(space, paceTurn); !c.turn.mute || h.pace.spent < paceTurn {
		t.Fatalf("a client that took nothing in %v of waiting keeps its say; charged: %v", paceTurn, h.pace.spent)
	}
}

// Who stops reading is waited for for one turn: that he kept up until then does not count,
// nor that the system takes megabytes for him before his socket is full.
func TestWhoStopsIsWaitedForOnce(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), history.New(16<<10, 0, nil), "shared")
	for range 256 {
		h.hist.Space()
		h.hist.Commit(256)
	}
	now := thisMoment()
	at := h.hist.Oldest()
	other := &client{hub: h, state: live, turn: turn{live: true, since: now.add(-time.Minute), marked: true}}
	other.cursor.Store(h.hist.Head())
	c := &client{hub: h, onLag: "catch-up", state: lagging}
	c.cursor.Store(at)
	c.turn = turn{since: now, at: at, marked: true, markAt: at - 500<<20, total: time.Minute}
	h.clients, h.lagging = []*client{other, c}, 1
	h.pace = pace{began: now.add(-1500 * time.Millisecond), length: paceTurn, waited: 3 * time.Millisecond, last: now.add(-1400 * time.Millisecond), spentSince: now}

	const space = 64 << 10
	if wait := h.turnLeft(space, 0); wait != paceTurn || c.turn.markAt != at {
		t.Fatalf("no turn began: the device waits %v, the mark is at %d of %d", wait, c.turn.markAt, at)
	}
	// A turn later: it was at the head for a moment, the other one all the time.
	const moment = 5 * time.Millisecond
	now = thisMoment()
	h.pace.began = now.add(-paceTurn - moment)
	c.turn.markAt, c.turn.markTotal = at-2<<20, c.turn.liveFor(now)-moment
	other.turn.markTotal = other.turn.liveFor(now) - paceTurn
	if h.turnLeft(space, paceTurn); !c.turn.mute || other.turn.mute {
		t.Fatalf("a client that was waited for for a whole turn keeps its say: %v; the one that waited: %v", !c.turn.mute, !other.turn.mute)
	}
}
