package channel_test

import (
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

// conformUDP dials, says something, by which the listener learns of it, and has the
// other end hear that.
func conformUDP(t *testing.T) {
	channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
		l, err := channel.Listen(t.Context(), channel.MustParseAddress("udp://127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if a, err = channel.Dial(t.Context(), channel.MustParseAddress("udp://"+l.Addr().String())); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if b, err = l.Accept(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Fatalf("the first datagram: %d, %v", n, err)
		}
		return a, b
	}, channeltest.Traits{
		Lossy:       "the kernel drops datagrams that a socket has no room for",
		NoEnd:       "a datagram cannot say that it is the last",
		NoHalfClose: "a datagram cannot say that it is the last",
		NeverFull:   "on loopback each datagram is taken at once, or lost",
	})
}
