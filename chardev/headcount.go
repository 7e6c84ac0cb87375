package chardev

import (
	"sync"
	"time"
)

// A headcount has the people at a console told how many are attached: soon after that has
// changed, and of many changes how it is then. Its timer runs only while people are there.
type headcount struct {
	// guarded by hub.mu
	people int         // clients that are people
	timer  *time.Timer // they are told soon; nil: nothing has changed

	timing sync.WaitGroup // of timer
}

// recount is called when c has come (by is 1) or gone (-1). Called with mu held.
func (h *hub) recount(c *client, by int) {
	if c.person != nil {
		if h.headcount == nil {
			h.headcount = new(headcount)
		}
		h.headcount.people += by
	}
	n := h.headcount
	switch {
	case n == nil:
	case n.people == 0:
		if n.timer != nil && n.timer.Stop() {
			n.timing.Done()
		}
		n.timer = nil
	case n.timer == nil:
		n.timing.Add(1)
		n.timer = time.AfterFunc(watchPause, func() {
			defer n.timing.Done()
			h.tellCount()
		})
	}
}

// tellCount has everybody told who was told something else, or nothing.
func (h *hub) tellCount() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.headcount.timer = nil
	for _, c := range h.clients {
		if int(c.counted) != len(h.clients) {
			h.owe(c, owedCount)
		}
	}
}

// await waits until nobody is told any more. Everybody must be gone.
func (n *headcount) await() {
	if n != nil {
		n.timing.Wait()
	}
}

// countFor is how many clients there are, which c is told now; other says that it was told
// something else before.
func (h *hub) countFor(c *client) (n int, other bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = len(h.clients)
	other = int(c.counted) != n
	c.counted = int32(n)
	return n, other
}

// payCount tells c, if it was told something else before. Called with c.mu held.
func (h *hub) payCount(c *client) {
	if n, other := h.countFor(c); other {
		c.tell(Message{Type: "clients", Clients: n})
	}
}
