package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

// logs is where what consoles printed is read: from the daemon or, where none runs,
// from the files of the journals.
type logs interface {
	names() ([]string, error)
	// show writes what is asked for of a console; the result tells what that was, also
	// with an error.
	show(ctx context.Context, name string, q chardev.LogQuery, w io.Writer) (chardev.LogResult, error)
	// follow writes that, and goes on with what comes; say is told what happens beside.
	follow(ctx context.Context, name string, q chardev.LogQuery, w io.Writer, say func(string)) error
}

// logs finds them, and says so if no daemon runs.
func (d *daemonFlags) logs(cmd *cobra.Command) (logs, error) {
	c, err := d.client()
	if err != nil {
		return nil, err
	}
	infos, _, err := c.List(cmd.Context())
	if err == nil {
		l := daemonLogs{c: c}
		for _, i := range infos {
			l.all = append(l.all, i.Name)
		}
		return l, nil
	}
	// The config file tells the state folder, if it is the one of this daemon.
	away, ok := errors.AsType[*control.Unreachable](err)
	if !ok || !away.Absent() || d.config == "" && (d.control != "" || os.Getenv(control.EnvControl) != "") {
		return nil, err
	}
	file, none := control.ConfigFile(d.config)
	if none != nil {
		return nil, err
	}
	state, mistakes := chardev.LoadState(file)
	if mistakes != nil {
		return nil, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "chardevd: no daemon runs: reading the journals in %s\n", state)
	return fileLogs(state), nil
}

// daemonLogs are those of a daemon's consoles.
type daemonLogs struct {
	c   *control.Client
	all []string // their names
}

func (l daemonLogs) names() ([]string, error) { return l.all, nil }

func (l daemonLogs) show(ctx context.Context, name string, q chardev.LogQuery, w io.Writer) (chardev.LogResult, error) {
	if !slices.Contains(l.all, name) {
		return chardev.LogResult{}, l.c.Known(ctx, name)
	}
	return l.c.Log(ctx, name, q, w)
}

func (l daemonLogs) follow(ctx context.Context, name string, q chardev.LogQuery, w io.Writer, say func(string)) error {
	if !slices.Contains(l.all, name) {
		return l.c.Known(ctx, name)
	}
	return l.c.Follow(ctx, name, q, w, say)
}

// fileLogs are journals in a state folder.
type fileLogs string

func (l fileLogs) names() ([]string, error) { return chardev.Journals(string(l)) }

func (l fileLogs) show(ctx context.Context, name string, q chardev.LogQuery, w io.Writer) (chardev.LogResult, error) {
	return chardev.ViewJournal(ctx, string(l), name, q, w)
}

// follow fails: nothing comes while no daemon runs.
func (l fileLogs) follow(ctx context.Context, name string, q chardev.LogQuery, w io.Writer, _ func(string)) error {
	_, err := l.show(ctx, name, q, w)
	return err
}
