package channel

import (
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// file is what a handle and a pollable *os.File have in common.
type file interface {
	syscall.RawConn
	io.Closer
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// An fdChannel is a channel over a descriptor. Writev and TryWritev are one
// system call where the kernel takes all.
type fdChannel struct {
	f        file
	at       endAddrs
	dead     deadWrite
	fast     atomic.Int32 // how often Read waits on its thread, see readOp.wait
	patience atomic.Int32 // of TryWritev, ns
	peer     *peerWatch   // of TCP; else nil
	rest     rest

	closeOnce sync.Once
	calls     calls // fixed; here for room
}

// A polledFile is a file that Go's poller knows.
type polledFile struct {
	syscall.RawConn
	f *os.File
}

func (p *polledFile) Close() error                       { return p.f.Close() }
func (p *polledFile) SetDeadline(t time.Time) error      { return p.f.SetDeadline(t) }
func (p *polledFile) SetReadDeadline(t time.Time) error  { return p.f.SetReadDeadline(t) }
func (p *polledFile) SetWriteDeadline(t time.Time) error { return p.f.SetWriteDeadline(t) }

// newFD is a channel over a file that Go's poller knows. It owns f.
func newFD(f *os.File, at endAddrs) (*fdChannel, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &fdChannel{f: &polledFile{RawConn: rc, f: f}, at: at}, nil
}

// newSharedFD is newFD for what others have, too.
func newSharedFD(f *os.File, at endAddrs) (*fdChannel, error) {
	c, err := newFD(f, at)
	if err == nil {
		c.calls = sharedCallsOf(f)
	}
	return c, err
}

// Read waits for a peer that is at full rate on its thread, for a moment: to be
// parked and woken, maybe on another core, costs more than the read (measured).
func (c *fdChannel) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.rest.hurry > 0 {
		return c.readInHurry(p)
	}
	op := readOps.Get().(*readOp)
	n, err := op.run(c, p)
	readOps.Put(op)
	if err != nil {
		return 0, plain("read", err)
	}
	c.sped(n)
	return n, nil
}

// sped notes that so much was read at once.
func (c *fdChannel) sped(n int) {
	if n >= fastRead {
		c.fast.Store(fastWaits)
	}
}

// tryRead reads what there is.
func (c *fdChannel) tryRead(p []byte) (int, error) {
	op := readOps.Get().(*readOp)
	n, err := op.runNow(c, p)
	readOps.Put(op)
	if err != nil {
		return 0, plain("read", err)
	}
	c.sped(n)
	return n, nil
}

// readInHurry is Read as if its deadline came when there is nothing, or when there was
// enough.
func (c *fdChannel) readInHurry(p []byte) (n int, err error) {
	if c.rest.hurry > 1 { // it never goes down to 0, where Read waits
		c.rest.hurry--
		n, err = c.tryRead(p)
		if 0 < n && n < len(p) { // that was all; who attends is told of what comes now
			c.rest.hurry = 1
		}
	}
	if n == 0 && err == nil {
		err = plain("read", os.ErrDeadlineExceeded)
	}
	return n, err
}

// Buffered is that of a Buffered (FIONREAD, which is TIOCINQ: unix(7), tcp(7), pipe(7),
// ioctl_tty(2)).
func (c *fdChannel) Buffered() (n int) {
	if c.f.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) != nil {
		return 0
	}
	return n
}

// Untaken is that of an Untaken (TIOCOUTQ, which is SIOCOUTQ of unix(7) and tcp(7)).
func (c *fdChannel) Untaken() bool {
	var n int
	err := c.f.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return err == nil && n > 0
}

func (c *fdChannel) Write(p []byte) (int, error) { return writeOne(c, p) }

func (c *fdChannel) Writev(bufs [][]byte) (int64, error)    { return c.writev(bufs, true) }
func (c *fdChannel) TryWritev(bufs [][]byte) (int64, error) { return c.writev(bufs, false) }

// writev writes bufs; if wait is false, only what is taken at once, or within the
// channel's patience.
func (c *fdChannel) writev(bufs [][]byte, wait bool) (int64, error) {
	if err := c.dead.check(); err != nil {
		return 0, err
	}
	total := SizeOf(bufs)
	if total == 0 {
		return 0, nil
	}
	op := writeOps.Get().(*writeOp)
	done, err := op.run(c, bufs, total, wait)
	writeOps.Put(op)
	if done > 0 {
		c.sent()
	}
	return done, c.dead.note(plain("write", err))
}

// sent is called when something was sent.
func (c *fdChannel) sent() {
	if c.peer != nil {
		c.peer.sent()
	}
}

// SetPatience is that of a Patient.
func (c *fdChannel) SetPatience(d time.Duration) { c.patience.Store(int32(min(d, math.MaxInt32))) }

// AwaitWrite asks poll(2) and not the last EAGAIN: of what became writable since
// then the poller tells only those who wait already.
func (c *fdChannel) AwaitWrite() error {
	if err := c.dead.check(); err != nil {
		return err
	}
	return c.dead.note(plain("write", c.f.Write(writable)))
}

func writable(fd uintptr) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, _ := unix.Poll(p[:], 0)
	return n != 0 // after an error the next write tells: who parks here may have missed the poller's word
}

// Close closes the descriptor. An error is told to the first who closes.
func (c *fdChannel) Close() (err error) {
	c.closeOnce.Do(func() {
		c.dead.note(net.ErrClosed)
		if c.peer != nil {
			c.peer.stop()
		}
		c.rest.close()
		err = plain("close", c.f.Close())
	})
	return err
}

func (c *fdChannel) LocalAddr() net.Addr  { return c.at.local() }
func (c *fdChannel) RemoteAddr() net.Addr { return c.at.remote() }

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
