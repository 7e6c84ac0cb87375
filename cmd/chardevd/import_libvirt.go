package main

import (
	"github.com/spf13/cobra"

	"chardevd/cmd/chardevd/internal/imports"
)

func newImportLibvirt() *cobra.Command {
	var asWritten bool
	cmd := &cobra.Command{
		Use:   "libvirt FILE|-",
		Short: "Make a config of a libvirt domain",
		Long: `Make a config of the XML of a libvirt domain: of its serial, console, channel
and parallel devices. What is printed is each one's peer, as with chardevd
import qemu: it dials where the domain listens, and listens where the domain
dials. The ttys of type='pty' have a name only while the domain runs, which its
XML tells then.`,
		Example: `  virsh dumpxml vm1 | chardevd import libvirt -
  chardevd import libvirt --as-written vm1.xml > conf.d/vm1.toml`,
		Args: wants("the XML of a domain, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, text, err := readImport(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := imports.Libvirt(name, text, asWritten)
			return printImport(cmd, c, err)
		},
	}
	cmd.Flags().BoolVar(&asWritten, "as-written", false, "what the domain has, not its peer")
	return cmd
}
