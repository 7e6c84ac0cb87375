package transcript

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"chardevd/channel"
)

// A sinceKind is what a Since counts by.
type sinceKind int

const (
	sinceStart  sinceKind = iota // the oldest byte that is held
	sinceEnd                     // the head
	sinceOffset                  // n
	sinceSize                    // n bytes before the head, see journal.Holes.Back
	sinceAgo                     // n nanoseconds before now
	sinceTime                    // t
	sinceLines                   // the last n lines
)

// A Since is a place in a stream, as people write it. The zero one is the oldest
// byte that is held.
type Since struct {
	kind sinceKind
	n    int64
	t    time.Time
}

// SinceForms is what ParseSince takes, for messages.
const SinceForms = `an OFFSET, -64KiB (so much before the end), 5m (so long ago), 200lines, a time like 2026-11-23T01:02:03Z or "2026-11-23 01:02" (local), start or end`

// timeForms are how a time is written; those without a zone are local.
var timeForms = []string{
	time.RFC3339Nano, // Go reads a fraction of a second wherever seconds stand
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04",
	"2006-01-02 15:04",
	"2006-01-02",
}

// ParseSince reads a place: see SinceForms. Times without a zone are those of this
// process's local zone.
func ParseSince(s string) (Since, error) {
	switch s {
	case "start":
		return Since{kind: sinceStart}, nil
	case "end":
		return Since{kind: sinceEnd}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		return Since{kind: sinceOffset, n: int64(n)}, nil
	}
	if size, ok := strings.CutPrefix(s, "-"); ok {
		n, err := channel.ParseSize(size)
		if err != nil {
			return Since{}, fmt.Errorf("behind the minus: %w", err)
		}
		return Since{kind: sinceSize, n: n}, nil
	}
	if digits, ok := cutLines(s); ok {
		if n, err := strconv.ParseUint(digits, 10, 63); err == nil {
			return Since{kind: sinceLines, n: int64(n)}, nil
		}
	}
	if d, err := channel.ParseDuration(s); err == nil {
		return Since{kind: sinceAgo, n: int64(d)}, nil
	}
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return Since{kind: sinceTime, t: t}, nil
		}
	}
	if _, err := channel.ParseSize(s); err == nil {
		return Since{}, fmt.Errorf("want %s, have %q; did you mean \"-%s\"?", SinceForms, s, s)
	}
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return Since{}, fmt.Errorf("want %s, have %q", SinceForms, s)
}

func cutLines(s string) (digits string, ok bool) {
	if digits, ok = strings.CutSuffix(s, "lines"); ok {
		return digits, true
	}
	return strings.CutSuffix(s, "line")
}

// String writes s so that ParseSince gives the same place back, in any zone.
func (s Since) String() string {
	switch s.kind {
	case sinceEnd:
		return "end"
	case sinceOffset:
		return strconv.FormatInt(s.n, 10)
	case sinceSize:
		return "-" + channel.FormatSize(s.n)
	case sinceAgo:
		return channel.FormatDuration(time.Duration(s.n))
	case sinceTime:
		return s.t.Format(time.RFC3339Nano)
	case sinceLines:
		return strconv.FormatInt(s.n, 10) + "lines"
	}
	return "start"
}

// IsOffset says whether s names an offset, which is one of an epoch.
func (s Since) IsOffset() bool { return s.kind == sinceOffset }

// Size is how many bytes before the head s is, if that is what it counts by.
func (s Since) Size() (n int64, ok bool) { return s.n, s.kind == sinceSize || s.kind == sinceEnd }

// Resolve is the offset of the place in src, at most its head. A place by offset
// may lie before what is held; any other one lies in it. An error is one of src.
func (s Since) Resolve(src Source, now time.Time) (int64, error) {
	head, oldest := src.Head(), src.Oldest()
	switch s.kind {
	case sinceEnd:
		return head, nil
	case sinceOffset:
		return min(s.n, head), nil
	case sinceSize:
		return src.Holes().Back(head, s.n, oldest), nil
	case sinceAgo:
		return max(oldest, min(head, src.Find(now.Add(-time.Duration(s.n))))), nil
	case sinceTime:
		return max(oldest, min(head, src.Find(s.t))), nil
	case sinceLines:
		return lastLines(src, oldest, head, s.n)
	}
	return oldest, nil
}

// lastLines is where the last n lines before the offset to begin, at from at the
// earliest. What stands behind the last line's end is a line too, and one begins
// behind each gap. It reads backwards, a block at a time.
func lastLines(src Source, from, to, n int64) (int64, error) {
	if n <= 0 {
		return to, nil
	}
	buf := make([]byte, block)
	var starts []int64 // of the lines in a block, ascending
	held := false      // the byte behind the block is one of the lines'
	for end := to; end > from; {
		begin := max(from, end-block)
		starts = starts[:0]
		fresh := begin == from // a line starts with the next byte that is held
		first := false         // the block's first byte is held
		for at := begin; at < end; {
			k, missing, err := src.Read(at, buf[:end-at])
			if err != nil {
				return 0, err
			}
			if k == 0 && missing == 0 {
				break
			}
			if k == 0 {
				at, fresh = min(at+missing, end), true
				continue
			}
			first = first || at == begin
			for p := buf[:k]; len(p) > 0; {
				if fresh {
					starts = append(starts, at)
				}
				i := bytes.IndexByte(p, '\n') + 1
				if fresh = i > 0; !fresh {
					i = len(p)
				}
				at, p = at+int64(i), p[i:]
			}
		}
		if fresh && held {
			starts = append(starts, end)
		}
		if int64(len(starts)) >= n {
			return starts[int64(len(starts))-n], nil
		}
		n -= int64(len(starts))
		end, held = begin, first
	}
	return from, nil
}
