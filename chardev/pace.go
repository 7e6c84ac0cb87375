package chardev

import (
	"time"
)

// Who paces the device. It waits only if its next read would push out of memory
// a byte that a lagging client with a say still wants. Who begins with what only the
// journal has gets a say when it has kept up for paceTrust. A client loses its say by
// taking too little while it is waited for, and so costs everybody at most
// paceTurn, once, and gets it back by keeping up for paceTrust. When such losers
// cost paceTurn in paceSpan, turns are short; when they cost twice that, nobody
// is waited for who took nothing since it fell behind. A client with on_lag =
// "block" never loses its say; nor does one yet that is waited for for less than a
// paceTurn at a time, and not at all for as long between: it can cost up to half.
const (
	paceTurn  = 100 * time.Millisecond
	paceLeast = 50 * time.Millisecond // a short turn
	paceSpan  = 2 * time.Second
	paceTrust = time.Second
	paceTake  = 16 << 10 // taking less than this in a paceTurn is too little
)

// A pace is the device's side of the bargain. Guarded by hub.mu.
type pace struct {
	began  moment        // of the turn under way, or the last one
	length time.Duration // how long the device waits in it at most
	waited time.Duration // how long it has: a turn is of waiting, with up to paceTurn between
	last   moment        // when it did so last

	spent      time.Duration // waited for losers since spentSince
	spentSince moment
}

// A turn is a client's side of it. Guarded by hub.mu.
type turn struct {
	mute   bool // has no say
	live   bool // keeps up, else it lags
	marked bool // at the beginning of the device's turn, see below
	since  moment
	at     int64 // where it was then

	total time.Duration // how long it was live in all, until since

	// at the beginning of the device's turn
	markTotal time.Duration
	markAt    int64
}

// change notes that the client, which is at the given offset, begins to keep up
// or to lag.
func (t *turn) change(now moment, live bool, at int64) {
	if t.live == live && t.since != 0 {
		return
	}
	if t.live {
		t.total += now.since(t.since)
		if now.since(t.since) >= paceTrust {
			t.mute = false
		}
	}
	t.live, t.since, t.at = live, now, at
}

// liveFor is how long the client was live in all.
func (t *turn) liveFor(now moment) time.Duration {
	if t.live {
		return t.total + now.since(t.since)
	}
	return t.total
}

// waitRoom waits until n more bytes cost nobody with a say anything. It returns errGone
// if going is over before.
func (h *hub) waitRoom(going *latch, n int) error {
	var timer *time.Timer
	waited := time.Duration(0)
	for {
		wait := h.turnLeft(n, waited)
		if wait < 0 {
			return nil
		}
		began := time.Now()
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-h.room.rung():
		case <-timer.C:
		case <-going.done():
			return errGone
		}
		waited = time.Since(began)
	}
}

// turnLeft returns how long the device may have to wait before n more bytes are
// read, at most; negative if it need not wait. It has just waited for so long.
func (h *hub) turnLeft(n int, waited time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pace.waited += waited
	if h.lagging == 0 {
		return -1
	}
	oldest := h.hist.OldestAfter(n)
	now := thisMoment()
	resumed := now.since(h.pace.last) > paceTurn
	if waited > 0 {
		h.pace.last = now
	}
	if now.since(h.pace.spentSince) > paceSpan {
		h.pace.spent, h.pace.spentSince = 0, now
	}
	inTheWay := func(c *client) bool {
		if c.state != lagging || c.cursor.Load() >= oldest {
			return false
		}
		return c.onLag == "block" || !c.turn.mute && (h.pace.spent < 2*paceTurn || c.cursor.Load() > c.turn.at)
	}
	busy := false
	for _, c := range h.clients {
		if inTheWay(c) {
			busy = true
			break
		}
	}
	if !busy {
		return -1
	}
	if now.since(h.pace.began) > paceSpan || resumed && waited == 0 {
		h.beginTurn(now)
	}
	if h.pace.waited >= h.pace.length {
		h.judge(now, inTheWay)
		h.beginTurn(now)
		return 0 // look again
	}
	return h.pace.length - h.pace.waited
}

// beginTurn marks where everybody is.
func (h *hub) beginTurn(now moment) {
	h.pace.began, h.pace.waited = now, 0
	h.pace.length = max(paceTurn-h.pace.spent, paceLeast)
	for _, c := range h.clients {
		c.turn.markTotal, c.turn.markAt, c.turn.marked = c.turn.liveFor(now), c.cursor.Load(), true
	}
}

// judge takes the say of those in the way who took too little in the turn that
// is over: next to nothing; or, if they lagged for most of it, so little that
// another client stood idle at the head for more than half of it.
func (h *hub) judge(now moment, inTheWay func(*client) bool) {
	took, elapsed := h.pace.waited, now.since(h.pace.began)
	var idle time.Duration
	for _, c := range h.clients {
		if c.turn.marked {
			idle = max(idle, c.turn.liveFor(now)-c.turn.markTotal)
		}
	}
	lost := false
	for _, c := range h.clients {
		if !inTheWay(c) || !c.turn.marked || c.onLag == "block" {
			continue
		}
		least := int64(paceTake) * int64(took) / int64(paceTurn)
		lagged := c.turn.liveFor(now)-c.turn.markTotal < elapsed/4
		if c.cursor.Load()-c.turn.markAt < least || lagged && idle > elapsed/2 {
			c.turn.mute, lost = true, true
		}
	}
	if lost {
		h.pace.spent += took
	}
}
