package attach

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// An Input reads a descriptor that others share, such as stdin, so that a read
// can be stopped without making the descriptor non-blocking: O_NONBLOCK belongs
// to the open file, and would stay with the shell when this program is gone.
type Input struct {
	fd         int
	stop, stay *os.File // a pipe; its write end closed is the signal to stop
}

// NewInput makes an Input of fd, which stays the caller's.
func NewInput(fd int) (*Input, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &Input{fd: fd, stop: w, stay: r}, nil
}

// Read waits for bytes with poll(2) and reads them. It returns io.EOF at the
// end, also when the terminal hung up, and os.ErrClosed after Stop.
func (in *Input) Read(p []byte) (int, error) {
	rc, err := in.stay.SyscallConn()
	if err != nil {
		return 0, os.ErrClosed
	}
	var n int
	var rerr error
	err = rc.Control(func(stay uintptr) { n, rerr = in.read(p, int(stay)) })
	if err != nil {
		return 0, os.ErrClosed
	}
	return n, rerr
}

func (in *Input) read(p []byte, stay int) (int, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(in.fd), Events: unix.POLLIN}, {Fd: int32(stay), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return 0, os.NewSyscallError("poll", err)
		}
		if fds[1].Revents != 0 {
			return 0, os.ErrClosed
		}
		if fds[0].Revents&unix.POLLNVAL != 0 {
			return 0, io.EOF
		}
		switch n, err := unix.Read(in.fd, p); {
		case err == unix.EINTR, err == unix.EAGAIN:
		case err == unix.EIO: // the terminal is gone
			return 0, io.EOF
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Stop ends a Read that waits, and all later ones.
func (in *Input) Stop() { in.stop.Close() }

// Close stops the Input and gives back what it held.
func (in *Input) Close() {
	in.Stop()
	in.stay.Close()
}
