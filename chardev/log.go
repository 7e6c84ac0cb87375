package chardev

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chardevd/channel"
	"chardevd/chardev/internal/transcript"
)

// A LogQuery is what can be asked of what a console printed. The zero one is all of
// it, as text.
type LogQuery struct {
	Since, Until string // places, as CheckPlace takes them; "": from the oldest byte, up to the newest
	Lines        int64  // not 0: only so many of the last lines, or of those that match
	Grep         string // only lines that match this regular expression (RE2)
	Context      int    // and so many before and behind each
	Format       string // text (or ""), raw, json, asciicast
	Size         string // of the recording's terminal, like 80x24, which it is if it is ""
	Epoch        string // the one whose offsets Since and Until are; "": the present one
	Timestamps   bool   // lines of text begin with the local time at which they came
	Offsets      bool   // and with their offset
	Names        bool   // and with the console's name
	Events       bool   // events stand among the lines
	Colour       bool   // SGR sequences stay in text
	Follow       bool   // go on with what comes
}

// PlaceForms is what CheckPlace takes, for messages.
const PlaceForms = transcript.SinceForms

// CheckPlace reads a place in a stream, and writes it so that it means the same in
// any time zone.
func CheckPlace(s string) (string, error) {
	place, err := transcript.ParseSince(s)
	if err != nil {
		return "", err
	}
	return place.String(), nil
}

// CheckSize says what is wrong with a terminal's size.
func CheckSize(s string) error {
	_, _, err := parseWindow(s)
	return err
}

// Values are the parameters of GET …/log.
func (q LogQuery) Values() url.Values {
	v := url.Values{}
	text := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	text("since", q.Since)
	text("until", q.Until)
	text("grep", q.Grep)
	text("format", q.Format)
	text("size", q.Size)
	text("epoch", q.Epoch)
	if q.Lines != 0 {
		v.Set("lines", strconv.FormatInt(q.Lines, 10))
	}
	if q.Context != 0 {
		v.Set("context", strconv.Itoa(q.Context))
	}
	for name, on := range map[string]bool{"timestamps": q.Timestamps, "offsets": q.Offsets, "names": q.Names, "events": q.Events, "colour": q.Colour, "follow": q.Follow} {
		if on {
			v.Set(name, "true")
		}
	}
	return v
}

// A logRequest is a LogQuery that was read.
type logRequest struct {
	transcript.Query
	epoch string // the one whose offsets it has; "": any, as it has none
}

// parseLog reads parameters of GET …/log. Its error tells all that is wrong.
func parseLog(values url.Values) (*logRequest, error) {
	q := &logRequest{Query: transcript.Query{Format: transcript.Text, Cols: 80, Rows: 24}}
	var byOffset bool
	place := func(s string) (transcript.Since, error) {
		p, err := transcript.ParseSince(s)
		byOffset = byOffset || p.IsOffset()
		return p, err
	}
	known := map[string]func(string) error{
		"since": func(s string) (err error) {
			q.Since, err = place(s)
			return err
		},
		"until": func(s string) error {
			p, err := place(s)
			q.Until = &p
			return err
		},
		"lines":   func(s string) (err error) { q.Lines, err = count(s, 1<<62); return err },
		"context": func(s string) error { n, err := count(s, transcript.MaxContext); q.Context = int(n); return err },
		"grep": func(s string) error {
			re, err := regexp.Compile(s)
			q.Grep = re
			return err
		},
		"format": func(s string) error {
			switch q.Format = transcript.Format(s); q.Format {
			case transcript.Text, transcript.Raw, transcript.JSON, transcript.Asciicast:
				return nil
			}
			return fmt.Errorf("want text, raw, json or asciicast, have %q", s)
		},
		"size":       func(s string) (err error) { q.Cols, q.Rows, err = parseWindow(s); return err },
		"epoch":      func(s string) error { q.epoch = s; return nil },
		"timestamps": flag(&q.Timestamps),
		"offsets":    flag(&q.Offsets),
		"names":      flag(&q.Names),
		"events":     flag(&q.Events),
		"colour":     flag(&q.Colour),
		"follow":     flag(&q.Follow),
	}
	if err := parseValues(values, known); err != nil {
		return nil, err
	}
	if !byOffset {
		q.epoch = ""
	}
	return q, q.Check()
}

// parseValues gives each parameter to the function of its name. Its error tells all
// that is wrong, in the order of the names.
func parseValues(values url.Values, known map[string]func(string) error) error {
	var names, wrong []string
	for name := range known {
		names = append(names, name)
	}
	for name, all := range values {
		switch parse := known[name]; {
		case parse == nil:
			text := fmt.Sprintf("%s: no such parameter", name)
			if near := channel.Nearest(name, names); near != "" {
				text += fmt.Sprintf("; did you mean %q?", near)
			}
			wrong = append(wrong, text)
		case len(all) > 1:
			wrong = append(wrong, name+": given more than once")
		default:
			if err := parse(all[0]); err != nil {
				wrong = append(wrong, name+": "+err.Error())
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return errors.New(strings.Join(wrong, "\n"))
}

func flag(on *bool) func(string) error {
	return func(s string) error {
		if s != "" && s != "true" && s != "false" {
			return fmt.Errorf("want true or false, have %q", s)
		}
		*on = s != "false"
		return nil
	}
}

// count reads a number from 0 to most.
func count(s string, most int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("want a number from 0 to %d, have %q", most, s)
	}
	return n, nil
}

// maxWindow is how many columns or rows a recording's terminal may have.
const maxWindow = 10000

// parseWindow reads a terminal's size, like 80x24.
func parseWindow(s string) (cols, rows int, err error) {
	c, r, _ := strings.Cut(s, "x")
	if cols, err = strconv.Atoi(c); err == nil {
		rows, err = strconv.Atoi(r)
	}
	if err != nil || cols < 1 || rows < 1 || cols > maxWindow || rows > maxWindow {
		return 0, 0, fmt.Errorf("want COLUMNSxROWS like 80x24, have %q", s)
	}
	return cols, rows, nil
}

// MaxLogContext is how many lines Context may be.
const MaxLogContext = transcript.MaxContext

// A LogResult is what a LogQuery gave.
type LogResult struct {
	Next  int64 // the offset at which to go on
	Lost  int64 // bytes that stood in gaps
	Found int64 // lines and events that match; all that were shown, without Grep. Not counted for raw without Grep, and asciicast
}

// wrongEpoch is the error of a query with offsets of an epoch that is not the
// console's.
func wrongEpoch(name, present, asked string) error {
	return fmt.Errorf("the offsets of %s are those of epoch %s, and nothing is held of epoch %s", name, present, asked)
}
