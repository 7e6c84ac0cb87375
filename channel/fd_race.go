//go:build race

package channel

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// These tell the race detector which memory they touch.

func readFD(fd int, p []byte) (int, syscall.Errno) { return withErrno(unix.Read(fd, p)) }

func writevFD(fd int, iov [][]byte) (int, syscall.Errno) { return withErrno(unix.Writev(fd, iov)) }

func withErrno(n int, err error) (int, syscall.Errno) {
	e, _ := errors.AsType[syscall.Errno](err)
	return n, e
}
