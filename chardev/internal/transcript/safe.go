package transcript

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

const esc = 0x1b

// maxSGR is how long an SGR sequence may be, in bytes. Longer ones are not colours
// that anybody means.
const maxSGR = 64

// sgrReset ends all that SGR sequences began.
const sgrReset = "\x1b[0m"

// sgr is how long the SGR sequence at the start of p is (ECMA-48 8.3.117: CSI,
// parameters, m), 0 if there is none. Parameters are digits, ; and : (ITU-T T.416).
func sgr(p []byte) int {
	if len(p) < 3 || p[0] != esc || p[1] != '[' {
		return 0
	}
	for i, c := range p[2:min(len(p), maxSGR)] {
		switch {
		case c == 'm':
			return i + 3
		case c < '0' || c > ';':
			return 0
		}
	}
	return 0
}

// appendPlain appends p without SGR sequences.
func appendPlain(dst, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, esc)
		if i < 0 {
			return append(dst, p...)
		}
		if n := sgr(p[i:]); n > 0 {
			dst, p = append(dst, p[:i]...), p[i+n:]
		} else {
			dst, p = append(dst, p[:i+1]...), p[i+1:]
		}
	}
}

// appendSafe appends p, which is a line or a part of one, to dst so that nothing in
// it steers a terminal: control characters in caret notation, what is no UTF-8 as
// \xNN, and what is no graphic character of Unicode, as those that turn the
// direction of text, as \uNNNN. Tabs stay. SGR sequences stay if colour is on and
// are dropped if not; open tells whether one was in force before and is at the end.
func appendSafe(dst, p []byte, colour bool, open bool) (_ []byte, stillOpen bool) {
	for len(p) > 0 {
		n := plain(p)
		dst, p = append(dst, p[:n]...), p[n:]
		if len(p) == 0 {
			break
		}
		c := p[0]
		if n := sgr(p); n > 0 {
			if colour {
				dst, open = append(dst, p[:n]...), string(p[:n]) != sgrReset && string(p[:n]) != "\x1b[m"
			}
			p = p[n:]
			continue
		}
		switch {
		case c < ' ':
			dst, p = append(dst, '^', c+'@'), p[1:]
			continue
		case c == 0x7f:
			dst, p = append(dst, "^?"...), p[1:]
			continue
		}
		r, size := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && size <= 1:
			dst = fmt.Appendf(dst, `\x%02x`, c)
		case unicode.IsGraphic(r):
			dst = append(dst, p[:size]...)
		case r > 0xffff:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		p = p[size:]
	}
	return dst, open
}

// plain is how many bytes at the start of p are printable ASCII or tabs.
func plain(p []byte) int {
	for i, c := range p {
		if (c < ' ' || c > '~') && c != '\t' {
			return i
		}
	}
	return len(p)
}

// settled is how much of p, an unfinished line, can be shown: all but what may be
// the beginning of a character, of an SGR sequence or of the end of the line.
func settled(p []byte) int {
	n := len(p) - unfinishedRune(p)
	for i := n - 1; i >= max(0, n-maxSGR); i-- {
		if c := p[i]; c == esc {
			n = i
		} else if (c < '0' || c > ';') && c != '[' {
			break
		}
	}
	return len(bytes.TrimRight(p[:n], "\r"))
}

// unfinishedRune is how many bytes at the end of p are the beginning of a character
// of UTF-8 that may still be completed.
func unfinishedRune(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if c := p[len(p)-n]; utf8.RuneStart(c) {
			if !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

const hexDigits = "0123456789abcdef"

// appendString appends p as a JSON string (RFC 8259 section 7): what is no UTF-8 as
// U+FFFD, and all that could steer a terminal escaped. whole says that nothing was
// replaced.
func appendString(dst, p []byte) (_ []byte, whole bool) {
	dst, whole = append(dst, '"'), true
	for len(p) > 0 {
		n := 0
		for n < len(p) && p[n] >= ' ' && p[n] <= '~' && p[n] != '"' && p[n] != '\\' {
			n++
		}
		dst, p = append(dst, p[:n]...), p[n:]
		if len(p) == 0 {
			break
		}
		r, size := utf8.DecodeRune(p)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == utf8.RuneError && size <= 1:
			dst, whole = append(dst, "\uFFFD"...), false
		case unicode.IsGraphic(r):
			dst = append(dst, p[:size]...)
		case r <= 0xffff:
			dst = append(dst, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default: // nothing there steers a terminal
			dst = append(dst, p[:size]...)
		}
		p = p[size:]
	}
	return append(dst, '"'), whole
}
