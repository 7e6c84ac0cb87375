package chardev

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chardevd/chardev/internal/tomlpos"
)

// A Mistake is one thing wrong in a config file, and where.
type Mistake struct {
	File         string // as it was named, or as an include found it
	Line, Column int    // from 1, the column in bytes; 0 if the file could not be read
	Message      string // one line
}

func (m Mistake) String() string {
	if m.Line == 0 {
		return m.File + ": " + m.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
}

// A ConfigError is all that is wrong with a configuration, sorted by place: the
// main file first, then the included ones in their order.
type ConfigError struct{ Mistakes []Mistake }

// Error is one line for each mistake.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// A source is the text of one config file.
type source struct {
	name  string // as in messages
	dir   string // absolute; what relative paths are relative to
	order int    // 0 is the main file
	text  string

	beyond bool // what an address fd: in it names leads to other hosts
}

// A spot is a place in a source.
type spot struct {
	src    *source
	offset int
}

func (s spot) compare(o spot) int {
	return cmp.Or(cmp.Compare(s.src.order, o.src.order), cmp.Compare(s.offset, o.offset))
}

// place returns the line and column of a spot. That of the end of a file that
// ends in a newline is on the last line, so that it can be shown.
func (s spot) place() (line, column int) {
	if s.offset >= len(s.src.text) && strings.HasSuffix(s.src.text, "\n") {
		s.offset = len(s.src.text) - 1
	}
	return tomlpos.Line(s.src.text, s.offset)
}

// String is file:line:column.
func (s spot) String() string {
	line, column := s.place()
	return fmt.Sprintf("%s:%d:%d", s.src.name, line, column)
}

// A note is a mistake or a warning at its spot.
type note struct {
	at   spot
	text string
}

func (n note) mistake() Mistake {
	line, column := n.at.place()
	return Mistake{n.at.src.name, line, column, n.text}
}

// oneLine keeps a message from breaking the format of one mistake a line.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

func (s spot) notef(format string, args ...any) note {
	return note{s, oneLine.Replace(fmt.Sprintf(format, args...))}
}

// mistakes sorts notes by place.
func mistakes(notes []note) []Mistake {
	slices.SortStableFunc(notes, func(a, b note) int { return a.at.compare(b.at) })
	list := make([]Mistake, len(notes))
	for i, n := range notes {
		list[i] = n.mistake()
	}
	return list
}

// flatten takes joined errors apart, so that each is a mistake of its own.
func flatten(err error) []error {
	if j, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}
