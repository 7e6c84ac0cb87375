package channel_test

import (
	"testing"

	"chardevd/channel/channeltest"
)

func conformCommand(t *testing.T) {
	channeltest.Run(t, channeltest.Dialled("command:exec cat"), channeltest.Traits{Echo: "the peer is cat"})
}
