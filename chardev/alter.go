package chardev

import (
	"slices"
	"time"
)

// What of a console changes while people are on it, and costs nobody his session.

// setInput changes who may type: shared, exclusive, off. Who has an exclusive input has it
// no more when it is something else.
func (h *hub) setInput(mode string) {
	h.withPen(func() (event writerEvent) {
		if h.writer.holder != nil {
			event = h.handTo(nil, "the config makes it "+mode)
		}
		h.oweAll() // who is told of an exclusive input is told that it is one no more,
		h.input.Store(&mode)
		h.oweAll() // and who was not, that it is one
		return event
	})
	h.sign.raise(happened)
}

// setIdle changes how long a writer may type nothing; 0: for ever.
func (h *hub) setIdle(idle time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &h.writer
	w.disarm()
	w.idle = idle
	if w.holder != nil {
		h.arm(idle) // and expire sees how much of it is over
	}
}

// accept has the client be as the config of its frontend says. Called with c.mu and hub.mu
// held.
func (c *client) accept(cfg *FrontendConfig) {
	c.readOnly.Store(cfg.Mode == "read-only")
	c.onLag = cfg.OnLag
}

// alter gives a frontend other settings, at the same address. They hold for who is there,
// too, but for how he began (replay) and ends (half_close).
func (f *frontend) alter(cfg *FrontendConfig) {
	f.cfg.Store(cfg)
	if !f.ep.Listen {
		f.retry.limits.Store(&cfg.Reconnect)
	}
	h := f.hub
	var mine []*client
	h.withPen(func() (let writerEvent) {
		mine = slices.DeleteFunc(slices.Clone(h.clients), func(c *client) bool { return c.via != f })
		for _, c := range mine {
			c.readOnly.Store(cfg.Mode == "read-only")
			if c.readOnly.Load() {
				if was := h.dropWriter(c, c.String()+" may no longer write"); was.by != nil {
					let = was // one at most has it
				}
			}
			h.oweWriter(c) // what it may have of the input
		}
		return let
	})
	for _, c := range mine {
		c.mu.Lock()
		h.mu.Lock()
		c.accept(f.cfg.Load())
		h.mu.Unlock()
		c.mu.Unlock()
	}
	h.moved() // the device may be waiting for one of them
	h.sign.raise(happened)
}
