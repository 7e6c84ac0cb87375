package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// readme writes the short table: a line for each workload, and one more for each
// further metric that has a goal.
func (r *report) readme(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Medians of %d rounds; × is the ratio to `limit` in the same run.\n", r.where(), r.Rounds)
	b.WriteString("\n| workload | limit | chardevd | goal | its CPU time | goal | best of the others |\n|---|---|---|---|---|---|---|\n")
	for _, sec := range sections() {
		for _, w := range sec.workloads {
			r.lines(&b, sec, w.name)
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// lines are those of a workload, none if it was not measured.
func (r *report) lines(b *strings.Builder, sec section, workload string) {
	limit, own := r.result(sec.name, workload, limitName), r.result(sec.name, workload, ownName)
	if limit == nil || own == nil {
		return
	}
	var cpu *series
	for _, m := range sec.metrics {
		if isCPU(m) {
			cpu = own.metric(m)
		}
	}
	first := true
	for _, m := range sec.metrics {
		s := own.metric(m)
		if isCPU(m) || !first && (s == nil || s.Goal == "") {
			continue
		}
		fmt.Fprintf(b, "| %s, %s | %s | %s | %s | %s | %s | %s |\n",
			workload, m, limit.metric(m).median(), s.outcome(), s.verdict(), cpu.outcome(), cpu.verdict(), r.best(sec.name, workload, m, s))
		first, cpu = false, nil // once a workload
	}
}

// result is what a target did in a workload, or nil.
func (r *report) result(group, workload, target string) *result {
	for _, res := range r.Results {
		if res.Group == group && res.Workload == workload && res.Target == target {
			return res
		}
	}
	return nil
}

// best is the best of the daemons that people use today, by its median, as chardevd's own is
// shown beside it.
func (r *report) best(group, workload, metric string, own *series) string {
	name, best := "", (*series)(nil)
	for _, res := range r.Results {
		if res.Group != group || res.Workload != workload || !slices.Contains(r.peers, res.Target) {
			continue
		}
		s := res.metric(metric)
		if s != nil && (best == nil || better(metric, s.Median, best.Median)) {
			name, best = res.Target, s
		}
	}
	if best == nil {
		return ""
	}
	if own.isFigure() {
		return best.median() + " " + name
	}
	return best.outcome() + " " + name
}

func isCPU(metric string) bool { return strings.Contains(metric, "CPU") }

// better says whether a is better than b: more is, where the metric is a rate.
func better(metric string, a, b float64) bool {
	if strings.Contains(metric, "MB/s") || metric == "kept" || metric == versusRate {
		return a > b
	}
	return a < b
}

// median is the figure itself.
func (s *series) median() string {
	if s == nil {
		return ""
	}
	return number(s.Median)
}

// isFigure says whether it is shown as it is: the goal is of that, or the limit has none.
func (s *series) isFigure() bool {
	return s == nil || s.Ratio == 0 || s.Goal != "" && !strings.Contains(s.Goal, "×")
}

// outcome is the ratio to the limit, or the figure itself.
func (s *series) outcome() string {
	if s.isFigure() {
		return s.median()
	}
	return fmt.Sprintf("×%.2f", s.Ratio)
}

// verdict is the goal and whether it is reached.
func (s *series) verdict() string {
	switch {
	case s == nil || s.OK == nil:
		return ""
	case *s.OK:
		return s.Goal + " ok"
	}
	return s.Goal + " **short**"
}
