package channel_test

import (
	"errors"
	"net"
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

// conformConn holds FromConn to the suite: over a connection that knows no half
// close, and over sockets.
func conformConn(t *testing.T) {
	const noTry = "net.Conn has no way to write without waiting"
	// A connection of which nothing but net.Conn is known. (net.Pipe is none that the
	// suite can use: a write waits there for its reader, whatever its size.)
	t.Run("bare", func(t *testing.T) {
		channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
			x, y := channel.Pipe(64 << 10)
			return channel.FromConn(struct{ net.Conn }{x}), channel.FromConn(struct{ net.Conn }{y})
		}, channeltest.Traits{NoHalfClose: "net.Conn has none", NoTry: noTry})
	})
	t.Run("tcp", func(t *testing.T) {
		channeltest.Run(t, func(t testing.TB) (a, b channel.Channel) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			x, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			y, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return channel.FromConn(x), channel.FromConn(y)
		}, channeltest.Traits{NoTry: noTry})
	})
}

func TestFromConnOfAChannel(t *testing.T) {
	a, b := channel.Pipe(1)
	defer a.Close()
	defer b.Close()
	if channel.FromConn(a) != channel.Channel(a) {
		t.Error("a channel is wrapped once more")
	}
}

// What layers an address has is told before anything is opened.
func TestLayersThatCannotBe(t *testing.T) {
	for address, layers := range map[string]func(*channel.Env, channel.Address) (channel.Layer, error){
		"tls+null:":             (*channel.Env).DialLayers,   // no server's name
		"tls://192.0.2.1:1":     (*channel.Env).ListenLayers, // no certificate
		"ws+null:?host=a.b":     (*channel.Env).DialLayers,   // for listening
		"tls+null:?verify=true": (*channel.Env).ListenLayers, // for dialling
	} {
		if _, err := layers(new(channel.Env), channel.MustParseAddress(address)); err == nil {
			t.Errorf("%s has layers", address)
		}
	}
	a := channel.MustParseAddress("telnet+null:")
	layer, err := new(channel.Env).DialLayers(a)
	if err != nil {
		t.Fatal(err)
	}
	near, far := channel.Pipe(64)
	near.Close()
	if _, err := layer(t.Context(), far); err == nil {
		t.Error("telnet with nobody")
	}
	if _, err := far.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the channel below a failed handshake is not closed: %v", err)
	}
}
