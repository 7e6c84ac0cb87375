package channel_test

import (
	"strconv"
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"

	"golang.org/x/sys/unix"
)

// conformFD takes both ends of a pair of sockets that are not close-on-exec.
func conformFD(t *testing.T) {
	channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ends [2]channel.Channel
		for i, fd := range pair {
			if ends[i], err = channel.Dial(t.Context(), channel.MustParseAddress("fd:"+strconv.Itoa(fd))); err != nil {
				t.Fatal(err)
			}
		}
		return ends[0], ends[1]
	}, channeltest.Traits{})
}
