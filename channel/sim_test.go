package channel_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

func conformSim(t *testing.T) {
	channeltest.Run(t, channeltest.Dialled("sim:echo"), channeltest.Traits{
		Echo: "the other end is the guest, who gives back what it gets",
	})
}

// dialSim switches on a guest that is off again when the test ends.
func dialSim(t *testing.T, address string) channel.Channel {
	t.Helper()
	ch, _ := channeltest.Dialled(address)(t)
	t.Cleanup(func() { ch.Close() })
	if err := ch.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil { // a watchdog
		t.Fatal(err)
	}
	return ch
}

// until reads up to and including what.
func until(t *testing.T, ch channel.Channel, what string) string {
	t.Helper()
	var got []byte
	for one := make([]byte, 1); !bytes.HasSuffix(got, []byte(what)); {
		if _, err := io.ReadFull(ch, one); err != nil {
			t.Fatalf("waiting for %q: %v; so far: %q", what, err, got)
		}
		got = append(got, one[0])
	}
	return string(got)
}

func typeKeys(t *testing.T, ch channel.Channel, keys string) {
	t.Helper()
	if _, err := ch.Write([]byte(keys)); err != nil {
		t.Fatal(err)
	}
}

func TestSimBoot(t *testing.T) {
	ch := dialSim(t, "sim:boot")
	log := until(t, ch, "\r\ndemo# ")
	if lines := strings.Count(log, "\r\n"); lines < 25 || !strings.HasPrefix(log, "[    0.000000] ") {
		t.Errorf("a boot log of %d lines: %q", lines, log)
	}
	for _, c := range []struct{ keys, want string }{
		{"echo one  two\r", "echo one  two\r\none two\r\n"},
		{"echo a\r\n", "echo a\r\na\r\n"}, // CR LF is one end of line
		{"echo b\n", "echo b\r\nb\r\n"},
		{"ecxx\b\x7Fho c\r", "ecxx\b \b\b \bho c\r\nc\r\n"},
		{"echo ü\x7Fo\r", "echo ü\b \bo\r\no\r\n"},
		{"\x7F\x08", ""}, // nothing to rub out
		{"ab\x15echo d\r", "ab\b \b\b \becho d\r\nd\r\n"},
		{"half a line\x03", "half a line^C\r\n"},
		{"\r", "\r\n"},
		{"count 3\r", "count 3\r\n0000000000\r\n0000000001\r\n0000000002\r\n"},
		{"count\r", "count\r\ncount: give it a number from 1 to 1000000000\r\n"},
		{"count 0\r", "count 0\r\ncount: give it a number from 1 to 1000000000\r\n"},
		{"nonsense\r", "nonsense\r\nnonsense: no such command; try help\r\n"},
	} {
		typeKeys(t, ch, c.keys)
		if c.want == "" {
			continue
		}
		if got := until(t, ch, "demo# "); got != c.want+"demo# " {
			t.Errorf("typed %q, got %q, want %q", c.keys, got, c.want)
		}
	}
	for _, name := range []string{"echo", "uptime", "date", "count", "flood", "utf8", "reboot", "unplug"} {
		typeKeys(t, ch, "help\r")
		if got := until(t, ch, "demo# "); !strings.Contains(got, "\r\n"+name+" ") {
			t.Errorf("help does not name %s: %q", name, got)
		}
	}
	typeKeys(t, ch, "flood 100\r")
	if got := len(until(t, ch, "demo# ")); got != len("flood 100\r\n")+100<<10+len("demo# ") {
		t.Errorf("flood 100 printed %d bytes", got)
	}
	typeKeys(t, ch, "flood 1000000000\r") // ended before it is through
	until(t, ch, "bcd")
	typeKeys(t, ch, "\x03")
	until(t, ch, "^C\r\ndemo# ")
	typeKeys(t, ch, strings.Repeat("x", 1025))
	until(t, ch, "x\a")
	typeKeys(t, ch, "\x03reboot\r")
	until(t, ch, "restarting\r\n")
	if again := until(t, ch, "\r\ndemo# "); !strings.Contains(again, log[:200]) {
		t.Errorf("after reboot: %q", again)
	}
	typeKeys(t, ch, "unplug\r")
	if rest, err := io.ReadAll(ch); err != nil || string(rest) != "unplug\r\n" {
		t.Errorf("unplug: %q, %v", rest, err)
	}
}

func TestSimCounter(t *testing.T) {
	ch := dialSim(t, "sim:counter")
	typeKeys(t, ch, strings.Repeat("nobody looks at this", 10_000)) // and it waits for nobody
	got := make([]byte, 12*50_000)
	if _, err := io.ReadFull(ch, got); err != nil {
		t.Fatal(err)
	}
	for i := range 50_000 {
		if line := fmt.Sprintf("%010d\r\n", i); string(got[12*i:12*i+12]) != line {
			t.Fatalf("line %d is %q", i, got[12*i:12*i+12])
		}
	}
}

func TestSimUnplug(t *testing.T) {
	for _, address := range []string{"sim:boot?unplug=50ms", "sim:counter?unplug=50ms", "sim:echo?unplug=50ms"} {
		ch := dialSim(t, address)
		if _, err := io.Copy(io.Discard, ch); err != nil {
			t.Errorf("%s ends with %v", address, err)
		}
	}
	// Also when nobody reads it: what is held can be read, then the end comes.
	ch := dialSim(t, "sim:counter?unplug=50ms")
	for err := error(nil); err == nil; { // fails when it is unplugged
		_, err = ch.Write([]byte("x"))
	}
	if rest, err := io.ReadAll(ch); err != nil || len(rest) == 0 {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}

// TestSimRate: so many bytes take at least so long; more is up to the machine.
func TestSimRate(t *testing.T) {
	for _, address := range []string{"sim:counter?rate=20KiB&burst=512", "sim:counter?rate=20KiB"} {
		ch := dialSim(t, address)
		start := time.Now()
		if _, err := io.ReadFull(ch, make([]byte, 4<<10)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 170*time.Millisecond { // 200 ms, less a burst
			t.Errorf("%s: 4 KiB came in %v", address, d)
		}
	}
}

func TestSimAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"sim:bot":                   `unknown simulation "bot"; did you mean "boot"?`,
		"sim:":                      "sim wants the name of a simulation behind the colon",
		"sim:boot?rate=fast":        `option rate: want a size like "256KiB" or "4MiB", have "fast"`,
		"sim:boot?rate=0":           `option rate: want more than 0`,
		"sim:boot?unplug=1":         `option unplug: want a duration like "100ms", "30s", "5m", "2h" or "90d", have "1"`,
		"sim:boot?unplug=99999999d": `option unplug: want a duration like "100ms", "30s", "5m", "2h" or "90d", have "99999999d"`,
		"sim:boot?burts=1":          `unknown option "burts"; did you mean "burst"?`,
	} {
		if _, err := channel.ParseAddress(address); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := channel.Dial(ctx, channel.MustParseAddress("sim:boot")); err != context.Canceled {
		t.Errorf("dialling with a context that ended: %v", err)
	}
}
