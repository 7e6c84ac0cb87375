package channel_test

import (
	"slices"
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conformance is what holds every transport and layer to package channeltest: one
// line for each; how it is made stands in its own test file.
var conformance = []struct {
	name string
	run  func(t *testing.T)
}{
	{"memory", conformMemory},
	{"conn", conformConn},
	{"null", conformNull},
	{"sim", conformSim},
	{"tcp", conformTCP},
	{"udp", conformUDP},
	{"unix", conformUnix},
	{"vsock", conformVsock},
	{"pty", conformPTY},
	{"serial", conformSerial},
	{"exec", conformExec},
	{"command", conformCommand},
	{"file", conformFile},
	{"pipe", conformPipe},
	{"fd", conformFD},
	{"stdio", conformStdio},
	{"tls", conformTLS},
	{"ws", conformWS},
	{"telnet", conformTelnet},
	{"rfc2217", conformRFC2217},
}

func TestConformance(t *testing.T) {
	for _, c := range conformance {
		t.Run(c.name, c.run)
	}
}

// TestConformanceIsComplete fails for a transport or layer that is in the tables
// but not held to the suite.
func TestConformanceIsComplete(t *testing.T) {
	var have []string
	for _, c := range conformance {
		if slices.Contains(have, c.name) {
			t.Errorf("%s has two entries", c.name)
		}
		have = append(have, c.name)
	}
	for _, name := range slices.Concat(channel.TransportNames(), channel.LayerNames()) {
		if !slices.Contains(have, name) {
			t.Errorf("%s has no entry in the conformance table: write how it is made into its test file, and add a line", name)
		}
	}
}

func conformTCP(t *testing.T) {
	channeltest.Run(t, channeltest.Over("tcp://127.0.0.1:0"), channeltest.Traits{})
}

func conformUnix(t *testing.T) {
	channeltest.Run(t, channeltest.OverFunc(func(t testing.TB) string { return "unix:" + t.TempDir() + "/s" }), channeltest.Traits{})
}
