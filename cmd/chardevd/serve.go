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
tried again. The log goes to stderr.

SIGINT or SIGTERM lets clients have what was printed so far and ends, with 1 if not
all of it could be written to the journals; a second one ends at once. SIGHUP has the
config file read again and what has changed there done, as "chardevd reload" has.`,
		Example: `  chardevd serve
  chardevd serve -c /etc/chardevd/chardev.toml --log-format json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			manager, err := systemd.FromEnvironment()
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
			ctx, hangups, stop := untilSignal(cmd.Context(), log)
			defer stop()
			return serve(ctx, cfg, log, cmd.OutOrStdout(), hangups, manager)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().Var(&level, "log-level", "the least of what is logged")
	cmd.Flags().Var(&format, "log-format", "how the log is written; auto is journal where stderr goes to systemd's journal, else text")
	return cmd
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends; the
// second ends the program. hangups has a value after SIGHUP. stop gives the signals
// back.
func untilSignal(parent context.Context, log *slog.Logger) (ctx context.Context, hangups <-chan os.Signal, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals, stopped, done := make(chan os.Signal, 4), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	hangup := make(chan os.Signal, 1) // several that wait are one
	signal.Notify(hangup, syscall.SIGHUP)
	// Whoever reads the log may go; the consoles stay. (Ignoring the signal would
	// be inherited by the commands of exec:, see os/signal.)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	go func() {
		defer close(done)
		for {
			select {
			case s := <-signals:
				if ctx.Err() != nil {
					os.Exit(exitFailed) // without a word: stderr may be what is stuck
				}
				log.Info("ending: clients get what was printed so far; a second signal ends at once", "signal", s.String())
				cancel()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, hangup, func() {
		signal.Stop(signals)
		signal.Stop(hangup)
		signal.Stop(broken)
		close(stopped)
		<-done
		cancel()
	}
}

// serve runs the daemon until ctx ends. With each of hangups it reads the config again.
// The service manager hears of all that.
func serve(ctx context.Context, cfg *chardev.Config, log *slog.Logger, stdout io.Writer, hangups <-chan os.Signal, manager *systemd.Service) (err error) {
	s, err := chardev.NewServer(cfg, log)
	if err != nil {
		return err
	}
	s.Pages, s.Version = web.Handler(), release()
	m := managed{manager, s, log}
	m.takeSockets()
	defer func() {
		if end := s.Close(); end != nil {
			log.Error("the end", "error", end) // and not by main: stderr may be a pipe that nobody reads
			err = cmp.Or(err, errTold)
		}
	}()
	out := newLogQueue(stdout) // which may be a pipe that nobody reads
	defer out.Close()
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() {
		for {
			select {
			case <-hangups:
				m.reload()
			case <-ctx.Done():
				m.stopping()
				return
			}
		}
	})
	beside.Go(func() { m.Watch(ctx, s.Alive, log) })
	return s.Run(ctx, func() {
		fmt.Fprintln(out, strings.Join(append(s.Reach(), "ready"), "\n"))
		m.ready()
		beside.Go(func() { m.follow(ctx) })
	})
}
