package attach

import (
	"bytes"
	"errors"
	"fmt"
)

// An Action is what an escape asks for.
type Action int

// The actions. Each is typed as the escape character and a letter, at the start
// of a line.
const (
	None  Action = iota
	Leave        // "." detach
	Help         // "?" list the escapes
	Break        // "b" or "B" send a break
	Ask          // "w" have the input, or ask for it
	Seize        // "W" let go of the input, or take it by force
	Grant        // "g" hand the input over
)

// letters are the characters behind the escape character.
var letters = map[byte]Action{'.': Leave, '?': Help, 'b': Break, 'B': Break, 'w': Ask, 'W': Seize, 'g': Grant}

// A Scanner finds escapes in what is typed, as ssh(1) does: the escape character
// counts only at the start of a line (at the very start, and behind a carriage
// return or line feed) and the character behind it says what to do. Twice the
// escape character sends it once; an unknown one sends both.
//
// A Scanner keeps its state over the cuts of its input and allocates nothing.
type Scanner struct {
	char    byte
	midline bool // the last byte was neither CR nor LF
	pending bool // an escape character is held back
	held    [1]byte
}

// NewScanner makes a scanner for an escape character from ParseEscape.
func NewScanner(char byte) *Scanner { return &Scanner{char: char} }

// Char is the escape character.
func (s *Scanner) Char() byte { return s.char }

// Next takes the first part of p, which must not be empty. data is to be sent:
// a part of p, or a held back escape character, valid until the next call. act
// is to be done after data was sent. rest is what Next was not yet given.
func (s *Scanner) Next(p []byte) (data []byte, act Action, rest []byte) {
	if s.pending {
		s.pending = false
		if act, ok := letters[p[0]]; ok {
			return nil, act, p[1:]
		}
		s.midline = true
		if p[0] == s.char {
			return p[:1], None, p[1:]
		}
		s.held[0] = s.char
		return s.held[:], None, p
	}
	for from := 0; ; {
		i := bytes.IndexByte(p[from:], s.char)
		if i < 0 {
			s.midline = !endsLine(p[len(p)-1])
			return p, None, nil
		}
		i += from
		if i > 0 && endsLine(p[i-1]) || i == 0 && !s.midline {
			s.pending, s.midline = true, false
			return p[:i], None, p[i+1:]
		}
		from = i + 1
	}
}

func endsLine(c byte) bool { return c == '\r' || c == '\n' }

// ParseEscape reads an escape character: one printable or control character as
// it is, ^X for a control character, or "none", for which on is false.
func ParseEscape(s string) (char byte, on bool, err error) {
	switch {
	case s == "none":
		return 0, false, nil
	case len(s) == 1:
		char = s[0]
	case len(s) == 2 && s[0] == '^':
		switch c := s[1] &^ 0x20; { // ^a is ^A
		case s[1] == '?':
			char = 0x7f
		case s[1] >= '@' && c <= '_':
			char = c & 0x1f
		default:
			return 0, false, fmt.Errorf("%q is no control character; write it like ^] or ^A", s)
		}
	default:
		return 0, false, errors.New(`want one character, a control character like ^], or "none"`)
	}
	if _, ok := letters[char]; ok {
		return 0, false, fmt.Errorf("%q is a command behind the escape character and cannot be it", s)
	}
	if endsLine(char) {
		return 0, false, errors.New("the end of a line cannot be the escape character")
	}
	return char, true, nil
}

// EscapeName is the escape character as a person writes it.
func EscapeName(char byte) string {
	switch {
	case char == 0x7f:
		return "^?"
	case char < 0x20:
		return "^" + string(rune(char|0x40))
	}
	return string(rune(char))
}
