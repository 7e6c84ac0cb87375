package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chardevd/channel"
	"chardevd/cmd/chardevd/internal/imports"
)

func newImportQemu() *cobra.Command {
	var asWritten bool
	cmd := &cobra.Command{
		Use:   "qemu [--as-written] OPTION...|FILE|-",
		Short: "Make a config of the options of a QEMU",
		Long: `Make a config of the options of a QEMU: of its -chardev, -serial and the like,
and of the -object that these name. Everything else of its command line may
stand there too. The options are given as QEMU has them, or all in one argument,
quoted as for a shell; or in a FILE, a script or /proc/PID/cmdline; or on stdin,
as -.

What is printed is each one's peer: it dials where QEMU listens, and listens
where QEMU dials. With --as-written it is what QEMU has: the chardev has as
frontends, at the same places, what QEMU served and dialled, and QEMU gets a
socket to it instead.`,
		Example: `  chardevd import qemu '-chardev socket,id=c0,path=/run/vm1.serial,server=on,wait=off'
  chardevd import qemu -serial tcp::4444,server=on > conf.d/vm1.toml
  chardevd import qemu /proc/4711/cmdline`,
		// QEMU's options would be taken for ours: those begin with one dash.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			n := 0
			for n < len(args) && isOurs(args[n]) {
				n++
			}
			if err := cmd.Flags().Parse(args[:n]); err != nil {
				return &wentWrong{fmt.Errorf("%w; see \"%s --help\"", flagError(cmd, err), cmd.CommandPath())}
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

// isOurs says whether an argument is a flag of import qemu, or was meant to be one: QEMU
// takes two dashes, too.
func isOurs(arg string) bool {
	flag, ok := strings.CutPrefix(arg, "--")
	flag, _, _ = strings.Cut(flag, "=")
	return arg == "-h" || ok && channel.Nearest(flag, []string{"as-written", "help"}) != ""
}
