package channel

import (
	"bytes"
	"slices"
)

// The commands of RFC 854.
const (
	telnetSE   = 240 // ends a subnegotiation
	telnetNOP  = 241
	telnetBRK  = 243
	telnetAYT  = 246 // are you there?
	telnetSB   = 250 // begins a subnegotiation
	telnetWILL = 251
	telnetWONT = 252
	telnetDO   = 253
	telnetDONT = 254
	telnetIAC  = 255 // a command follows; doubled: the byte itself
)

// The options that are spoken here.
const (
	telnetBinary  = 0  // RFC 856
	telnetEcho    = 1  // RFC 857
	telnetSGA     = 3  // suppress go ahead, RFC 858
	telnetTType   = 24 // terminal type, RFC 1091
	telnetNAWS    = 31 // negotiate about window size, RFC 1073
	telnetComPort = 44 // RFC 2217
)

// telnetMaxSub is how long a subnegotiation may be, in bytes without its ends: far
// more than any of those options needs. A longer one is skipped.
const telnetMaxSub = 512

// A telnetEvent is a command. The zero value is none.
type telnetEvent struct {
	command byte
	option  byte   // of WILL, WONT, DO, DONT and SB
	sub     []byte // of SB: what is behind the option; whoever gets the event owns it
}

// A telnetDecoder takes a telnet stream apart, which may be cut at any byte. It
// knows nothing of what the options mean but BINARY.
//
// Without BINARY the stream is that of an NVT, where CR is followed by NUL or LF:
// the NUL goes, and at a server the LF goes as well, since both are what clients
// send for the Enter key, which a console wants to be one CR (as telnetd does it).
type telnetDecoder struct {
	server bool
	binary bool // the peer sends BINARY

	state   telnetState
	command byte   // whose option comes next
	cr      bool   // the last byte of data was a CR; never in BINARY
	sub     []byte // what came of a subnegotiation, the option first
	tooLong bool   // it is skipped
}

type telnetState uint8

const (
	telnetData       telnetState = iota
	telnetCommand                // behind an IAC
	telnetOption                 // behind WILL, WONT, DO or DONT
	telnetSub                    // in a subnegotiation
	telnetSubCommand             // in one, behind an IAC
)

// setBinary says how the peer's bytes are to be taken from now on.
func (d *telnetDecoder) setBinary(on bool) {
	if on != d.binary {
		d.binary, d.cr = on, false
	}
}

// next decodes src into dst until a command is complete or src is used up. dst
// must be as long as src, and may begin where src begins or before. n bytes of
// data are in dst then, and used ones of src are done with; n is never more.
func (d *telnetDecoder) next(dst, src []byte) (n, used int, ev telnetEvent) {
	for used < len(src) && ev.command == 0 {
		if d.state != telnetData {
			c := src[used]
			used++
			if d.state == telnetCommand && c == telnetIAC {
				d.state = telnetData
				n += d.data(dst[n:], []byte{telnetIAC})
				continue
			}
			ev = d.step(c)
			continue
		}
		run := src[used:]
		if i := bytes.IndexByte(run, telnetIAC); i >= 0 {
			run = run[:i]
		}
		n += d.data(dst[n:], run)
		used += len(run)
		if used < len(src) {
			used++
			d.state = telnetCommand
		}
	}
	return n, used, ev
}

// data puts what is to be kept of run into dst.
func (d *telnetDecoder) data(dst, run []byte) int {
	if d.binary || !d.cr && bytes.IndexByte(run, '\r') < 0 {
		return copy(dst, run)
	}
	n := 0
	for _, c := range run {
		second := d.cr && (c == 0 || c == '\n' && d.server)
		d.cr = c == '\r'
		if !second {
			dst[n] = c
			n++
		}
	}
	return n
}

// step takes one byte that is not data.
func (d *telnetDecoder) step(c byte) telnetEvent {
	switch d.state {
	case telnetOption:
		d.state = telnetData
		return telnetEvent{command: d.command, option: c}
	case telnetSub:
		if c == telnetIAC {
			d.state = telnetSubCommand
		} else {
			d.keep(c)
		}
		return telnetEvent{}
	case telnetSubCommand:
		switch c {
		case telnetIAC:
			d.state = telnetSub
			d.keep(c)
			return telnetEvent{}
		case telnetSE:
			d.state = telnetData
			return d.takeSub()
		}
		d.sub = nil // it was broken off, by another command
	}
	switch {
	case c >= telnetWILL:
		d.state, d.command = telnetOption, c
		return telnetEvent{}
	case c == telnetSB:
		d.state, d.sub, d.tooLong = telnetSub, nil, false
		return telnetEvent{}
	}
	d.state = telnetData
	return telnetEvent{command: c}
}

// keep adds a byte to the subnegotiation.
func (d *telnetDecoder) keep(c byte) {
	if len(d.sub) > telnetMaxSub {
		d.sub, d.tooLong = nil, true
	}
	if !d.tooLong {
		d.sub = append(d.sub, c)
	}
}

// takeSub is the subnegotiation that has ended, if it is one.
func (d *telnetDecoder) takeSub() telnetEvent {
	sub := d.sub
	d.sub = nil
	if len(sub) == 0 {
		return telnetEvent{}
	}
	return telnetEvent{command: telnetSB, option: sub[0], sub: sub[1:]}
}

// A telnetEncoder makes a telnet stream of data. Without BINARY every CR gets its
// NUL, but that of a server's CR LF: what decodes it gets the same bytes.
type telnetEncoder struct {
	server bool
	binary bool
	cr     bool // a server's CR is out, and what follows decides about the NUL
}

// plain says whether b goes as it is.
func (e *telnetEncoder) plain(b []byte) bool {
	return bytes.IndexByte(b, telnetIAC) < 0 && (e.binary || !e.cr && bytes.IndexByte(b, '\r') < 0)
}

// append encodes src behind dst: at most twice as many bytes.
func (e *telnetEncoder) append(dst, src []byte) []byte {
	if e.binary {
		for i := bytes.IndexByte(src, telnetIAC); i >= 0; i = bytes.IndexByte(src, telnetIAC) {
			dst = append(append(dst, src[:i+1]...), telnetIAC)
			src = src[i+1:]
		}
		return append(dst, src...)
	}
	for _, c := range src {
		if e.cr && c != '\n' {
			dst = append(dst, 0)
		}
		e.cr = false
		dst = append(dst, c)
		switch {
		case c == telnetIAC:
			dst = append(dst, telnetIAC)
		case c == '\r' && e.server:
			e.cr = true
		case c == '\r':
			dst = append(dst, 0)
		}
	}
	return dst
}

// command makes the bytes of a command ready to follow, and says whether BINARY
// holds from behind it on. A NUL that is still due goes before it.
func (e *telnetEncoder) command(bytes []byte, binary bool) []byte {
	if e.cr {
		bytes = append([]byte{0}, bytes...)
	}
	e.cr, e.binary = false, binary
	return bytes
}

// telnetSubnegotiation is IAC SB option sub IAC SE.
func telnetSubnegotiation(option byte, sub ...byte) []byte {
	b := append(make([]byte, 0, len(sub)+5), telnetIAC, telnetSB, option)
	for _, c := range sub {
		b = append(b, c)
		if c == telnetIAC {
			b = append(b, c)
		}
	}
	return append(b, telnetIAC, telnetSE)
}

// A telnetFrame is the memory in which one write is encoded.
type telnetFrame struct {
	payload [][]byte
	iov     [][]byte
	buf     []byte
}

// encode encodes size bytes of payload, in a copy only what needs it, and returns
// what to send. It is valid until the next use of f.
func (f *telnetFrame) encode(e *telnetEncoder, payload [][]byte, size int) [][]byte {
	f.iov, f.buf = f.iov[:0], f.buf[:0]
	for _, b := range payload {
		if !e.plain(b) {
			f.buf = slices.Grow(f.buf, 2*size-len(f.buf)) // once: f.iov points there
			from := len(f.buf)
			f.buf = e.append(f.buf, b)
			b = f.buf[from:]
		}
		f.iov = append(f.iov, b)
	}
	return f.iov
}

// release gives the frame back to the pool, with nothing of the caller's in it.
func (f *telnetFrame) release() {
	clear(f.payload[:cap(f.payload)])
	clear(f.iov[:cap(f.iov)])
	telnetFrames.Put(f)
}
