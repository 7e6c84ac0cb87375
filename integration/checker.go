package integration

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A Checker follows the output of the counter guest and finds each line that is
// missing, comes twice or is not one of the guest's. It is an io.Writer that
// takes the stream in pieces of any size; it is not safe for concurrent use.
//
// A stream may begin in the middle of a line: that piece must be the end of the
// line before the first whole one. The last line may be unfinished.
type Checker struct {
	Lines int64  // good counter lines
	Bytes int64  // of the stream, all of it
	First uint32 // the first whole line's count, once Lines > 0
	Last  uint32 // the last good line's count, once Lines > 0
	Typed []byte // what the guest says was typed at it

	Gaps, Repeats, Garbled int64 // how many of each

	faults []string
	line   []byte // of the unfinished line
	head   []byte // the first line, until it is judged
	judged bool
	broken bool // the line before was garbled: the count may have been in it
}

// maxFaults is how many faults are kept in words; all are counted.
const maxFaults = 20

// lineMax is longer than any line of the guest, so that a stream without line
// ends is reported rather than kept.
const lineMax = 64

// Write takes the next piece of the stream. It never fails.
func (c *Checker) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.line = append(c.line, p...)
			c.Bytes += int64(len(p))
			if len(c.line) > lineMax {
				c.end()
			}
			break
		}
		c.line = append(c.line, p[:i+1]...)
		c.Bytes += int64(i + 1)
		p = p[i+1:]
		c.end()
	}
	return n, nil
}

// end judges the line that has just ended.
func (c *Checker) end() {
	line := c.line
	c.line = c.line[:0]
	count, isCount := parseCount(line)
	typed, isTyped := parseTyped(line)
	switch {
	case isCount:
		c.counted(count)
	case isTyped:
		c.judge(line)
		c.Typed = append(c.Typed, typed)
	case c.Lines == 0 && c.head == nil && !c.judged:
		c.head = append([]byte{}, line...) // the stream began in this line
	default:
		c.Garbled++
		c.fault("a line that is not the guest's: %q", line)
		c.broken = true
	}
}

// counted takes a counter line.
func (c *Checker) counted(n uint32) {
	if c.Lines == 0 {
		c.First = n
		c.judge(fmt.Appendf(nil, "%08x\r\n", n))
	} else {
		want := c.Last + 1
		switch d := int32(n - want); {
		case d == 0, d == 1 && c.broken:
		case d > 0:
			c.Gaps++
			c.fault("gap: %d lines missing, %08x follows %08x", d, n, c.Last)
		default:
			c.Repeats++
			c.fault("repeat: %08x follows %08x", n, c.Last)
		}
	}
	c.broken = false
	c.Last = n
	c.Lines++
}

// judge checks the piece of a line that the stream began with, now that the line
// behind it is known.
func (c *Checker) judge(next []byte) {
	if c.judged {
		return
	}
	c.judged = true
	if c.head == nil {
		return
	}
	before := "+xx\r\n"
	if n, ok := parseCount(next); ok {
		before = fmt.Sprintf("%08x\r\n", n-1)
	}
	if !strings.HasSuffix(before, string(c.head)) && !typedTail(c.head) && !(next[0] == '+' && countTail(c.head)) {
		c.Garbled++
		c.fault("the stream begins with %q, then %q", c.head, next)
	}
}

// fault notes a fault that ends at the present place in the stream.
func (c *Checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Sprintf("before byte %d: ", c.Bytes)+fmt.Sprintf(format, args...))
	}
}

// Err is nil if the stream was whole so far, and otherwise says what was wrong
// with it and where.
func (c *Checker) Err() error {
	if c.Gaps+c.Repeats+c.Garbled == 0 {
		return nil
	}
	return fmt.Errorf("%d gaps, %d repeats, %d garbled lines in %d lines (%d bytes):\n\t%s",
		c.Gaps, c.Repeats, c.Garbled, c.Lines, c.Bytes, strings.Join(c.faults, "\n\t"))
}

// parseCount reads a whole line "%08x\r\n".
func parseCount(line []byte) (uint32, bool) {
	if len(line) != 10 || line[8] != '\r' || line[9] != '\n' || !lowerHex(line[:8]) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(line[:8]), 16, 32)
	return uint32(n), err == nil
}

// parseTyped reads a whole line "+hh\r\n".
func parseTyped(line []byte) (byte, bool) {
	if len(line) != 5 || line[0] != '+' || line[3] != '\r' || line[4] != '\n' || !lowerHex(line[1:3]) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(line[1:3]), 16, 8)
	return byte(n), err == nil
}

// typedTail says whether s can be the end of a line "+hh\r\n", countTail whether
// it can be that of a counter line.
func typedTail(s []byte) bool { return tail(s, 2) }
func countTail(s []byte) bool { return tail(s, 7) }

func tail(s []byte, digits int) bool {
	s, ok := bytes.CutSuffix(s, []byte("\n"))
	if !ok || len(s) == 0 {
		return ok
	}
	s, ok = bytes.CutSuffix(s, []byte("\r"))
	return ok && len(s) <= digits && lowerHex(s)
}

func lowerHex(s []byte) bool {
	for _, b := range s {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}
