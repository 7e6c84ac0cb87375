package chardev

import (
	"fmt"
	"sync"
	"time"

	"chardevd/chardev/internal/journal"
)

// catchUpBuffers are for clients that are given what only the journal has.
var catchUpBuffers = sync.Pool{New: func() any { return new([chunkMax]byte) }}

// catchUp gives the client its next chunk of what memory lacks, or tells it that the
// journal does, too. The disk is read with nothing held: its pump has the cursor.
func (c *client) catchUp(old *recall, missing int64) (done bool, gap string) {
	buf := catchUpBuffers.Get().(*[chunkMax]byte)
	defer catchUpBuffers.Put(buf)
	n, missing, err := old.read(c.cursor.Load(), buf[:], missing)
	if err != nil {
		c.hub.noteSome(&c.hub.unread, "journal", fmt.Sprintf("%s lacks what can not be read: %v", c, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case n == 0:
		return c.miss(missing)
	case !c.give([][]byte{buf[:n]}) && c.dead != nil:
		c.hub.abandon(c)
		return true, ""
	}
	return false, ""
}

// A recall reads what memory no longer has. It belongs to one goroutine.
type recall struct {
	hub *hub
	r   *journal.Reader // nil: not needed yet
}

// read reads what the journal has at an offset of which memory lacks so many bytes,
// or returns how many are in neither.
func (o *recall) read(at int64, buf []byte, lacks int64) (n int, missing int64, err error) {
	if o.hub.scribe == nil {
		return 0, lacks, nil
	}
	n, lost, err := o.journal().Read(at, buf[:min(int64(len(buf)), lacks)])
	switch {
	case n > 0:
		return n, 0, nil
	case lost > 0:
		lacks = min(lost, lacks)
	}
	return 0, lacks, err
}

// journal is the reader of the hub's journal, which must have one.
func (o *recall) journal() *journal.Reader {
	if o.r == nil {
		o.r = o.hub.scribe.j.Reader()
	}
	return o.r
}

// end gives back what reading took.
func (o *recall) end() {
	if o.r != nil {
		o.r.Close()
		o.r = nil
	}
}

// miss deals with bytes at the cursor that are not held any more: the client
// goes on behind them, or ends. Called with mu held.
func (c *client) miss(missing int64) (done bool, gap string) {
	at := c.cursor.Load()
	if c.onLag == "skip" {
		missing = c.hub.hist.Head() - at
	}
	c.cursor.Add(missing)
	c.missed.Add(missing)
	c.hub.gaps.Add(missing)
	c.untold += missing
	if now := time.Now(); now.Sub(c.told) >= gapQuiet || c.onLag == "close" {
		gap = c.gapText()
		c.told = now
	}
	if c.onLag == "close" {
		c.end(errLagged)
		c.hub.abandon(c)
		return true, gap
	}
	c.tell(Message{Type: "gap", Offset: at + missing, Size: missing})
	return false, gap
}
