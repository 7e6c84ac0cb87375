package main

import (
	"github.com/spf13/cobra"

	"chardevd/chardev"
)

func newUser() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user COMMAND",
		Short: "Make, list and remove users with a password",
		Long: `Make, list and remove users, who type a password to be known to access rules as
user:NAME. They are kept, with a hash of the password, in users.json in the
state folder of the config file; a daemon that runs sees each change at once.

A password is asked for twice on a terminal; else it is a line of stdin. It has
8 characters at least and 128 bytes at most.`,
		Args: whichCommand,
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it
	}
	cmd.AddCommand(newUserAdd(), newUserPasswd(), newUserList(), newUserRemove())
	return cmd
}

func newUserAdd() *cobra.Command {
	var groups []string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a user",
		Long: `Make a user, with the password that is asked for. To access rules it is
user:NAME, and group:GROUP for each group.`,
		Example: `  chardevd user add alice --group ops
  pass show consoles/bob | chardevd user add bob`,
		Args: wants("the NAME of a user"),
	}
	groupsFlag(cmd, &groups)
	return onAccounts(cmd, func(in chardev.Accounts, args []string) error {
		if err := in.CheckNewUser(args[0], groups); err != nil {
			return err
		}
		password, err := newPassword(cmd.InOrStdin(), cmd.ErrOrStderr(), args[0])
		if err != nil {
			return err
		}
		if err := in.AddUser(args[0], password, groups); err != nil {
			return err
		}
		done(cmd, in, chardev.UsersFile, "user %s is made", args[0])
		return nil
	})
}

func newUserPasswd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give a user another password",
		Long: `Give a user another password. Whoever is there by the old one is cut off at
once, from consoles and from sessions.`,
		Example: `  chardevd user passwd alice`,
		Args:    wants("the NAME of a user"),
	}
	return onAccounts(cmd, func(in chardev.Accounts, args []string) error {
		if err := in.CheckUser(args[0]); err != nil {
			return err
		}
		password, err := newPassword(cmd.InOrStdin(), cmd.ErrOrStderr(), args[0])
		if err != nil {
			return err
		}
		if err := in.SetPassword(args[0], password); err != nil {
			return err
		}
		done(cmd, in, chardev.UsersFile, "user %s has another password", args[0])
		return nil
	})
}

func newUserList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the users",
		Example: `  chardevd user list`,
		Args:    wants(),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: an array of objects")
	return onAccounts(cmd, func(in chardev.Accounts, _ []string) error {
		users, err := in.Users()
		if err != nil {
			return err
		}
		list := []account{}
		for _, u := range users {
			list = append(list, account{Name: u.Name, Groups: u.Groups, Created: u.Created, Changed: u.Changed})
		}
		return printAccounts(cmd.OutOrStdout(), list, asJSON, "CHANGED", func(a account) string { return stamp(a.Changed) })
	})
}

func newUserRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user",
		Long: `Remove a user. Whoever is there by it is cut off at once, from consoles and from
sessions.`,
		Example: `  chardevd user remove alice`,
		Args:    wants("the NAME of a user"),
	}
	return onAccounts(cmd, func(in chardev.Accounts, args []string) error {
		if err := in.RemoveUser(args[0]); err != nil {
			return err
		}
		done(cmd, in, chardev.UsersFile, "user %s is removed", args[0])
		return nil
	})
}
