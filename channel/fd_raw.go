//go:build !race && !386 && !s390x

package channel

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The descriptors do not block, so the scheduler need not be told of their
// system calls: with syscall.Read it takes a copy of more than 20 µs for one that
// waits, and its monitor stays awake (measured: a tenth of the time at full rate).

func readFD(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), e
}

func writevFD(fd int, iov [][]byte) (int, syscall.Errno) {
	var few [iovFew]unix.Iovec // more is garbage
	v := iovecs(few[:0], iov)
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return int(n), e
}

func recvFD(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT, 0, 0)
	return int(n), e
}

func sendFD(fd int, iov [][]byte) (int, syscall.Errno) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	if len(iov) == 1 { // sendmsg(2) would have the kernel fetch what describes it
		p := iov[0]
		n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		return int(n), e
	}
	var few [iovFew]unix.Iovec
	v := iovecs(few[:0], iov)
	m := unix.Msghdr{Iov: &v[0]}
	m.SetIovlen(len(v))
	n, _, e := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), flags)
	return int(n), e
}

// iovecs appends to v what the kernel takes for iov.
func iovecs(v []unix.Iovec, iov [][]byte) []unix.Iovec {
	for _, b := range iov {
		one := unix.Iovec{Base: unsafe.SliceData(b)}
		one.SetLen(len(b))
		v = append(v, one)
	}
	return v
}
