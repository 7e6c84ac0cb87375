package control

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// warnings are what a channel has to tell a person who runs a command: each is told once,
// though a command connects several times.
type warnings struct {
	to io.Writer

	mu   sync.Mutex
	told map[string]bool
}

func (w *warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(", %s %s", a.Key, a.Value)
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[text] {
		return nil
	}
	if w.told == nil {
		w.told = map[string]bool{}
	}
	w.told[text] = true
	_, err := fmt.Fprintf(w.to, "chardevd: %s\n", text)
	return err
}

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warnings) WithGroup(string) slog.Handler      { return w }
