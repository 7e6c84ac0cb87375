package transcript

import (
	"bytes"
	"regexp"
	"regexp/syntax"
)

// A matcher says which lines a regular expression matches. A line is searched as it
// is shown without colours: without its end and without SGR sequences, which stand
// in the middle of what people search for.
type matcher struct {
	re      *regexp.Regexp
	needles []needle // one of them stands in all that match; none: that is not known
	line    []byte   // the line being looked at, without colours
}

func newMatcher(re *regexp.Regexp) *matcher {
	m := &matcher{re: re}
	if tree, err := syntax.Parse(re.String(), syntax.Perl); err == nil {
		m.needles = required(tree.Simplify())
	}
	return m
}

// matches says whether a line matches.
func (m *matcher) matches(p []byte) bool {
	if bytes.IndexByte(p, esc) >= 0 {
		m.line = appendPlain(m.line[:0], p)
		p = m.line
	}
	may := len(m.needles) == 0
	for i := 0; i < len(m.needles) && !may; i++ {
		may = m.needles[i].index(p) >= 0
	}
	return may && m.re.Match(p)
}

// A candidates finds the lines of a block that may match, in passes over the block
// and not over each line: those in which a needle stands, or an escape character,
// which may begin an SGR sequence within one.
type candidates struct {
	at []int64 // offset of the next of each needle, and of the next escape character; noneKnown: there is none
}

const noneKnown = 1<<63 - 1

// next is where in p, which begins at an offset and ends with the block, something
// stands that makes its line worth a look; -1 if nothing does. Offsets ascend from
// call to call.
func (c *candidates) next(m *matcher, at int64, p []byte) int {
	if len(m.needles) == 0 {
		return 0
	}
	if c.at == nil {
		c.at = make([]int64, len(m.needles)+1)
		for i := range c.at {
			c.at[i] = -1
		}
	}
	first := int64(noneKnown)
	for k := range c.at {
		if c.at[k] < at {
			i := -1
			if k < len(m.needles) {
				i = m.needles[k].index(p)
			} else {
				i = bytes.IndexByte(p, esc)
			}
			c.at[k] = noneKnown
			if i >= 0 {
				c.at[k] = at + int64(i)
			}
		}
		first = min(first, c.at[k])
	}
	if first == noneKnown {
		return -1
	}
	return int(first - at)
}

// maxLookback is how many bytes of lines before a match are kept.
const maxLookback = 256 << 10

// A lookback keeps the last lines that were not shown.
type lookback struct {
	max   int // how many lines
	buf   []byte
	lines []kept
}

// A kept is a line in a lookback's buffer, with its end.
type kept struct {
	at         int64
	begin, end int
	cut        bool
}

func (b *lookback) clear() { b.buf, b.lines = b.buf[:0], b.lines[:0] }

// add keeps one more line, or piece of one.
func (b *lookback) add(at int64, p []byte, cut bool) {
	if b.max == 0 {
		return
	}
	drop := max(0, len(b.lines)+1-b.max)
	for ; drop < len(b.lines) && len(b.buf)-b.lines[drop].begin+len(p) > maxLookback; drop++ {
	}
	b.drop(drop)
	b.lines = append(b.lines, kept{at, len(b.buf), len(b.buf) + len(p), cut})
	b.buf = append(b.buf, p...)
}

// drop forgets the k oldest lines. Their bytes are kept until there are many.
func (b *lookback) drop(k int) {
	if b.lines = b.lines[k:]; len(b.lines) == 0 {
		b.clear()
		return
	}
	n := b.lines[0].begin
	if n < maxLookback {
		return
	}
	b.buf = append(b.buf[:0], b.buf[n:]...)
	for i := range b.lines {
		b.lines[i].begin -= n
		b.lines[i].end -= n
	}
}

// keep adds the whole lines in p, of which only the last are looked at.
func (b *lookback) keep(at int64, p []byte) {
	if b.max == 0 || len(p) == 0 {
		return
	}
	begin := len(p)
	for n := 0; n < b.max && begin > 0 && len(p)-begin < maxLookback; n++ {
		begin = bytes.LastIndexByte(p[:begin-1], '\n') + 1
	}
	at, p = at+int64(begin), p[begin:]
	for len(p) > 0 {
		k := bytes.IndexByte(p, '\n') + 1
		for ; k > maxLine+1; k -= maxLine {
			b.add(at, p[:maxLine], true)
			at, p = at+maxLine, p[maxLine:]
		}
		b.add(at, p[:k], false)
		at, p = at+int64(k), p[k:]
	}
}

// each gives all lines away.
func (b *lookback) each(give func(line) error) error {
	defer b.clear()
	for _, k := range b.lines {
		if err := give(line{at: k.at, raw: b.buf[k.begin:k.end], cut: k.cut}); err != nil {
			return err
		}
	}
	return nil
}
