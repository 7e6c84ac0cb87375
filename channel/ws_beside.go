package channel

import (
	"cmp"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// besideFrames are the control frames that wait to be sent beside the stream: at
// most one of a kind. A ping that comes while a pong waits replaces it, as RFC
// 6455 §5.5.3 allows. One goroutine sends them, and is there only while there are some.
type besideFrames struct {
	mu      sync.Mutex
	ended   bool // Close has begun: nothing new
	sending bool // the goroutine is there
	hasPong bool
	hasPing bool
	pongs   []byte // payload of the pong that waits
	bye     []byte // payload of the close frame that waits; nil: none
	timer   *time.Timer

	sender sync.WaitGroup
}

// startPings begins to ping every interval, or byDefault if that is 0.
func (c *Websocket) startPings(interval, byDefault time.Duration) {
	if c.every = cmp.Or(interval, byDefault); c.every <= 0 {
		return
	}
	b := &c.beside
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(c.every, func() {
		b.add(c, func() {
			b.hasPing = true
			b.timer.Reset(c.every)
		})
	})
}

func (b *besideFrames) pong(c *Websocket, payload []byte) {
	b.add(c, func() {
		b.hasPong = true
		b.pongs = append(b.pongs[:0], payload...)
	})
}

func (b *besideFrames) goodbye(c *Websocket, body []byte) {
	b.add(c, func() { b.bye = body })
}

// add has put queue something, and sees to it that it is sent.
func (b *besideFrames) add(c *Websocket, put func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	put()
	if !b.sending {
		b.sending = true
		b.sender.Go(func() { b.send(c) })
	}
}

// send sends until nothing waits.
func (b *besideFrames) send(c *Websocket) {
	for {
		b.mu.Lock()
		hasPong, pong, hasPing, bye := b.hasPong, b.pongs, b.hasPing, b.bye
		b.hasPong, b.pongs, b.hasPing, b.bye = false, nil, false, nil
		b.sending = hasPong || hasPing || bye != nil
		going := b.sending
		b.mu.Unlock()
		if !going {
			return
		}
		c.write.Lock()
		// An error has killed the write side: the next write tells it.
		if hasPong {
			_ = c.sendControl(ws.OpPong, pong)
		}
		if hasPing {
			_ = c.sendControl(ws.OpPing, nil)
		}
		if bye != nil {
			_ = c.sendClose(bye)
		}
		c.write.Unlock()
	}
}

// end takes nothing more and waits until what waited is sent, or cannot be.
func (b *besideFrames) end() {
	b.mu.Lock()
	b.ended = true
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	b.sender.Wait()
}

// sendControl sends a control frame. The write lock is held.
func (c *Websocket) sendControl(op ws.OpCode, payload []byte) error {
	if c.shut {
		return errShut
	}
	f := wsFrames.Get().(*wsFrame)
	defer f.release()
	_, err := c.send(f, op, [][]byte{payload}, 0, int64(len(payload)))
	return err
}

// sendClose sends the close frame, if none was sent. The write lock is held.
func (c *Websocket) sendClose(body []byte) error {
	err := c.sendControl(ws.OpClose, body)
	c.shut = true
	return err
}
