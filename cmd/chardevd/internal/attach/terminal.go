package attach

import (
	"fmt"
	"sync"

	"golang.org/x/term"
)

// A Terminal is a terminal in raw mode, and how it was before.
type Terminal struct {
	fd    int
	state *term.State
	once  sync.Once
	err   error
}

// MakeRaw puts the terminal fd into raw mode: every byte typed is read at once
// and as it is, nothing is echoed, and what is written is not changed.
func MakeRaw(fd int) (*Terminal, error) {
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("put the terminal into raw mode: %w", err)
	}
	return &Terminal{fd: fd, state: state}, nil
}

// Restore puts the terminal back to how it was. Only the first call does
// anything; it does not wait for output that the terminal has not taken.
func (t *Terminal) Restore() error {
	t.once.Do(func() { t.err = term.Restore(t.fd, t.state) })
	return t.err
}
