package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

func newAdd() *cobra.Command {
	cmd, daemon := newKeep((*control.Client).Add)
	cmd.Use = "add NAME --device ADDRESS"
	cmd.Short = "Add a chardev while the daemon runs"
	cmd.Long = `Add a chardev while the daemon runs. It is kept in conf.d/NAME.toml beside the
config file, whose include must cover that, so it is there after a restart too.

` + keepForms
	cmd.Example = `  chardevd add vm9 --device unix:/run/qemu/vm9.serial
  chardevd add vm9 --device unix:/run/qemu/vm9.serial --frontend tcp://127.0.0.1:7009 --set history=1MiB
  chardevd add vm9 --device '{ listen = "unix:/run/vm9" }' --frontend '{ listen = "pty:/run/vm9.pty", mode = "read-only" }'`
	daemon.add(cmd)
	return cmd
}

func newReplace() *cobra.Command {
	cmd, daemon := newKeep((*control.Client).Replace)
	cmd.Use = "replace NAME --device ADDRESS"
	cmd.Short = "Replace a chardev that was added"
	cmd.Long = `Replace a chardev that "chardevd add" has added by another one of its name. What
is the same of both stays: its history and, if their frontend does, its clients.

` + keepForms
	cmd.Example = `  chardevd replace vm9 --device unix:/run/qemu/vm9.serial --set input=exclusive`
	cmd.ValidArgsFunction = daemon.completeName
	daemon.add(cmd)
	return cmd
}

const keepForms = `A device and a frontend are an address, or a table as in the config file. --set
gives any other key of [[chardev]]; its value is as in the config file, but that
a text needs no quotes. Paths are whole ones. exec:, command:, file:, pipe:,
stdio: and fd: are for the config file alone.`

// newKeep is what add and replace have in common; do has the daemon do it.
func newKeep(do func(*control.Client, context.Context, chardev.ChardevRequest) (chardev.Changes, error)) (*cobra.Command, *daemonFlags) {
	daemon := new(daemonFlags)
	var device string
	var frontends, settings []string
	cmd := &cobra.Command{
		Args: func(cmd *cobra.Command, args []string) error {
			if device == "" {
				return errors.New("--device is missing")
			}
			return wants("the NAME of a chardev")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			want := chardev.ChardevRequest{Name: args[0], Settings: map[string]any{}}
			var err error
			if want.Device, err = addressOrTable(device); err != nil {
				return fmt.Errorf("--device: %w", err)
			}
			if want.Frontends, err = frontendsOf(frontends); err != nil {
				return err
			}
			if err := settingsOf(settings, want.Settings); err != nil {
				return err
			}
			c, err := daemon.client()
			if err != nil {
				return err
			}
			changes, err := do(c, cmd.Context(), want)
			return printChanges(cmd, changes, err)
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "the `ADDRESS` of the device")
	cmd.Flags().StringArrayVar(&frontends, "frontend", nil, "the `ADDRESS` of a frontend; may be given several times")
	cmd.Flags().StringArrayVar(&settings, "set", nil, "another key of [[chardev]], as `KEY=VALUE`; may be given several times")
	return cmd, daemon
}

// frontendsOf reads what was given with --frontend.
func frontendsOf(given []string) (all []any, err error) {
	for _, f := range given {
		one, err := addressOrTable(f)
		if err != nil {
			return nil, fmt.Errorf("--frontend: %w", err)
		}
		all = append(all, one)
	}
	return all, nil
}

// settingsOf reads what was given with --set.
func settingsOf(given []string, into map[string]any) error {
	for _, s := range given {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("--set: want KEY=VALUE, have %q", s)
		}
		into[strings.TrimSpace(key)] = valueOf(value)
	}
	return nil
}

// addressOrTable reads what stands for an endpoint: a table of TOML if it is one.
func addressOrTable(text string) (any, error) {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return text, nil
	}
	return parseValue(text)
}

// valueOf reads a value of TOML; what is none is a text.
func valueOf(text string) any {
	if v, err := parseValue(text); err == nil {
		return v
	}
	return text
}

func parseValue(text string) (any, error) {
	var t struct{ V any }
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("want one line")
	}
	_, err := toml.Decode("V = "+text, &t)
	if p, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, fmt.Errorf("%q: %s", text, p.Message)
	}
	return t.V, err
}

func newRemove() *cobra.Command {
	var daemon daemonFlags
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a chardev that was added",
		Long: `Remove a chardev that "chardevd add" has added. Its clients are told and cut.
Its journal stays in the state folder, and goes on if one of that name is added
again.`,
		Example:           `  chardevd remove vm9`,
		Args:              wants("the NAME of a chardev"),
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			changes, err := c.Remove(cmd.Context(), args[0])
			return printChanges(cmd, changes, err)
		},
	}
	daemon.add(cmd)
	return cmd
}
