package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

func newList() *cobra.Command {
	var daemon daemonFlags
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "list [NAME...]",
		Short: "List the consoles, their state and their frontends",
		Long: `List the consoles, all of them if none is named: the state of each device and
since when, how many clients are attached, how many bytes were typed into it
(IN) and printed by it (OUT), and how long ago it printed last; and how its
serial line is set, where there is one and as far as no server has to be asked
for it ("chardevd line" asks). Below a console stand its frontends, if one of
them or the device is not up, the device does not take what is typed or nothing
is written to its journal, or with -v, which also says where the console comes
from, and who has the input where one at a time types. Pass-through streams
follow, if there are any; --json has the consoles only.`,
		Example: `  chardevd list
  chardevd list -v router
  chardevd list --json | jq -r '.[] | select(.state != "up") | .name'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: daemon.completeAnyNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			infos, raw, err := c.List(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				if raw, err = named(c.Place, infos, raw, names); err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), raw)
			}
			streams, _, err := c.Streams(cmd.Context())
			if err != nil {
				return err
			}
			if len(names) > 0 {
				if err := known(c.Place, infos, streams, names); err != nil {
					return err
				}
				infos = slices.DeleteFunc(infos, func(i chardev.Info) bool { return !slices.Contains(names, i.Name) })
				streams = slices.DeleteFunc(streams, func(s chardev.StreamInfo) bool { return !slices.Contains(names, s.Name) })
			}
			if len(infos) == 0 && len(streams) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "chardevd: "+c.Place.Nothing())
			}
			if len(infos) > 0 || len(streams) == 0 {
				if err := printList(cmd.OutOrStdout(), time.Now(), infos, verbose); err != nil {
					return err
				}
			}
			return printStreams(cmd.OutOrStdout(), streams)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the daemon's JSON: an array of objects")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "always print the frontends, and how to reach them; who has the input")
	daemon.add(cmd)
	return cmd
}

// named is the JSON of those chardevs alone that are named; of all, if none is.
func named(place control.Place, infos []chardev.Info, raw []byte, names []string) ([]byte, error) {
	if len(names) == 0 {
		return raw, nil
	}
	if err := known(place, infos, nil, names); err != nil {
		return nil, err
	}
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	var kept []json.RawMessage
	for n, i := range infos {
		if slices.Contains(names, i.Name) {
			kept = append(kept, all[n])
		}
	}
	return json.Marshal(kept)
}

// known returns an error for the first name that is none of these.
func known(place control.Place, infos []chardev.Info, streams []chardev.StreamInfo, names []string) error {
	var all []string
	for _, i := range infos {
		all = append(all, i.Name)
	}
	for _, s := range streams {
		all = append(all, s.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return &control.Unknown{Name: name, Names: all, Place: place}
		}
	}
	return nil
}

// printList prints the table of chardevs.
func printList(w io.Writer, now time.Time, infos []chardev.Info, verbose bool) error {
	rows := []row{{"NAME", "STATE", "SINCE", "DEVICE", "CLIENTS", "IN", "OUT", "LAST-BYTE", "LINE"}}
	for _, i := range infos {
		last := "never"
		if i.LastByte != nil {
			last = age(now, *i.LastByte)
		}
		rows = append(rows, row{i.Name, i.State, age(now, i.Since), i.Device, fmt.Sprint(i.Clients), size(i.BytesIn), size(i.BytesOut), last, i.Line})
	}
	for n, line := range align(rows) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if i := infos[n-1]; verbose || !allUp(i) {
			if err := printFrontends(w, i, verbose); err != nil {
				return err
			}
		}
	}
	return nil
}

// printStreams prints the table of pass-through streams, a line for each address; nothing
// if there are none.
func printStreams(w io.Writer, infos []chardev.StreamInfo) error {
	if len(infos) == 0 {
		return nil
	}
	rows := []row{{"STREAM", "STATE", "LISTEN", "CONNECT", "CLIENTS", "IN", "OUT", "ERROR"}}
	for _, i := range infos {
		for n, l := range i.Listen {
			r := row{i.Name, l.State, l.Address, i.Connect, fmt.Sprint(l.Clients), size(i.BytesIn), size(i.BytesOut), l.Error}
			if n > 0 { // the bytes are those of all its addresses
				r[0], r[3], r[5], r[6] = "", "", "", ""
			}
			rows = append(rows, r)
		}
	}
	for _, line := range align(rows) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func allUp(i chardev.Info) bool {
	for _, f := range i.Frontends {
		if f.State != chardev.StateUp {
			return false
		}
	}
	return i.State == chardev.StateUp && !i.Waits && (i.Journal == nil || i.Journal.Error == "")
}

// printFrontends prints what stands below a chardev's line.
func printFrontends(w io.Writer, i chardev.Info, verbose bool) error {
	if verbose {
		if _, err := fmt.Fprintln(w, "  from "+i.From); err != nil {
			return err
		}
	}
	var rows []row
	if i.Error != "" {
		rows = append(rows, row{"  device", i.State, i.Error})
	}
	if i.Input == "exclusive" && verbose {
		has := "free: who types has it"
		if i.Writer != "" {
			has = i.Writer + " has it"
		}
		rows = append(rows, row{"  input", i.Input, has})
	}
	if i.Waits {
		rows = append(rows, row{"  input", "waits", "the device has not taken all that was typed"})
	}
	for _, f := range i.Frontends {
		what := f.Error
		if what == "" && verbose {
			what = f.Reach
		}
		rows = append(rows, row{"  " + f.Address, f.State, what})
	}
	if i.Journal != nil && i.Journal.Error != "" {
		rows = append(rows, row{"  journal", chardev.StateDown, i.Journal.Error})
	}
	for _, line := range align(rows) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
