package channel

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A way is one direction of a handle. The zero value is that of reading.
type way struct {
	turn sync.Mutex // who reads or writes, also while it waits

	mu    sync.Mutex
	by    instant // the deadline
	gate  *gate   // nil: nobody waits, or has lately
	ended bool

	writes bool // fixed
}

// A gate is a duplicate of the descriptor that Go's poller knows, to wait at.
type gate struct {
	// fixed
	f      *os.File
	await  func(try func(uintptr) bool) error // tries, and waits for what goes this way
	again  func(uintptr) bool                 // one more try, whatever it is called with
	most   int                                // readGate or writeGate
	unused *time.Timer                        // nil: it stays until ungate

	// owned by who has the turn
	try    func(fd uintptr) bool
	tries  int   // since somebody came
	err    error // of the last one
	streak int   // how often in a row one try did
}

const (
	// How often in a row nobody has to wait at a gate until it is removed. A device
	// at full rate is to be without one soon, as each chunk wakes somebody there
	// (measured: a tenth of the CPU time lies between 8 and 64); a client who lagged
	// will lag again, and to make a gate costs more than a few wakes.
	readGate  = 8
	writeGate = 64

	// idleGate is how long a gate for writing outlives the last wait at it: a burst. A
	// thousand clients whom one burst had wait would keep a thousand descriptors
	// through a silence of days else. A reader's is removed when he rests.
	idleGate = time.Second

	// gateless is how often a way tries that can have no gate, as there is no
	// descriptor left. Nothing tells when there is one again.
	gateless = 10 * time.Millisecond
)

// run calls try until it returns true, and waits in between.
func (w *way) run(h *handle, try func(fd uintptr) bool) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	for {
		w.mu.Lock()
		g, late := w.gate, w.by.past()
		w.mu.Unlock()
		if late {
			return os.ErrDeadlineExceeded
		}
		if g != nil {
			return w.wait(g, try)
		}
		if done, err := h.use(try); done || err != nil {
			return err
		}
		err := w.addGate(h)
		if err == net.ErrClosed {
			return err
		}
		if err != nil {
			time.Sleep(gateless)
		}
	}
}

// wait tries whenever the gate tells, until that is done.
func (w *way) wait(g *gate, try func(fd uintptr) bool) error {
	g.try, g.tries = try, 0
	err := g.await(g.again)
	g.try = nil
	if g.tries > 1 {
		g.streak = 0
	} else if g.streak++; g.streak == g.most {
		w.ungate()
	}
	w.used(g)
	switch {
	case err == nil:
		return g.err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	return net.ErrClosed
}

// addGate makes a gate.
func (w *way) addGate(h *handle) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return net.ErrClosed
	}
	g, err := newGate(h, w.writes)
	if err != nil {
		return err
	}
	if err := g.f.SetDeadline(w.by.time()); err != nil { // Go's poller does not take it
		g.f.Close()
		return err
	}
	if w.writes {
		g.unused = time.AfterFunc(idleGate, func() { w.leave(g) })
	}
	w.gate = g
	return nil
}

// used notes that somebody was at the gate until now.
func (w *way) used(g *gate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate == g && g.unused != nil {
		g.unused.Reset(idleGate)
	}
}

// leave removes a gate that nobody has used for a while. Who is at it now, or comes
// first, tells when he is done.
func (w *way) leave(g *gate) {
	if !w.turn.TryLock() {
		return
	}
	defer w.turn.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate == g {
		w.remove()
	}
}

// newGate makes a gate of a handle, for writing or reading.
func newGate(h *handle, writes bool) (*gate, error) {
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else Go's poller does not take it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	g := &gate{f: os.NewFile(uintptr(fd), "")}
	rc, err := g.f.SyscallConn()
	if err != nil {
		g.f.Close()
		return nil, err
	}
	if g.await, g.most = rc.Read, readGate; writes {
		g.await, g.most = rc.Write, writeGate
	}
	g.again = func(uintptr) bool {
		g.tries++
		var done bool
		done, g.err = h.use(g.try)
		return done || g.err != nil
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
	w.by = instantOf(t)
	if w.gate != nil {
		return w.gate.f.SetDeadline(t)
	}
	return nil
}

// ungate gives back what waiting needs. Nobody may be waiting.
func (w *way) ungate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove()
}

// end frees who waits, for ever.
func (w *way) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.by = true, 0 // whatever the deadline was: it is closed
	w.remove()
}

// remove removes the gate. Called with mu held.
func (w *way) remove() {
	if w.gate != nil {
		if w.gate.unused != nil {
			w.gate.unused.Stop()
		}
		w.gate.f.Close() // no error of a duplicate's matters
		w.gate = nil
	}
}
