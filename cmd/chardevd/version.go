package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}

// packaged is the version of the package that the binary is of, set by the linker; "":
// it is of none.
var packaged string

// version is release, and what it is built with and for.
func version() string {
	return fmt.Sprintf("chardevd %s %s %s/%s", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// release is what the build knows about itself: the package's version, else the
// module's, and the commit where it was built in a checkout.
func release() string {
	v, commit, modified := cmp.Or(packaged, "(unknown)"), "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		v = cmp.Or(packaged, info.Main.Version)
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = " commit " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	return v + commit + modified
}
