// Package tomlpos finds where the keys and values of a TOML document are
// written. The decoder that reads the values (github.com/BurntSushi/toml) tells
// places of syntax errors only; a configuration also wants those of unknown keys
// and of wrong values.
//
// It is no validator: it takes every text, and what it says is right for those
// that the decoder accepts (TOML 1.0 and 1.1). Places are byte offsets.
package tomlpos

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxDepth is how many arrays and inline tables may stand in one another, and
// how many parts a dotted key may have. It keeps a hostile document from costing
// the decoder, whose time is quadratic in both, minutes.
const MaxDepth = 64

// A Node is a key of the document, an element of an array, or the document.
type Node struct {
	// Key is the offset of the (last part of the) key, where it is first
	// written; of an element that has no key, the offset of its value.
	Key int
	// Value is the offset of the value; of a table with a header, that of the
	// header's first bracket.
	Value int
	// Keys are the keys of a table, nil if it has none.
	Keys map[string]*Node
	// Elems are the elements of an array, or the tables of an array of tables.
	Elems []*Node

	header bool // has a [header] of its own
}

// A DeepError says that the text is nested deeper than MaxDepth.
type DeepError struct{ Offset int }

func (e *DeepError) Error() string {
	return fmt.Sprintf("nested deeper than %d levels", MaxDepth)
}

// Scan returns the document's root, or a *DeepError and no root. A byte order
// mark at the start belongs to no key.
func Scan(text string) (root *Node, err error) {
	s := &scanner{text: text}
	if s.has("\ufeff") {
		s.pos = len("\ufeff")
	}
	defer func() {
		if r := recover(); r != nil {
			deep, ok := r.(*DeepError)
			if !ok {
				panic(r)
			}
			root, err = nil, deep
		}
	}()
	root = &Node{}
	s.document(root)
	return root, nil
}

// Line returns the line and the column of an offset, both from 1. A column
// counts bytes, as Go's own tools do.
func Line(text string, offset int) (line, column int) {
	offset = max(0, min(offset, len(text)))
	before := text[:offset]
	return 1 + strings.Count(before, "\n"), offset - strings.LastIndexByte(before, '\n')
}

// child returns the node of a key, made where it is new.
func (n *Node) child(p part) *Node {
	if c := n.Keys[p.name]; c != nil {
		return c
	}
	if n.Keys == nil {
		n.Keys = map[string]*Node{}
	}
	c := &Node{Key: p.at, Value: p.at}
	n.Keys[p.name] = c
	return c
}

// inside is where the keys below a header go: for an array of tables its last one.
func (n *Node) inside() *Node {
	if len(n.Elems) > 0 {
		return n.Elems[len(n.Elems)-1]
	}
	return n
}

type scanner struct {
	text  string
	pos   int
	depth int
}

// A part is one of the names of a dotted key.
type part struct {
	name string
	at   int
}

func (s *scanner) document(root *Node) {
	table := root
	for {
		s.space()
		switch {
		case s.pos >= len(s.text):
			return
		case s.text[s.pos] == '[':
			table = s.header(root)
		default:
			s.keyValue(table)
		}
		s.line()
	}
}

// header reads [a.b] or [[a.b]] and returns the table that it opens.
func (s *scanner) header(root *Node) *Node {
	at := s.pos
	list := s.has("[[")
	s.pos++
	if list {
		s.pos++
	}
	parts := s.key()
	n := root
	for _, p := range parts[:len(parts)-1] {
		n = n.child(p).inside()
	}
	last := parts[len(parts)-1]
	n = n.child(last)
	switch {
	case list:
		e := &Node{Key: last.at, Value: at, header: true}
		n.Elems = append(n.Elems, e)
		if !n.header {
			n.Key, n.Value, n.header = last.at, at, true
		}
		return e
	case !n.header: // it may be known already by a header below it
		n.Key, n.Value, n.header = last.at, at, true
	}
	return n.inside()
}

// keyValue reads a.b = value into a table. What is no key is passed over.
func (s *scanner) keyValue(table *Node) {
	start := s.pos
	parts := s.key()
	for _, p := range parts {
		table = table.child(p)
	}
	s.blank()
	if s.pos < len(s.text) && s.text[s.pos] == '=' {
		s.pos++
		s.blank()
		s.value(table)
	}
	if s.pos == start && s.pos < len(s.text) {
		s.pos++
	}
}

// value reads a value into its node.
func (s *scanner) value(n *Node) {
	n.Value = s.pos
	switch {
	case s.has(`"""`), s.has(`'''`):
		s.multiline()
	case s.has(`"`), s.has(`'`):
		s.quoted()
	case s.has("["):
		s.enter()
		for s.more(']') {
			e := &Node{Key: s.pos}
			n.Elems = append(n.Elems, e)
			s.value(e)
		}
		s.depth--
	case s.has("{"):
		s.enter()
		for s.more('}') {
			s.keyValue(n)
		}
		s.depth--
	default:
		for s.pos < len(s.text) && strings.IndexByte(",]}#\r\n", s.text[s.pos]) < 0 {
			s.pos++
		}
	}
}

func (s *scanner) enter() {
	if s.depth++; s.depth > MaxDepth {
		panic(&DeepError{s.pos})
	}
	s.pos++
}

// more goes to the next element of an array or inline table, or past its end.
func (s *scanner) more(end byte) bool {
	s.space()
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case end:
			s.pos++
			return false
		case ',', ']', '}', '=': // the last three only in what is no TOML
			s.pos++
			s.space()
		default:
			return true
		}
	}
	return false
}

// key reads a dotted key; it returns at least one part.
func (s *scanner) key() []part {
	var parts []part
	for {
		s.blank()
		p := part{at: s.pos}
		if s.has(`"`) || s.has(`'`) {
			p.name = unquote(s.quoted())
		} else {
			for s.pos < len(s.text) && isBare(s.text[s.pos]) {
				s.pos++
			}
			p.name = s.text[p.at:s.pos]
		}
		if parts = append(parts, p); len(parts) > MaxDepth {
			panic(&DeepError{p.at})
		}
		s.blank()
		if !s.has(".") {
			return parts
		}
		s.pos++
	}
}

func isBare(c byte) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoted reads a string of one line and returns it with its quotes.
func (s *scanner) quoted() string {
	start, q := s.pos, s.text[s.pos]
	for s.pos++; s.pos < len(s.text) && s.text[s.pos] != '\n'; s.pos++ {
		switch {
		case s.text[s.pos] == q:
			s.pos++
			return s.text[start:s.pos]
		case s.text[s.pos] == '\\' && q == '"' && s.pos+1 < len(s.text):
			s.pos++
		}
	}
	s.pos = min(s.pos, len(s.text))
	return s.text[start:s.pos]
}

// multiline reads a string of three quotes. Up to two more quotes before the
// end are the string's own (TOML 1.0, "String").
func (s *scanner) multiline() {
	q := s.text[s.pos]
	for s.pos += 3; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c == '\\' && q == '"':
			s.pos++
		case c == q:
			run := 1
			for run < 5 && s.pos+run < len(s.text) && s.text[s.pos+run] == q {
				run++
			}
			if run >= 3 {
				s.pos += run
				return
			}
			s.pos += run - 1
		}
	}
	s.pos = len(s.text)
}

// blank passes over spaces and tabs.
func (s *scanner) blank() {
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
	}
}

// space passes over spaces, tabs, line ends and comments.
func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		case '#':
			s.line()
		default:
			return
		}
	}
}

// line passes over the rest of the line.
func (s *scanner) line() {
	if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i
		return
	}
	s.pos = len(s.text)
}

func (s *scanner) has(prefix string) bool { return strings.HasPrefix(s.text[s.pos:], prefix) }

// unquote returns what a string of one line stands for.
func unquote(q string) string {
	if len(q) < 2 {
		return ""
	}
	in := q[1 : len(q)-1]
	if q[0] == '\'' {
		return in
	}
	var b strings.Builder
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' || i+1 == len(in) {
			b.WriteByte(in[i])
			continue
		}
		i++
		digits := 0
		switch in[i] {
		case 'b':
			b.WriteByte('\b')
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'f':
			b.WriteByte('\f')
		case 'r':
			b.WriteByte('\r')
		case 'e':
			b.WriteByte(0x1b)
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default: // \" and \\
			b.WriteByte(in[i])
		}
		if digits > 0 {
			hex := in[i+1 : min(i+1+digits, len(in))]
			r, _ := strconv.ParseUint(hex, 16, 32)
			b.WriteRune(rune(r))
			i += len(hex)
		}
	}
	return b.String()
}
