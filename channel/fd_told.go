//go:build race || 386 || s390x

package channel

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// These tell the race detector which memory they touch, and that what was done before
// something was sent was done before it came; and some machines have another way to call those
// of sockets (socketcall(2)).

// sends are told of by who sends, and looked at by who has received.
var sends atomic.Int64

func readFD(fd int, p []byte) (int, syscall.Errno) { return withErrno(unix.Read(fd, p)) }

func writevFD(fd int, iov [][]byte) (int, syscall.Errno) { return withErrno(unix.Writev(fd, iov)) }

func recvFD(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
	sends.Load()
	return withErrno(n, err)
}

func sendFD(fd int, iov [][]byte) (int, syscall.Errno) {
	sends.Add(1)
	return withErrno(unix.SendmsgBuffers(fd, iov, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL))
}
