package channel

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A way is one direction of a handle.
type way struct {
	// fixed
	handle *handle
	await  func(rc syscall.RawConn, try func(uintptr) bool) error // tries, and waits for what goes this way
	again  func(uintptr) bool                                     // one more try, whatever it is called with

	turn sync.Mutex // who reads or writes, also while it waits

	// owned by who has the turn
	try    func(fd uintptr) bool
	err    error // of the try
	streak int   // tries that succeeded at once since somebody waited

	mu    sync.Mutex
	by    time.Time // the deadline
	gate  *gate     // nil: nobody waits, or has lately
	ended bool
}

// A gate is a duplicate of the descriptor that Go's poller knows, to wait at.
type gate struct {
	f  *os.File
	rc syscall.RawConn
}

const (
	// gateFor is how many tries in a row succeed at once until a gate is removed: who
	// waits often need not make it each time.
	gateFor = 8

	// gateless is how often a way tries that can have no gate, as there is no
	// descriptor left. Nothing tells when there is one again.
	gateless = 10 * time.Millisecond
)

func newWay(h *handle, await func(syscall.RawConn, func(uintptr) bool) error) *way {
	w := &way{handle: h, await: await}
	w.again = func(uintptr) bool {
		var done bool
		done, w.err = h.use(w.try)
		return done || w.err != nil
	}
	return w
}

// run calls try until it returns true, and waits in between.
func (w *way) run(try func(fd uintptr) bool) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	for {
		if w.late() {
			return os.ErrDeadlineExceeded
		}
		if done, err := w.handle.use(try); done || err != nil {
			if w.streak++; w.streak == gateFor {
				w.rest()
			}
			return err
		}
		w.streak = 0
		g, err := w.gateway()
		switch err {
		case nil:
			return w.wait(g, try)
		case net.ErrClosed:
			return err
		}
		time.Sleep(gateless)
	}
}

// wait tries whenever the gate tells, until that is done.
func (w *way) wait(g *gate, try func(fd uintptr) bool) error {
	w.try = try
	err := w.await(g.rc, w.again)
	w.try = nil
	switch {
	case err == nil:
		return w.err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	return net.ErrClosed
}

// gateway is the gate, which is made if there is none.
func (w *way) gateway() (*gate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil, net.ErrClosed
	}
	if w.gate == nil {
		g, err := newGate(w.handle.fd)
		if err != nil {
			return nil, err
		}
		if err := g.f.SetDeadline(w.by); err != nil { // Go's poller does not take it
			g.f.Close()
			return nil, err
		}
		w.gate = g
	}
	return w.gate, nil
}

func newGate(fd int) (*gate, error) {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	g := &gate{f: os.NewFile(uintptr(fd), "")}
	if g.rc, err = g.f.SyscallConn(); err != nil {
		g.f.Close()
		return nil, err
	}
	return g, nil
}

// setDeadline sets when waiting ends; never, if t is zero.
func (w *way) setDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return net.ErrClosed
	}
	w.by = t
	if w.gate != nil {
		return w.gate.f.SetDeadline(t)
	}
	return nil
}

// late says whether the deadline has passed.
func (w *way) late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.by.IsZero() && !time.Now().Before(w.by)
}

// rest gives back what waiting needs. Nobody may be waiting.
func (w *way) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove()
}

// end frees who waits, for ever.
func (w *way) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.remove()
}

// remove removes the gate. Called with mu held.
func (w *way) remove() {
	if w.gate != nil {
		w.gate.f.Close() // no error of a duplicate's matters
		w.gate = nil
	}
}
