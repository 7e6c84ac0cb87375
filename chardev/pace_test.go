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
