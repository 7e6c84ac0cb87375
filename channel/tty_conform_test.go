package channel_test

import (
	"io"
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

const noHalfCloseOfTTY = "a tty ends both ways at once"

func conformPTY(t *testing.T) {
	atty := func(t testing.TB) string { return "pty:" + t.TempDir() + "/tty" }
	channeltest.Run(t, channeltest.OverFunc(atty), channeltest.Traits{
		NoHalfClose: noHalfCloseOfTTY,
		LossyClose:  "when the last opener or the master closes, the kernel throws away what was not read",
	})
}

// conformExec runs a command that gives back what it gets, and says when its
// terminal is ready for that.
func conformExec(t *testing.T) {
	run := channeltest.Dialled("exec:stty raw -echo; printf ready; exec cat")
	channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
		a, b = run(t)
		ready := make([]byte, len("ready"))
		if _, err := io.ReadFull(a, ready); err != nil || string(ready) != "ready" {
			t.Fatalf("the command said %q, %v", ready, err)
		}
		return a, b
	}, channeltest.Traits{
		Echo:        "the other end is the command, cat",
		NoHalfClose: noHalfCloseOfTTY,
	})
}
