package channel_test

import (
	"testing"

	"chardevd/channel/channeltest"
)

func TestPipe(t *testing.T) {
	t.Run("64KiB", func(t *testing.T) { channeltest.Run(t, channeltest.Pipe(64<<10), channeltest.Traits{}) })
	t.Run("61B", func(t *testing.T) {
		channeltest.Run(t, channeltest.Pipe(61), channeltest.Traits{Slow: "61 bytes a step"})
	})
}
