//go:build !race && (386 || s390x)

package channel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// These machines have another way to call those of sockets (socketcall(2)), which package unix
// knows.

func readFD(fd int, p []byte) (int, syscall.Errno) { return withErrno(unix.Read(fd, p)) }

func writevFD(fd int, iov [][]byte) (int, syscall.Errno) { return withErrno(unix.Writev(fd, iov)) }

func recvFD(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
	return withErrno(n, err)
}

func sendFD(fd int, iov [][]byte) (int, syscall.Errno) {
	return withErrno(unix.SendmsgBuffers(fd, iov, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL))
}
