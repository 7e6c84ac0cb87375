package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chardevd/chardev"
)

func newUpgrade() *cobra.Command {
	var daemon daemonFlags
	var follow int
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Have the daemon replaced by its program as that is now",
		Long: `Have the running daemon replaced by its program, as that and the config file are
now. Devices, and clients by tcp, unix, vsock and pty, stay connected and miss
nothing; whoever is there by tls, websocket or telnet is told to come back, and
can go on at the offset where he was. Nothing happens if the program can not
follow, or the config is wrong. SIGUSR2 does the same.`,
		Example: `  chardevd upgrade`,
		Args:    wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("follow") {
				if err := canFollow(follow, daemon.config); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), followAnswer())
				return err
			}
			c, err := daemon.client()
			if err != nil {
				return err
			}
			was, now, err := c.Upgrade(cmd.Context())
			if err != nil {
				return err
			}
			if now.Taken == was.Taken {
				return fmt.Errorf("the daemon was not upgraded and goes on as it was: %s", now.Failed)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "upgraded: process %d is %s\n", now.PID, now.Version)
			return err
		},
	}
	daemon.add(cmd)
	cmd.Flags().IntVar(&follow, "follow", 0, "only say whether this program could follow a daemon that leaves what it holds in this version")
	cmd.Flags().MarkHidden("follow")
	return cmd
}

// canFollow says why this program can not take over from a daemon that is about to
// leave.
func canFollow(version int, file string) error {
	if version != chardev.HandoverVersion {
		return fmt.Errorf("the daemon leaves what it holds in version %d, and this program knows %d: restart the daemon", version, chardev.HandoverVersion)
	}
	if file == "" {
		return errors.New("no config file is named")
	}
	_, err := chardev.Load(file)
	return err
}
