package imports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Notice is something to know about what is imported, and where that stands.
type Notice struct {
	File         string
	Line, Column int // from 1, the column in characters
	Text         string
}

func (n Notice) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", n.File, n.Line, n.Column, n.Text)
}

// Mistakes is all that keeps something from being imported, by place.
type Mistakes struct{ List []Notice }

// Error is one line for each.
func (m *Mistakes) Error() string {
	lines := make([]string, len(m.List))
	for i, n := range m.List {
		lines[i] = n.String()
	}
	return strings.Join(lines, "\n")
}

func sorted(list []Notice) []Notice {
	slices.SortStableFunc(list, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}

// A source is a text that is imported, and what there is to say about it.
type source struct {
	file, text string
	mistakes   []Notice
	notices    []Notice
}

// A place is a line and a column, both from 1.
type place struct{ line, column int }

// oneLine keeps a notice on its line, whatever it quotes.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

func (s *source) say(at place, format string, args []any) Notice {
	return Notice{s.file, max(1, at.line), max(1, at.column), oneLine.Replace(fmt.Sprintf(format, args...))}
}

func (s *source) mistake(at place, format string, args ...any) {
	s.mistakes = append(s.mistakes, s.say(at, format, args))
}

func (s *source) notice(at place, format string, args ...any) {
	s.notices = append(s.notices, s.say(at, format, args))
}

// place is that of a byte of the text.
func (s *source) place(offset int) place {
	before := s.text[:offset]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return place{strings.Count(before, "\n") + 1, utf8.RuneCountInString(line) + 1}
}

// result is the config that was made, unless there are mistakes.
func (s *source) result(c *Config) (*Config, error) {
	if len(s.mistakes) > 0 {
		return nil, &Mistakes{sorted(s.mistakes)}
	}
	c.Notices = sorted(s.notices)
	return c, nil
}
