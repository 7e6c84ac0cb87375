package channel

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Sizes and durations, as they are written in addresses and in whatever else
// configures channels.

// What a size and a duration look like, for messages.
const (
	SizeForm     = `a size like "256KiB" or "4MiB"`
	DurationForm = `a duration like "100ms", "30s", "5m", "2h" or "90d"`
)

// A unit is a suffix and what it stands for.
type unit struct {
	suffix string
	factor int64
}

// Smaller units stand first, but for what is no more than digits.
var (
	sizeUnits     = []unit{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}
	durationUnits = []unit{{"ms", int64(time.Millisecond)}, {"s", int64(time.Second)}, {"m", int64(time.Minute)}, {"h", int64(time.Hour)}, {"d", 24 * int64(time.Hour)}}
)

// ParseSize reads a number of bytes: 4096, 512B, 256KiB, 4MiB, 1GiB.
func ParseSize(s string) (int64, error) {
	if n, ok := parseUnit(s, sizeUnits); ok {
		return n, nil
	}
	near := ""
	digits := strings.TrimRight(s, "kKmMgGiIbB \t")
	switch letters := strings.ToLower(strings.TrimSpace(s[len(digits):])); letters {
	case "k", "kb", "ki", "kib":
		near = digits + "KiB"
	case "m", "mb", "mi", "mib":
		near = digits + "MiB"
	case "g", "gb", "gi", "gib":
		near = digits + "GiB"
	}
	if _, ok := parseUnit(near, sizeUnits); ok {
		return 0, fmt.Errorf("want %s, have %s; did you mean %q?", SizeForm, quoted(s), near)
	}
	return 0, fmt.Errorf("want %s, have %s", SizeForm, quoted(s))
}

// ParseDuration reads a whole number of ms, s, m, h or d (of 24 hours).
func ParseDuration(s string) (time.Duration, error) {
	n, ok := parseUnit(s, durationUnits)
	if !ok {
		return 0, fmt.Errorf("want %s, have %s", DurationForm, quoted(s))
	}
	return time.Duration(n), nil
}

// quoted is s for a message, which it does not drown.
func quoted(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strconv.Quote(s)
}

// parseUnit reads digits and a unit; what does not fit 63 bits is not ok.
func parseUnit(s string, units []unit) (int64, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/u.factor {
			return 0, false
		}
		return n * u.factor, true
	}
	return 0, false
}

// FormatSize writes a number of bytes so that ParseSize gives it back.
func FormatSize(n int64) string { return formatUnit(n, sizeUnits[:3], "B") }

// FormatDuration writes a duration of whole milliseconds so that ParseDuration
// gives it back.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return formatUnit(int64(d), durationUnits, "ns")
}

// formatUnit writes n in the largest unit that it is a multiple of.
func formatUnit(n int64, units []unit, smallest string) string {
	best := unit{smallest, 1}
	for _, u := range units {
		if n != 0 && n%u.factor == 0 {
			best = u
		}
	}
	return strconv.FormatInt(n/best.factor, 10) + best.suffix
}

// isSize checks an option whose value is a size above 0.
func isSize(v string) error {
	n, err := ParseSize(v)
	if err == nil && n == 0 {
		err = errors.New("want more than 0")
	}
	return err
}

// isDuration checks an option whose value is a duration above 0.
func isDuration(v string) error {
	d, err := ParseDuration(v)
	if err == nil && d == 0 {
		err = errors.New("want more than 0")
	}
	return err
}
