package channel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// openSerial opens a port for this process alone, if cfg says so, and sets its line
// for the first time.
func openSerial(e *Env, device string, cfg serialConfig) (int, error) {
	name, done, err := e.reach(device)
	if err != nil {
		return -1, serialOpenError(device, err)
	}
	defer done()
	fd, err := openTTY(name)
	if err != nil {
		return -1, serialOpenError(device, err)
	}
	if err := takeSerial(fd, device, cfg); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// takeSerial is openSerial of a device that is open.
func takeSerial(fd int, device string, cfg serialConfig) error {
	switch _, err := (ioctls{plainFD(fd)}).termios(); {
	case errors.Is(err, errors.ErrUnsupported):
		return errors.New("no serial port: serial wants the path of a tty")
	case errors.Is(err, unix.EIO): // what the 8250 driver says of a ttyS that is only a name
		return errors.New("the kernel knows this port, but no hardware is behind it")
	case err != nil:
		return fmt.Errorf("settings: %w", err)
	}
	if err := lockSerial(fd, device, cfg.exclusive); err != nil {
		return err
	}
	if err := firstSettings(fd, cfg.line); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// openTTY opens a tty that waits for no carrier.
func openTTY(device string) (int, error) {
	for {
		fd, err := unix.Open(device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// firstSettings has tarm/serial set what it can: 8 bits raw and a rate that it
// knows, of what fd is of: the name may lead elsewhere by now. Its descriptor is closed at
// once; ours keeps the line up.
func firstSettings(fd int, c LineConfig) error {
	cfg := &serial.Config{Name: procFD(fd), Baud: nearSpeed(c.Baud), Size: byte(c.DataBits)}
	switch c.Parity {
	case ParityOdd:
		cfg.Parity = serial.ParityOdd
	case ParityEven:
		cfg.Parity = serial.ParityEven
	}
	if c.StopBits > StopOne { // CSTOPB: it is 1.5 where there are 5 data bits
		cfg.StopBits = serial.Stop2
	}
	p, err := serial.OpenPort(cfg)
	if err != nil {
		return err
	}
	return p.Close()
}

// serialOpenError says what to do about an open(2) that failed.
func serialOpenError(device string, err error) error {
	switch err {
	case unix.ENOENT, unix.ENXIO, unix.ENODEV:
		return fmt.Errorf("open: %w: is it plugged in?", err)
	case unix.EACCES, unix.EPERM:
		return fmt.Errorf("open: %w: %s", err, whoMay(device))
	case unix.EBUSY:
		return inUse(device)
	case unix.EIO:
		return fmt.Errorf("open: %w: there is no port behind this name", err)
	}
	return fmt.Errorf("open: %w", err)
}

// whoMay says how to get the right to open a device, which is by its group's
// members mostly.
func whoMay(device string) string {
	const readWrite = 0o060
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil || st.Mode&readWrite != readWrite || st.Gid == 0 {
		return "only root may open it; serial ports belong to the group dialout mostly"
	}
	group := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("add the daemon's user to the group %s (usermod -aG %s USER) and start it anew", group, group)
}

// lockSerial sees that nobody else has the port for himself, and takes it, by
// flock(2), if exclusive. It comes before any setting, which the other one would
// feel. TIOCEXCL, which keeps out programs that know nothing of locks, but not
// root's, is set later: it would keep tarm/serial out as well.
func lockSerial(fd int, device string, exclusive bool) error {
	// Not on a pty, whose flag outlives a holder that was killed.
	if on, err := (ioctls{plainFD(fd)}).exclusive(); err == nil && on && !isPTY(fd) {
		return inUse(device)
	}
	if !exclusive {
		return nil
	}
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return inUse(device)
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// isPTY says whether a descriptor is the slave of a pty: those have the majors 136
// to 143 (devices.txt of the kernel). It has no breaks and no modem lines.
func isPTY(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	return isPTYNumber(uint64(st.Rdev))
}

func isPTYNumber(rdev uint64) bool {
	major := unix.Major(rdev)
	return major >= 136 && major <= 143
}

// inUse is the error for a port that somebody else has for himself.
func inUse(device string) error {
	who := "another program"
	if pid := lockHolder(device); pid > 0 {
		who = fmt.Sprintf("process %d%s", pid, commandOf(pid))
	} else if pid := userOf(device); pid > 0 {
		who = fmt.Sprintf("process %d%s", pid, commandOf(pid))
	}
	return fmt.Errorf("in use: %s has it for itself alone", who)
}

// lockHolder is the process that has locked a file by flock(2), 0 if it is not
// known (proc(5), /proc/locks; who cannot be seen from here has number 0 or less).
func lockHolder(file string) int {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return 0
	}
	where := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 1234 00:05:99 0 EOF
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == where {
			pid, _ := strconv.Atoi(f[4])
			return pid
		}
	}
	return 0
}

// userOf is another process that has a device open, of those whose descriptors may
// be looked at; 0 if none is found.
func userOf(device string) int {
	var want unix.Stat_t
	if err := unix.Stat(device, &want); err != nil {
		return 0
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		var st unix.Stat_t
		if unix.Stat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != want.Rdev {
			continue
		}
		if isPTYNumber(uint64(st.Rdev)) && st.Dev != want.Dev { // that of a container, with the same number
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
		if pid != os.Getpid() {
			return pid
		}
	}
	return 0
}

// commandOf is the name of a process in brackets, "" if it is not known.
func commandOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%s)", bytes.TrimSpace(name))
}

// held are the descriptors of ports with hold=true that nobody uses at the moment,
// by what their address calls them.
var held struct {
	sync.Mutex
	fds map[string]int
}

// hold keeps a descriptor until a port of that name is opened again. It owns fd.
func hold(name string, fd int) {
	held.Lock()
	defer held.Unlock()
	if old, ok := held.fds[name]; ok { // of an exclusive=false one that was open twice
		unix.Close(old)
	}
	if held.fds == nil {
		held.fds = map[string]int{}
	}
	held.fds[name] = fd
}

// takeHeld returns the descriptor that was held under a name. One that has hung
// up is of no use: it is closed, so that the device's number becomes free.
func takeHeld(name string) (fd int, ok bool) {
	held.Lock()
	defer held.Unlock()
	fd, ok = held.fds[name]
	delete(held.fds, name)
	if ok && hungUp(fd) {
		unix.Close(fd)
		return -1, false
	}
	return fd, ok
}

// hungUp says whether a tty is there no more.
func hungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	for {
		n, err := unix.Poll(p, 0)
		if err != unix.EINTR {
			return err == nil && n == 1
		}
	}
}
