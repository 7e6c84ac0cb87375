package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chardevd/chardev"
)

func newShowLog() *cobra.Command {
	var daemon daemonFlags
	var o logOptions
	var raw bool
	cmd := &cobra.Command{
		Use:   "log NAME",
		Short: "Show what a console printed",
		Long: `Show what a console printed, from memory and from its journal, so that nothing
in it steers the terminal: control characters and escape sequences are written
out, colours stay on a terminal. What is missing is a line [gap: ...]; a line
longer than 64 KiB is shown in pieces. With --raw it is the bytes themselves,
with --json an object a line.

A PLACE is one of
  12345      this offset             start, end  the oldest byte, behind the newest
  -64KiB     so much before the end  200lines    so many lines before the end
  5m         so long ago: ms s m h d
  2026-11-23T01:02:03Z, "2026-11-23 01:02", 2026-11-23: a time, local without a zone

With --follow it goes on with what comes, over restarts of the daemon too:
nothing is missing then or there twice. Where no daemon runs, the journal is
read from its files.`,
		Example: `  chardevd log router --lines 50
  chardevd log router --since 10m --timestamps --events
  chardevd log router --grep 'panic|oops' --context 5
  chardevd log router --follow --lines 0`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wants("the NAME of a chardev")(cmd, args); err != nil {
				return err
			}
			if raw && (o.json || o.query.Timestamps || o.query.Offsets || o.query.Events) {
				return errors.New("--raw is the bytes and nothing else: leave out --json, --timestamps, --offsets and --events")
			}
			if q := &o.query; q.Lines == 0 && cmd.Flags().Changed("lines") {
				switch {
				case !q.Follow:
					return errors.New("--lines 0 shows nothing of what was: give --follow, too")
				case q.Since != "":
					return errors.New("--lines 0 shows nothing of what was: leave out --since")
				}
				q.Since = "end"
			}
			return o.check()
		},
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := o.resolve()
			if raw {
				q.Format = "raw"
			}
			if q.Follow && q.Since == "" && q.Lines == 0 {
				q.Lines = 10
			}
			logs, err := daemon.logs(cmd)
			if err != nil {
				return err
			}
			say := func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "chardevd: log %s: %s\n", args[0], text) }
			if q.Follow {
				if err := logs.follow(cmd.Context(), args[0], q, cmd.OutOrStdout(), say); err != nil {
					return fmt.Errorf("log %s: %w", args[0], err)
				}
				return nil
			}
			result, err := logs.show(cmd.Context(), args[0], q, cmd.OutOrStdout())
			if raw && result.Lost > 0 {
				say(fmt.Sprintf("at most %d bytes of it are missing", result.Lost))
			}
			if err != nil {
				return fmt.Errorf("log %s: %w", args[0], err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&raw, "raw", false, "the bytes as they came")
	f.VarP((*regexpFlag)(&o.query.Grep), "grep", "g", "only lines that match this regular expression (RE2), which sees no colours")
	f.VarP((*countFlag)(&o.query.Lines), "lines", "n", "only the last N lines, or of those that match; with --follow also 0: only what comes")
	f.BoolVarP(&o.query.Follow, "follow", "f", false, "go on with what comes; without --since and --lines from the last 10 lines on")
	o.add(cmd)
	daemon.add(cmd)
	return cmd
}

// logOptions are what log and search have in common.
type logOptions struct {
	query  chardev.LogQuery
	json   bool
	colour choice
}

func (o *logOptions) add(cmd *cobra.Command) {
	f := cmd.Flags()
	rangeFlags(cmd, &o.query)
	f.IntVarP(&o.query.Context, "context", "C", 0, "show `N` lines before and behind each that matches")
	f.BoolVarP(&o.query.Timestamps, "timestamps", "t", false, "begin each line with the local time at which it came")
	f.BoolVar(&o.query.Offsets, "offsets", false, "begin each line with its offset")
	f.BoolVar(&o.query.Events, "events", false, "show what happened to the console, too")
	f.BoolVar(&o.json, "json", false, "print an object a line")
	o.colour = choice{"auto", []string{"auto", "always", "never"}}
	f.Var(&o.colour, "colour", "let colours through; auto: to a terminal")
}

// rangeFlags are --since and --until.
func rangeFlags(cmd *cobra.Command, q *chardev.LogQuery) {
	cmd.Flags().Var((*placeFlag)(&q.Since), "since", "begin at this PLACE")
	cmd.Flags().Var((*placeFlag)(&q.Until), "until", "end before this PLACE")
}

// check says what contradicts itself.
func (o *logOptions) check() error {
	switch q := &o.query; {
	case o.json && (q.Timestamps || q.Offsets):
		return errors.New("--json has times and offsets anyway: leave out --timestamps and --offsets")
	case q.Context != 0 && q.Grep == "":
		return errors.New("--context is of lines that match: give --grep, too")
	case q.Context < 0 || q.Context > chardev.MaxLogContext:
		return fmt.Errorf("--context: want 0 to %d lines", chardev.MaxLogContext)
	case q.Follow && q.Until != "":
		return errors.New("--follow goes on with what comes: leave out --until")
	}
	return nil
}

// resolve is the query for the daemon.
func (o *logOptions) resolve() chardev.LogQuery {
	q := o.query
	if o.json {
		q.Format = "json"
	}
	q.Colour = o.colour.value == "always" || o.colour.value == "auto" && term.IsTerminal(int(os.Stdout.Fd()))
	return q
}
