package transcript

import (
	"bytes"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A needle is a text that is looked for.
type needle struct {
	text  []byte // in lower case if fold
	fold  bool   // case makes no difference: text is ASCII without k and s
	probe int    // which byte of it is rare, if fold
}

// maxNeedles is how many are looked for at once: each is a pass.
const maxNeedles = 8

// required are needles of which one stands in whatever re matches, as long ones as
// are found; none if none are.
func required(re *syntax.Regexp) []needle {
	switch re.Op {
	case syntax.OpLiteral:
		if n := literal(re); len(n.text) > 0 {
			return []needle{n}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []needle
		for _, sub := range re.Sub {
			if n := required(sub); shortest(n) > shortest(best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []needle
		for _, sub := range re.Sub {
			n := required(sub)
			if n == nil || len(all)+len(n) > maxNeedles {
				return nil
			}
			all = append(all, n...)
		}
		return all
	}
	return nil
}

// shortest is how long the shortest needle is; 0: there is none.
func shortest(needles []needle) int {
	least := 0
	for _, n := range needles {
		if k := len(n.text); least == 0 || k < least {
			least = k
		}
	}
	return least
}

// common are bytes by how often they stand in what consoles print, about.
const common = " 0123456789etaoinrdlucmfwypvbghqjxz"

// literal is the needle of a literal. Where case makes no difference it is the
// longest part in ASCII without k and s, which have relatives beyond (U+212A,
// U+017F). There is none for U+FFFD, as which regexp reads any byte that is no UTF-8.
func literal(re *syntax.Regexp) needle {
	if slices.Contains(re.Rune, utf8.RuneError) {
		return needle{}
	}
	text := string(re.Rune)
	if re.Flags&syntax.FoldCase == 0 {
		return needle{text: []byte(text)}
	}
	longest := ""
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r >= 0x80 || strings.ContainsRune("kKsS", r) }) {
		if len(part) > len(longest) {
			longest = strings.ToLower(part)
		}
	}
	n := needle{text: []byte(longest), fold: true}
	for i := range longest {
		if rarity(longest[i]) > rarity(longest[n.probe]) {
			n.probe = i
		}
	}
	return n
}

func rarity(c byte) int {
	if i := strings.IndexByte(common, c); i >= 0 {
		return i
	}
	return len(common)
}

// index is where in p the needle stands first, -1 if it does not.
func (n *needle) index(p []byte) int {
	if !n.fold {
		return bytes.Index(p, n.text)
	}
	lower := n.text[n.probe]
	upper := lower
	if lower >= 'a' && lower <= 'z' {
		upper -= 'a' - 'A'
	}
	low, up := -1, -1 // the next of each
	for from := n.probe; ; {
		low, up = nextByte(p, from, low, lower), nextByte(p, from, up, upper)
		at := min(low, up)
		begin := at - n.probe
		if begin+len(n.text) > len(p) {
			return -1
		}
		if n.standsAt(p[begin:]) {
			return begin
		}
		from = at + 1
	}
}

// nextByte is where c stands in p at from or later, if was is where it stood last;
// len(p) if it does not.
func nextByte(p []byte, from, was int, c byte) int {
	if was >= from {
		return was
	}
	if from < len(p) {
		if i := bytes.IndexByte(p[from:], c); i >= 0 {
			return from + i
		}
	}
	return len(p)
}

// standsAt says whether p begins with the needle, in any case. It is as long at least.
func (n *needle) standsAt(p []byte) bool {
	for i, c := range n.text {
		d := p[i]
		if d >= 'A' && d <= 'Z' {
			d += 'a' - 'A'
		}
		if c != d {
			return false
		}
	}
	return true
}
