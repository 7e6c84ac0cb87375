package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"chardevd/chardev"
)

func newClients() *cobra.Command {
	var daemon daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clients NAME",
		Short: "List who is attached to a console",
		Long: `List who is attached to a console: through which frontend and since when, how
many bytes each typed (IN) and was given (OUT), how far it is behind the newest
byte (LAG), how many bytes it could not have (LOST), and how many that it typed
were not taken (REFUSED). Where one at a time types, MODE says who has the
input, and who asks for it. Of a pass-through stream it lists who uses it; IN is
what came from there and went to the other side, OUT what went back.`,
		Example: `  chardevd clients demo
  chardevd clients demo --json`,
		Args:              wants("the NAME of a chardev"),
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			clients, raw, err := c.Clients(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			now := time.Now()
			rows := []row{{"ID", "SINCE", "MODE", "IN", "OUT", "LAG", "LOST", "REFUSED", "FRONTEND", "PEER"}}
			for _, i := range clients {
				rows = append(rows, row{i.ID, age(now, i.Since), i.Mode + standing[i.Writer], size(i.BytesIn), size(i.BytesOut),
					size(i.Lag), size(i.Gaps), size(i.Refused), i.Frontend, i.Peer})
			}
			for _, line := range align(rows) {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the daemon's JSON: an array of objects")
	daemon.add(cmd)
	return cmd
}

// standing is what a client has of an exclusive input, behind its mode.
var standing = map[string]string{chardev.WriterHas: ", has input", chardev.WriterAsked: ", asks for it"}
