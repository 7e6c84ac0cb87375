package channel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// wsServed is a server's side, and the raw end of its client.
func wsServed(t testing.TB, o WebsocketOptions) (*Websocket, *PipeEnd) {
	a, b := Pipe(4 << 20)
	c := NewWebsocket(b, nil, o)
	t.Cleanup(func() { c.Close(); a.Close() })
	a.SetReadDeadline(time.Now().Add(limit))
	c.SetReadDeadline(time.Now().Add(limit))
	return c, a
}

// nextFrame reads a frame as the library reads it.
func nextFrame(t testing.TB, raw io.Reader) ws.Frame {
	t.Helper()
	h, err := ws.ReadHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	if _, err := io.ReadFull(raw, f.Payload); err != nil {
		t.Fatal(err)
	}
	if h.Masked {
		ws.Cipher(f.Payload, h.Mask, 0)
	}
	return f
}

func TestWebsocketPongHasThePayloadOfThePing(t *testing.T) {
	c, raw := wsServed(t, WebsocketOptions{})
	raw.Write(append(masked(ws.OpPing, true, "ping"), masked(ws.OpBinary, true, "some data")...))
	buf := make([]byte, 100)
	if n, err := c.Read(buf); string(buf[:n]) != "some data" || err != nil {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if f := nextFrame(t, raw); f.Header.OpCode != ws.OpPong || string(f.Payload) != "ping" || f.Header.Masked {
		t.Fatalf("%+v %q", f.Header, f.Payload)
	}
}

func TestWebsocketWritesOneFrameWithOneWrite(t *testing.T) {
	for _, side := range []string{"server", "client"} {
		a, b := Pipe(4 << 20)
		under := &writevCounter{Channel: b}
		c := NewWebsocket(under, nil, WebsocketOptions{})
		if side == "client" {
			c = newWebsocketClient(under, nil, WebsocketOptions{})
		}
		payload := []byte("one two three")
		if n, err := c.Writev([][]byte{payload[:4], nil, payload[4:8], payload[8:]}); n != 13 || err != nil {
			t.Fatal(n, err)
		}
		f := nextFrame(t, a)
		if f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Masked != (side == "client") || string(f.Payload) != string(payload) {
			t.Errorf("%s: %+v %q", side, f.Header, f.Payload)
		}
		if len(under.calls) != 1 {
			t.Errorf("%s: %d writes below", side, len(under.calls))
		}
		if shared := len(under.calls[0]) == 4 && &under.calls[0][1][0] == &payload[0]; shared != (side == "server") {
			t.Errorf("%s: payload handed down as it is: %v", side, shared)
		}
		if string(payload) != "one two three" {
			t.Errorf("%s: the payload was changed", side)
		}
		under.calls = nil
		big := randomBytes(150000)
		if n, err := c.Write(big); n != len(big) || err != nil {
			t.Fatal(n, err)
		}
		var got []byte
		for _, want := range []int{wsMaxSend, wsMaxSend, 150000 - 2*wsMaxSend} {
			f := nextFrame(t, a)
			if len(f.Payload) != want || !f.Header.Fin {
				t.Errorf("%s: a frame of %d bytes, want %d", side, len(f.Payload), want)
			}
			got = append(got, f.Payload...)
		}
		if !bytes.Equal(got, big) {
			t.Errorf("%s: other bytes came out", side)
		}
		if n, err := c.Writev([][]byte{nil, {}}); n != 0 || err != nil || a.Buffered() != 0 {
			t.Errorf("%s: an empty write: %d, %v, %d bytes out", side, n, err, a.Buffered())
		}
		c.Close()
		a.Close()
	}
}

// A writevCounter keeps the arguments of each Writev.
type writevCounter struct {
	Channel
	calls [][][]byte
}

func (c *writevCounter) Writev(bufs [][]byte) (int64, error) {
	c.calls = append(c.calls, append([][]byte(nil), bufs...))
	return c.Channel.Writev(bufs)
}

func TestWebsocketProtocolErrorsAreTold(t *testing.T) {
	for _, test := range []struct {
		input []byte
		code  ws.StatusCode
	}{
		{rawFrame(ws.Header{Fin: true, OpCode: ws.OpBinary}, []byte("unmasked")), 1002},
		{masked(ws.OpBinary, true, strings.Repeat("x", wsMaxFrame+1)), 1009},
	} {
		c, raw := wsServed(t, WebsocketOptions{})
		raw.Write(append(masked(ws.OpBinary, true, "ok"), test.input...))
		got, err := io.ReadAll(c)
		if string(got) != "ok" || err == nil || !strings.Contains(err.Error(), "websocket") {
			t.Errorf("read %q, %v", got, err)
		}
		if _, again := c.Read(make([]byte, 1)); again != err {
			t.Errorf("the next read says %v", again)
		}
		f := nextFrame(t, raw)
		code, reason := ws.ParseCloseFrameData(f.Payload)
		if f.Header.OpCode != ws.OpClose || code != test.code || reason == "" {
			t.Errorf("%+v %d %q", f.Header, code, reason)
		}
		c.Close()
		if rest, err := io.ReadAll(raw); len(rest) != 0 || err != nil {
			t.Errorf("behind the close frame: %x, %v", rest, err)
		}
	}
}

func TestWebsocketClose(t *testing.T) {
	t.Run("of the peer", func(t *testing.T) {
		for code, echo := range map[string]ws.StatusCode{"": 1000, "\x03\xe9going": 1001, "\x0b\xb8": 3000} {
			c, raw := wsServed(t, WebsocketOptions{})
			raw.Write(append(masked(ws.OpBinary, true, "last"), masked(ws.OpClose, true, code)...))
			raw.Write(masked(ws.OpClose, true, code)) // and again, which is behind the end
			if got, err := io.ReadAll(c); string(got) != "last" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			f := nextFrame(t, raw)
			if got, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || got != echo {
				t.Errorf("echoed %d, want %d", got, echo)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("a write after it: %v", err)
			}
			c.Close()
			if rest, _ := io.ReadAll(raw); len(rest) != 0 {
				t.Errorf("a second close frame: %x", rest)
			}
		}
	})
	t.Run("of ours", func(t *testing.T) {
		c, raw := wsServed(t, WebsocketOptions{})
		c.CloseWith(1008, "kicked by the operator")
		c.Close()
		f := nextFrame(t, raw)
		if code, reason := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != 1008 || reason != "kicked by the operator" {
			t.Errorf("%+v %d %q", f.Header, code, reason)
		}
		if rest, err := io.ReadAll(raw); len(rest) != 0 || err != nil {
			t.Errorf("behind it: %x, %v", rest, err)
		}
		if _, err := c.Write(nil); !isClosed(err) {
			t.Error(err)
		}
		if err := c.SendText([]byte("x")); !isClosed(err) {
			t.Error(err)
		}
		if err := c.SetReadDeadline(time.Time{}); !isClosed(err) {
			t.Error(err)
		}
	})
	t.Run("half", func(t *testing.T) {
		c, raw := wsServed(t, WebsocketOptions{})
		if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		c.Write([]byte("still open"))
		if f := nextFrame(t, raw); string(f.Payload) != "still open" {
			t.Fatalf("%q", f.Payload)
		}
	})
}

// On a plain channel a pong may have to wait. The reader must not: the peer's may
// wait for it.
func TestWebsocketReadsOnWhileAPongWaits(t *testing.T) {
	a, b := Pipe(100)
	c := NewWebsocket(b, nil, WebsocketOptions{})
	defer a.Close()
	defer c.Close()
	// Nobody reads what the server writes, so its writer waits, and pongs behind it.
	written := make(chan error, 1)
	go func() { _, err := c.Write(make([]byte, 1000)); written <- err }()
	awaitFull(t, a, 100)
	go func() {
		for i := range 1000 {
			a.Write(masked(ws.OpPing, true, fmt.Sprint("ping ", i)))
			a.Write(masked(ws.OpBinary, true, "data"))
		}
	}()
	got := make([]byte, 4000)
	c.SetReadDeadline(time.Now().Add(limit))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	a.SetReadDeadline(time.Now().Add(limit))
	if f := nextFrame(t, a); len(f.Payload) != 1000 {
		t.Fatalf("%+v", f.Header)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	// One pong was waiting, and behind it the last of the others.
	for {
		if f := nextFrame(t, a); f.Header.OpCode != ws.OpPong {
			t.Fatalf("%+v", f.Header)
		} else if string(f.Payload) == "ping 999" {
			return
		}
	}
}

func TestWebsocketPings(t *testing.T) {
	c, raw := wsServed(t, WebsocketOptions{PingInterval: time.Millisecond})
	for range 3 {
		if f := nextFrame(t, raw); f.Header.OpCode != ws.OpPing {
			t.Fatalf("%+v", f.Header)
		}
	}
	c.Close()
	for { // pings that were under way, the close frame, the end
		h, err := ws.ReadHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		if h.OpCode == ws.OpClose {
			break
		}
	}
	io.CopyN(io.Discard, raw, 2)
	if rest, err := io.ReadAll(raw); len(rest) != 0 || err != nil {
		t.Errorf("after the close frame: %x, %v", rest, err)
	}
	quiet, _ := wsServed(t, WebsocketOptions{PingInterval: -1})
	client := newWebsocketClient(raw, nil, WebsocketOptions{})
	for _, c := range []*Websocket{quiet, client} {
		if c.beside.timer != nil {
			t.Error("a side that need not ping has a timer")
		}
	}
	client.Close()
}

func TestWebsocketTextMessagesAreInOrderWithTheStream(t *testing.T) {
	a, b := Pipe(64 << 10)
	var log strings.Builder
	var server *Websocket
	server = NewWebsocket(b, nil, WebsocketOptions{OnText: func(text []byte) {
		fmt.Fprintf(&log, "<%s>", text)
		// No lock is held: it may write, and even close.
		if string(text) == "bye" {
			server.Close()
		} else if err := server.SendText(append([]byte("re: "), text...)); err != nil {
			t.Error(err)
		}
	}})
	var answers []string
	client := newWebsocketClient(a, nil, WebsocketOptions{OnText: func(text []byte) { answers = append(answers, string(text)) }})
	defer client.Close()
	defer server.Close()
	client.Write([]byte("one "))
	client.SendText([]byte("first"))
	client.SendText([]byte("second"))
	client.Write([]byte("two "))
	client.Write([]byte("three "))
	client.SendText(nil)
	client.Write([]byte("four "))
	client.SendText([]byte("bye"))
	buf := make([]byte, 1000) // all is there at once
	server.SetReadDeadline(time.Now().Add(limit))
	for ; ; buf = buf[:20] { // and then less than what was kept
		n, err := server.Read(buf)
		log.Write(buf[:n])
		if err != nil {
			if !isClosed(err) {
				t.Error(err)
			}
			break
		}
	}
	if want := "one <first><second>two three <>four <bye>"; log.String() != want {
		t.Errorf("%q, want %q", log.String(), want)
	}
	if got, err := io.ReadAll(client); len(got) != 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got := strings.Join(answers, "|"); got != "re: first|re: second|re: " {
		t.Errorf("%q", got)
	}
	if err := client.SendText(make([]byte, wsMaxText+1)); err == nil {
		t.Error("a text message over the limit was sent")
	}
}

func TestWebsocketWriteErrorIsFinal(t *testing.T) {
	a, b := Pipe(100)
	defer a.Close()
	c := NewWebsocket(b, nil, WebsocketOptions{})
	defer c.Close()
	var n int
	var err error
	written := make(chan struct{})
	go func() { n, err = c.Write(make([]byte, 1000)); close(written) }()
	awaitFull(t, a, 100)
	c.SetWriteDeadline(time.Unix(1, 0))
	<-written
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || n != 96 {
		t.Fatalf("%d, %v; want the 96 bytes behind the frame's head, and a timeout", n, err)
	}
	c.SetWriteDeadline(time.Time{})
	a.Discard()
	for range 2 {
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
}
