package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help of each command fits a terminal, and calls what a flag takes by a word. (What
// stands indented are examples and tables.)
func TestHelpFits(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.InitDefaultHelpFlag()
		use := cmd.UsageString()
		_, flags, _ := strings.Cut(use, "\nFlags:\n")
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if !strings.HasPrefix(line, "  ") {
				flags += "\n" + line
			}
		}
		for line := range strings.SplitSeq(flags, "\n") {
			if n := len([]rune(line)); n > 80 {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if word, _ := pflag.UnquoteUsage(f); word != "" && !f.Hidden && word == f.Value.Type() && strings.ToLower(word) == word && !strings.Contains(word, "|") {
				t.Errorf("%s: --%s takes a %q", cmd.CommandPath(), f.Name, word)
			}
		})
		if strings.Contains(use, "[command]") || !strings.Contains(use, "\nFlags:\n") {
			t.Errorf("%s: %s", cmd.CommandPath(), use)
		}
		for _, c := range cmd.Commands() {
			if c.Parent() == cmd && c.Name() != "completion" && !c.Hidden {
				look(c)
			}
		}
	}
	look(newRoot())
}
