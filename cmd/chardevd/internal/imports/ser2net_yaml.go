package imports

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// at is where a node begins.
func (s *source) at(n *yaml.Node) place { return place{n.Line, n.Column} }

// offset is the byte at which a node begins.
func (s *source) offset(n *yaml.Node) int {
	at := 0
	for range n.Line - 1 {
		next := strings.IndexByte(s.text[at:], '\n')
		if next < 0 {
			return len(s.text)
		}
		at += next + 1
	}
	for range n.Column - 1 {
		if at == len(s.text) {
			break
		}
		_, size := utf8.DecodeRuneInString(s.text[at:])
		at += size
	}
	return at
}

// A value is a text of the source, and where it stands.
type value struct {
	text     string
	at       place // where it begins
	from, to int   // where in the source to look for parts of it; both 0: nowhere
	src      *source
}

// find is where a part of the value stands: parts are asked for in their order. What
// stands nowhere, as an alias is what said it, stands where the value does.
func (v *value) find(part string) place {
	if v.src == nil || part == "" {
		return v.at
	}
	i := strings.Index(v.src.text[v.from:v.to], part)
	if i < 0 {
		return v.at
	}
	v.from += i
	return v.src.place(v.from)
}
