package channel_test

import (
	"os"
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

// conformStdio has two of them speak by two pipes, as in cat | chardevd | cat.
func conformStdio(t *testing.T) {
	channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
		var r, w [2]*os.File
		for i := range r {
			var err error
			if r[i], w[i], err = os.Pipe(); err != nil {
				t.Fatal(err)
			}
			defer r[i].Close()
			defer w[i].Close()
		}
		return channel.StdioOver(t, r[0], w[1]), channel.StdioOver(t, r[1], w[0])
	}, channeltest.Traits{NoHalfClose: "a process keeps its output, whoever is done with it"})
}
