package channel

import (
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A readOp is one Read of an fdChannel: what net's RawConn calls until it says
// that it is done. It is kept for the next one, as a closure would be garbage.
type readOp struct {
	c   *fdChannel
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool
	now func(fd uintptr)
}

var readOps = sync.Pool{New: func() any { o := new(readOp); o.try, o.now = o.once, o.atOnce; return o }}

func (o *readOp) run(c *fdChannel, p []byte) (int, error) {
	o.c, o.p, o.n, o.err = c, p, 0, nil
	err := c.f.Read(o.try)
	if err == nil {
		err = o.err
	}
	o.c, o.p = nil, nil
	return o.n, err
}

// runNow reads what there is.
func (o *readOp) runNow(c *fdChannel, p []byte) (int, error) {
	o.c, o.p, o.n, o.err = c, p, 0, nil
	err := c.f.Control(o.now)
	if err == nil {
		err = o.err
	}
	o.c, o.p = nil, nil
	return o.n, err
}

// atOnce is once that does not wait at all.
func (o *readOp) atOnce(fd uintptr) {
	o.c.fast.Store(0)
	o.once(fd)
}

const (
	// Who reads so much at once is at full rate (a terminal gives no more), and will have
	// more within fastWait, fastWaits times: its pieces are of all sizes, and to be parked
	// after each small one makes gates (see way). Measured: of 1 ms, in which many a timer
	// ticks, every second wait is in vain.
	fastRead  = 4095
	fastWait  = 2 * time.Millisecond
	fastWaits = 4
)

func (o *readOp) once(fd uintptr) bool {
	for {
		n, e := o.c.calls.read(int(fd), o.p)
		switch e {
		case 0:
			if o.n = n; n == 0 {
				o.err = io.EOF
			}
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			if !o.wait(int(fd)) {
				return false
			}
		default:
			o.err = e
			return true
		}
	}
}

// wait waits for a peer at full rate, for a moment.
func (o *readOp) wait(fd int) bool {
	left := o.c.fast.Load()
	if left == 0 {
		return false
	}
	ok := pollFor(fd, unix.POLLIN, fastWait)
	if !ok {
		left = 1
	}
	o.c.fast.Store(left - 1)
	return ok
}

// pollFor waits for the descriptor on the thread.
func pollFor(fd int, events int16, d time.Duration) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	t := unix.NsecToTimespec(int64(d))
	n, err := unix.Ppoll(p[:], &t, nil)
	return n > 0 || err == unix.EINTR
}

// A writeOp is one write of an fdChannel, as a readOp is a read.
type writeOp struct {
	c     *fdChannel
	bufs  [][]byte
	total int64
	wait  bool
	done  int64
	until time.Time // the end of its patience; zero: not begun
	err   error
	iov   [iovFew][]byte
	try   func(fd uintptr) bool
}

var writeOps = sync.Pool{New: func() any { o := new(writeOp); o.try = o.once; return o }}

// run holds the descriptor's write lock over all of a long write, as RawConn.Write
// does, so that nothing comes between its parts.
func (o *writeOp) run(c *fdChannel, bufs [][]byte, total int64, wait bool) (int64, error) {
	o.c, o.bufs, o.total, o.wait = c, bufs, total, wait
	o.done, o.until, o.err = 0, time.Time{}, nil
	err := c.f.Write(o.try)
	if err == nil {
		err = o.err
	}
	o.c, o.bufs = nil, nil
	clear(o.iov[:min(len(bufs), iovFew)])
	return o.done, err
}

func (o *writeOp) once(fd uintptr) bool {
	for o.done < o.total {
		n, e := o.c.calls.writev(int(fd), gather(o.iov[:0], o.bufs, o.done))
		if n > 0 {
			o.done += int64(n)
		}
		switch e {
		case syscall.EINTR:
			continue
		case 0: // a short write says what EAGAIN would
			if o.wait || o.done == o.total {
				continue
			}
		case syscall.EAGAIN:
			if o.wait {
				o.c.sent() // and not all of it may be for long
				return false
			}
		default:
			o.err = e
			return true
		}
		if !o.bear(int(fd)) {
			return true
		}
	}
	return true
}

// bear waits for room, within the channel's patience.
func (o *writeOp) bear(fd int) bool {
	d := time.Duration(o.c.patience.Load())
	if d == 0 {
		return false
	}
	now := time.Now()
	if o.until.IsZero() {
		o.until = now.Add(d)
	}
	left := o.until.Sub(now)
	return left > 0 && pollFor(fd, unix.POLLOUT, left)
}

// iovMax is how many slices one writev(2) or sendmsg(2) takes (UIO_MAXIOV).
const iovMax = 1024

// iovFew is how many slices are written without garbage: two blocks of the history,
// cut into frames.
const iovFew = 16

// gather appends to iov what is left of bufs after skip bytes, as far as one
// call takes it.
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
