package imports

import "strings"

// A word is an argument of a command line, and where its bytes stand in the source.
type word struct {
	text string
	at   []int // of each byte, and of its end
	// dollar is where a variable of the shell stands in it, -1: nowhere.
	dollar int
}

// from is the rest of the word from a byte on.
func (w word) from(i int) word { return word{w.text[i:], w.at[i:], w.dollar} }

// part is the bytes from i up to j.
func (w word) part(i, j int) word { return word{w.text[i:j], w.at[i : j+1], w.dollar} }

// words takes a command line apart as sh(1) does: blanks, quotes, backslashes, comments.
// With NUL bytes in it, it is one of /proc/PID/cmdline, and they alone count.
func (s *source) words() []word {
	if strings.ContainsRune(s.text, 0) {
		return s.terminated()
	}
	var all []word
	for i := 0; i < len(s.text); {
		switch c := s.text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case strings.HasPrefix(s.text[i:], "\\\n"):
			i += 2
		case strings.HasPrefix(s.text[i:], "\\\r\n"):
			i += 3
		case c == '#':
			for i < len(s.text) && s.text[i] != '\n' {
				i++
			}
		default:
			var w word
			if w, i = s.word(i); i < 0 {
				return all
			}
			all = append(all, w)
		}
	}
	return all
}

// terminated are words that each end in a NUL.
func (s *source) terminated() []word {
	var all []word
	at := 0
	for text := range strings.SplitAfterSeq(s.text, "\x00") {
		w := word{text: strings.TrimSuffix(text, "\x00"), dollar: -1}
		for i := range len(w.text) + 1 {
			w.at = append(w.at, at+i)
		}
		if at += len(text); text != "" {
			all = append(all, w)
		}
	}
	return all
}

// word reads a word from i on, and returns where the next byte is; -1 if a quote is open.
func (s *source) word(i int) (word, int) {
	w := word{dollar: -1}
	var b strings.Builder
	put := func(at int) {
		b.WriteByte(s.text[at])
		w.at = append(w.at, at)
	}
	var quote byte
	begun := i
	for ; i < len(s.text); i++ {
		c := s.text[i]
		next := byte(0)
		if i+1 < len(s.text) {
			next = s.text[i+1]
		}
		switch {
		case quote == 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			w.text, w.at = b.String(), append(w.at, i)
			return w, i
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, i
		case quote != '\'' && c == '\\' && next == '\n':
			i++
		case quote == 0 && c == '\\' && next != 0, quote == '"' && c == '\\' && next != 0 && strings.IndexByte("\"\\$`", next) >= 0:
			i++
			put(i)
		default:
			if c == '$' && quote != '\'' && w.dollar < 0 {
				w.dollar = i
			}
			put(i)
		}
	}
	if quote != 0 {
		s.mistake(s.place(begun), "the quote %c that begins here has no end", quote)
		return w, -1
	}
	w.text, w.at = b.String(), append(w.at, i)
	return w, i
}

// Join is a command line of arguments, quoted as a shell would have them.
func Join(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if quoted[i] = a; a == "" || strings.ContainsAny(a, " \t\r\n'\"\\$`#") {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
