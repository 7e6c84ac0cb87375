package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"chardevd/channel"
	"chardevd/chardev"
)

func newBreak() *cobra.Command {
	var daemon daemonFlags
	var length time.Duration // 0: the usual one
	cmd := &cobra.Command{
		Use:   "break NAME [DURATION]",
		Short: "Send a break to a console's device",
		Long: fmt.Sprintf(`Send a break to a console's device: the line held at space, for 250ms or the
DURATION, which is at most %v. It ends when the break is over. Over telnet a
break has no length; RFC 2217 and serial ports have one. Whoever types on the
console, this may; the daemon's log says who did it.`, chardev.MaxBreak),
		Example: `  chardevd break router
  chardevd break router 500ms`,
		Args:              breakArgs(&length),
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			return c.Break(cmd.Context(), args[0], length)
		},
	}
	daemon.add(cmd)
	return cmd
}

// breakArgs checks the arguments of break and reads the duration.
func breakArgs(length *time.Duration) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < 2 {
			return wants("the NAME of a chardev")(cmd, args)
		}
		if err := wants("the NAME of a chardev", "a DURATION")(cmd, args); err != nil {
			return err
		}
		d, err := channel.ParseDuration(args[1])
		if err != nil {
			return err
		}
		if d == 0 || d > chardev.MaxBreak {
			return fmt.Errorf("a break lasts 1ms to %v, not %s", chardev.MaxBreak, args[1])
		}
		*length = d
		return nil
	}
}
