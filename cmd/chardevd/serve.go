package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"chardevd/chardev"
	"chardevd/chardev/web"
	"chardevd/cmd/chardevd/internal/systemd"
)

// errTold is an error that the log tells.
var errTold = errors.New("see the log")

func newServe() *cobra.Command {
	var file string
	level := choice{"info", []string{"debug", "info", "warn", "error"}}
	format := choice{"auto", logFormats}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground. It prints how to reach each frontend, and a
line "ready" when all that could be opened is open; what could not be opened is
tried again. The log goes to stderr; and so does all that, if a chardev has
stdio:.

SIGINT or SIGTERM lets clients have what was printed so far and ends, with 1 if
not all of it could be written to the journals; a second one ends at once. Under
systemd, with a descriptor store ($FDSTORE), it leaves devices, listeners and
raw clients there for the next start instead. SIGHUP has the config file read
again and what has changed there done, as "chardevd reload" has. SIGUSR2 has the
daemon replaced by its program, as "chardevd upgrade" has.`,
		Example: `  chardevd serve
  chardevd serve -c /etc/chardevd/chardev.toml --log-format json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := chardev.Inherited()
			if err != nil {
				return err
			}
			manager, err := systemd.FromEnvironment(chardev.IsStored)
			if err != nil {
				return err
			}
			cfg, err := load(file)
			if err != nil {
				return err
			}
			lines := newLogQueue(cmd.ErrOrStderr())
			defer lines.Close()
			log := newLog(lines, level.value, format.value, cmd.ErrOrStderr())
			for _, w := range cfg.Warnings {
				log.Warn(w)
			}
			ctx, signals, stop := untilSignal(cmd.Context(), log)
			defer stop()
			if from == nil {
				var taken func()
				from, taken = takeStored(manager, log)
				defer taken()
			}
			stdout := cmd.OutOrStdout()
			if cfg.Stdio() { // it is a console
				stdout = cmd.ErrOrStderr()
			}
			return serveOn(ctx, cfg, log, stdout, lines, signals, from, manager)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().Var(&level, "log-level", "the least of what is logged")
	cmd.Flags().Var(&format, "log-format", "how the log is written; auto is journal where stderr goes to systemd's journal, else text")
	return cmd
}

// oneSignal is how long a signal is the first one, however often it comes: timeout(1) sends
// it to its command, and then to the group.
const oneSignal = 100 * time.Millisecond

// untilSignal returns a context that the first SIGINT or SIGTERM ends; the
// second ends the program. stop gives the signals back.
func untilSignal(parent context.Context, log *slog.Logger) (ctx context.Context, _ *daemonSignals, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	stopped, done := make(chan struct{}), make(chan struct{})
	d := &daemonSignals{make(chan os.Signal, 4), make(chan os.Signal, 1), make(chan os.Signal, 1)}
	d.hear()
	// Whoever reads the log may go; the consoles stay. (Ignoring the signal would
	// be inherited by the commands of exec:, see os/signal.)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	go func() {
		defer close(done)
		var first time.Time
		for {
			select {
			case s := <-d.ends:
				if ctx.Err() != nil && time.Since(first) > oneSignal {
					os.Exit(exitFailed) // without a word: stderr may be what is stuck
				}
				if ctx.Err() != nil {
					continue
				}
				first = time.Now()
				log.Info("ending: clients get what was printed so far; a second signal ends at once", "signal", s.String())
				cancel()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, d, func() {
		signal.Stop(d.ends)
		signal.Stop(d.hangups)
		signal.Stop(d.upgrades)
		signal.Stop(broken)
		close(stopped)
		<-done
		cancel()
	}
}

// daemonSignals have a value after SIGINT and SIGTERM, SIGHUP, and SIGUSR2; several that
// wait are one of the latter.
type daemonSignals struct{ ends, hangups, upgrades chan os.Signal }

// hear has the signals come.
func (d *daemonSignals) hear() {
	signal.Notify(d.ends, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(d.hangups, syscall.SIGHUP)
	signal.Notify(d.upgrades, syscall.SIGUSR2)
}

// serveOn runs the daemon until ctx ends, or until its successor takes over. If that can
// not be started then the daemon itself is its successor. When ctx has ended, what is left
// is for the store of the service manager.
func serveOn(ctx context.Context, cfg *chardev.Config, log *slog.Logger, stdout io.Writer, lines *logQueue, signals *daemonSignals, from *chardev.Handover, manager *systemd.Service) error {
	program() // as long as it is there
	info := chardev.UpgradeInfo{PID: os.Getpid(), Version: version()}
	for {
		if from != nil {
			info.Taken = from.Taken
		}
		left, err := serve(ctx, cfg, log, stdout, signals, from, info, manager)
		if left == nil || err != nil {
			return err
		}
		if ctx.Err() != nil {
			store(left, manager, log)
			return nil
		}
		path, err := program()
		if err == nil {
			lines.Flush()
			left.Taken = info.Taken + 1
			err = left.Exec(path, os.Args)
			left.Taken = info.Taken
		}
		log.Error("no upgrade: the daemon goes on as it was", "error", err)
		info.Failed = err.Error()
		signals.hear()
		if now, err := chardev.Load(cfg.File); err == nil { // which may have been reloaded
			cfg = now
		}
		from = left
	}
}

// serve runs the daemon, which goes on with what another one has left (nil: nothing),
// until ctx ends, or until it is to be replaced, which it is also when it ends and the
// service manager has a store: then it returns what it has left itself.
// With SIGHUP it reads the config again. The service manager hears of all that, but
// of being replaced: the process is the same.
func serve(ctx context.Context, cfg *chardev.Config, log *slog.Logger, stdout io.Writer, signals *daemonSignals, from *chardev.Handover, info chardev.UpgradeInfo, manager *systemd.Service) (left *chardev.Handover, err error) {
	s, err := chardev.TakeOver(cfg, log, from)
	if err != nil {
		return nil, err
	}
	s.Pages, s.Version = web.Handler(), release()
	s.Successor = &chardev.Successor{Info: info, Check: func() error { return askSuccessor(cfg.File) }}
	m := managed{manager, s, log}
	m.takeSockets()
	defer func() {
		if end := s.Close(); end != nil {
			log.Error("the end", "error", end) // and not by main: stderr may be a pipe that nobody reads
			if left == nil {
				err = cmp.Or(err, errTold)
			}
		}
	}()
	out := newLogQueue(stdout) // which may be a pipe that nobody reads
	defer out.Close()
	running, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() {
		for {
			select {
			case <-signals.upgrades:
				s.Upgrade() // its error is logged
			case <-signals.hangups:
				m.reload()
			case <-running.Done():
				if ctx.Err() != nil {
					m.stopping()
				}
				return
			}
		}
	})
	beside.Go(func() { m.Watch(running, s.Alive, log) })
	serving := ctx
	if manager.Room > 0 {
		serving = context.WithoutCancel(ctx)
		defer context.AfterFunc(ctx, s.Leave)()
	}
	err = s.Run(serving, func() {
		fmt.Fprintln(out, strings.Join(append(s.Reach(), "ready"), "\n"))
		m.ready()
		beside.Go(func() { m.follow(running) })
	})
	return s.Left(), err
}
