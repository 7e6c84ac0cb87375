package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"chardevd/chardev"
)

func newRecord() *cobra.Command {
	var daemon daemonFlags
	q := chardev.LogQuery{Format: "asciicast", Size: "80x24"}
	var file string
	cmd := &cobra.Command{
		Use:   "record NAME",
		Short: "Make a recording of a console, to be played again",
		Long: `Make a recording of what a console printed, or prints, in its time: asciicast
v2, which asciinema plays. With --follow it goes on until ^C, from now on or
from --since on. Gaps are markers in it, and so are events with --events.`,
		Example: `  chardevd record router --since 10m -o boot.cast
  chardevd record router --follow | asciinema play -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if q.Follow && q.Until != "" {
				return errors.New("--follow goes on with what comes: leave out --until")
			}
			return wants("the NAME of a chardev")(cmd, args)
		},
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if q.Follow && q.Since == "" {
				q.Since = "end"
			}
			logs, err := daemon.logs(cmd)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if file != "" && file != "-" {
				f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("record: %s is there already: remove it, or name another file", file)
				}
				if err != nil {
					return fmt.Errorf("record: %w", err)
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				out = f
			}
			ctx, stop := untilKilled(cmd.Context())
			defer stop()
			result, err := logs.show(ctx, args[0], q, &wholeLines{w: out})
			if q.Follow && ctx.Err() != nil {
				return nil // that is how it ends
			}
			if q.Follow && err == nil {
				err = fmt.Errorf("the daemon stopped: go on with --since %d", result.Next)
			}
			if err != nil {
				return fmt.Errorf("record %s: %w", args[0], err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	rangeFlags(cmd, &q)
	f.BoolVarP(&q.Follow, "follow", "f", false, "go on with what comes, until ^C")
	f.BoolVar(&q.Events, "events", false, "mark what happened to the console")
	f.Var((*sizeFlag)(&q.Size), "size", "the size of the terminal that the console wrote for")
	f.StringVarP(&file, "output", "o", "", "write to this `FILE`, which must not be there; - is stdout")
	daemon.add(cmd)
	return cmd
}

// wholeLines writes lines when they are whole: a recording may end at any time.
type wholeLines struct {
	w    io.Writer
	rest []byte
}

func (l *wholeLines) Write(p []byte) (int, error) {
	n := bytes.LastIndexByte(p, '\n') + 1
	if n > 0 {
		l.rest = append(l.rest, p[:n]...)
		if _, err := l.w.Write(l.rest); err != nil {
			return 0, err
		}
		l.rest = l.rest[:0]
	}
	l.rest = append(l.rest, p[n:]...)
	return len(p), nil
}
