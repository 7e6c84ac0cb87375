package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"chardevd/channel"
	"chardevd/chardev"
)

const passedForms = `--fd is the number of a descriptor that this command was started with (a stream
socket, a pipe or a terminal), or an address that says how it is taken, like
"tls+fd:3?credentials=office". It goes to the daemon over the control socket,
which must be a UNIX one. What the daemon has so is not there after a restart;
an upgrade keeps it.`

func newAddDevice() *cobra.Command {
	var daemon daemonFlags
	var fd string
	var frontends, settings []string
	cmd := &cobra.Command{
		Use:   "add-device NAME --fd FD",
		Short: "Give the daemon a descriptor as a device",
		Long: `Give the daemon a descriptor that is the device of a chardev: of a new one, or
of one that was made so and is to have another device, as the guest has come
back. A socket that is listened on waits for the guest. When the device ends the
chardev stays, with its history and clients; "chardevd remove" ends it.

` + passedForms,
		Example: `  chardevd add-device vm9 --fd 3 3<>/dev/ttyS1
  chardevd add-device vm9 --fd 3 --frontend tcp://127.0.0.1:7009 --set history=1MiB`,
		Args: fdArgs(&fd),
		RunE: func(cmd *cobra.Command, args []string) error {
			want := chardev.ChardevRequest{Name: args[0], Settings: map[string]any{}}
			var err error
			if want.Frontends, err = frontendsOf(frontends); err != nil {
				return err
			}
			if err := settingsOf(settings, want.Settings); err != nil {
				return err
			}
			a, f, err := givenFD(fd)
			if err != nil {
				return err
			}
			want.Device = a
			c, err := daemon.client()
			if err != nil {
				return err
			}
			changes, err := c.AddDevice(cmd.Context(), want, f)
			return printChanges(cmd, changes, err)
		},
	}
	cmd.Flags().StringVar(&fd, "fd", "", "the `FD`'s number, or an address with it")
	cmd.Flags().StringArrayVar(&frontends, "frontend", nil, "the `ADDRESS` of a frontend; may be given several times")
	cmd.Flags().StringArrayVar(&settings, "set", nil, "another key of [[chardev]], as `KEY=VALUE`; may be given several times")
	daemon.add(cmd)
	return cmd
}

func newAddFrontend() *cobra.Command {
	var daemon daemonFlags
	var fd, replay string
	var readOnly bool
	cmd := &cobra.Command{
		Use:   "add-frontend NAME --fd FD",
		Short: "Give the daemon a descriptor as a frontend",
		Long: `Give the daemon a descriptor that is a frontend of a chardev: one client, or, if
it is a socket that is listened on, where clients come for as long as the
chardev is there. The daemon's part in layers is that of a server.

` + passedForms,
		Example: `  chardevd add-frontend vm1 --fd 3 --read-only --replay 64KiB
  chardevd add-frontend vm1 --fd 'tls+fd:3?credentials=office'`,
		Args:              fdArgs(&fd),
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, f, err := givenFD(fd)
			if err != nil {
				return err
			}
			front := map[string]any{"listen": a}
			if readOnly {
				front["mode"] = "read-only"
			}
			if replay != "" {
				front["replay"] = replay
			}
			c, err := daemon.client()
			if err != nil {
				return err
			}
			changes, err := c.AddFrontend(cmd.Context(), chardev.ChardevRequest{Name: args[0], Frontends: []any{front}}, f)
			return printChanges(cmd, changes, err)
		},
	}
	cmd.Flags().StringVar(&fd, "fd", "", "the `FD`'s number, or an address with it")
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "who is there only sees")
	cmd.Flags().StringVar(&replay, "replay", "", "so much of what was printed comes first: `SIZE`, like 64KiB")
	daemon.add(cmd)
	return cmd
}

func newAttachFD() *cobra.Command {
	var daemon daemonFlags
	var readOnly bool
	var replay string
	cmd := &cobra.Command{
		Use:   "attach-fd NAME -- COMMAND...",
		Short: "Run a command that has a console as descriptor 3",
		Long: `Have the daemon open a client of a console, and run a command that has it as its
descriptor 3: a connected UNIX stream socket. The command needs no access to the
control socket, nor to any file or network. The client is who runs this; it ends
when nobody has the descriptor any more. The exit code is the command's.`,
		Example: `  chardevd attach-fd vm1 --replay 64KiB -- sh -c 'cat <&3'
  chardevd attach-fd vm1 -- socat - FD:3`,
		Annotations: map[string]string{exitStatus: "That of COMMAND, or 128 and the number of the signal that ended it. If it was not run: 1 when\nsomething failed, 2 for a command line that makes no sense."},
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 1 || len(args) < 2 {
				return errors.New("attach-fd wants the NAME of a chardev, then -- and a COMMAND")
			}
			return nil
		},
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			if readOnly {
				q.Set("read_only", "true")
			}
			if replay != "" {
				q.Set("replay", replay)
			}
			c, err := daemon.client()
			if err != nil {
				return err
			}
			f, err := c.Open(cmd.Context(), args[0], q)
			if err != nil {
				return err
			}
			return runWith(cmd, args[1:], f)
		},
	}
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "nothing is typed")
	cmd.Flags().StringVar(&replay, "replay", "", "so much of what was printed comes first: `SIZE`, like 64KiB")
	daemon.add(cmd)
	return cmd
}

// runWith runs a command that has f, which it owns, as descriptor 3. Signals are for the
// command: those of a terminal's keys it has had already, as it is in the foreground too, and
// the others are passed on.
func runWith(cmd *cobra.Command, words []string, f *os.File) error {
	child := exec.Command(words[0], words[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
	child.ExtraFiles = []*os.File{f}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	err := child.Start()
	f.Close() // the command's alone from now on: its end is the client's
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGINT && s != syscall.SIGQUIT {
				child.Process.Signal(s)
			}
		case err := <-done:
			return err
		}
	}
}

// isExit says whether an error is that a command, which was run, has not ended with 0.
func isExit(err error) bool {
	_, ok := errors.AsType[*exec.ExitError](err)
	return ok
}

// exitOf is the exit code that a shell would tell of it.
func exitOf(err error) int {
	x, _ := errors.AsType[*exec.ExitError](err)
	if status, ok := x.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return x.ExitCode()
}

// fdArgs checks the arguments of a command with --fd.
func fdArgs(fd *string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if *fd == "" {
			return errors.New("--fd is missing")
		}
		return wants("the NAME of a chardev")(cmd, args)
	}
}

// givenFD reads --fd: the address, and the descriptor that it names.
func givenFD(text string) (address string, f *os.File, err error) {
	if !strings.Contains(text, ":") {
		text = "fd:" + text
	}
	a, err := channel.ParseAddress(text)
	if err != nil {
		return "", nil, fmt.Errorf("--fd: %w", err)
	}
	n, err := strconv.Atoi(a.Where)
	if err != nil || a.Transport != "fd" {
		return "", nil, fmt.Errorf("--fd: want the number of a descriptor, or an address like tls+fd:3?credentials=NAME, have %q", text)
	}
	if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 { // this process's own all are
		return "", nil, fmt.Errorf("--fd: this command was not started with a descriptor %d: a shell gives it one with %d<>FILE", n, n)
	}
	return text, os.NewFile(uintptr(n), a.String()), nil
}
