package channel

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// calls are the system calls that a descriptor is read and written by, none of which waits.
type calls uint8

const (
	// fileCalls are read(2) and writev(2) of an open file that is this process's alone, and
	// does not block.
	fileCalls calls = iota

	// socketCalls are recv(2), and send(2) or sendmsg(2), which are told in each call not to
	// wait: a socket may be in other hands too, who can make it block, as O_NONBLOCK belongs
	// to the open file (open(2)). They are faster than fileCalls, too (measured for lines of 200
	// guests: by a twentieth to a tenth of the CPU time).
	socketCalls

	// sharedCalls are those of what others may have too and is no socket: what was given and
	// could not be opened anew (openAnew), and stdio. It is made not to block before each
	// call, and the scheduler is told of that: if somebody makes it block in between, a call
	// that it knows nothing of would stop the whole process.
	sharedCalls
)

// sharedCallsOf are those of a file that others have too.
func sharedCallsOf(f *os.File) calls {
	if st, err := f.Stat(); err == nil && st.Mode().Type() == os.ModeSocket {
		return socketCalls
	}
	return sharedCalls
}

// read reads what there is.
func (c calls) read(fd int, p []byte) (int, syscall.Errno) {
	switch c {
	case fileCalls:
		return readFD(fd, p)
	case socketCalls:
		return recvFD(fd, p)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return withErrno(-1, err)
	}
	return withErrno(unix.Read(fd, p))
}

// writev writes what is taken of iov, of which there is one at least.
func (c calls) writev(fd int, iov [][]byte) (int, syscall.Errno) {
	switch c {
	case fileCalls:
		return writevFD(fd, iov)
	case socketCalls:
		return sendFD(fd, iov)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return withErrno(-1, err)
	}
	return withErrno(unix.Writev(fd, iov))
}

func withErrno(n int, err error) (int, syscall.Errno) {
	e, _ := err.(syscall.Errno)
	return n, e
}
