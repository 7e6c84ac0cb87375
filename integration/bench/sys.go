package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var errTime = errors.New("it took too long")

// poll waits for an event of a descriptor, at most for a time.
func poll(fd int, events int16, wait time.Duration) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(wait.Milliseconds()))
	return n > 0
}

// pollIn waits until a descriptor can be read.
func pollIn(fd int, deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return errTime
		}
		if poll(fd, unix.POLLIN, left) {
			return nil
		}
	}
}

func sockaddr(kind, addr string) (int, unix.Sockaddr) {
	if kind == "unix" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: addr}
	}
	port, err := strconv.Atoi(addr)
	if err != nil {
		panic(err)
	}
	return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

// listenAt listens on a UNIX socket (kind unix) or a port of 127.0.0.1.
func listenAt(kind, addr string) (int, error) {
	family, sa := sockaddr(kind, addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if kind != "unix" {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err := errors.Join(unix.Bind(fd, sa), unix.Listen(fd, 16)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen on %s %s: %w", kind, addr, err)
	}
	return fd, nil
}

// connect connects to a UNIX socket or a port of 127.0.0.1, which the target may
// open only later.
func connect(kind, addr string, deadline time.Time) (int, error) {
	family, sa := sockaddr(kind, addr)
	for {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		if err = unix.Connect(fd, sa); err == nil {
			nodelay(fd)
			return fd, nil
		}
		unix.Close(fd)
		switch {
		case !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINTR):
			return -1, fmt.Errorf("connect to %s %s: %w", kind, addr, err)
		case time.Now().After(deadline):
			return -1, fmt.Errorf("connect to %s %s: nobody listens", kind, addr)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// nodelay sends at once; what is not TCP does so anyway.
func nodelay(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }

// abort closes a connection without leaving its port in TIME_WAIT.
func abort(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// fdConn is a blocking descriptor as a net.Conn, for crypto/tls. It has no
// deadlines.
type fdConn int

func (c fdConn) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(c), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, errClosed
		default:
			return n, nil
		}
	}
}

// readNow is Read of what is there; it returns errNotYet if that is nothing. Go's scheduler
// hears nothing of it: it would look every 20 µs whether that takes long, and takes 4 % of
// the processors for it that the target would have (measured).
func (c fdConn) readNow(p []byte) (int, error) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case e == unix.EINTR:
		case e == unix.EAGAIN:
			return 0, errNotYet
		case e != 0:
			return 0, e
		case n == 0 && len(p) > 0:
			return 0, errClosed
		default:
			return int(n), nil
		}
	}
}

func (c fdConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(int(c), p[done:])
		if err != nil && err != unix.EINTR {
			return done, err
		}
		done += max(n, 0)
	}
	return done, nil
}

func (c fdConn) Close() error                     { abort(int(c)); return nil }
func (c fdConn) LocalAddr() net.Addr              { return nil }
func (c fdConn) RemoteAddr() net.Addr             { return nil }
func (c fdConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c fdConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c fdConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// errNotYet is temporary, so that crypto/tls goes on from where it was.
var errNotYet error = notYetError{}

type notYetError struct{}

func (notYetError) Error() string   { return "nothing to read yet" }
func (notYetError) Timeout() bool   { return true }
func (notYetError) Temporary() bool { return true }

// A tlsWire is an fdConn whose way to read can be changed.
type tlsWire struct {
	fdConn
	read func(c fdConn, p []byte) (int, error)
}

func (w *tlsWire) Read(p []byte) (int, error) { return w.read(w.fdConn, p) }

var errClosed = errors.New("the target closed the connection")

// freePort returns a TCP port on which nobody listens. Ports are taken one after
// the other from a range below the kernel's own choice (32768 on), so that an
// outgoing connection does not get one meanwhile.
func freePort() int {
	ports.Lock()
	defer ports.Unlock()
	for range portCount {
		p := portFirst + ports.next%portCount
		ports.next++
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			continue
		}
		l.Close()
		return p
	}
	panic(fmt.Sprintf("no free TCP port from %d on", portFirst))
}

const portFirst, portCount = 8000, 24000

var ports = struct {
	sync.Mutex
	next int
}{next: rand.IntN(portCount)}

// raiseLimits lets this process and what it starts have many descriptors.
func raiseLimits() {
	l := unix.Rlimit{Cur: 1 << 17, Max: 1 << 17}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		return
	}
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
}
