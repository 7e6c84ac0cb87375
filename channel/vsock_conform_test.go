package channel_test

import (
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

func conformVsock(t *testing.T) {
	if channel.LocalVsock(t) {
		channeltest.Run(t, channeltest.Over("vsock://local:0"), channeltest.Traits{})
	}
}
