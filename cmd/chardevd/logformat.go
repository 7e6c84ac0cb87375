package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// logFormats are what --log-format takes.
var logFormats = []string{"auto", "text", "json", "journal"}

// newLog makes the daemon's log, which writes a line at a time to w. In format auto it
// is that of systemd's journal if that is where stderr goes, else text.
func newLog(w io.Writer, level, format string, stderr io.Writer) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		panic(err) // the flag takes only the four levels
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "auto" && isJournal(stderr, os.Getenv("JOURNAL_STREAM")) {
		format = "journal"
	}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o))
	case "journal":
		return slog.New(newJournalLog(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// isJournal says whether w is the stream to systemd's journal, which $JOURNAL_STREAM
// names by its device and inode (systemd.exec(5)): stderr may have been led elsewhere
// since.
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// A journalLog writes lines of text for systemd's journal: each begins with its
// priority, <3> to <7> (sd-daemon(3)), and has no time, as the journal has one.
type journalLog struct {
	least slog.Leveler
	by    [4]slog.Handler // as in priorities
}

var priorities = [...]struct {
	from   slog.Level
	prefix string
}{{slog.LevelError, "<3>"}, {slog.LevelWarn, "<4>"}, {slog.LevelInfo, "<6>"}, {slog.LevelDebug, "<7>"}}

func newJournalLog(w io.Writer, o *slog.HandlerOptions) *journalLog {
	untimed := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	j := &journalLog{least: o.Level}
	for i, p := range priorities {
		j.by[i] = slog.NewTextHandler(prefixer{w, p.prefix}, untimed)
	}
	return j
}

// A prefixer writes each line with a prefix.
type prefixer struct {
	to     io.Writer
	prefix string
}

func (p prefixer) Write(line []byte) (int, error) {
	if _, err := p.to.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Enabled says whether a level is written.
func (j *journalLog) Enabled(_ context.Context, l slog.Level) bool { return l >= j.least.Level() }

// Handle writes a record with the priority of its level.
func (j *journalLog) Handle(ctx context.Context, r slog.Record) error {
	i := 0
	for i < len(priorities)-1 && r.Level < priorities[i].from {
		i++
	}
	return j.by[i].Handle(ctx, r)
}

// WithAttrs is a journalLog whose lines have the attributes besides.
func (j *journalLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return j.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup is a journalLog whose further attributes are in a group.
func (j *journalLog) WithGroup(name string) slog.Handler {
	return j.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (j *journalLog) each(change func(slog.Handler) slog.Handler) slog.Handler {
	next := &journalLog{least: j.least}
	for i, h := range j.by {
		next.by[i] = change(h)
	}
	return next
}
