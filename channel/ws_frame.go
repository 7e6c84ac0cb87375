package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// What one side takes and gives of frames, in bytes.
const (
	wsMaxFrame = 1 << 20  // taken: of one frame's payload; more is refused with 1009
	wsMaxText  = 64 << 10 // taken and given: of one text message that is not stream
	wsMaxSend  = 64 << 10 // given: of one frame of the stream; some peers take no more than 1 MiB
)

// A wsEvent is what stops the decoder beside the end of its input.
type wsEvent int

const (
	wsMore     wsEvent = iota // nothing: the input is used up
	wsPing                    // a ping; its payload is in control
	wsTextHead                // a text message begins, with nothing of it decoded
	wsText                    // a text message is complete, in text
	wsClose                   // the peer's close frame; its code is in code
	wsFail                    // the peer broke the protocol; code and reason say how
)

// A wsDecoder takes frames apart (RFC 6455 §5) from input that may be cut
// anywhere, and keeps no more than a frame's head and a control frame's payload.
type wsDecoder struct {
	// fixed at construction
	side     ws.State // which side this is: says whether frames must be masked
	messages bool     // text messages are not part of the stream

	head       [ws.MaxHeaderSize]byte // of the next frame, as far as it is there
	have       int
	frame      ws.Header // the frame that is being read, if inside
	inside     bool
	left       int64 // bytes of its payload that are to come
	fragmented bool  // the message goes on in a continuation frame
	texting    bool  // the message is one for text

	control    [ws.MaxControlFramePayloadSize]byte
	controlLen int
	text       []byte

	code   ws.StatusCode
	reason string
}

// next decodes src until its end or the first event, and returns how many bytes of
// stream it has put into dst and how much of src it has used. It changes src, and
// dst may be the same memory if it does not begin behind src. After wsClose and
// wsFail it must not be called again.
func (d *wsDecoder) next(dst, src []byte) (n, used int, ev wsEvent) {
	for {
		if !d.inside {
			if used == len(src) {
				return n, used, wsMore
			}
			d.head[d.have] = src[used]
			d.have++
			used++
			if d.have < d.headSize() {
				continue
			}
			d.have = 0
			if ev := d.begin(); ev != wsMore {
				return n, used, ev
			}
		}
		if d.left > 0 {
			if used == len(src) {
				return n, used, wsMore
			}
			part := src[used:min(int64(len(src)), int64(used)+d.left)]
			if d.frame.Masked {
				ws.Cipher(part, d.frame.Mask, int((d.frame.Length-d.left)&3))
			}
			d.left -= int64(len(part))
			used += len(part)
			switch {
			case d.frame.OpCode.IsControl():
				d.controlLen += copy(d.control[d.controlLen:], part)
			case d.texting:
				d.text = append(d.text, part...)
			default:
				n += copy(dst[n:], part)
			}
		}
		if d.left == 0 {
			d.inside = false
			if ev := d.end(); ev != wsMore {
				return n, used, ev
			}
		}
	}
}

// headSize is how long the head is, as far as what is there of it tells.
func (d *wsDecoder) headSize() int {
	if d.have < 2 {
		return 2
	}
	size := 2
	switch d.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if d.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// begin reads a complete head and checks whether the frame may come now.
func (d *wsDecoder) begin() wsEvent {
	h := ws.Header{
		Fin:    d.head[0]&0x80 != 0,
		Rsv:    d.head[0] >> 4 & 7,
		OpCode: ws.OpCode(d.head[0] & 0x0f),
		Masked: d.head[1]&0x80 != 0,
	}
	rest := d.head[2:]
	length := uint64(d.head[1] & 0x7f)
	least := uint64(0) // of this form of length: the shortest must be used (§5.2)
	switch length {
	case 126:
		length, least, rest = uint64(binary.BigEndian.Uint16(rest)), 126, rest[2:]
	case 127:
		length, least, rest = binary.BigEndian.Uint64(rest), 1<<16, rest[8:]
	}
	if length < least || length > 1<<63-1 {
		return d.fail(ws.StatusProtocolError, "malformed payload length")
	}
	h.Length = int64(length)
	if h.Masked {
		copy(h.Mask[:], rest)
	}
	state := d.side
	if d.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return d.fail(ws.StatusProtocolError, err.Error())
	}
	if h.Length > wsMaxFrame {
		return d.fail(ws.StatusMessageTooBig, fmt.Sprintf("a frame of more than %d bytes", wsMaxFrame))
	}
	d.frame, d.left, d.inside = h, h.Length, true
	if h.OpCode.IsControl() {
		d.controlLen = 0
		return wsMore
	}
	d.fragmented = !h.Fin
	if h.OpCode != ws.OpContinuation {
		d.texting = d.messages && h.OpCode == ws.OpText
	}
	if !d.texting {
		return wsMore
	}
	if int64(len(d.text))+h.Length > wsMaxText {
		return d.fail(ws.StatusMessageTooBig, fmt.Sprintf("a text message of more than %d bytes", wsMaxText))
	}
	if h.OpCode == ws.OpText {
		return wsTextHead
	}
	return wsMore
}

// end is called behind the last byte of a frame.
func (d *wsDecoder) end() wsEvent {
	switch d.frame.OpCode {
	case ws.OpPing:
		return wsPing
	case ws.OpPong:
		return wsMore // an answer, or unasked for as a sign of life (§5.5.3)
	case ws.OpClose:
		return d.endClose()
	}
	if !d.texting || !d.frame.Fin {
		return wsMore
	}
	if !utf8.Valid(d.text) {
		return d.fail(ws.StatusInvalidFramePayloadData, "a text message that is not UTF-8")
	}
	return wsText
}

// endClose checks the peer's code and reason (§5.5.1, §7.4).
func (d *wsDecoder) endClose() wsEvent {
	body := d.control[:d.controlLen]
	if len(body) == 0 {
		d.code = ws.StatusNormalClosure
		return wsClose
	}
	if len(body) == 1 {
		return d.fail(ws.StatusProtocolError, "half a close code")
	}
	d.code = ws.StatusCode(binary.BigEndian.Uint16(body))
	if !sendableCode(d.code) {
		return d.fail(ws.StatusProtocolError, fmt.Sprintf("close code %d is not one to send", d.code))
	}
	if !utf8.Valid(body[2:]) {
		return d.fail(ws.StatusInvalidFramePayloadData, "a close reason that is not UTF-8")
	}
	return wsClose
}

// sendableCode says whether a close code may be on the wire: those of RFC 6455
// §7.4.1 less the three that stand for something that was not sent, those that
// were registered with IANA later (1012–1014), and those of libraries and users.
func sendableCode(c ws.StatusCode) bool {
	return 1000 <= c && c <= 1003 || 1007 <= c && c <= 1014 || 3000 <= c && c <= 4999
}

func (d *wsDecoder) fail(code ws.StatusCode, reason string) wsEvent {
	d.code, d.reason = code, reason
	return wsFail
}

// takeText gives the complete text message away.
func (d *wsDecoder) takeText() []byte {
	t := d.text
	d.text = nil
	if t == nil {
		t = []byte{}
	}
	return t
}

// err is what Read says about a peer that broke the protocol.
func (d *wsDecoder) err() error {
	return &ioError{"read", errors.New("websocket: the peer sent what it may not: " + d.reason)}
}

// closeBody is the payload of a close frame: the code and as much of the reason
// as a control frame holds.
func closeBody(code ws.StatusCode, reason string) []byte {
	const room = ws.MaxControlFramePayloadSize - 2
	if len(reason) > room {
		reason = strings.ToValidUTF8(reason[:room], "")
	}
	return ws.NewCloseFrameBody(code, reason)
}

// A wsFrame is the memory in which one frame is put together.
type wsFrame struct {
	head    [ws.MaxHeaderSize]byte
	payload [][]byte
	iov     [][]byte
	buf     []byte
}

// release gives the frame back to the pool, with nothing of the caller's in it.
func (f *wsFrame) release() {
	clear(f.payload[:cap(f.payload)])
	clear(f.iov[:cap(f.iov)])
	wsFrames.Put(f)
}

// putHead writes the head of a complete frame and returns it.
func (f *wsFrame) putHead(op ws.OpCode, mask *[4]byte, size int) []byte {
	f.head[0] = 0x80 | byte(op)
	n := 2
	switch {
	case size < 126:
		f.head[1] = byte(size)
	case size < 1<<16:
		f.head[1] = 126
		binary.BigEndian.PutUint16(f.head[2:], uint16(size))
		n = 4
	default:
		f.head[1] = 127
		binary.BigEndian.PutUint64(f.head[2:], uint64(size))
		n = 10
	}
	if mask != nil {
		f.head[1] |= 0x80
		n += copy(f.head[n:], mask[:])
	}
	return f.head[:n]
}
