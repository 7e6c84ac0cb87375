package channel

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A serialDriver is what a port asks of its kernel driver beside reading and
// writing, one method for an ioctl (ioctl_tty(2)). What the driver does not have
// is errors.ErrUnsupported.
type serialDriver interface {
	termios() (*unix.Termios, error)  // TCGETS2: with the speeds as numbers
	setTermios(t *unix.Termios) error // TCSETS2: at once, what is under way included

	modem() (int, error)                          // TIOCMGET
	setModem(set, clear int) error                // TIOCMBIS, TIOCMBIC
	awaitModem(ctx context.Context, of int) error // TIOCMIWAIT: until one of them changes
	counters() (serialCounters, error)            // TIOCGICOUNT
	startBreak(ctx context.Context) error         // TIOCSBRK: when what was written is out
	endBreak() error                              // TIOCCBRK
	setRS485(c *serialRS485) error                // TIOCSRS485; c is what is in force afterwards
	drain(ctx context.Context) error              // TCSBRK of 1, tcdrain(3): until what was written is out
	flush(queues int) error                       // TCFLSH
	setExclusive(on bool) error                   // TIOCEXCL, TIOCNXCL
	exclusive() (bool, error)                     // TIOCGEXCL
}

// serialCounters are those that the kernel keeps for a port since it was found
// (struct serial_icounter_struct of linux/serial.h).
type serialCounters struct {
	CTS, DSR, RI, DCD uint32 // changes of the line
	RX, TX            uint32 // bytes
	Frame, Overrun    uint32 // bytes with a framing error; lost by the hardware
	Parity, Break     uint32
	BufOverrun        uint32 // lost by the kernel, because nobody read
	_                 [9]int32
}

// serialRS485 is struct serial_rs485 of linux/serial.h. The delays are in ms.
type serialRS485 struct {
	flags      uint32
	beforeSend uint32
	afterSend  uint32
	_          [5]uint32
}

// The flags of serialRS485.
const (
	rs485Enabled      = 1 << 0
	rs485RTSOnSend    = 1 << 1
	rs485RTSAfterSend = 1 << 2
	rs485RXDuringTX   = 1 << 4
)

// ioctls is the driver of a descriptor.
type ioctls struct {
	rc interface{ Control(func(fd uintptr)) error }
}

// A plainFD is a descriptor that its owner alone closes.
type plainFD int

// Control calls f with the descriptor, as syscall.RawConn does.
func (fd plainFD) Control(f func(fd uintptr)) error {
	f(uintptr(fd))
	return nil
}

// do calls f with the descriptor, which stays open meanwhile.
func (d ioctls) do(f func(fd int) error) error {
	var err error
	if cerr := d.rc.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		err = cerr
	}
	return unsupported(err)
}

// unsupported makes what drivers say of ioctls that they do not have
// errors.ErrUnsupported.
func unsupported(err error) error {
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w by this port (%w)", errors.ErrUnsupported, err)
	}
	return err
}

func (d ioctls) termios() (t *unix.Termios, err error) {
	err = d.do(func(fd int) (err error) {
		t, err = unix.IoctlGetTermios(fd, getTermios2)
		return err
	})
	return t, err
}

func (d ioctls) setTermios(t *unix.Termios) error {
	return d.do(func(fd int) error { return unix.IoctlSetTermios(fd, setTermios2, t) })
}

func (d ioctls) modem() (bits int, err error) {
	err = d.do(func(fd int) (err error) {
		bits, err = unix.IoctlGetInt(fd, unix.TIOCMGET)
		return err
	})
	return bits, err
}

func (d ioctls) setModem(set, clear int) error {
	return d.do(func(fd int) error {
		var errs []error
		if set != 0 {
			errs = append(errs, unix.IoctlSetPointerInt(fd, unix.TIOCMBIS, set))
		}
		if clear != 0 {
			errs = append(errs, unix.IoctlSetPointerInt(fd, unix.TIOCMBIC, clear))
		}
		return errors.Join(errs...)
	})
}

func (d ioctls) awaitModem(ctx context.Context, of int) error {
	return d.do(func(fd int) error {
		return interruptible(ctx, func() error { return unix.IoctlSetInt(fd, unix.TIOCMIWAIT, of) })
	})
}

func (d ioctls) counters() (c serialCounters, err error) {
	err = d.do(func(fd int) error { return ioctlPointer(fd, unix.TIOCGICOUNT, unsafe.Pointer(&c)) })
	return c, err
}

func (d ioctls) startBreak(ctx context.Context) error {
	return d.do(func(fd int) error {
		return interruptible(ctx, func() error { return unix.IoctlSetInt(fd, unix.TIOCSBRK, 0) })
	})
}

func (d ioctls) endBreak() error {
	return d.do(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCCBRK, 0) })
}

func (d ioctls) setRS485(c *serialRS485) error {
	return d.do(func(fd int) error { return ioctlPointer(fd, unix.TIOCSRS485, unsafe.Pointer(c)) })
}

func (d ioctls) flush(queues int) error {
	return d.do(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, queues) })
}

func (d ioctls) drain(ctx context.Context) error {
	return d.do(func(fd int) error {
		return interruptible(ctx, func() error { return unix.IoctlSetInt(fd, unix.TCSBRK, 1) })
	})
}

func (d ioctls) setExclusive(on bool) error {
	request := uint(unix.TIOCNXCL)
	if on {
		request = unix.TIOCEXCL
	}
	return d.do(func(fd int) error { return unix.IoctlSetInt(fd, request, 0) })
}

func (d ioctls) exclusive() (on bool, err error) {
	err = d.do(func(fd int) error {
		v, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL)
		on = v != 0
		return err
	})
	return on, err
}

// ioctlPointer is ioctl(2) with a pointer to what x/sys has no function for.
func ioctlPointer(fd int, request uint, p unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(p)); errno != 0 {
		return errno
	}
	return nil
}
