package channel

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// However much the medium takes, what WriteSome says is on its way gets there decoded, and
// nothing else does; what needs no encoding is taken as far as the medium takes it.
func TestTelnetWritesSome(t *testing.T) {
	text := bytes.Repeat([]byte("a line of text\r\n"), 25<<10)
	rapid.Check(t, func(t *rapid.T) {
		binary := rapid.Bool().Draw(t, "binary")
		all := text
		if rapid.Bool().Draw(t, "any bytes") {
			all = randomBytes(len(text))
		}
		room := rapid.IntRange(1, 900<<10).Draw(t, "room")
		near, far := Pipe(room)
		out := NewOutbox(near)
		c := &telnet{layered: layered{under: out}, enc: telnetEncoder{server: true, binary: binary}}
		defer near.Close()
		defer far.Close()
		size := rapid.IntRange(1, len(all)).Draw(t, "size")
		at := rapid.IntRange(0, size).Draw(t, "cut")
		n, err := c.WriteSome([][]byte{all[:at], all[at:size]})
		if err != nil {
			t.Fatal(err)
		}
		k := out.Kept()
		switch plain := (&telnetEncoder{server: true, binary: binary}).plain(all[:size]); {
		case plain && (k > 1 || n < int64(min(size, room))):
			t.Fatalf("took %d bytes of %d, and kept %d of them, for a medium with room for %d", n, size, k, room)
		case !plain && n != int64(min(size, telnetMaxSend)):
			t.Fatalf("took %d bytes of %d", n, size)
		}
		closed := make(chan error)
		go func() { closed <- out.Close() }() // when nothing is kept any more
		wire, err := io.ReadAll(far)
		<-closed
		if err != nil {
			t.Fatal(err)
		}
		// A CR at the end waits for what decides about its NUL.
		got := make([]byte, len(wire))
		d := telnetDecoder{binary: binary}
		m, used, ev := d.next(got, wire)
		if ev.command != 0 || used != len(wire) || !bytes.Equal(got[:m], all[:n]) {
			t.Fatalf("%d bytes came out, %d were taken, or they are others", m, n)
		}
	})
}

// What doubles when it is encoded is too much for no outbox whose medium is full, however
// much of it there is.
func TestTelnetWritesSomeThatDoubles(t *testing.T) {
	for _, b := range []string{"\xff", "\r"} {
		near, far := Pipe(1)
		out := NewOutbox(near)
		c := &telnet{layered: layered{under: out}, enc: telnetEncoder{server: true}}
		all := bytes.Repeat([]byte(b), 256<<10)
		if n, err := c.WriteSome([][]byte{all}); n == 0 || err != nil {
			t.Errorf("%q: took %d bytes: %v", b, n, err)
		}
		far.Close()
		out.Close()
	}
}
