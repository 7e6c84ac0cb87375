package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

func newCheck() *cobra.Command {
	var file, on string
	var who []string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a config file without starting anything",
		Long: `Check a config file and every file that it names. All mistakes are printed at
once, each as file:line:column: message, and the exit code is 1; otherwise what
is accepted but to be seen to (a certificate that expires soon) or without
effect yet is printed the same way, and "ok". Of each [[discover]] it tells what
is there now.

With --who and --on it tells instead what somebody may do on a chardev, and
which of the [[access]] rules says so. NAME is as rules have it: unix:alice,
cert:CN=alice, san:alice.example.org, user:, group:, token:, or anyone for one
of whom nothing is known. The groups of a user of this host, of a user and of a
token are added; who has several names is told by several --who. At the control
socket root, and the daemon's own user, may do everything besides.`,
		Example: `  chardevd check
  chardevd check -c /etc/chardevd/chardev.toml
  chardevd check --who unix:alice --on vm1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if (on == "") != (len(who) == 0) {
				return errors.New("--who and --on go together")
			}
			return wants()(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(file)
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w)
			}
			lines := append(cfg.Discovered(), "ok")
			if on != "" {
				if lines, err = cfg.Explain(who, on); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(lines, "\n"))
			return err
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringArrayVar(&who, "who", nil, "a `NAME` of the one to explain the access rules for")
	cmd.Flags().StringVar(&on, "on", "", "the `CHARDEV` to explain them for")
	return cmd
}

// load reads the named config file, or the default one.
func load(named string) (*chardev.Config, error) {
	file, err := control.ConfigFile(named)
	if err != nil {
		return nil, err
	}
	return chardev.Load(file)
}
