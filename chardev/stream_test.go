package chardev

import (
	"strings"
	"testing"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// What is wrong with a [[stream]] is told at its place, all of it.
func TestStreamMistakes(t *testing.T) {
	clearEnvironment(t)
	path := write(t, `
[[stream]]
name = "a"
listen = "tcp://0.0.0.0:5900"
connect = "unix:vm1"
[[stream]]
name = "a"
listen = ["unix:x", "command:cat"]
connect = "unix:x"
wait = "2h"
history = 1
[[stream]]
name = "c"
`, nil)
	_, err := Load(path)
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{
		":4:10: listen: \"tcp://0.0.0.0:5900\": it can be reached from other hosts, without TLS",
		":7:8: ", "is there already",
		"command cannot be listened on",
		":9:11: connect: \"unix:x\": it is where this stream listens",
		":10:8: wait", ":11:1: unknown key \"history\"",
		":12:1: [[stream]] has no listen", ":12:1: [[stream]] has no connect",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not tell %q:\n%s", want, err)
		}
	}
}

// A reload touches the streams that are another, and no other one.
func TestStreamsDiffer(t *testing.T) {
	stream := func(name, to string) StreamConfig {
		return StreamConfig{Name: name, Connect: endpointOf(t, to), Listen: []Endpoint{endpointOf(t, "unix:/l")}}
	}
	old := &Config{Access: new(access.Rules), Streams: []StreamConfig{stream("gone", "unix:/a"), stream("same", "unix:/b"), stream("other", "unix:/c")}}
	next := &Config{Access: new(access.Rules), Streams: []StreamConfig{stream("same", "unix:/b"), stream("other", "unix:/d"), stream("new", "unix:/e")}}
	c := diff(old, next)
	if got := strings.Join(c.Lines, "\n"); got != "- stream gone\n~ stream other: it is begun anew, to unix:/d\n+ stream new: to unix:/e" {
		t.Errorf("told:\n%s", got)
	}
	if strings.Join(c.streamsGone, " ") != "gone other" || len(c.streamsCome) != 2 {
		t.Errorf("gone %v, %d have come", c.streamsGone, len(c.streamsCome))
	}
	if again := diff(next, next); !again.None() {
		t.Errorf("nothing is another, and told was %v", again.Lines)
	}
}

func endpointOf(t *testing.T, text string) Endpoint {
	t.Helper()
	a, err := channel.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{Address: a}
}

// Who was not let in has no number.
func TestNameOfAClient(t *testing.T) {
	for id, want := range map[int]string{0: "client unix:root on tcp://h:1", 3: "client 3 unix:root on tcp://h:1"} {
		if got := clientText(id, "unix:root", "tcp://h:1"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
