package channel

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A peer that is there and takes nothing is waited for, for longer than one that is gone; and
// when it takes something the connection is as it was.
func TestAPeerThatTakesNothingStays(t *testing.T) {
	was := [2]time.Duration{deadPeer, lookAgain}
	deadPeer, lookAgain = 500*time.Millisecond, 100*time.Millisecond
	defer func() { deadPeer, lookAgain = was[0], was[1] }()
	l, err := Listen(t.Context(), MustParseAddress("tcp://127.0.0.1:0"))
	must(t, err)
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer peer.Close()
	near, err := l.Accept(t.Context())
	must(t, err)
	defer near.Close()
	const much = 64 << 20 // more than the kernel holds
	sent := make(chan error, 1)
	go func() {
		_, err := near.Write(make([]byte, much))
		sent <- err
	}()
	select {
	case err := <-sent:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(4 * deadPeer):
	}
	_, err = io.CopyN(io.Discard, peer, much)
	must(t, err)
	must(t, <-sent)
	timeout := func() (ms int) {
		must(t, near.(*socket).f.Control(func(fd uintptr) {
			ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		}))
		must(t, err)
		return ms
	}
	for end := time.Now().Add(watchdog); timeout() != int(deadPeer.Milliseconds()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the peer takes all, and one that is gone would not be noticed: TCP_USER_TIMEOUT is %d ms", timeout())
		}
	}
}
