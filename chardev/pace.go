package chardev

import (
	"slices"
	"time"
)

// Who paces the device. It waits only if its next read would push out of memory
// a byte that a lagging client with a say still wants. Who begins with what only the
// journal has gets a say when it has kept up for paceTrust. A client loses its say by
// taking too little while it is waited for, in one turn or in several of a paceSpan
// together, and so costs everybody at most
// paceTurn, once, and gets it back by keeping up for paceTrust. When such losers,
// and who leaves while it is waited for,
// cost paceTurn in paceSpan, turns are short; when they cost twice that, nobody
// is waited for who took nothing since it fell behind, but who has kept up for
// paceTrust in all is until they cost twice that again. A client with on_lag =
// "block" never loses its say.
const (
	paceTurn   = 100 * time.Millisecond
	paceLeast  = 50 * time.Millisecond // a short turn
	paceGlance = 10 * time.Millisecond // in less waiting than this nobody can be judged
	paceSpan   = 2 * time.Second
	paceTrust  = time.Second
	paceTake   = 16 << 10 // taking less than this in a paceTurn is too little
)

// A pace is the device's side of the bargain. Guarded by hub.mu.
type pace struct {
	began  moment        // of the turn under way, or the last one
	length time.Duration // how long the device waits in it at most, for one client
	waited time.Duration // how long it has: a turn is of waiting, with up to paceTurn between
	last   moment        // when it did so last
	since  moment        // when it began to, if it does now; else 0

	span moment // since when clients owe

	spent      time.Duration // waited for losers and leavers since spentSince
	spentSince moment
}

// A turn is a client's side of it. Guarded by hub.mu.
type turn struct {
	mute   bool // has no say
	live   bool // keeps up, else it lags
	marked bool // at the beginning of the device's turn, see below
	owes   owes // how long the device waited in earlier turns of the span that it lagged in
	since  moment
	at     int64 // where it was then

	total time.Duration // how long it was live in all, until since

	// at the beginning of the device's turn
	markTotal time.Duration
	markAt    int64
}

// An owes is a duration in microseconds; it is small, as every client has one.
type owes uint32

func (t *turn) owe(d time.Duration) { t.owes += owes(d / time.Microsecond) }

func (o owes) duration() time.Duration { return time.Duration(o) * time.Microsecond }

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

// somebodyLags is whether the device may have to wait for somebody.
func (h *hub) somebodyLags() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lagging > 0
}

// setHistory changes how many bytes of the output are held. Less is at once, unless somebody
// lags, whom the device waits for before it prints more, as ever.
func (h *hub) setHistory(size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hist.SetSize(size)
	if h.lagging == 0 {
		h.hist.Trim()
	}
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
	return h.turnOf(n, waited)
}

// turnOf is turnLeft with mu held.
func (h *hub) turnOf(n int, waited time.Duration) time.Duration {
	if h.lagging == 0 && waited == 0 {
		return -1
	}
	if h.pace == nil {
		h.pace = new(pace)
	}
	p := h.pace
	p.since = 0
	now := thisMoment()
	resumed := waited == 0 && now.since(p.last) > paceTurn
	if waited > 0 {
		p.waited, p.last = p.waited+waited, now
	}
	oldest := h.hist.OldestAfter(n)
	if now.since(p.spentSince) > paceSpan {
		p.spent, p.spentSince = 0, now
	}
	inTheWay := func(c *client) bool {
		switch {
		case c.state != lagging || c.cursor.Load() >= oldest:
			return false
		case c.onLag == "block":
			return true
		case c.turn.mute:
			return false
		case p.spent < 2*paceTurn || c.cursor.Load() > c.turn.at:
			return true
		}
		return p.spent < 4*paceTurn && c.turn.liveFor(now) >= paceTrust
	}
	if !slices.ContainsFunc(h.clients, inTheWay) {
		return -1
	}
	if now.since(p.began) > paceSpan || resumed {
		h.charge(now)
		h.beginTurn(now)
	}
	owed := time.Duration(0)
	for _, c := range h.clients {
		if inTheWay(c) {
			owed = max(owed, c.turn.owes.duration())
		}
	}
	left := max(p.length-owed, paceGlance) - p.waited
	if left <= 0 {
		h.judge(now, inTheWay)
		h.beginTurn(now)
		return 0 // look again
	}
	p.since = now
	return left
}

// chargeLeaver has those who lose pay for a client that goes: it is judged no more, and
// whoever comes in its place owes nothing. Called with mu held.
func (h *hub) chargeLeaver(c *client) {
	p, t := h.pace, &c.turn
	if p == nil || t.mute || c.onLag == "block" {
		return
	}
	now, waited := thisMoment(), p.waited
	if p.since != 0 {
		waited += min(now.since(p.since), p.length) // more only if the device is gone since
	} else if now.since(p.last) > paceTurn {
		waited = 0
	}
	if !t.marked || t.liveFor(now)-t.markTotal < now.since(p.began)/4 {
		p.spent += waited
	}
	p.spent += t.owes.duration()
	t.owes = 0
}

// charge has those who lagged in the turn that ended by itself owe it.
func (h *hub) charge(now moment) {
	p := h.pace
	forgiven := now.since(p.span) > paceSpan
	if forgiven {
		p.span = now
	}
	lasted, after := p.last.since(p.began), now.since(p.last)
	for _, c := range h.clients {
		t := &c.turn
		switch {
		case forgiven:
			t.owes = 0
		case t.marked && !t.mute && c.onLag != "block" && t.liveFor(now)-t.markTotal-after < lasted/4:
			t.owe(p.waited)
		}
	}
}

// beginTurn marks where everybody is.
func (h *hub) beginTurn(now moment) {
	p := h.pace
	p.began, p.waited = now, 0
	p.length = max(paceTurn-p.spent, paceLeast)
	for _, c := range h.clients {
		c.turn.markTotal, c.turn.markAt, c.turn.marked = c.turn.liveFor(now), c.cursor.Load(), true
	}
}

// judge takes the say of those in the way who were waited for for long enough and
// took too little in the turn that is over: next to nothing; or, if they lagged for
// most of it, so little that another client stood idle at the head for more than
// half of it. Whoever was judged owes nothing.
func (h *hub) judge(now moment, inTheWay func(*client) bool) {
	p := h.pace
	elapsed := now.since(p.began)
	var idle time.Duration
	for _, c := range h.clients {
		if c.turn.marked {
			idle = max(idle, c.turn.liveFor(now)-c.turn.markTotal)
		}
	}
	var spent time.Duration
	for _, c := range h.clients {
		if !inTheWay(c) || !c.turn.marked || c.onLag == "block" {
			continue
		}
		cost := p.waited + c.turn.owes.duration()
		if cost < p.length { // another one's turn was over
			c.turn.owe(p.waited)
			continue
		}
		c.turn.owes = 0
		least := int64(paceTake) * int64(p.waited) / int64(paceTurn)
		lagged := c.turn.liveFor(now)-c.turn.markTotal < elapsed/4
		if c.cursor.Load()-c.turn.markAt < least || lagged && idle > elapsed/2 {
			c.turn.mute = true
			spent = max(spent, cost)
		}
	}
	p.spent += spent
}
