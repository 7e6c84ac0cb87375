package main

import (
	"github.com/spf13/cobra"

	"chardevd/cmd/chardevd/internal/imports"
)

func newImportSer2net() *cobra.Command {
	return &cobra.Command{
		Use:   "ser2net FILE|-",
		Short: "Make a config of a ser2net.yaml",
		Long: `Make a config of a ser2net.yaml, of version 4: each connection becomes a chardev
of its name, with the device, its settings and the port as they are there, and
for as many users. What the file does not say is as ser2net has it: 9600 bits
per second, one user, ports that other hosts reach. A connection to a port that
another one has with other settings is left out, which is told.`,
		Example: `  chardevd import ser2net /etc/ser2net.yaml > conf.d/ser2net.toml
  chardevd import ser2net /etc/ser2net.yaml > chardev.toml && chardevd check`,
		Args: wants("a ser2net.yaml, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, text, err := readImport(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := imports.Ser2net(name, text)
			return printImport(cmd, c, err)
		},
	}
}
