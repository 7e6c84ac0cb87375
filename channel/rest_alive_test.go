package channel

import (
	"testing"
	"time"
)

// Who attends to all channels answers, also when there is none; and does not while what
// one of them has it do hangs.
func TestWhoAttendsAnswers(t *testing.T) {
	AwaitAttending()
	near, far := connected(t)
	hangs, ends := make(chan struct{}), make(chan struct{})
	woken := attended(t, near, func(take func() int) bool {
		close(hangs)
		<-ends
		return take() < 0
	})
	AwaitAttending()
	_, err := far.Write([]byte("x"))
	must(t, err)
	<-hangs
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		AwaitAttending()
	}()
	select {
	case <-answered:
		t.Error("it hangs, and has answered")
	case <-time.After(50 * time.Millisecond):
	}
	close(ends)
	select {
	case <-answered:
	case <-time.After(watchdog):
		t.Error("nothing hangs any more, and it does not answer")
	}
	awaitWake(t, woken)
	near.Close()
}
