//go:build race

package channel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// These tell the race detector which memory they touch.

func readFD(fd int, p []byte) (int, syscall.Errno) { return withErrno(unix.Read(fd, p)) }

func writevFD(fd int, iov [][]byte) (int, syscall.Errno) { return withErrno(unix.Writev(fd, iov)) }
