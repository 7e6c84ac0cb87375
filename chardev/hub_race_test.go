package chardev

import (
	"context"
	"log/slog"
	"testing"

	"chardevd/channel"
)

// A slowTaker takes nothing at once, and everything when it is let.
type slowTaker struct {
	channel.Channel
	let chan struct{}
}

func (s *slowTaker) TryWritev([][]byte) (int64, error) { return 0, nil }
func (s *slowTaker) Write(p []byte) (int, error)       { <-s.let; return len(p), nil }
func (s *slowTaker) Close() error                      { return nil }

// A client that falls behind in the moment after its pump has made it live, and
// before that pump is over, is not forgotten: its next pump goes on with it.
func TestFallingBehindBeforeThePumpIsOver(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), 256<<10, "shared")
	medium := &slowTaker{let: make(chan struct{})}
	out := channel.NewOutbox(medium)
	c := &client{hub: h, ch: out, out: out, reader: h.hist.Reader(0), mute: make(chan struct{})}
	c.pumping, c.stopPump = context.WithCancel(context.Background())
	h.clients = append(h.clients, c)
	h.lagging++ // the pump that is played here

	if end, _ := c.step(); end != pumpJoined {
		t.Fatalf("a client at the head did not join: %v", end)
	}
	h.hist.Space()[0] = 'x'
	h.publish(h.hist.Space()[:1]) // hands it to the next pump, which waits for the medium
	h.pumped(c, pumpJoined)
	close(medium.let)
	await(t, "the client to keep up", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.state == detached {
			t.Fatal("the client was forgotten")
		}
		return c.state == live && h.lagging == 0
	})
	c.stopPump()
	c.pumps.Wait()
	out.Close()
}
