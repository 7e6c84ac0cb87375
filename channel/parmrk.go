package channel

// A parmrk decodes what a terminal with PARMRK and INPCK set gives to read(2)
// (termios(3)): \377 \377 is a byte \377, \377 \0 \0 a break, and \377 \0 X a byte
// X that came with a parity or framing error. The zero value is ready. What is
// decoded may be cut at any byte.
type parmrk struct{ state markState }

type markState uint8

const (
	markNone  markState = iota
	markByte            // \377 was read
	markNUL             // \377 \0 was read
	markTaken           // the next byte is the X of a mark that was returned
)

// A mark is what decode met beside the bytes.
type mark uint8

const (
	noMark    mark = iota
	breakMark      // a break; or a NUL with an error, which looks the same
	errorMark      // the next byte is damaged
)

// decode writes the bytes in src to dst, up to and without the first mark, and
// returns how many that are, how much of src it used, and the mark. dst is at
// least as long as src, and may be src: bytes do not become more.
func (d *parmrk) decode(dst, src []byte) (n, used int, m mark) {
	for i, c := range src {
		switch d.state {
		case markNone:
			if c == 0xFF {
				d.state = markByte
				continue
			}
		case markByte:
			if c == 0 {
				d.state = markNUL
				continue
			}
			// Behind \377 stands \377 or \0. Anything else was received before
			// the terminal was set, when \377 was not doubled: it is noise.
		case markNUL:
			if c == 0 {
				d.state = markNone
				return n, i + 1, breakMark
			}
			d.state = markTaken
			return n, i, errorMark
		}
		d.state = markNone
		dst[n] = c
		n++
	}
	return n, len(src), noMark
}
