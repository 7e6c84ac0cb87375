package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chardevd/chardev"
)

func newReload() *cobra.Command {
	var daemon daemonFlags
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon do what has changed in its config",
		Long: `Have the daemon read its config file again, and do what has changed there.
Nothing else is touched, and whoever need not be cut is not. What is done is
printed, a line each: + came, - went, ~ is another, ! takes a restart, or does
not listen, as a port that is taken.

A file with mistakes changes nothing; the mistakes are printed as "check" prints
them, and the exit code is 1. But if the [[access]] rules are what is wrong,
nobody may anything but the operator at the control socket, until they are
right.`,
		Example: `  chardevd reload
  chardevd check && chardevd reload`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			changes, err := c.Reload(cmd.Context())
			return printChanges(cmd, changes, err)
		},
	}
	daemon.add(cmd)
	return cmd
}

// printChanges prints what the daemon did, unless it did not.
func printChanges(cmd *cobra.Command, c chardev.Changes, err error) error {
	if err != nil {
		return err
	}
	lines := append(c.Lines, c.Restart...)
	if len(lines) == 0 {
		lines = []string{"nothing has changed"}
	}
	lines = append(lines, c.NotListening...)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(lines, "\n"))
	return err
}
