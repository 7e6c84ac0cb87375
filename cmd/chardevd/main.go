// Command chardevd stands between serial consoles and everyone who wants them.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chardevd/channel"
	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/imports"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is the program: it runs the command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	started := false
	root := newRoot()
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	switch {
	case err == nil:
		return exitDone
	case err == errNothing, err == errTold:
		return exitFailed
	case isExit(err):
		return exitOf(err)
	case started:
		fmt.Fprintln(stderr, inWords(err))
		if _, ok := err.(*wentWrong); ok {
			return exitUsage
		}
		return exitFailed
	default: // the command was never run: cobra did not understand the line
		said := err.Error()
		if !strings.HasSuffix(said, "?") {
			said += ";"
		}
		fmt.Fprintf(stderr, "chardevd: %s see \"%s --help\"\n", said, cmd.CommandPath())
		return exitUsage
	}
}

// wentWrong is an error of a command whose exitFailed says something else.
type wentWrong struct{ error }

// inWords is an error as it is printed. The mistakes in a config, and in what is
// imported, are a line each that begins with its place, as editors want it.
func inWords(err error) string {
	switch err.(type) {
	case *chardev.ConfigError, *imports.Mistakes:
		return err.Error()
	}
	return "chardevd: " + err.Error()
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "chardevd COMMAND",
		Short: "Serial consoles for many at once",
		Long: `chardevd stands between serial consoles of guests and boards and everyone who
wants them: over a pty, TCP, a UNIX socket, TLS or a websocket, all at the same
time, from one shared history.`,
		Example: `  chardevd serve              run the daemon with ./chardev.toml
  chardevd list               what consoles there are
  chardevd attach demo        be on one; ~. leaves
  chardevd log demo           what it printed`,
		Args:          whichCommand,
		RunE:          func(*cobra.Command, []string) error { return nil }, // Args never lets it
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageTemplate(usage.Replace(root.UsageTemplate()))
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newServe(), newCheck(), newList(), newClients(), newKick(), newReload(), newUpgrade(), newAdd(), newReplace(), newRemove(), newImport(), newAddDevice(), newAddFrontend(), newAttachFD(), newAttach(), newShowLog(), newSearch(), newRecord(), newBreak(), newLine(), newToken(), newUser(), newManual(), newVersion())
	root.InitDefaultHelpCmd()
	help, _, _ := root.Find([]string{"help"})
	help.Use = "help [COMMAND]"
	help.Args = func(_ *cobra.Command, args []string) error { // else cobra helps with something else
		if of, rest, _ := root.Find(args); len(rest) > 0 {
			return whichCommand(of, rest)
		}
		return nil
	}
	root.InitDefaultCompletionCmd()
	completion, _, _ := root.Find([]string{"completion"})
	completion.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return whichCommand(cmd, args)
	}
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // else cobra asks no Args
	for _, c := range completion.Commands() {
		c.Long = strings.ReplaceAll(c.Long, "#### ", "") // it is no Markdown here
	}
	return root
}

// usage changes cobra's text of how a command is used: it tells twice how one that has
// commands is, and does not wrap what flags are.
var usage = strings.NewReplacer(
	"{{if .HasAvailableSubCommands}}\n  {{.CommandPath}} [command]{{end}}", "",
	"[command] --help", "COMMAND --help",
	".FlagUsages ", ".FlagUsagesWrapped 80 ",
)

// whichCommand is the error for a line that names none of a command's commands.
func whichCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("which command?")
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return unknown("command", args[0], names)
}

// flagError adds the nearest flag to an error about an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	missing, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(missing.GetSpecifiedName()) < 2 {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return unknown("flag", "--"+missing.GetSpecifiedName(), names)
}

// unknown is the error for a word that is none of known.
func unknown(what, word string, known []string) error {
	if near := channel.Nearest(word, known); near != "" {
		return fmt.Errorf("unknown %s %q, did you mean %q?", what, word, near)
	}
	return fmt.Errorf("unknown %s %q", what, word)
}

// A choice is a flag that takes one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }
func (c *choice) Set(s string) error {
	for _, w := range c.of {
		if s == w {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(c.of, " or "))
}
