package channel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// What was given may be in other hands too, who can make it block: O_NONBLOCK belongs to
// the open file (open(2)). A system call that the scheduler knows nothing of would stop the
// whole process then, and one in the goroutine that attends to all others would stop these.
// So a socket is told in each call not to wait. What is none is opened anew (openAnew); where
// that can not be, it is made not to block before each call, and the scheduler knows of that.

func readShared(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
	if err == unix.ENOTSOCK {
		if err = unix.SetNonblock(fd, true); err == nil {
			n, err = unix.Read(fd, p)
		}
	}
	return withErrno(n, err)
}

func writevShared(fd int, iov [][]byte) (int, syscall.Errno) {
	n, err := unix.SendmsgBuffers(fd, iov, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == unix.ENOTSOCK {
		if err = unix.SetNonblock(fd, true); err == nil {
			n, err = unix.Writev(fd, iov)
		}
	}
	return withErrno(n, err)
}

func withErrno(n int, err error) (int, syscall.Errno) {
	e, _ := err.(syscall.Errno)
	return n, e
}
