package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

// onAccounts makes a command that does something with the tokens or users of the config
// file's daemon.
func onAccounts(cmd *cobra.Command, run func(in chardev.Accounts, args []string) error) *cobra.Command {
	var config string
	configFlag(cmd, &config)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		file, err := control.ConfigFile(config)
		if err != nil {
			return err
		}
		dir, err := chardev.LoadState(file)
		if err != nil {
			return err
		}
		return run(chardev.Accounts{Dir: dir}, args)
	}
	return cmd
}

// groupsFlag is --group of a command that makes an account.
func groupsFlag(cmd *cobra.Command, groups *[]string) {
	cmd.Flags().StringArrayVar(groups, "group", nil, "a `GROUP` it is of, for access rules; may be given again")
}

// lifeFlag is how long something is valid; zero: for ever.
type lifeFlag struct{ durationFlag }

func (f *lifeFlag) Set(s string) error {
	err := f.durationFlag.Set(s)
	if err == nil && f.durationFlag == 0 {
		err = fmt.Errorf("want a duration above 0, have %q", s)
	}
	return err
}

// An account is a token or a user as the lists have it, without its secret.
type account struct {
	Name    string    `json:"name"`
	Groups  []string  `json:"groups"`
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed,omitzero"` // of a user: when the password was set
	Expires time.Time `json:"expires,omitzero"` // of a token; zero: never
}

// printAccounts prints a list of accounts as JSON, or as a table whose last column is
// what last says.
func printAccounts(w io.Writer, list []account, asJSON bool, column string, last func(account) string) error {
	for i := range list {
		if list[i].Groups == nil {
			list[i].Groups = []string{}
		}
	}
	if asJSON {
		raw, err := json.Marshal(list)
		if err != nil {
			return err
		}
		return printJSON(w, raw)
	}
	rows := []row{{"NAME", "CREATED", column, "GROUPS"}}
	for _, a := range list {
		rows = append(rows, row{a.Name, stamp(a.Created), last(a), strings.Join(a.Groups, " ")})
	}
	_, err := fmt.Fprintln(w, strings.Join(align(rows), "\n"))
	return err
}

// stamp is a time in a table.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// done tells on stderr what was done with an account, and where: an account in a
// folder that is no daemon's is of no use.
func done(cmd *cobra.Command, in chardev.Accounts, file, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s (in %s)\n", fmt.Sprintf(format, args...), filepath.Join(in.Dir, file))
}
