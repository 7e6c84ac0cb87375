package channel

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Glob is a pattern of absolute paths, as a shell has them (POSIX.1, Shell Command
// Language, 2.13): * is any characters, ? is one, [a-z] one of these, [!a-z] one of all
// others, and \ takes its special meaning from what follows. None of them is a slash, and
// a dot at the beginning of a name must be written.
type Glob struct {
	pattern string
	elems   []globElem
}

// A globElem is what stands between two slashes.
type globElem struct {
	name   string         // what it matches, if it has no wildcards
	re     *regexp.Regexp // with a group for each wildcard; nil: there are none
	dotted bool           // it begins with a dot
	tail   string         // what is written behind the last wildcard; the name if there is none
}

// ParseGlob reads a pattern, which must begin with a slash.
func ParseGlob(pattern string) (*Glob, error) {
	if !filepath.IsAbs(pattern) {
		return nil, fmt.Errorf("%q does not begin with a slash", pattern)
	}
	g := &Glob{pattern: filepath.Clean(pattern)}
	for text := range strings.SplitSeq(g.pattern[1:], "/") {
		e, err := parseGlobElem([]rune(text))
		if err != nil {
			return nil, err
		}
		g.elems = append(g.elems, e)
	}
	return g, nil
}

func parseGlobElem(text []rune) (globElem, error) {
	var written, re strings.Builder
	tail, some := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '*':
			re.WriteString("(.*)")
		case '?':
			re.WriteString("(.)")
		case '[':
			class, n, err := globClass(text[i:])
			if err != nil {
				return globElem{}, err
			}
			re.WriteString("(" + class + ")")
			i += n - 1
		case '\\':
			if i++; i == len(text) {
				return globElem{}, errors.New("nothing stands behind the last \\")
			}
			c = text[i]
			fallthrough
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
			written.WriteRune(c)
			continue
		}
		tail, some = written.Len(), true
	}
	e := globElem{name: written.String(), dotted: len(text) > 0 && text[0] == '.'}
	if !some {
		e.tail = e.name
		return e, nil
	}
	e.tail = e.name[tail:]
	var err error
	if e.re, err = regexp.Compile("(?s)^" + re.String() + "$"); err != nil {
		return e, fmt.Errorf("%q is no set of characters", string(text))
	}
	return e, nil
}

// globClass is the bracket expression that text begins with, for regexp, and how long it is.
func globClass(text []rune) (class string, n int, err error) {
	end := 1
	negated := len(text) > 1 && (text[1] == '!' || text[1] == '^')
	if negated {
		end++
	}
	first := end
	for end++; end < len(text) && text[end] != ']'; end++ { // one that is the first is itself
	}
	if end >= len(text) {
		return "", 0, errors.New("a [ is not closed, or nothing stands in it")
	}
	var b strings.Builder
	for _, c := range text[first:end] {
		if c != '-' && strings.ContainsRune(`\[]^&~|`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	if negated {
		return "[^" + b.String() + "]", end + 1, nil
	}
	return "[" + b.String() + "]", end + 1, nil
}

// match returns what the wildcards stand for in a name that the element matches. Of
// several the first ones take as much as they can.
func (e *globElem) match(name string) (parts []string, ok bool) {
	switch {
	case !e.matches(name):
		return nil, false
	case e.re == nil:
		return nil, true
	}
	return e.re.FindStringSubmatch(name)[1:], true
}

// matches says whether the element matches a name.
func (e *globElem) matches(name string) bool {
	switch {
	case e.re == nil:
		return e.name == name
	case strings.HasPrefix(name, ".") && !e.dotted:
		return false
	}
	return strings.HasSuffix(name, e.tail) && e.re.MatchString(name)
}

// String is the pattern.
func (g *Glob) String() string { return g.pattern }

// Wildcards is how many there are.
func (g *Glob) Wildcards() (n int) {
	for _, e := range g.elems {
		if e.re != nil {
			n += e.re.NumSubexp()
		}
	}
	return n
}

// Tail is what is written behind the last wildcard of the last name: all of it if there is
// none.
func (g *Glob) Tail() string { return g.elems[len(g.elems)-1].tail }

// Like is an example: a path in which part stands for all wildcards of a name.
func (g *Glob) Like(part string) string {
	var b strings.Builder
	for _, e := range g.elems {
		if b.WriteByte('/'); e.re == nil {
			b.WriteString(e.name)
		} else {
			b.WriteString(part + e.tail)
		}
	}
	return b.String()
}

// Match returns what the wildcards stand for, if the glob matches a path.
func (g *Glob) Match(path string) (parts []string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	names := strings.Split(path[1:], "/")
	if len(names) != len(g.elems) {
		return nil, false
	}
	for i := range g.elems {
		some, ok := g.elems[i].match(names[i])
		if !ok {
			return nil, false
		}
		parts = append(parts, some...)
	}
	return slices.Clip(parts), true
}
