//go:build !ppc64 && !ppc64le

package channel

import "golang.org/x/sys/unix"

// The ioctls of a termios with the speeds as numbers.
const (
	getTermios2 = unix.TCGETS2
	setTermios2 = unix.TCSETS2
)
