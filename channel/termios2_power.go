//go:build ppc64 || ppc64le

package channel

import "golang.org/x/sys/unix"

// POWER has the speeds as numbers in its only termios (asm/termbits.h).
const (
	getTermios2 = unix.TCGETS
	setTermios2 = unix.TCSETS
)
