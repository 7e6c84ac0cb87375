package chardev

// What a client can be owed.
const (
	owedWriter = 1 << iota // how the input is
	owedCount              // how many are attached
)

// owe has c told something, if it is a person: by its pump, when it takes something.
// However often that changes meanwhile, it is one message, so nobody's goodbye is that
// others fight for the keyboard. Called with mu held.
func (h *hub) owe(c *client, what uint32) {
	if c.person == nil {
		return
	}
	c.owed.Or(what)
	if c.state == live {
		h.toPump(c, lagging)
	}
}

// pay tells c what it is owed. Called by c's pump with c.mu held.
func (h *hub) pay(c *client) {
	owed := c.owed.Swap(0)
	if owed&owedWriter != 0 {
		c.tell(h.addWriter(Message{Type: "writer"}, c))
	}
	if owed&owedCount != 0 {
		h.payCount(c)
	}
}
