package channel_test

import (
	"testing"

	"chardevd/channel/channeltest"
)

func conformPipe(t *testing.T) {
	channeltest.Run(t, channeltest.OverFunc(func(t testing.TB) string { return "pipe:" + t.TempDir() + "/p" }), channeltest.Traits{
		NoEnd:       "who listens has both ends open, as QEMU has: the FIFO stays whoever comes and goes",
		NoHalfClose: "a FIFO's reader waits for the next writer",
	})
}
