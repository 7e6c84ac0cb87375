package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chardevd/cmd/chardevd/internal/control"
)

// daemonFlags are the flags of every command that talks to the daemon.
type daemonFlags struct{ control, config string }

func (d *daemonFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.control, "control", "", "the `ADDRESS` of the daemon's control socket, like unix:/path, or a path; or one of [http], which is shown the token in $"+control.EnvToken+"; options go behind a ?, and credentials= are those of the config FILE, as in https://host?credentials=me (default $"+control.EnvControl+", else what the config file says)")
	configFlag(cmd, &d.config)
}

// configFlag is -c of every command that reads a config file.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "", "the config `FILE` (default "+strings.Join(control.DefaultConfigs, ", then ")+")")
}

// client is the way to the daemon that the flags name.
func (d *daemonFlags) client() (*control.Client, error) {
	place, err := control.Find(d.control, d.config)
	if err != nil {
		return nil, err
	}
	return control.New(place), nil
}

// completeName completes the name of a chardev by asking the daemon.
func (d *daemonFlags) completeName(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return d.completeNames(begun)
}

// completeFurtherNames completes the names of chardevs behind the first argument.
func (d *daemonFlags) completeFurtherNames(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return d.completeNames(begun)
}

// completeAnyNames completes the name of a chardev as any argument.
func (d *daemonFlags) completeAnyNames(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return d.completeNames(begun)
}

func (d *daemonFlags) completeNames(begun string) ([]string, cobra.ShellCompDirective) {
	c, err := d.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	infos, _, err := c.List(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, i := range infos {
		if strings.HasPrefix(i.Name, begun) {
			names = append(names, i.Name+"\t"+i.State+", "+i.Device)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// wants makes a check for arguments that must all be there.
func wants(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		command := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		if len(args) < len(names) {
			return fmt.Errorf("%s wants %s", command, strings.Join(names, " and "))
		}
		if len(args) > len(names) {
			rest := args[len(names)]
			if strings.HasSuffix(rest, ".toml") && cmd.Flags().Lookup("config") != nil {
				return fmt.Errorf("%s does not know what to do with %q; did you mean -c %s?", command, rest, rest)
			}
			return fmt.Errorf("%s does not know what to do with %q", command, rest)
		}
		return nil
	}
}
