package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// What record makes is an asciicast (version 2): its text is what the console
// printed, its times ascend with the pauses that there were, and asciinema plays it.
func TestRecord(t *testing.T) {
	d := startDaemon(t, oneGuest, nil)
	p := newPrinter(t, d, "vm")
	live := dial(t, "unix", d.path("front"))
	d.has("vm", 1)
	const pause = 150 * time.Millisecond
	parts := []string{
		"booting \x1b[1;32mgreen\x1b[0m … \"quoted\" \\ back\r\n",
		"Grüße, 世界, \U0001f600\r\n",
		"\x1b[2J\x1b[Hcleared \xe4\xb8", // cut within a rune
		"\x96, and the end\r\n",
	}
	for _, part := range parts {
		<-time.After(pause)
		if _, err := p.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		live.sees(t, part)
	}
	text := strings.Join(parts, "")
	file := d.path("vm.cast")
	if _, stderr, code := d.cli("record", "vm", "-o", file); code != 0 {
		t.Fatalf("record: exit %d: %s", code, stderr)
	}

	cast, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(cast, []byte("\n")), []byte("\n"))
	var header struct{ Version, Width, Height, Timestamp int64 }
	if err := json.Unmarshal(lines[0], &header); err != nil || header.Version != 2 || header.Width < 1 || header.Height < 1 {
		t.Errorf("the header %s: %v", lines[0], err)
	}
	if age := time.Since(time.Unix(header.Timestamp, 0)); age < 0 || age > time.Minute {
		t.Errorf("it was recorded %v ago", age)
	}
	var have strings.Builder
	var at float64
	for _, line := range lines[1:] {
		var event [3]any
		if err := json.Unmarshal(line, &event); err != nil || !utf8.Valid(line) {
			t.Fatalf("%q: %v", line, err)
		}
		seconds, isNumber := event[0].(float64)
		said, isText := event[2].(string)
		if !isNumber || !isText || event[1] != "o" || seconds < at {
			t.Fatalf("%s after %v s", line, at)
		}
		at = seconds
		have.WriteString(said)
	}
	if have.String() != text {
		t.Errorf("it has %q\nwant %q", have.String(), text)
	}
	if least := (pause * time.Duration(len(parts)-2)).Seconds(); at < least || at > 30 {
		t.Errorf("its last event is at %v s, want at least %v", at, least)
	}

	player := startTTY(t, program(t, "asciinema"), "play", "--idle-time-limit", "0.1", file)
	player.sees(t, "世界")
	player.sees(t, "and the end")
	if code := player.exits(t, patience); code != 0 {
		t.Errorf("asciinema play: exit %d", code)
	}
}
