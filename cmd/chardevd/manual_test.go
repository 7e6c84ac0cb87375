package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A man page tells what --help tells of a flag, its default too, and the exit codes that
// the command has.
func TestManualSaysWhatHelpSays(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		page := strings.Join(strings.Fields(string(manPage(cmd))), " ")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			one := pflag.NewFlagSet("", pflag.ContinueOnError)
			one.AddFlag(f)
			_, value, has := strings.Cut(one.FlagUsages(), "(default ")
			if want := roff("(default " + strings.TrimSpace(value)); has && !strings.Contains(page, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: --%s: no %q", cmd.CommandPath(), f.Name, want)
			}
		})
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	root := newRoot()
	look(root)
	for name, want := range map[string]string{"search": "1 when nothing is", "attach-fd": "That of COMMAND", "list": "1 when something failed"} {
		cmd, _, _ := root.Find([]string{name})
		if page := string(manPage(cmd)); !strings.Contains(page, ".SH EXIT STATUS\n") || !strings.Contains(page, want) {
			t.Errorf("%s: no %q", name, want)
		}
	}
}
