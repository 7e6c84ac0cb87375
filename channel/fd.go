package channel

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// file is what *net.TCPConn, *net.UnixConn and a pollable *os.File have in
// common: a descriptor on Go's poller.
type file interface {
	io.ReadWriteCloser
	syscall.Conn
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// An fdChannel is a channel over a descriptor. Writev and TryWritev are one
// system call where the kernel takes all.
type fdChannel struct {
	f             file
	rc            syscall.RawConn
	local, remote net.Addr
	dead          deadWrite
	rest          rest

	closeOnce sync.Once
	closeErr  error
}

func newFD(f file, local, remote net.Addr) (*fdChannel, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &fdChannel{f: f, rc: rc, local: local, remote: remote}, nil
}

func (c *fdChannel) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	if n > 0 {
		return n, nil
	}
	return n, plain("read", err)
}

func (c *fdChannel) Write(p []byte) (int, error) {
	var one [1][]byte
	one[0] = p
	n, err := c.writev(one[:], true)
	return int(n), err
}

func (c *fdChannel) Writev(bufs [][]byte) (int64, error)    { return c.writev(bufs, true) }
func (c *fdChannel) TryWritev(bufs [][]byte) (int64, error) { return c.writev(bufs, false) }

// iovMax is how many slices one writev(2) takes (UIO_MAXIOV).
const iovMax = 1024

// writev writes bufs; if wait is false, only what is taken at once.
func (c *fdChannel) writev(bufs [][]byte, wait bool) (int64, error) {
	if err := c.dead.check(); err != nil {
		return 0, err
	}
	total := int64(0)
	for _, b := range bufs {
		total += int64(len(b))
	}
	if total == 0 {
		return 0, nil
	}
	var done int64
	var werr error
	// RawConn.Write holds the descriptor's write lock over the whole call, so
	// that nothing comes between the parts of a long one.
	err := c.rc.Write(func(fd uintptr) bool {
		var iov [64][]byte
		for done < total {
			var n int
			n, werr = unix.Writev(int(fd), gather(iov[:0], bufs, done))
			if n > 0 {
				done += int64(n)
			}
			switch werr {
			case nil, unix.EINTR:
				werr = nil
			case unix.EAGAIN:
				werr = nil
				return !wait
			default:
				return true
			}
		}
		return true
	})
	if err == nil {
		err = werr
	}
	return done, c.dead.note(plain("write", err))
}

// gather appends to iov what is left of bufs after skip bytes, as far as one
// writev takes it.
func gather(iov, bufs [][]byte, skip int64) [][]byte {
	for _, b := range bufs {
		if skip >= int64(len(b)) {
			skip -= int64(len(b))
			continue
		}
		iov = append(iov, b[skip:])
		skip = 0
		if len(iov) == iovMax {
			break
		}
	}
	return iov
}

func (c *fdChannel) Close() error {
	c.closeOnce.Do(func() {
		c.dead.note(net.ErrClosed)
		c.rest.close()
		c.closeErr = plain("close", c.f.Close())
	})
	return c.closeErr
}

func (c *fdChannel) LocalAddr() net.Addr  { return c.local }
func (c *fdChannel) RemoteAddr() net.Addr { return c.remote }

func (c *fdChannel) SetDeadline(t time.Time) error {
	defer c.rest.end()
	return plain("deadline", c.f.SetDeadline(t))
}

func (c *fdChannel) SetReadDeadline(t time.Time) error {
	defer c.rest.end()
	return plain("deadline", c.f.SetReadDeadline(t))
}

func (c *fdChannel) SetWriteDeadline(t time.Time) error {
	return plain("deadline", c.f.SetWriteDeadline(t))
}

// An addr is a net.Addr made of an address's parts.
type addr struct{ network, where string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.where }
