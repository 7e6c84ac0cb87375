package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"chardevd/chardev"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token COMMAND",
		Short: "Make, list and revoke tokens",
		Long: `Make, list and revoke tokens: secrets that programs show to be known to access
rules as token:NAME. They are kept, as hashes, in tokens.json in the state
folder of the config file; a daemon that runs sees each change at once.`,
		Args: whichCommand,
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it
	}
	cmd.AddCommand(newTokenAdd(), newTokenList(), newTokenRevoke())
	return cmd
}

func newTokenAdd() *cobra.Command {
	var groups []string
	var life lifeFlag
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token and print it",
		Long: `Make a token and print it. It is shown this once; only its hash is kept. To
access rules whoever shows it is token:NAME, and group:GROUP for each group.`,
		Example: `  chardevd token add ci --expires 90d
  chardevd token add lab --group build > lab.token`,
		Args: wants("the NAME of a token"),
	}
	groupsFlag(cmd, &groups)
	cmd.Flags().Var(&life, "expires", "how long it is valid, like 90d (default for ever)")
	return onAccounts(cmd, func(in chardev.Accounts, args []string) error {
		var expires time.Time
		until := "until it is revoked"
		if life.durationFlag > 0 {
			expires = time.Now().Add(time.Duration(life.durationFlag)).UTC().Truncate(time.Second)
			until = "until " + stamp(expires)
		}
		secret, err := in.AddToken(args[0], groups, expires)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), secret); err != nil {
			return fmt.Errorf("the token %q is made, and nobody has seen it: revoke it and make another: %w", args[0], err)
		}
		done(cmd, in, chardev.TokensFile, "token %s is valid %s", args[0], until)
		return nil
	})
}

func newTokenList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens",
		Example: `  chardevd token list`,
		Args:    wants(),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: an array of objects")
	return onAccounts(cmd, func(in chardev.Accounts, _ []string) error {
		tokens, err := in.Tokens()
		if err != nil {
			return err
		}
		list := []account{}
		for _, t := range tokens {
			list = append(list, account{Name: t.Name, Groups: t.Groups, Created: t.Created, Expires: t.Expires})
		}
		now := time.Now()
		return printAccounts(cmd.OutOrStdout(), list, asJSON, "EXPIRES", func(a account) string {
			switch {
			case a.Expires.IsZero():
				return "never"
			case !now.Before(a.Expires):
				return "expired " + stamp(a.Expires)
			}
			return stamp(a.Expires)
		})
	})
}

func newTokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke a token",
		Long: `Revoke a token. Whoever is there by it is cut off at once, from consoles and
from sessions.`,
		Example: `  chardevd token revoke ci`,
		Args:    wants("the NAME of a token"),
	}
	return onAccounts(cmd, func(in chardev.Accounts, args []string) error {
		if err := in.RevokeToken(args[0]); err != nil {
			return err
		}
		done(cmd, in, chardev.TokensFile, "token %s is revoked", args[0])
		return nil
	})
}
