//go:build race

package channel

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These tell the race detector which memory they touch, and that what was done before
// something was sent was done before it came: package unix does so of files, not of sockets.

var ioSync int64 // its address is what they meet at

func readFD(fd int, p []byte) (int, syscall.Errno) { return withErrno(unix.Read(fd, p)) }

func writevFD(fd int, iov [][]byte) (int, syscall.Errno) { return withErrno(unix.Writev(fd, iov)) }

func recvFD(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
	if n > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(p)), n)
	}
	if err == nil {
		runtime.RaceAcquire(unsafe.Pointer(&ioSync))
	}
	return withErrno(n, err)
}

func sendFD(fd int, iov [][]byte) (int, syscall.Errno) {
	runtime.RaceReleaseMerge(unsafe.Pointer(&ioSync))
	n, err := unix.SendmsgBuffers(fd, iov, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	left := n
	for _, b := range iov {
		if k := min(len(b), left); k > 0 {
			runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(b)), k)
			left -= k
		}
	}
	return withErrno(n, err)
}
