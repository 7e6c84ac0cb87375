package channel_test

import (
	"context"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

// ttyTraits are what a terminal cannot do: it has no half close, and its master,
// when it is closed, takes with it what the other end has not read (pty(7)).
var ttyTraits = channeltest.Traits{
	NoHalfClose: "a terminal's end is a hang-up, of both directions",
	LossyClose:  "a hang-up discards what was not read",
	Slow:        "a tty takes a few KiB at a time, and the race detector looks each time at all that is left",
}

func conformPTY(t *testing.T) {
	channeltest.Run(t, channeltest.OverFunc(func(t testing.TB) string { return "pty:" + t.TempDir() + "/tty" }), ttyTraits)
}

// conformSerial opens a pty as the serial port that it is to a program: bytes,
// deadlines and closing are those of any tty.
func conformSerial(t *testing.T) {
	channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
		link := t.TempDir() + "/tty"
		l, err := channel.Listen(t.Context(), channel.MustParseAddress("pty:"+link))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if a, err = channel.Dial(t.Context(), channel.MustParseAddress("serial:"+link+"?baud=250000")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if b, err = l.Accept(ctx); err != nil {
			t.Fatal(err)
		}
		return a, b
	}, ttyTraits)
}

func conformExec(t *testing.T) {
	traits := ttyTraits
	traits.Echo = "the peer is cat on a raw terminal"
	dialled := channeltest.Dialled("exec:stty raw -echo; echo; exec cat")
	channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
		a, b = dialled(t)
		a.SetReadDeadline(time.Now().Add(10 * time.Second))
		var nl [1]byte
		if n, err := a.Read(nl[:]); n != 1 || nl[0] != '\n' { // it is raw by now
			t.Fatalf("cat does not start: read %q, %v", nl[:n], err)
		}
		a.SetReadDeadline(time.Time{})
		return a, b
	}, traits)
}
