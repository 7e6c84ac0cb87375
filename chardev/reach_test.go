package chardev

import (
	"log/slog"
	"testing"

	"chardevd/channel"
)

// A serialPort is a device whose line is known.
type serialPort struct {
	channel.Channel
	line channel.LineConfig
}

func (p *serialPort) KnownLine() channel.LineConfig { return p.line }

// The command lines that reach a frontend do so, with what its console and its listener
// ask for.
func TestReach(t *testing.T) {
	clearEnvironment(t)
	cfg, err := Load(write(t, withCredentials+`
[credentials.asks]
cert = "c.pem"
key = "c.pem"
client_ca = "c.pem"
[[chardev]]
name = "vm1"
device = "null:"
log = false
frontends = [
  "ws://127.0.0.1:1/console", "wss://127.0.0.1:2", "wss://127.0.0.1:3?credentials=c", "wss://127.0.0.1:4?credentials=asks",
  "tls://127.0.0.1:5?credentials=c", "tls://127.0.0.1:6?credentials=asks", "rfc2217://127.0.0.1:7",
]
`, certificates(t)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := []string{
		"websocat -b ws://127.0.0.1:1/console",
		"websocat -bk wss://127.0.0.1:2/",
		"websocat -b wss://127.0.0.1:3/",
		"",
		"openssl s_client -quiet -connect 127.0.0.1:5",
		"openssl s_client -quiet -connect 127.0.0.1:6 -cert CERT -key KEY",
		"python3 -m serial.tools.miniterm rfc2217://127.0.0.1:7",
	}
	fronts := s.all()[0].frontends()
	for i, f := range fronts {
		if got := f.reach(); got != want[i] {
			t.Errorf("%s is reached by %q, want %q", f.ep.Address, got, want[i])
		}
	}
	h := fronts[0].hub
	h.device.Store(&session{hub: h, in: reading{ch: &serialPort{line: channel.LineConfig{Baud: 115200}}}})
	defer h.device.Store(nil)
	if got := fronts[6].reach(); got != want[6]+" 115200" {
		t.Errorf("with a serial port it is %q", got)
	}
}
