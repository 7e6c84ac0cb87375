package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chardevd/channel"
	"chardevd/chardev"
)

func newLine() *cobra.Command {
	var daemon daemonFlags
	var asJSON bool
	var change *chardev.LineSettings // nil: none
	cmd := &cobra.Command{
		Use:   "line NAME [SETTING...]",
		Short: "Show or set a console's serial line",
		Long: `Show or set the serial line of a console's device: a port of this host, or one
behind RFC 2217. A SETTING is a speed, a mode, both in one, or a flow control,
as in 9600, 8n1, 115200n81, rtscts; dtr=on, dtr=off, rts=on and rts=off raise
and drop these modem lines. What is not said stays. Shown is what is in force
then, the modem lines that are on and off, and what the port's driver counted,
where it does.

Whoever types on the console, this may; the daemon's log says who did it. When
the device is opened anew, it is set as its address says.`,
		Example: `  chardevd line router
  chardevd line router 9600 8n1
  chardevd line router 115200n81 dtr=off rts=on
  chardevd line router --json`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 0 {
				return wants("the NAME of a chardev")(cmd, args)
			}
			if len(args) > 1 {
				change, err = parseSettings(args[1:])
			}
			return err
		},
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			var info chardev.LineInfo
			var raw []byte
			if change == nil {
				info, raw, err = c.Line(cmd.Context(), args[0])
			} else {
				info, raw, err = c.SetLine(cmd.Context(), args[0], *change)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			return printLine(cmd.OutOrStdout(), info)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the daemon's JSON: an object")
	daemon.add(cmd)
	return cmd
}

// parseSettings reads the words behind a NAME.
func parseSettings(words []string) (*chardev.LineSettings, error) {
	var line []string
	modem := map[string]bool{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			line = append(line, w)
			continue
		}
		one, err := channel.ParseModemLine(name)
		if err != nil || one&(channel.DTR|channel.RTS) == 0 || value != "on" && value != "off" {
			return nil, fmt.Errorf("want dtr=on, dtr=off, rts=on or rts=off, have %q", w)
		}
		if _, twice := modem[one.String()]; twice {
			return nil, fmt.Errorf("%v is set twice", one)
		}
		modem[one.String()] = value == "on"
	}
	var s chardev.LineSettings
	if len(line) > 0 {
		c, err := channel.ParseLineConfig(strings.Join(line, " "))
		if err != nil {
			return nil, err
		}
		s = chardev.SettingsOf(c)
	}
	s.Modem = modem
	return &s, nil
}

// printLine prints a line, a thing a row.
func printLine(w io.Writer, i chardev.LineInfo) error {
	baud := ""
	if i.Baud != 0 {
		baud = fmt.Sprint(i.Baud)
	}
	rows := []row{{"baud", baud}, {"mode", i.Mode}, {"flow", i.Flow}}
	if i.Modem != nil {
		var on, off []string
		for one := channel.DTR; one <= channel.DCD; one <<= 1 {
			if i.Modem[one.String()] {
				on = append(on, one.String())
			} else {
				off = append(off, one.String())
			}
		}
		rows = append(rows, row{"on", strings.Join(on, " ")}, row{"off", strings.Join(off, " ")})
	}
	if n := i.Counters; n != nil {
		rows = append(rows,
			row{"received", fmt.Sprintf("bytes %d, breaks %d", n.Received, n.Break)},
			row{"sent", fmt.Sprintf("bytes %d", n.Sent)},
			row{"errors", fmt.Sprintf("framing %d, parity %d, overrun %d, buffer overrun %d", n.Frame, n.Parity, n.Overrun, n.BufferOverrun)},
			row{"changes", fmt.Sprintf("cts %d, dsr %d, ri %d, dcd %d", n.CTS, n.DSR, n.RI, n.DCD)})
	}
	if i.OtherUser != "" {
		rows = append(rows, row{"shared", i.OtherUser + " has the port open, too, and may get some of its bytes"})
	}
	if i.Error != "" {
		rows = append(rows, row{"not told", i.Error})
	}
	for _, text := range align(rows) {
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	return nil
}
