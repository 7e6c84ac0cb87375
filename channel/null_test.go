package channel_test

import (
	"testing"

	"chardevd/channel/channeltest"
)

func conformNull(t *testing.T) {
	channeltest.Run(t, channeltest.Dialled("null:"), channeltest.Traits{
		NoPeer:    "null: is silent, and what is written to it vanishes",
		NeverFull: "what vanishes needs no room",
	})
}
