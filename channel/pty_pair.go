package channel

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A ptyPair is our end of a pseudo terminal (pty(7)): the master, kept as a
// plain descriptor for what never waits (poll, ioctl, a read of what is there).
// Those who wait use descriptors of their own, made by dup.
type ptyPair struct {
	fd   int    // the master; non-blocking, close-on-exec
	name string // of the slave, /dev/pts/N

	// hang is an epoll instance that is readable while nobody has the slave
	// open. It asks for no event but the hang-up, which is always told, so that
	// data wake nobody (epoll_ctl(2)).
	hang   *os.File
	hangRC syscall.RawConn
}

// openPty makes a pty. The slave is open, the caller closes it; while it never
// was open there is no hang-up to see.
func openPty() (p *ptyPair, slave *os.File, err error) {
	m, slave, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("no pty: %w", err)
	}
	defer m.Close()
	p = &ptyPair{fd: -1, name: slave.Name()}
	defer func() {
		if err != nil {
			p.close()
			slave.Close()
		}
	}()
	// pty.Open used m.Fd(), which takes the file off Go's poller and makes it
	// blocking: a Close would leave a Read waiting. So only its open file
	// description is used on.
	if p.fd, err = dupOf(m); err != nil {
		return nil, nil, err
	}
	if err = unix.SetNonblock(p.fd, true); err != nil {
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return p, slave, p.watchHangup()
}

// dupOf returns another descriptor of f's open file, close-on-exec.
func dupOf(f *os.File) (int, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	return dupIn(rc)
}

// dup returns the master as a file of its own, on Go's poller.
func (p *ptyPair) dup() (*os.File, error) {
	fd, err := dup(p.fd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.name), nil
}

func dup(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	return n, nil
}

func (p *ptyPair) watchHangup() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, p.fd, &unix.EpollEvent{})
	if err == nil {
		err = unix.SetNonblock(ep, true)
	}
	if err != nil {
		unix.Close(ep)
		return os.NewSyscallError("epoll_ctl", err)
	}
	p.hang = os.NewFile(uintptr(ep), "hang-up of "+p.name)
	p.hangRC, err = p.hang.SyscallConn()
	return err
}

// waitHangup waits until nobody has the slave open and says true, or until
// hang's read deadline passes or hang is closed and says false.
func (p *ptyPair) waitHangup() bool {
	return p.hangRC.Read(func(fd uintptr) bool {
		var ev [1]unix.EpollEvent
		n, err := unix.EpollWait(int(fd), ev[:], 0)
		return n > 0 || err != nil && err != unix.EINTR
	}) == nil
}

// poll says whether the slave is hung up (was open, and nobody has it open now)
// and whether there is input, now.
func (p *ptyPair) poll() (hup, input bool) {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, 0); err != unix.EINTR {
			break
		}
	}
	return fds[0].Revents&unix.POLLHUP != 0, fds[0].Revents&unix.POLLIN != 0
}

// maxRest bounds drain: more than the kernel keeps of what the other end wrote
// (N_TTY_BUF_SIZE and the tty's flip buffers, about 68 KiB).
const maxRest = 128 << 10

// drain reads what is there.
func (p *ptyPair) drain() []byte {
	var rest []byte
	for len(rest) < maxRest {
		// poll and not the read says that there is no more: a read that comes
		// between the slave's last write and its close can say EIO too early.
		if _, input := p.poll(); !input {
			break
		}
		n := len(rest)
		if rest = p.appendRead(rest, 4096); len(rest) == n {
			break
		}
	}
	return rest
}

// drainLeft reads what was left by those who had the slave open, but nothing
// that one wrote who opens it now.
func (p *ptyPair) drainLeft() []byte {
	var rest []byte
	for len(rest) < maxRest {
		if _, input := p.poll(); !input { // also brings in what is on its way
			break
		}
		there, err := unix.IoctlGetInt(p.fd, unix.TIOCINQ)
		// While there is still nobody these bytes are theirs who have left.
		if hup, _ := p.poll(); !hup || err != nil || there == 0 {
			break
		}
		n := len(rest)
		if rest = p.appendRead(rest, there); len(rest) == n {
			break
		}
	}
	return rest
}

// appendRead appends what one read(2) of at most n bytes gives, which does not
// wait.
func (p *ptyPair) appendRead(b []byte, n int) []byte {
	b = slices.Grow(b, n)
	for {
		n, err := unix.Read(p.fd, b[len(b):len(b)+n])
		if err != unix.EINTR {
			return b[:len(b)+max(n, 0)]
		}
	}
}

// flush throws away what was written to the slave and not read, and makes it
// raw again, whatever its last user has made of it.
func (p *ptyPair) flush() error {
	// TCOFLUSH empties what is on its way. The 4095 bytes that the slave's line
	// discipline holds already go only with its input, by the flush of TCSETSF,
	// which on a master is about the slave.
	if err := unix.IoctlSetInt(p.fd, unix.TCFLSH, unix.TCOFLUSH); err != nil {
		return os.NewSyscallError("tcflush", err)
	}
	if err := p.mend(); err != nil {
		return err
	}
	return setRaw(p.fd, unix.TCSETSF)
}

// What package unix has not.
const (
	lineOfTTY = 0 // N_TTY of linux/tty.h
	outputOn  = 1 // TCOON of asm-generic/termbits.h
)

// mend undoes what only the slave can: that nobody else may open it (TIOCEXCL), that its
// output is stopped (tcflow(3)), and another line discipline than that of a terminal. If the
// daemon may not, nobody may any more.
func (p *ptyPair) mend() error {
	fd, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if e != 0 {
		return os.NewSyscallError("open the slave", e)
	}
	slave := int(fd)
	defer unix.Close(slave)
	err := unix.IoctlSetInt(slave, unix.TIOCNXCL, 0)
	if line, lerr := unix.IoctlGetInt(slave, unix.TIOCGETD); err == nil && (lerr != nil || line != lineOfTTY) {
		err = unix.IoctlSetPointerInt(slave, unix.TIOCSETD, lineOfTTY)
	}
	if err == nil {
		err = unix.IoctlSetInt(slave, unix.TCXONC, outputOn)
	}
	return os.NewSyscallError("ioctl", err)
}

// close closes the master; if nobody else has a descriptor of it then whoever
// has the slave open gets a hang-up.
func (p *ptyPair) close() {
	if p.hang != nil {
		p.hang.Close()
	}
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
}

// setRaw makes a tty pass all bytes as they are, in both directions, without
// echo, as cfmakeraw(3) does. how is TCSETS, or TCSETSF to discard input too.
func setRaw(fd int, how uint) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return os.NewSyscallError("tcgetattr", err)
	}
	rawInput(t)
	t.Oflag &^= unix.OPOST
	return os.NewSyscallError("tcsetattr", unix.IoctlSetTermios(fd, how, t))
}

// rawInput has a terminal change nothing of what comes in, and echo none of it.
func rawInput(t *unix.Termios) {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}
