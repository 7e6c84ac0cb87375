package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"chardevd/cmd/chardevd/internal/imports"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import COMMAND",
		Short: "Make a config of that of QEMU, libvirt or ser2net",
		Long: `Make a config of that of another program. It is printed: it is a config file as it is,
or goes into one, or beside it into a folder that its include covers. What there is to know
besides is told on stderr. What can not be had is refused, all at once, each with its place,
and then nothing is printed.`,
		Args: whichCommand,
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it
	}
	cmd.AddCommand(newImportQemu(), newImportSer2net())
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

func newImportQemu() *cobra.Command {
	var asWritten bool
	cmd := &cobra.Command{
		Use:   "qemu [--as-written] OPTION...|FILE|-",
		Short: "Make a config of the options of a QEMU",
		Long: `Make a config of the options of a QEMU: of its -chardev, -serial and the like, and of
the -object that these name. Everything else of its command line may stand there too.
The options are given as QEMU has them, or all in one argument, quoted as for a shell; or
in a FILE, a script or /proc/PID/cmdline; or on stdin, as -.

What is printed is each one's peer: it dials where QEMU listens, and listens where QEMU
dials. With --as-written it is what QEMU has: the chardev has as frontends, at the same
places, what QEMU served and dialled, and QEMU gets a socket to it instead.`,
		Example: `  chardevd import qemu '-chardev socket,id=c0,path=/run/vm1.serial,server=on,wait=off'
  chardevd import qemu -serial tcp::4444,server=on > conf.d/vm1.toml
  chardevd import qemu /proc/4711/cmdline`,
		// QEMU's options would be taken for ours: those begin with one dash.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			n := 0
			for n < len(args) && (args[n] == "-h" || args[n] == "--help" || strings.HasPrefix(args[n], "--as-written")) {
				n++
			}
			if err := cmd.Flags().Parse(args[:n]); err != nil {
				return &wentWrong{fmt.Errorf("%w; see \"%s --help\"", err, cmd.CommandPath())}
			}
			if help, err := cmd.Flags().GetBool("help"); help && err == nil {
				return cmd.Help()
			}
			args = args[n:]
			if len(args) > 0 && args[0] == "--" {
				args = args[1:]
			}
			if len(args) == 0 {
				return &wentWrong{fmt.Errorf("want the options of a QEMU, a file of them, or -; see \"%s --help\"", cmd.CommandPath())}
			}
			name, text := "options", imports.Join(args)
			if one := args[0]; len(args) == 1 && (one == "-" || !strings.HasPrefix(one, "-") && !strings.ContainsAny(one, " \t\n")) {
				var err error
				if name, text, err = readImport(cmd, one); err != nil {
					return err
				}
			} else if len(args) == 1 {
				text = one
			}
			c, err := imports.Qemu(name, text, asWritten)
			return printImport(cmd, c, err)
		},
	}
	cmd.Flags().BoolVar(&asWritten, "as-written", false, "what QEMU has, not its peer")
	return cmd
}
