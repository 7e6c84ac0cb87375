package channel

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A handle is a descriptor that does not block and that Go's poller does not know:
// that one is told of all that happens to what it knows, and has a thread woken for
// it, whether anybody waits or not (measured: for a device at full rate that is
// once a chunk, a tenth of the time). Otherwise it does what a net.Conn and its
// RawConn do: one reads and one writes at a time, deadlines free who waits, and the
// descriptor is not closed while it is in use.
//
// Thousands of them have nobody who waits: what waiting needs is in a gate.
type handle struct {
	fd     int32 // fixed
	closed bool  // guarded by open

	// Held for reading while the descriptor is used, and while somebody waits only for the
	// moment that he does on his thread (pollFor).
	open sync.RWMutex

	in, out way
}

// takeHandle makes a handle of a connection, which it closes.
func takeHandle(c interface {
	io.Closer
	syscall.Conn
}) (*handle, error) {
	defer c.Close()
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if cerr := rc.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return newHandle(fd), nil
}

// newHandle makes a handle of a descriptor that does not block, which it owns.
func newHandle(fd int) *handle {
	return &handle{fd: int32(fd), out: way{writes: true}}
}

// Control calls use with the descriptor, which stays open meanwhile.
func (h *handle) Control(use func(fd uintptr)) error {
	h.open.RLock()
	defer h.open.RUnlock()
	if h.closed {
		return net.ErrClosed
	}
	use(uintptr(h.fd))
	return nil
}

// do is Control for what can fail.
func (h *handle) do(use func(fd int) error) error {
	var err error
	if cerr := h.Control(func(fd uintptr) { err = use(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// Read calls try until it returns true, and waits for something to read in between.
func (h *handle) Read(try func(fd uintptr) bool) error { return h.in.run(h, try) }

// Write calls try until it returns true, and waits for room in between.
func (h *handle) Write(try func(fd uintptr) bool) error { return h.out.run(h, try) }

// use is Control for what has a result.
func (h *handle) use(try func(fd uintptr) bool) (bool, error) {
	h.open.RLock()
	defer h.open.RUnlock()
	if h.closed {
		return false, net.ErrClosed
	}
	return try(uintptr(h.fd)), nil
}

// CloseWrite ends the stream to the peer.
func (h *handle) CloseWrite() error {
	return os.NewSyscallError("shutdown", h.do(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }))
}

// Close frees who waits, and returns when nobody uses the descriptor any more.
func (h *handle) Close() error {
	h.in.end()
	h.out.end()
	h.open.Lock()
	defer h.open.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	h.closed = true
	return os.NewSyscallError("close", unix.Close(int(h.fd)))
}

func (h *handle) SetReadDeadline(t time.Time) error  { return h.in.setDeadline(t) }
func (h *handle) SetWriteDeadline(t time.Time) error { return h.out.setDeadline(t) }

// SetDeadline sets both.
func (h *handle) SetDeadline(t time.Time) error {
	h.SetReadDeadline(t)
	return h.SetWriteDeadline(t)
}
