package chardev

import (
	"fmt"
	"log/slog"
	"sync"

	"chardevd/chardev/internal/journal"
)

// catchUpBuffers are for clients that are given what only the journal has.
var catchUpBuffers = sync.Pool{New: func() any { return new([chunkMax]byte) }}

// catchUp gives the client its next chunk of what memory lacks, or tells it that the
// journal does, too. The disk is read with nothing of the client's or the hub's held:
// its pump has the cursor. What can not be read is tried again, see recall.pause, and
// told when that begins and, if it was in vain, when it is a gap.
func (c *client) catchUp(old *recall, missing int64) (done bool, gap string) {
	if c.hub.scribe == nil { // then no buffer either
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.miss(missing, droppedOverrun)
	}
	buf := catchUpBuffers.Get().(*[chunkMax]byte)
	defer catchUpBuffers.Put(buf)
	at := c.cursor.Load()
	n, missing, err := old.read(at, buf[:], missing)
	first := old.wait == 0
	switch again := old.failed(err); {
	case err == nil:
	case again && first:
		c.hub.keepSome(slog.LevelWarn, &c.hub.scribe.unread, "journal", fmt.Sprintf("%s waits for what can not be read now: %v", c, err))
		return false, ""
	case again:
		return false, ""
	default:
		c.hub.keepSome(slog.LevelWarn, &c.hub.scribe.unread, "journal", fmt.Sprintf("%s lacks %d bytes from offset %d on, which can not be read: %v", c, missing, at, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case n == 0 && err != nil:
		return c.miss(missing, droppedUnreadable)
	case n == 0:
		if size, hole := c.hub.holes().Cut(at, missing); hole {
			c.passHole(size)
			return false, ""
		} else {
			return c.miss(size, droppedOverrun)
		}
	case !c.give([][]byte{buf[:n]}) && c.mute.isOver():
		c.hub.abandon(c)
		return true, ""
	}
	return false, ""
}

// miss deals with bytes at the cursor that are not held any more, for one of the
// reasons: the client goes on behind them, or ends. Called with mu held.
func (c *client) miss(missing int64, why int) (done bool, gap string) {
	at := c.cursor.Load()
	if c.onLag == "skip" {
		missing, why = c.hub.hist.Head()-at, droppedSkipped
	}
	c.cursor.Add(missing)
	c.missed.Add(missing)
	c.hub.dropped[why].Add(missing)
	c.untold += missing
	if now := thisMoment(); now.since(c.told) >= gapQuiet || c.onLag == "close" {
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

// passHole goes on behind a hole, of which the client is told: nobody knows of a byte
// that it misses. Called with mu held.
func (c *client) passHole(size int64) {
	at := c.cursor.Add(size)
	c.tell(Message{Type: "gap", Offset: at, Size: size, Text: journal.HoleWhy})
}
