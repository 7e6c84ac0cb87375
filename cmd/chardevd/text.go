package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"chardevd/cmd/chardevd/internal/attach"
)

// row is a line of a table; the last column is not padded.
type row []string

// align returns the rows as lines with their columns below each other, two
// blanks apart, and with nothing in them that steers a terminal.
func align(rows []row) []string {
	var width []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			r[i] = attach.Printable(cell)
			width[i] = max(width[i], utf8.RuneCountInString(r[i]))
		}
	}
	lines := make([]string, len(rows))
	for n, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// age is how long ago t was, in one unit.
func age(now, t time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

// size is a number of bytes, exact while it is short.
func size(n int64) string {
	if n < 10000 {
		return fmt.Sprint(n)
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f%s", f, []string{"", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// printJSON prints what the daemon sent as it is, indented.
func printJSON(w io.Writer, raw []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}
