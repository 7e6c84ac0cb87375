package chardev

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	day = 24 * time.Hour
)

// What a size and a duration look like, for messages.
const (
	sizeForm     = `a size like "256KiB" or "4MiB"`
	durationForm = `a duration like "100ms", "30s", "5m", "2h" or "90d"`
)

// A unit is a suffix and what it stands for.
type unit struct {
	suffix string
	factor int64
}

// Longer suffixes stand before those that they end in.
var (
	sizeUnits     = []unit{{"KiB", kib}, {"MiB", mib}, {"GiB", gib}, {"B", 1}, {"", 1}}
	durationUnits = []unit{{"ms", int64(time.Millisecond)}, {"s", int64(time.Second)}, {"m", int64(time.Minute)}, {"h", int64(time.Hour)}, {"d", int64(day)}}
)

// parseSize reads a number of bytes: 4096, 512B, 256KiB, 4MiB, 1GiB.
func parseSize(s string) (int64, error) {
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
		return 0, fmt.Errorf("want %s, have %s; did you mean %q?", sizeForm, describe(s), near)
	}
	return 0, fmt.Errorf("want %s, have %s", sizeForm, describe(s))
}

// parseDuration reads a whole number of ms, s, m, h or d (of 24 hours).
func parseDuration(s string) (time.Duration, error) {
	n, ok := parseUnit(s, durationUnits)
	if !ok {
		return 0, fmt.Errorf("want %s, have %s", durationForm, describe(s))
	}
	return time.Duration(n), nil
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

func formatSize(n int64) string { return formatUnit(n, sizeUnits[:3], "B") }

func formatDuration(d time.Duration) string {
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
