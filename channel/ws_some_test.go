package channel

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// unframed is the stream in what a server has written: whole frames, each of at
// most wsMaxSend bytes.
func unframed(t rapid.TB, wire []byte) (stream []byte) {
	for r := bytes.NewReader(wire); r.Len() > 0; {
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatalf("behind %d bytes of stream: %v", len(stream), err)
		}
		if h.OpCode != ws.OpBinary || !h.Fin || h.Length > wsMaxSend || h.Length > int64(r.Len()) {
			t.Fatalf("a frame %+v with %d bytes behind its head", h, r.Len())
		}
		at := len(wire) - r.Len()
		stream = append(stream, wire[at:at+int(h.Length)]...)
		r.Seek(h.Length, io.SeekCurrent)
	}
	return stream
}

// However much the medium takes, what WriteSome says is on its way gets there, in
// whole frames, and nothing else does; no more than one frame is kept.
func TestWebsocketWritesSome(t *testing.T) {
	all := randomBytes(400 << 10)
	rapid.Check(t, func(t *rapid.T) {
		near, far := Pipe(rapid.IntRange(1, 500<<10).Draw(t, "room"))
		out := NewOutbox(near)
		c := NewWebsocket(out, nil, WebsocketOptions{PingInterval: -1})
		defer c.Close()
		defer far.Close()
		size := rapid.IntRange(0, len(all)).Draw(t, "size")
		at := rapid.IntRange(0, size).Draw(t, "cut")
		n, err := c.WriteSome([][]byte{all[:at], all[at:size]})
		if err != nil {
			t.Fatal(err)
		}
		if n < int64(min(size, wsMaxSend)) {
			t.Fatalf("took %d bytes of %d, less than a frame", n, size)
		}
		if k := out.Kept(); k > len(wsFullHead)+wsMaxSend {
			t.Fatalf("%d bytes are kept", k)
		} else if k == 0 && n < int64(size) {
			t.Fatalf("took %d bytes of %d, and the medium is not full", n, size)
		}
		closed := make(chan error)
		go func() { closed <- out.Close() }() // when nothing is kept any more
		wire, err := io.ReadAll(far)
		<-closed
		if err != nil {
			t.Fatal(err)
		}
		if got := unframed(t, wire); !bytes.Equal(got, all[:n]) {
			t.Fatalf("%d bytes came out, %d were taken, or they are others", len(got), n)
		}
	})
}

// Where frames do not go to an outbox as they are, WriteSome is a Writev that fits.
func TestWebsocketWritesSomeWithoutOutbox(t *testing.T) {
	a, b := Pipe(1 << 20)
	defer a.Close()
	for _, c := range []*Websocket{NewWebsocket(b, nil, WebsocketOptions{PingInterval: -1}), newWebsocketClient(NewOutbox(b), nil, WebsocketOptions{})} {
		for _, size := range []int{5, 200 << 10} {
			n, err := c.WriteSome([][]byte{make([]byte, size)})
			if want := min(size, wsMaxSend); n != int64(want) || err != nil {
				t.Errorf("%d, %v; want %d", n, err, want)
			}
			if f := nextFrame(t, a); len(f.Payload) != int(n) {
				t.Errorf("a frame of %d bytes, want %d", len(f.Payload), n)
			}
		}
	}
	b.Close()
}
