package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	o := options{scale: full}
	var rounds int
	var askedPeers bool
	flag.Func("run", "only workloads that match this `regexp`", o.which.set)
	flag.Func("targets", "only targets that match this `regexp`; the limit is always one", o.who.set)
	flag.Func("binary", "one more chardevd to measure beside this tree's, `NAME=FILE`; repeatable", o.binary)
	flag.BoolFunc("peers", "also measure the daemons that people use today (default: unless -quick)", func(text string) (err error) {
		o.peers, err = strconv.ParseBool(text)
		askedPeers = true
		return err
	})
	flag.BoolVar(&o.quick, "quick", false, "shorter, with fewer rounds")
	flag.IntVar(&rounds, "rounds", 0, "how often each is measured (default 5, quick 3)")
	flag.StringVar(&o.json, "json", "", "also write the results to this `file`")
	flag.StringVar(&o.markdown, "markdown", "", "also write the README's table to this `file`: chardevd, the limit, and the best of the others")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if !askedPeers {
		o.peers = !o.quick
	}
	if o.quick {
		o.scale = quick
	}
	if rounds > 0 {
		o.scale.rounds, o.asked = rounds, true
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	raiseLimits()
	dir, err := tempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	targets, err := o.targets(ctx, dir)
	if err != nil {
		return err
	}
	return o.measure(ctx, targets)
}

type options struct {
	scale      scale
	which, who filter
	binaries   []daemon
	peers      bool
	quick      bool
	asked      bool // the rounds were asked for
	json       string
	markdown   string
}

// A filter matches everything until it is set.
type filter struct{ *regexp.Regexp }

func (p *filter) set(text string) (err error) {
	p.Regexp, err = regexp.Compile(text)
	return err
}

func (p filter) matches(name string) bool { return p.Regexp == nil || p.MatchString(name) }

func (o *options) binary(text string) error {
	name, file, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("want NAME=FILE")
	}
	file, err := filepath.Abs(file)
	o.binaries = append(o.binaries, daemon{name, file})
	return err
}

// targets builds and finds what is measured.
func (o *options) targets(ctx context.Context, dir string) ([]target, error) {
	cert, key, err := makeCertificate(dir)
	if err != nil {
		return nil, err
	}
	l, err := buildLimit(dir, cert, key)
	if err != nil {
		return nil, err
	}
	own := daemon{ownName, filepath.Join(dir, "chardevd")}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", own.binary, "chardevd/cmd/chardevd").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	all := []target{own}
	for _, b := range o.binaries {
		all = append(all, b)
	}
	chosen := []target{l}
	if o.peers {
		there, missing := peers(cert, key)
		all = append(all, there...)
		for _, name := range missing {
			fmt.Fprintf(os.Stderr, "bench: %s is not installed and not measured (integration/bench/install.sh installs it)\n", name)
		}
	}
	all = append(all, none{})
	for _, t := range all {
		if o.who.matches(t.name()) {
			chosen = append(chosen, t)
		}
	}
	return chosen, nil
}

// rounds is how often a workload is measured: as often as was asked for, else
// as often as makes sense.
func (o *options) rounds(w workload) int {
	switch {
	case w.most == 0 || o.asked:
	case o.quick:
		return min(w.most, 2)
	default:
		return min(w.most, o.scale.rounds)
	}
	return o.scale.rounds
}

// wants says whether a workload is measured: a long one only if it was asked for.
func (o *options) wants(w workload) bool {
	return o.which.matches(w.name) && (!w.long || !o.quick || o.which.Regexp != nil)
}

// measure runs the workloads and prints a table for each section.
func (o *options) measure(ctx context.Context, targets []target) error {
	rep := newReport(o.scale.rounds)
	for _, t := range targets {
		if _, no := t.(none); !no && !isOurs(t) {
			rep.peers = append(rep.peers, t.name())
		}
	}
	rep.header(os.Stdout)
	var failed error
	for _, sec := range sections() {
		var results []*result
		for _, w := range sec.workloads {
			if !o.wants(w) {
				continue
			}
			rs, err := o.workload(ctx, sec.name, w, targets, results)
			failed = errors.Join(failed, err)
			results = append(results, rs...)
			if ctx.Err() != nil {
				break
			}
		}
		if len(results) > 0 {
			table(os.Stdout, sec.name, sec.metrics, results)
			rep.Results = append(rep.Results, results...)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if o.json != "" {
		failed = errors.Join(failed, rep.write(o.json))
	}
	if o.markdown != "" {
		failed = errors.Join(failed, rep.readme(o.markdown))
	}
	if ctx.Err() != nil {
		failed = errors.Join(failed, errors.New("interrupted"))
	}
	return failed
}

// workload measures one workload: all targets in turn, round by round, another
// one first each time. What it returns as an error is what must not be.
// before are the results of the section so far.
func (o *options) workload(ctx context.Context, section string, w workload, targets []target, before []*result) ([]*result, error) {
	var able []target
	var results []*result
	for _, t := range targets {
		if t.can(w.job) {
			able = append(able, t)
			results = append(results, &result{Group: section, Workload: w.name, Target: t.name()})
		}
	}
	var failed error
	for round := range o.rounds(w) {
		for i := range able {
			k := (i + round) % len(able)
			progress("%s, round %d: %s", w.name, round+1, able[k].name())
			f, err := once(able[k], w, o.scale)
			if ctx.Err() != nil {
				return results, failed
			}
			if err == nil {
				results[k].add(f)
				err = untold(able[k], w.job, f)
			} else {
				results[k].Errors = append(results[k].Errors, err.Error())
			}
			if err != nil && isOurs(able[k]) {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", w.name, err))
			}
		}
	}
	progress("")
	for i, r := range results {
		for _, b := range before {
			if b.Workload == w.versus && b.Target == r.Target {
				r.compare(b)
			}
		}
		var goals []goal
		if _, ok := able[i].(daemon); ok {
			goals = w.goals
		}
		r.judge(results[0], goals)
	}
	return results, failed
}

// isOurs says whether a target must not fail.
func isOurs(t target) bool {
	switch t.(type) {
	case limit, daemon:
		return true
	}
	return false
}

// untold is an error if a target lost bytes and did not say so, where it must.
func untold(t target, j job, f figures) error {
	if n := f[lostUntold]; n > 0 && !(j.lossy && t.name() == limitName) {
		return fmt.Errorf("%s lost %.0f bytes without telling", t.name(), n)
	}
	return nil
}

// once measures one round of one target.
func once(t target, w workload, s scale) (figures, error) {
	r, err := setup(t, w.job)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return w.run(r, s)
}

// progress shows on a terminal what is being measured.
func progress(format string, args ...any) {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}
