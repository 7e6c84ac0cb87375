package attach

import (
	"io"
	"strings"
	"unicode"
)

// chunk is the size of the buffers between the stream and stdout: as much as
// one frame of the daemon carries.
const chunk = 64 << 10

// A piece is one thing to print: data of the console or a notice, bare.
type piece struct {
	data   []byte // from printer.buffer; the printer takes it back
	notice string
	bell   bool
}

// A printer is the one goroutine that writes to stdout and stderr, in the order
// of its pieces.
type printer struct {
	out, notices io.Writer
	eol          string // ends a notice; "\r\n" on a raw terminal
	together     bool   // both go to one screen: a notice starts a line of its own
	failed       func(error)

	pieces chan piece
	free   chan []byte
}

func newPrinter(out, notices io.Writer, eol string, together bool, failed func(error)) *printer {
	p := &printer{out: out, notices: notices, eol: eol, together: together, failed: failed,
		pieces: make(chan piece, 16), free: make(chan []byte, 2)}
	for range cap(p.free) {
		p.free <- make([]byte, chunk)
	}
	return p
}

// print is the printer's goroutine: it ends when pieces is closed and all of
// them are written. After an error of stdout it writes no more of the data.
func (p *printer) print() {
	var broken, midline bool
	for x := range p.pieces {
		switch {
		case x.data != nil:
			if !broken {
				if _, err := p.out.Write(x.data); err != nil {
					broken = true
					p.failed(err)
				}
			}
			midline = x.data[len(x.data)-1] != '\n'
			p.free <- x.data[:cap(x.data)]
		case x.bell:
			io.WriteString(p.notices, "\a")
		default:
			text := "[chardevd: " + Printable(x.notice) + "]" + p.eol
			if p.together && midline {
				text = p.eol + text
			}
			midline = false
			io.WriteString(p.notices, text)
		}
	}
}

// Printable is s with everything that could steer a terminal replaced: names
// and reasons come from the other side.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
