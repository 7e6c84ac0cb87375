package main

import "github.com/spf13/cobra"

func newKick() *cobra.Command {
	var daemon daemonFlags
	cmd := &cobra.Command{
		Use:   "kick NAME ID",
		Short: "Cut a client off a console or a stream",
		Long: `Cut a client off a console or a stream. It is told so where its protocol can,
and may come back. "chardevd clients NAME" tells the ID.`,
		Example:           `  chardevd kick demo 3`,
		Args:              wants("the NAME of a chardev", "the ID of a client"),
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			return c.Kick(cmd.Context(), args[0], args[1])
		},
	}
	daemon.add(cmd)
	return cmd
}
