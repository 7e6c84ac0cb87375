package channel_test

import (
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

// overStack makes channels that speak through layers over a pipe.
func overStack(names string) channeltest.Under {
	return channeltest.Under{Name: names, Make: func(t testing.TB) (channel.Channel, channel.Channel) {
		client, server := channel.StackLayers(t, names)
		a, b := channel.Pipe(64 << 10)
		return channel.Shake(t, client, server, a, b)
	}}
}

func conformTLS(t *testing.T) {
	client, server := channel.StackLayers(t, "tls")
	channeltest.RunLayer(t, client, server, channeltest.Traits{}, overStack("ws"))
}

func conformWS(t *testing.T) {
	client, server := channel.StackLayers(t, "ws")
	channeltest.RunLayer(t, client, server, channeltest.Traits{NoHalfClose: "a close frame ends both directions (RFC 6455 §5.5.1)"}, overStack("tls"))
}

// telnetTraits are those of every layer that speaks telnet.
var telnetTraits = channeltest.Traits{
	NoHandshake: "who does not answer what it is asked is served as one that knows no options (RFC 854, the NVT)",
	NoEndMark:   "telnet has no command that ends the stream; that of the channel below is its end",
}

func conformTelnet(t *testing.T) {
	client, server := channel.StackLayers(t, "telnet")
	channeltest.RunLayer(t, client, server, telnetTraits, overStack("tls"))
}

func conformRFC2217(t *testing.T) {
	client, server := channel.StackLayers(t, "rfc2217")
	channeltest.RunLayer(t, client, server, telnetTraits)
}
