package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// figures are what one round measured, by metric.
type figures map[string]float64

// A goal is what chardevd is to reach in a metric of a workload.
type goal struct {
	metric string
	atMost bool    // else at least
	value  float64 // of the metric itself, or of its ratio to the limit's
	ratio  bool
}

func atLeast(ratio float64, metric string) goal { return goal{metric, false, ratio, true} }
func atMost(ratio float64, metric string) goal  { return goal{metric, true, ratio, true} }
func noLess(value float64, metric string) goal  { return goal{metric, false, value, false} }
func noMore(value float64, metric string) goal  { return goal{metric, true, value, false} }

// A series is all rounds of one metric.
type series struct {
	Metric string    `json:"metric"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Ratio  float64   `json:"ratio,omitempty"` // of the median to the limit's
	Goal   string    `json:"goal,omitempty"`
	OK     *bool     `json:"ok,omitempty"` // it reaches the goal
	Rounds []float64 `json:"rounds"`
}

// A result is what one target did in one workload.
type result struct {
	Group    string    `json:"group"`
	Workload string    `json:"workload"`
	Target   string    `json:"target"`
	Series   []*series `json:"metrics"`
	Errors   []string  `json:"errors,omitempty"`
}

func (r *result) metric(name string) *series {
	for _, s := range r.Series {
		if s.Metric == name {
			return s
		}
	}
	return nil
}

// add takes the figures of a round.
func (r *result) add(f figures) {
	for m, v := range f {
		s := r.metric(m)
		if s == nil {
			s = &series{Metric: m}
			r.Series = append(r.Series, s)
		}
		s.Rounds = append(s.Rounds, v)
		sorted := slices.Sorted(slices.Values(s.Rounds))
		s.Min, s.Max = sorted[0], sorted[len(sorted)-1]
		s.Median = (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	}
}

// compare adds what its rate is of another workload's.
func (r *result) compare(other *result) {
	if a, b := r.metric("MB/s"), other.metric("MB/s"); a != nil && b != nil {
		r.add(figures{versusRate: a.Median / b.Median})
	}
}

// judge compares a target's figures with the limit's and, if it is chardevd,
// with the goals.
func (r *result) judge(limit *result, goals []goal) {
	for _, s := range r.Series {
		if limit != r && s.Metric != versusRate {
			if l := limit.metric(s.Metric); l != nil && l.Median > 0 {
				s.Ratio = s.Median / l.Median
			}
		}
	}
	for _, g := range goals {
		s := r.metric(g.metric)
		if s == nil || g.ratio && s.Ratio == 0 {
			continue
		}
		v, sign, times := s.Median, "≥", ""
		if g.ratio {
			v, times = s.Ratio, "×"
		}
		ok := v >= g.value
		if g.atMost {
			sign, ok = "≤", v <= g.value
		}
		s.Goal, s.OK = sign+times+number(g.value), &ok
	}
}

// A report is all results of a run.
type report struct {
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Kernel  string    `json:"kernel"`
	Cores   int       `json:"cores"`
	Go      string    `json:"go"`
	Commit  string    `json:"commit,omitempty"`
	Rounds  int       `json:"rounds"`
	Results []*result `json:"results"`

	peers []string // the targets that are somebody else's daemons
}

func newReport(rounds int) *report {
	var u unix.Utsname
	unix.Uname(&u)
	r := &report{
		Date: time.Now().UTC().Truncate(time.Second), Kernel: unix.ByteSliceToString(u.Release[:]),
		Command: strings.Join(append([]string{"go run ./integration/bench"}, os.Args[1:]...), " "),
		Cores:   runtime.NumCPU(), Go: runtime.Version(), Rounds: rounds,
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		r.Commit = strings.TrimSpace(string(out))
	}
	return r
}

// header says what was measured where.
func (r *report) header(w io.Writer) {
	fmt.Fprintf(w, "%s. Medians of %d rounds (min–max); × is the ratio to `limit` in the same run.\n", r.where(), r.Rounds)
}

// where is the command, when it ran, and on what.
func (r *report) where() string {
	return fmt.Sprintf("`%s`: %s, %s, Linux %s, %d cores, %s",
		r.Command, r.Date.Format("2006-01-02 15:04 MST"), orNone(r.Commit), r.Kernel, r.Cores, r.Go)
}

func orNone(commit string) string {
	if commit == "" {
		return "no commit"
	}
	return "commit " + commit
}

// table prints the results of one group as a Markdown table.
func table(w io.Writer, group string, metrics []string, results []*result) {
	fmt.Fprintf(w, "\n### %s\n\n| workload | target | %s | |\n|---|---|%s---|\n", group, strings.Join(metrics, " | "), strings.Repeat("---|", len(metrics)))
	last := ""
	for _, r := range results {
		name := r.Workload
		if name == last {
			name = ""
		}
		last = r.Workload
		fmt.Fprintf(w, "| %s | %s |", name, r.Target)
		for _, m := range metrics {
			fmt.Fprintf(w, " %s |", r.metric(m).cell())
		}
		fmt.Fprintf(w, " %s |\n", r.remarks())
	}
}

// cell is a metric in a table.
func (s *series) cell() string {
	if s == nil {
		return "–"
	}
	text := number(s.Median)
	if len(s.Rounds) > 1 {
		text += fmt.Sprintf(" (%s–%s)", number(s.Min), number(s.Max))
	}
	if s.Ratio != 0 {
		text += fmt.Sprintf(" ×%.2f", s.Ratio)
	}
	if s.OK != nil {
		mark := "**short**"
		if *s.OK {
			mark = "ok"
		}
		text += fmt.Sprintf(" %s %s", s.Goal, mark)
	}
	return text
}

// remarks are what was lost and what failed.
func (r *result) remarks() string {
	var all []string
	for _, m := range []string{lostTold, lostUntold} {
		if s := r.metric(m); s != nil && s.Max > 0 {
			all = append(all, fmt.Sprintf("%s: up to %s bytes", m, number(s.Max)))
		}
	}
	if n := len(r.Errors); n > 0 {
		all = append(all, fmt.Sprintf("%d failed: %s", n, firstLine(r.Errors[0])))
	}
	return strings.ReplaceAll(strings.Join(all, "; "), "|", "/")
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if r := []rune(s); len(r) > 120 {
		s = string(r[:120]) + "…"
	}
	return s
}

// number prints three digits that count.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case a == 0:
		return "0"
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
