package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

func newCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a config file without starting anything",
		Long: `Check a config file and every file that it names. All mistakes are printed at
once, each as file:line:column: message, and the exit code is 1; otherwise what
is accepted but to be seen to (a certificate that expires soon) or without effect
yet is printed the same way, and "ok".`,
		Example: `  chardevd check
  chardevd check -c /etc/chardevd/chardev.toml`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(file)
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		},
	}
	configFlag(cmd, &file)
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
