package journal

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A stamp names a sealed segment: the second of its first byte (Unix time), and a
// number among those of one second. They order the segments as the stream does,
// whatever the clock did. The zero one is the current segment's.
type stamp struct {
	sec int64
	n   int // from 1
}

func (s stamp) before(t stamp) bool { return s.sec < t.sec || s.sec == t.sec && s.n < t.n }

// maxStamp keeps the numbers at three digits, so that they sort as text.
const maxStamp = 999

// after returns the stamp for a second that comes after another stamp.
func (s stamp) after(last stamp) stamp {
	s.n = 1
	if s.sec > last.sec {
		return s
	}
	if last.n < maxStamp {
		return stamp{last.sec, last.n + 1}
	}
	return stamp{last.sec + 1, 1}
}

const (
	dataExt  = ".log"
	indexExt = ".idx"
	zstdExt  = ".log.zst"
	tmpExt   = ".tmp"   // being made: of no use after a crash
	asideExt = ".aside" // not the journal's any more, and kept for whoever wants to look
	dayTime  = "20060102-150405"
)

// stem is the file name of a segment without its ending.
func (s stamp) stem(name string) string {
	if s == (stamp{}) {
		return name
	}
	stem := name + "-" + time.Unix(s.sec, 0).UTC().Format(dayTime)
	if s.n > 1 {
		stem += fmt.Sprintf("_%03d", s.n)
	}
	return stem
}

// parseName returns the segment and the ending of a file in a journal's folder;
// ok is false for what is not the journal's.
func parseName(name, file string) (s stamp, ext string, ok bool) {
	rest, ok := strings.CutPrefix(file, name)
	if !ok {
		return s, "", false
	}
	stem, ext := rest, ""
	if dot := strings.IndexByte(rest, '.'); dot >= 0 {
		stem, ext = rest[:dot], rest[dot:]
	}
	if stem == "" {
		return s, ext, true
	}
	day, number, many := strings.Cut(stem, "_")
	t, err := time.Parse("-"+dayTime, day)
	if err != nil {
		return s, "", false
	}
	s = stamp{t.Unix(), 1}
	if many {
		if s.n, err = strconv.Atoi(number); err != nil || s.n < 2 {
			return s, "", false
		}
	}
	return s, ext, s.stem(name) == name+stem
}

// path returns where a segment's file with an ending is.
func (j *Journal) path(s stamp, ext string) string {
	return filepath.Join(j.dir, s.stem(j.name)+ext)
}

func unixMilli(ms int64) time.Time { return time.UnixMilli(ms) }
