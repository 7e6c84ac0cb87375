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

// attached is how many clients there are.
func (h *hub) attached() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
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

// tellCount has everybody told.
func (h *hub) tellCount() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.headcount.timer = nil
	for _, c := range h.clients {
		h.owe(c, owedCount)
	}
}

// await waits until nobody is told any more. Everybody must be gone.
func (n *headcount) await() {
	if n != nil {
		n.timing.Wait()
	}
}

// payCount tells c, if it was told something else before. Called with c.mu held.
func (h *hub) payCount(c *client) {
	if n := h.attached(); n != int(c.counted) {
		c.counted = int32(n)
		c.tell(Message{Type: "clients", Clients: n})
	}
}
