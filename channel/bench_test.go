package channel

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/gobwas/ws"
)

// swallowed is an end of a pipe whose writes cost next to nothing, so that what
// stands on it is measured.
func swallowed(tb testing.TB) *PipeEnd {
	end, far := Pipe(1)
	far.Discard()
	tb.Cleanup(func() { end.Close() })
	return end
}

// socketPair is a socket on which somebody reads all that is written.
func socketPair(tb testing.TB, address string) Channel {
	ctx := testCtx(tb)
	l, err := Listen(ctx, MustParseAddress(address))
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	near, err := l.Accept(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 256<<10); ; {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	tb.Cleanup(func() { near.Close(); <-done; far.Close() })
	return near
}

// secured is a side of TLS with its handshake done, and nobody to read what it
// writes from then on.
func secured(tb testing.TB) Channel {
	_, server, far, _ := layeredPair(tb, "tls", 64<<10)
	far.Discard()
	return server
}

// A writer is something of what stands between the hub and the wire.
type writer struct {
	name string
	make func(testing.TB) Channel
}

var sockets = []writer{
	{"unix", func(tb testing.TB) Channel { return socketPair(tb, "unix:@chardevd-bench-"+tb.Name()) }},
	{"tcp", func(tb testing.TB) Channel { return socketPair(tb, "tcp://127.0.0.1:0") }},
}

// layersAlone are the outbox and each layer, with nothing to wait for below.
var layersAlone = []writer{
	{"outbox", func(tb testing.TB) Channel { return NewOutbox(swallowed(tb)) }},
	{"tls", secured},
	{"ws server", func(tb testing.TB) Channel {
		return NewWebsocket(swallowed(tb), nil, WebsocketOptions{PingInterval: -1})
	}},
	{"ws client", func(tb testing.TB) Channel { return newWebsocketClient(swallowed(tb), nil, WebsocketOptions{}) }},
	{"telnet", func(tb testing.TB) Channel { return agreed(tb, "telnet") }},
	{"rfc2217", func(tb testing.TB) Channel { return agreed(tb, "rfc2217") }},
}

// agreed is the server's side of a layer with all said that there is to say before the
// first bytes, and nobody to read what it writes from then on.
func agreed(tb testing.TB, layer string) Channel {
	client, server, far, _ := layeredPair(tb, layer, 64<<10)
	for _, way := range [][2]Channel{{client, server}, {server, client}, {client, server}} {
		if _, err := way[0].Write([]byte{'x'}); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 1)); err != nil {
			tb.Fatal(err)
		}
	}
	far.Discard()
	tb.Cleanup(func() { client.Close(); server.Close() })
	return server
}

// chunks are a key's echo, and what the history gives where a block ends.
var chunks = []struct {
	size int
	bufs [][]byte
}{
	{16, [][]byte{make([]byte, 16)}},
	{64 << 10, [][]byte{make([]byte, 40<<10), make([]byte, 24<<10)}},
}

func BenchmarkWritev(b *testing.B) {
	for _, w := range slices.Concat(sockets, layersAlone) {
		for _, c := range chunks {
			b.Run(fmt.Sprintf("%s/%d", w.name, c.size), func(b *testing.B) {
				ch := w.make(b)
				b.SetBytes(int64(c.size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := ch.Writev(c.bufs); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// carries is a layer with both its sides, which writes something on the one and reads it
// on the other, by a pipe.
func carries(tb testing.TB, layer string, bufs [][]byte) func() {
	client, server, _, _ := layeredPair(tb, layer, 256<<10)
	tb.Cleanup(func() { client.Close(); server.Close() })
	got := make([]byte, SizeOf(bufs))
	return func() {
		if _, err := client.Writev(bufs); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(server, got); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, layer := range []string{"tls", "ws", "telnet", "rfc2217"} {
		for _, c := range chunks {
			b.Run(fmt.Sprintf("%s/%d", layer, c.size), func(b *testing.B) {
				do := carries(b, layer, c.bufs)
				b.SetBytes(int64(c.size))
				b.ReportAllocs()
				for b.Loop() {
					do()
				}
			})
		}
	}
}

// A framing is a frame that is made or taken apart, in memory alone.
type framing struct {
	name string
	size int // of the payload
	do   func()
}

func framings() (all []framing) {
	for _, c := range chunks {
		f := new(wsFrame)
		all = append(all,
			framing{"encode plain", c.size, func() { encodePlain(f, ws.OpBinary, c.bufs, c.size) }},
			framing{"encode masked", c.size, func() { encodeMasked(f, ws.OpBinary, c.bufs, c.size) }})
		for _, d := range []struct {
			side ws.State
			wire []byte
		}{
			{ws.StateServerSide, masked(ws.OpBinary, true, string(make([]byte, c.size)))},
			{ws.StateClientSide, rawFrame(ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, c.size))},
		} {
			name := map[ws.State]string{ws.StateServerSide: "decode masked", ws.StateClientSide: "decode plain"}[d.side]
			dec, dst := &wsDecoder{side: d.side}, make([]byte, c.size)
			all = append(all, framing{name, c.size, func() {
				if n, used, ev := dec.next(dst, d.wire); n != c.size || used != len(d.wire) || ev != wsMore {
					panic(fmt.Sprintf("%d of %d bytes of stream, event %d", n, c.size, ev))
				}
			}})
		}
	}
	return all
}

func BenchmarkFrame(b *testing.B) {
	for _, f := range framings() {
		b.Run(fmt.Sprintf("%s/%d", f.name, f.size), func(b *testing.B) {
			b.SetBytes(int64(f.size))
			b.ReportAllocs()
			for b.Loop() {
				f.do()
			}
		})
	}
}
