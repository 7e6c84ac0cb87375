package transcript

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// TailMax is how much of the end of a stream LastLine needs, in bytes.
const TailMax = 2 << 10

// lastLineMax is how long LastLine's text is, in characters.
const lastLineMax = 200

// LastLine is the last line in the tail of a stream that is not blank, finished or
// not, as text that can stand in a list: escape sequences and control characters are
// left out, what is no UTF-8 or no graphic character of Unicode is U+FFFD, and it has
// at most 200 characters. Of a line that was written over from its beginning, as
// progress is shown, it is what was written last.
func LastLine(tail []byte) string {
	for len(tail) > 0 {
		i := bytes.LastIndexAny(bytes.TrimRight(tail, "\r\n"), "\r\n") + 1
		if text := oneLine(tail[i:]); text != "" {
			return text
		}
		tail = tail[:i]
	}
	return ""
}

// oneLine is a line without what steers a terminal, and without blanks around it.
func oneLine(p []byte) string {
	var text []byte
	for n := 0; len(p) > 0 && n < lastLineMax; {
		if k := control(p); k > 0 {
			p = p[k:]
			continue
		}
		r, size := utf8.DecodeRune(p)
		p = p[size:]
		switch {
		case r == '\t':
			r = ' '
		case !unicode.IsGraphic(r):
			r = utf8.RuneError
		}
		if r == ' ' && len(text) == 0 {
			continue
		}
		text = utf8.AppendRune(text, r)
		n++
	}
	return string(bytes.TrimRight(text, " "))
}

// control is how long the control character or the escape sequence at the start of p
// is, 0 if there is none (ECMA-48 5.4 and 5.6; the strings of terminals end with BEL,
// too). A tab is none. What is not finished goes to the end of p.
func control(p []byte) int {
	switch c := p[0]; {
	case c == esc && len(p) > 1:
	case c < ' ' && c != '\t', c == 0x7f:
		return 1
	default:
		return 0
	}
	switch p[1] {
	case '[': // a control sequence: parameters, intermediates, a final byte
		for i, c := range p[2:] {
			if c < ' ' || c > '?' {
				return i + 3
			}
		}
		return len(p)
	case ']', 'P', 'X', '^', '_': // a string up to ST
		for i, c := range p[2:] {
			switch c {
			case '\a':
				return i + 3
			case esc: // it begins ST, or something else
				return i + 2
			}
		}
		return len(p)
	}
	for i, c := range p[1:] { // intermediates and a final byte
		if c < ' ' || c > '/' {
			return i + 2
		}
	}
	return len(p)
}
