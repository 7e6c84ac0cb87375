package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/control"
)

// logs is where what consoles printed is read: from the daemon or, where none runs or of
// consoles that are no more, from the files of the journals.
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
	state := d.state()
	if err == nil {
		l := daemonLogs{c: c, left: fileLogs(state), say: cmd.ErrOrStderr()}
		for _, i := range infos {
			l.all = append(l.all, i.Name)
		}
		l.gone = sync.OnceValue(l.findGone)
		return l, nil
	}
	if away, ok := errors.AsType[*control.Unreachable](err); !ok || !away.Absent() || state == "" {
		return nil, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "chardevd: no daemon runs: reading the journals in %s\n", state)
	return fileLogs(state), nil
}

// state is the state folder, as the config file tells it, if that is the one of the daemon
// that the flags name; else "".
func (d *daemonFlags) state() string {
	if d.config == "" && (d.control != "" || os.Getenv(control.EnvControl) != "") {
		return ""
	}
	file, err := control.ConfigFile(d.config)
	if err != nil {
		return ""
	}
	state, err := chardev.LoadState(file)
	if err != nil {
		return ""
	}
	return state
}

// daemonLogs are those of a daemon's consoles, and what others have left.
type daemonLogs struct {
	c    *control.Client
	all  []string  // the consoles' names
	left fileLogs  // "": it is not known where that is
	say  io.Writer // is told what is read there
	gone func() []string
}

func (l daemonLogs) names() ([]string, error) { return slices.Concat(l.all, l.gone()), nil }

// findGone are the names of consoles that are no more and have left a journal. It looks at
// every folder, so that it is asked once, by gone.
func (l daemonLogs) findGone() []string {
	if l.left == "" {
		return nil
	}
	names, _ := l.left.names() // whoever may not read them has those of the daemon
	there := map[string]bool{}
	for _, name := range l.all {
		there[name] = true
	}
	return slices.DeleteFunc(names, func(name string) bool { return there[name] })
}

func (l daemonLogs) show(ctx context.Context, name string, q chardev.LogQuery, w io.Writer) (chardev.LogResult, error) {
	switch {
	case slices.Contains(l.all, name):
		return l.c.Log(ctx, name, q, w)
	case slices.Contains(l.gone(), name):
		if !q.Names { // else it stands before each line
			fmt.Fprintf(l.say, "chardevd: %s is no console any more: reading its journal in %s\n", name, l.left)
		}
		return l.left.show(ctx, name, q, w)
	}
	return chardev.LogResult{}, l.c.Known(ctx, name)
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
