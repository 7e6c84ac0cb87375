package channel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// rawFrame is a frame as the library, which is not ours, writes it.
func rawFrame(h ws.Header, payload []byte) []byte {
	h.Length = int64(len(payload))
	payload = bytes.Clone(payload)
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	return append(b.Bytes(), payload...)
}

// masked is a frame of a client.
func masked(op ws.OpCode, fin bool, payload string) []byte {
	return rawFrame(ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: [4]byte{1, 2, 3, 4}}, []byte(payload))
}

// decodeAll decodes input cut into pieces, each of which is decoded in place as Read
// does it. Runs of stream are joined, so that cuts do not show.
func decodeAll(d *wsDecoder, input []byte, cuts []byte) string {
	var r strings.Builder
	var stream []byte
	flush := func() {
		if len(stream) > 0 {
			fmt.Fprintf(&r, "stream %x\n", stream)
			stream = nil
		}
	}
	for i := 0; len(input) > 0; i++ {
		size := len(input)
		if len(cuts) > 0 {
			size = min(size, 1+int(cuts[i%len(cuts)]))
		}
		p := bytes.Clone(input[:size])
		input = input[size:]
		raw, n := p, 0
		for {
			m, used, ev := d.next(p[n:], raw)
			if m < 0 || m > used || used > len(raw) || used == 0 && ev == wsMore && len(raw) > 0 {
				panic(fmt.Sprintf("%d of %d bytes used, %d given", used, len(raw), m))
			}
			n += m
			raw = raw[used:]
			if ev == wsMore {
				break
			}
			stream = append(stream, p[:n]...)
			n = 0
			p = raw
			flush()
			switch ev {
			case wsPing:
				fmt.Fprintf(&r, "ping %x\n", d.control[:d.controlLen])
			case wsTextHead:
				fmt.Fprintf(&r, "text head\n")
			case wsText:
				fmt.Fprintf(&r, "text %x\n", d.takeText())
			case wsClose:
				fmt.Fprintf(&r, "close %d\n", d.code)
				return r.String()
			case wsFail:
				fmt.Fprintf(&r, "fail %d %s\n", d.code, d.reason)
				return r.String()
			}
			if len(d.text) > wsMaxText {
				panic("the text is over its limit")
			}
		}
		stream = append(stream, p[:n]...)
	}
	flush()
	return r.String()
}

func TestWebsocketDecoder(t *testing.T) {
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	code := func(c int, reason string) string {
		return string(binary.BigEndian.AppendUint16(nil, uint16(c))) + reason
	}
	unmasked := rawFrame(ws.Header{Fin: true, OpCode: ws.OpBinary}, []byte("x"))
	huge := masked(ws.OpBinary, true, strings.Repeat("x", wsMaxFrame+1))
	long := strings.Repeat("x", wsMaxText)
	for _, test := range []struct {
		what     string
		input    []byte
		messages bool
		want     string
	}{
		{"binary", masked(ws.OpBinary, true, "ab"), false, "stream 6162\n"},
		{"text as stream", masked(ws.OpText, true, "ab"), false, "stream 6162\n"},
		{"empty", join(masked(ws.OpBinary, true, ""), masked(ws.OpText, true, "")), false, ""},
		{"fragments with a ping between", join(masked(ws.OpText, false, "a"), masked(ws.OpContinuation, false, "b"),
			masked(ws.OpPing, true, "p"), masked(ws.OpContinuation, true, "c")), false, "stream 6162\nping 70\nstream 63\n"},
		{"ping and data in one segment", join(masked(ws.OpPing, true, "ping"), masked(ws.OpBinary, true, "data")), false, "ping 70696e67\nstream 64617461\n"},
		{"pong", masked(ws.OpPong, true, "x"), false, ""},
		{"longest control frame", masked(ws.OpPing, true, strings.Repeat("p", 125)), false, "ping " + strings.Repeat("70", 125) + "\n"},
		{"biggest frame", masked(ws.OpBinary, true, strings.Repeat("x", wsMaxFrame)), false, "stream " + strings.Repeat("78", wsMaxFrame) + "\n"},
		{"16 bits of length", masked(ws.OpBinary, true, strings.Repeat("x", 300)), false, "stream " + strings.Repeat("78", 300) + "\n"},
		{"text apart", join(masked(ws.OpBinary, true, "a"), masked(ws.OpText, true, "t"), masked(ws.OpBinary, true, "b")), true,
			"stream 61\ntext head\ntext 74\nstream 62\n"},
		{"text apart, empty and in fragments", join(masked(ws.OpText, true, ""), masked(ws.OpText, false, "t"),
			masked(ws.OpPing, true, ""), masked(ws.OpContinuation, true, "u")), true, "text head\ntext \ntext head\nping \ntext 7475\n"},
		{"longest text", masked(ws.OpText, true, long), true, "text head\ntext " + strings.Repeat("78", wsMaxText) + "\n"},
		{"close", join(masked(ws.OpClose, true, code(1001, "gone")), masked(ws.OpBinary, true, "late")), false, "close 1001\n"},
		{"close without code", masked(ws.OpClose, true, ""), false, "close 1000\n"},
		{"close of a library", masked(ws.OpClose, true, code(3000, "")), false, "close 3000\n"},
		{"service restart", masked(ws.OpClose, true, code(1012, "")), false, "close 1012\n"},

		{"unmasked", unmasked, false, "fail 1002"},
		{"too big", huge, false, "fail 1009"},
		{"fragmented ping", masked(ws.OpPing, false, ""), false, "fail 1002"},
		{"long ping", masked(ws.OpPing, true, strings.Repeat("p", 126)), false, "fail 1002"},
		{"continuation of nothing", masked(ws.OpContinuation, true, "x"), false, "fail 1002"},
		{"data within a fragmented message", join(masked(ws.OpBinary, false, ""), masked(ws.OpBinary, true, "")), false, "fail 1002"},
		{"text too long", masked(ws.OpText, true, long+"x"), true, "fail 1009"},
		{"text too long in fragments", join(masked(ws.OpText, false, long), masked(ws.OpContinuation, true, "x")), true, "text head\nfail 1009"},
		{"text that is none", masked(ws.OpText, true, "\xff"), true, "text head\nfail 1007"},
		{"half a close code", masked(ws.OpClose, true, "x"), false, "fail 1002"},
		{"close reason that is no text", masked(ws.OpClose, true, code(1000, "\xff")), false, "fail 1007"},
		{"length that is too long for itself", []byte{0x82, 0x80 | 126, 0, 5, 1, 2, 3, 4}, false, "fail 1002"},
		{"length that is too long for itself", []byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4}, false, "fail 1002"},
		{"length below 0", []byte{0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, false, "fail 1002"},
	} {
		for _, cuts := range [][]byte{nil, {0}, {1}, {6}, {0, 12, 3}} {
			if len(test.input) > 100_000 && len(cuts) > 0 {
				cuts = []byte{250, 99}
			}
			d := &wsDecoder{side: ws.StateServerSide, messages: test.messages}
			got := decodeAll(d, test.input, cuts)
			if strings.Contains(test.want, "fail") {
				got = got[:min(len(got), len(test.want))] // the reason is for people
			}
			if got != test.want {
				t.Errorf("%s, cut at %v: %.200q, want %.200q", test.what, cuts, got, test.want)
			}
		}
	}
	for op := range 16 {
		for rsv := range 8 {
			d := &wsDecoder{side: ws.StateServerSide}
			got := decodeAll(d, rawFrame(ws.Header{Fin: true, Rsv: byte(rsv), OpCode: ws.OpCode(op), Masked: true}, nil), nil)
			allowed := rsv == 0 && (op == 1 || op == 2 || op >= 8 && op <= 10)
			if strings.HasPrefix(got, "fail 1002") == allowed {
				t.Errorf("opcode %d with reserved bits %d: %q", op, rsv, got)
			}
		}
	}
	for _, c := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535} {
		d := &wsDecoder{side: ws.StateServerSide}
		if got := decodeAll(d, masked(ws.OpClose, true, code(c, "")), nil); !strings.HasPrefix(got, "fail 1002") {
			t.Errorf("close code %d: %q", c, got)
		}
	}
	d := &wsDecoder{side: ws.StateClientSide}
	if got := decodeAll(d, masked(ws.OpBinary, true, "x"), nil); !strings.HasPrefix(got, "fail 1002") {
		t.Errorf("a masked frame to a client: %q", got)
	}
}

// FuzzWebsocketReader: decoded in any pieces, input gives the same as decoded at
// once, and nothing makes the decoder panic or use more than there is.
func FuzzWebsocketReader(f *testing.F) {
	f.Add(masked(ws.OpBinary, true, "hello"), []byte{0}, true, false)
	f.Add(append(masked(ws.OpPing, true, "ping"), masked(ws.OpText, false, "data")...), []byte{3, 1}, true, true)
	f.Add(masked(ws.OpClose, true, "\x03\xe8bye"), []byte{}, true, false)
	f.Add(rawFrame(ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 300)), []byte{7}, false, false)
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 2, 0, 0, 1, 2, 3, 4}, []byte{2}, true, false)
	f.Fuzz(func(t *testing.T, input, cuts []byte, server, messages bool) {
		side := ws.StateClientSide
		if server {
			side = ws.StateServerSide
		}
		whole := decodeAll(&wsDecoder{side: side, messages: messages}, input, nil)
		inPieces := decodeAll(&wsDecoder{side: side, messages: messages}, input, cuts)
		if whole != inPieces {
			t.Errorf("at once: %q\nin pieces: %q", whole, inPieces)
		}
	})
}

func TestCloseBody(t *testing.T) {
	b := closeBody(1008, strings.Repeat("ä", 100))
	if len(b) > 125 || len(b) < 124 || !strings.HasPrefix(string(b[2:]), "ää") || strings.ToValidUTF8(string(b[2:]), "?") != string(b[2:]) {
		t.Errorf("%d bytes: %q", len(b), b)
	}
}
