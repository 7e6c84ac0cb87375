package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"chardevd/cmd/chardevd/internal/imports"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import COMMAND",
		Short: "Make a config of that of QEMU, libvirt or ser2net",
		Long: `Make a config of that of another program. It is printed: it is a config file as
it is, or goes into one, or beside it into a folder that its include covers.
What there is to know besides is told on stderr. What can not be had is refused,
all at once, each with its place, and then nothing is printed.`,
		Args: whichCommand,
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it
	}
	cmd.AddCommand(newImportQemu(), newImportLibvirt(), newImportSer2net())
	return cmd
}

// maxImport is how large what is imported may be, in bytes.
const maxImport = 1 << 20

// readImport reads what is to be imported: a file, or stdin if it is "-".
func readImport(cmd *cobra.Command, file string) (name, text string, err error) {
	from, name := cmd.InOrStdin(), "stdin"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", "", err
		}
		defer f.Close()
		from, name = f, file
	}
	all, err := io.ReadAll(io.LimitReader(from, maxImport+1))
	if err == nil && len(all) > maxImport {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	return name, string(all), nil
}

// printImport prints what was made, and on stderr what there is to know.
func printImport(cmd *cobra.Command, c *imports.Config, err error) error {
	if err != nil {
		return err
	}
	for _, n := range c.Notices {
		fmt.Fprintln(cmd.ErrOrStderr(), n)
	}
	return c.Write(cmd.OutOrStdout())
}
