package transcript

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseSince(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("here", 2*3600)
	defer func() { time.Local = zone }()
	for in, want := range map[string]string{
		"start": "start", "end": "end", "0": "0", "12345": "12345", "9223372036854775807": "9223372036854775807",
		"-0": "-0B", "-64KiB": "-64KiB", "-65536": "-64KiB", "-1000B": "-1000B", "-1MiB": "-1MiB",
		"5m": "5m", "300s": "5m", "90d": "90d", "1500ms": "1500ms",
		"200lines": "200lines", "1line": "1lines", "0lines": "0lines",
		"2026-11-23T01:02:03Z":          "2026-11-23T01:02:03Z",
		"2026-11-23T01:02:03.456Z":      "2026-11-23T01:02:03.456Z",
		"2026-11-23T01:02:03.456-07:00": "2026-11-23T01:02:03.456-07:00",
		"2026-11-23 01:02:03Z":          "2026-11-23T01:02:03Z",
		"2026-11-23 01:02:03.5":         "2026-11-23T01:02:03.5+02:00",
		"2026-11-23T01:02":              "2026-11-23T01:02:00+02:00",
		"2026-11-23 01:02":              "2026-11-23T01:02:00+02:00",
		"2026-11-23":                    "2026-11-23T00:00:00+02:00",
	} {
		s, err := ParseSince(in)
		if err != nil || s.String() != want {
			t.Errorf("%q is read as %q, %v; want %q", in, s, err, want)
			continue
		}
		if again, err := ParseSince(s.String()); err != nil || again.String() != want {
			t.Errorf("%q is read as %q, %v", s, again, err)
		}
	}
	for in, want := range map[string]string{
		"":                        "want an OFFSET, -64KiB",
		"64KiB":                   `did you mean "-64KiB"?`,
		"-64K":                    `behind the minus: want a size like "256KiB" or "4MiB", have "64K"; did you mean "64KiB"?`,
		"-":                       "behind the minus",
		"-5m":                     "behind the minus",
		"lines":                   `have "lines"`,
		"-3lines":                 "behind the minus",
		"9223372036854775808":     "have",
		"yesterday":               "2026-11-23T01:02:03Z",
		"2026-13-01":              "have",
		strings.Repeat("x", 9999): `x…"`,
	} {
		if s, err := ParseSince(in); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.50q is read as %v, %v; want an error with %q", in, s, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	m := &memory{data: []byte("one\ntwo\nthree\nfour"), oldest: 2, marks: []mark{{0, 100_000}, {4, 400_000}, {8, 940_000}, {14, 999_000}}}
	for in, want := range map[string]int64{
		"start": 2, "end": 18, "0": 0, "1": 1, "5": 5, "99": 18,
		"-0": 18, "-4": 14, "-1KiB": 2,
		"1s": 14, "1m": 8, "61s": 8, "10m": 4, "1h": 2, "0s": 18,
		"1970-01-01T00:06:40Z": 4, "1970-01-01T00:06:40.001Z": 8, "1970-01-01": 2, "2030-01-01": 18,
		"0lines": 18, "1lines": 14, "2lines": 8, "3lines": 4, "4lines": 2, "99lines": 2,
	} {
		s, err := ParseSince(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(m, now); err != nil || got != want {
			t.Errorf("%s is at %d, %v; want %d", in, got, err, want)
		}
	}
}

// The last lines of a stream are where they are found by going through all of it.
func TestLastLines(t *testing.T) {
	long := strings.Repeat("x", block+5)
	for name, m := range map[string]*memory{
		"empty":           {},
		"short":           {data: []byte("a\nb\n")},
		"empty lines":     {data: []byte("\n\n\n")},
		"unfinished":      {data: []byte("a\nb")},
		"long":            {data: []byte("a\n" + long + "\n" + long + "\nb\n")},
		"block's edge":    {data: []byte(strings.Repeat(long[:block-1]+"\n", 3))},
		"behind the edge": {data: []byte("\n" + strings.Repeat(long[:block-1]+"\n", 3))},
		"retention":       {data: []byte("a\nbbb\nc\n"), oldest: 3},
		"holes":           {data: []byte("abcdefgh\nijk\nl"), holes: []hole{{2, 4}, {9, 10}}},
		"hole at an edge": {data: []byte(long + long), holes: []hole{{2, block + 10}}},
		"hole to an edge": {data: []byte(long + long), holes: []hole{{7, 10 + block}}},
	} {
		for _, most := range []int{0, 1000} {
			m.most = most
			var starts []int64
			fresh := true
			for at := m.oldest; at < m.Head(); {
				var b [1]byte
				n, missing, _ := m.Read(at, b[:])
				if n == 0 {
					at, fresh = at+missing, true
					continue
				}
				if fresh {
					starts = append(starts, at)
				}
				at, fresh = at+1, b[0] == '\n'
			}
			for n := 0; n < len(starts)+3; n++ {
				want := m.oldest
				if n <= len(starts) {
					want = append(starts, m.Head())[len(starts)-n]
				}
				if n > len(starts) && len(starts) > 0 {
					want = m.oldest
				}
				if got, err := lastLines(m, m.oldest, m.Head(), int64(n)); err != nil || got != want {
					t.Errorf("%s: the last %d lines begin at %d, %v; want %d", name, n, got, err, want)
				}
			}
		}
	}
}

func TestAnErrorOfTheSourceIsTold(t *testing.T) {
	broken := brokenSource{&memory{data: []byte("a\nb\n")}}
	for _, q := range []Query{{}, {Lines: 1}, {Since: Since{kind: sinceLines, n: 3}}} {
		from, to, err := q.Range(t.Context(), broken, time.Now())
		if err == nil {
			_, err = q.Write(t.Context(), broken, from, to, &strings.Builder{})
		}
		if err != errBroken {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

var errBroken = fmt.Errorf("input/output error")

type brokenSource struct{ *memory }

func (brokenSource) Read(int64, []byte) (int, int64, error) { return 0, 0, errBroken }
