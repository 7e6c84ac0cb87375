package channel

import (
	"context"
	"testing"
	"time"
)

// briefPort has breaks that are over at once.
type briefPort struct {
	*fakePort
	begun chan time.Duration
}

func (p *briefPort) SendBreak(_ context.Context, d time.Duration) error {
	p.begun <- d
	return nil
}

// A break that nobody ends is over after a while; the next one is sent nevertheless.
func TestRFC2217BreakAfterOneThatNobodyEnded(t *testing.T) {
	port := &briefPort{newFakePort(), make(chan time.Duration)}
	c, p := comServerWith(t, port)
	server, _ := As[*comServer](c)
	for range 3 {
		comStep{"\x05\x05", "\x69\x05"}.run(t, c, p)
		select {
		case <-port.begun:
		case <-time.After(limit):
			t.Fatal("no break was sent")
		}
		server.mu.Lock()
		over := server.breakOver
		server.mu.Unlock()
		<-over
	}
}
