package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/attach"
)

func newAttach() *cobra.Command {
	var daemon daemonFlags
	o := attachOptions{since: "-4KiB", escape: escapeFlag{char: '~', on: true}}
	cmd := &cobra.Command{
		Use:   "attach NAME",
		Short: "Be on a console: see it, and type into it",
		Long: `Be on a console: see it, and type into it. The terminal is in raw mode
meanwhile, so every key goes to the console, ^C too, but for the escapes, which
count at the start of a line only:

  ~.  leave          ~b  send a break
  ~?  list these     ~~  type one ~
  ~w  have the input, or ask for it if somebody else has it
  ~g  give it to who asked first
  ~W  let go of it; if somebody else has it, take it by force

The last three are for consoles with input = "exclusive", where one at a time
types: who types while nobody has the input has it. All who are attached are
told who has it.

When the daemon goes away, attach waits for it and goes on where it was, without
a byte lost or twice as far as the daemon still has them; keys typed meanwhile
are dropped with a bell.

Without a terminal on stdin, what comes from there is sent as it is, and its end
ends attach when the console has had it and a second to answer; if it was not
taken (nobody may type, the device is away) that is a failure, as it is if the
daemon went away and is not back after 10 s. With --read-only
stdin is not touched, so only a signal ends attach, or that nobody reads its
stdout any more. Only the console's bytes go to stdout; what chardevd has to say
goes to stderr.`,
		Example: `  chardevd attach demo
  chardevd attach demo --read-only --since -64KiB
  chardevd attach demo -e ^]
  echo uptime | chardevd attach demo --since end
  timeout 10 chardevd attach demo --read-only --since end >boot.txt`,
		Args:              wants("the NAME of a chardev"),
		ValidArgsFunction: daemon.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := daemon.client()
			if err != nil {
				return err
			}
			dial := func(ctx context.Context, at attach.At, onMessage func(chardev.Message)) (attach.Stream, error) {
				return c.Attach(ctx, args[0], o.readOnly, at, onMessage)
			}
			if err := runAttach(cmd.Context(), args[0], dial, c.Place.Watch, o); err != nil {
				return fmt.Errorf("attach %s: %w", args[0], err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.VarP(&o.escape, "escape", "e", "the escape character: one character, ^X for a control character, or none")
	f.BoolVarP(&o.readOnly, "read-only", "r", false, "send nothing of what is typed; escapes still work")
	f.Var(&o.since, "since", "begin at this PLACE, like -64KiB, 5m, 200lines, start, or end;\n\"chardevd log --help\" tells them all")
	f.Var(&o.wait, "wait", "wait for this `DURATION`, like 10s, for the daemon and the chardev to be there")
	daemon.add(cmd)
	return cmd
}

type attachOptions struct {
	escape   escapeFlag
	readOnly bool
	since    placeFlag
	wait     durationFlag
}

// answerTime is how long a console has to answer the end of a script's input:
// the answer to the last line comes behind it, and nothing tells where it ends.
const answerTime = time.Second

// returnTime is how long a daemon that went away then may stay away: a restart is over by
// then.
const returnTime = 10 * time.Second

// runAttach joins this process's terminal, or whatever its stdin and stdout
// are, with a chardev.
func runAttach(ctx context.Context, name string, dial attach.Dial, watch func() (<-chan struct{}, func()), o attachOptions) error {
	ctx, stop := untilKilled(ctx)
	defer stop()
	// A closed stdout is seen as an error of a write, and not the end of the
	// program before the terminal is restored.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)

	// Not File.Fd: that may change O_NONBLOCK of a file that others share.
	stdin, stdout, stderr := syscall.Stdin, syscall.Stdout, syscall.Stderr
	s := &attach.Session{
		Name: name, Dial: dial, Watch: watch, Since: string(o.since),
		Out: os.Stdout, Notices: os.Stderr, EOL: "\n",
		Interactive: term.IsTerminal(stdin), ReadOnly: o.readOnly, Answer: answerTime, Return: returnTime,
		Together: term.IsTerminal(stdout) && term.IsTerminal(stderr),
	}
	if err := s.Connect(ctx, time.Duration(o.wait)); err != nil {
		return err
	}
	if s.Interactive || !o.readOnly {
		in, err := attach.NewInput(stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		s.In = in
	}
	if s.Interactive {
		if o.escape.on {
			s.Escape = attach.NewScanner(o.escape.char)
		}
		if term.IsTerminal(stderr) {
			s.EOL = "\r\n"
		}
		resized := make(chan os.Signal, 1)
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		s.Resized, s.Size = resized, func() [2]int {
			cols, rows, _ := term.GetSize(stdin) // 0, 0 if it cannot tell
			return [2]int{cols, rows}
		}
		t, err := attach.MakeRaw(stdin)
		if err != nil {
			return err
		}
		defer t.Restore()
	}
	return s.Run(ctx)
}

// untilKilled returns a context that a signal to end ends, with the signal as
// its cause. From the keyboard of a raw terminal no signals come.
func untilKilled(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals, stopped, done := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			cancel(errors.New("ended by a signal: " + s.String()))
		case <-stopped:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		<-done
		cancel(nil)
	}
}

// escapeFlag is the value of --escape.
type escapeFlag struct {
	char byte
	on   bool
}

func (e *escapeFlag) Type() string { return "CHAR" }
func (e *escapeFlag) String() string {
	if !e.on {
		return "none"
	}
	return attach.EscapeName(e.char)
}
func (e *escapeFlag) Set(s string) (err error) {
	e.char, e.on, err = attach.ParseEscape(s)
	return err
}
