package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// errNothing is the error of a search that finds nothing. It needs no words.
var errNothing = errors.New("nothing found")

func newSearch() *cobra.Command {
	var daemon daemonFlags
	var o logOptions
	cmd := &cobra.Command{
		Use:   "search REGEXP [NAME...]",
		Short: "Find lines that consoles printed",
		Long: `Find lines that match a regular expression (RE2) in what consoles printed, all
of them if none is named. Each line begins with the console's NAME. Like grep,
it exits with 0 if something is found, with 1 if not, and with 2 if something
went wrong.`,
		Example: `  chardevd search 'Kernel panic'
  chardevd search --since 1d --timestamps 'link is (up|down)' router switch`,
		Annotations: map[string]string{exitStatus: "0 when something is found, 1 when nothing is, 2 when something failed or the command line makes no\nsense."},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return wants("a REGEXP")(cmd, nil)
			}
			if _, err := regexp.Compile(args[0]); err != nil {
				return err
			}
			o.query.Grep = args[0]
			return o.check()
		},
		ValidArgsFunction: daemon.completeFurtherNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			logs, err := daemon.logs(cmd)
			if err != nil {
				return &wentWrong{err}
			}
			names := args[1:]
			if len(names) == 0 {
				if names, err = logs.names(); err != nil {
					return &wentWrong{err}
				}
			}
			q := o.resolve()
			q.Names = true
			var found int64
			var failed []error
			searched := map[string]bool{}
			for _, name := range names {
				if searched[name] {
					continue
				}
				searched[name] = true
				result, err := logs.show(cmd.Context(), name, q, cmd.OutOrStdout())
				if err != nil {
					failed = append(failed, fmt.Errorf("search %s: %w", name, err))
				}
				found += result.Found
			}
			switch {
			case failed != nil:
				for _, err := range failed[:len(failed)-1] {
					fmt.Fprintln(cmd.ErrOrStderr(), inWords(err))
				}
				return &wentWrong{failed[len(failed)-1]}
			case found == 0:
				return errNothing
			}
			return nil
		},
	}
	cmd.Flags().VarP((*numberFlag)(&o.query.Lines), "lines", "n", "only the last N lines of those that match")
	o.add(cmd)
	daemon.add(cmd)
	return cmd
}
