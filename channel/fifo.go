package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipe is what QEMU's chardev of that name is: two FIFOs (fifo(7)), PATH.in with what is
// to be typed and PATH.out with what is printed. Who listens is in QEMU's place and reads
// PATH.in; who dials is its peer and writes there. Where there is PATH alone, a FIFO, it
// has one direction: who listens writes it, who dials reads it.
var pipeTransport = &transport{
	name: "pipe", what: "a path", file: true, options: fileOptions,
	nodes:  func(where string) []string { return []string{where + ".in", where + ".out", where} },
	dial:   dialFIFO,
	listen: listenFIFO,
}

// dialFIFO opens what somebody else has made, and has open.
func dialFIFO(ctx context.Context, _ *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	where := addr{"pipe", a.Where}
	// Without a reader this fails with ENXIO: whoever has the console is not there.
	out, err := openFIFO(a.Where+".in", unix.O_WRONLY)
	if errors.Is(err, fs.ErrNotExist) && isFIFO(a.Where) {
		// With a writer of our own it has no end, however many come and go.
		in, err := openFIFO(a.Where, unix.O_RDWR)
		if err != nil {
			return nil, err
		}
		c, err := newFD(in, where)
		if err != nil {
			return nil, err
		}
		return &oneWay{at: where, in: c, out: nowhere()}, nil
	}
	if errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("nobody has %s.in open to read: %w", a.Where, err)
	}
	if err != nil {
		return nil, err
	}
	in, err := openFIFO(a.Where+".out", unix.O_RDONLY)
	if err != nil {
		out.Close()
		return nil, err
	}
	d, err := newDuplex(in, out, where, where)
	if err != nil {
		return nil, err
	}
	return &fifo{duplex: d}, nil
}

// openFIFO opens a FIFO without waiting for its other end.
func openFIFO(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = fmt.Errorf("%s is no FIFO: make one by mkfifo", path)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func isFIFO(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().Type() == fs.ModeNamedPipe
}

// A fifo is a channel over two FIFOs. Its peer is gone when nobody has the one open to
// write that it reads, but not before somebody had.
type fifo struct {
	*duplex
	over atomic.Bool
}

func (f *fifo) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var errno syscall.Errno
	err := f.in.f.Read(func(fd uintptr) bool {
		if f.over.Load() {
			n, errno = 0, 0
			return true
		}
		for {
			switch n, errno = readFD(int(fd), p); {
			case errno == syscall.EINTR:
			case errno == syscall.EAGAIN:
				return false
			case n == 0 && errno == 0: // nobody writes: no more, or not yet
				return pollsHangup(int(fd))
			default:
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, plain("read", err)
	case errno != 0:
		return 0, plain("read", errno)
	case n == 0:
		f.over.Store(true)
		return 0, io.EOF
	}
	return n, nil
}

// pollsHangup says whether there was a writer, and is none now (poll(2)).
func pollsHangup(fd int) bool {
	p := [1]unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(p[:], 0)
	return n > 0 && err == nil && p[0].Revents&unix.POLLHUP != 0
}

// CloseWrite fails: whoever reads a FIFO waits for the next writer.
func (f *fifo) CloseWrite() error { return errors.ErrUnsupported }

// A fifoListener is in QEMU's place. It has both ends of its FIFOs open, as QEMU does: so
// nobody's coming and going is an end, what is written while nobody reads stays in the
// FIFO, and a full one makes writers wait, who for the hub are slow clients like others.
// It hands out one channel at a time.
type fifoListener struct {
	addr    addr
	in, out *os.File // in is nil where there is one FIFO only
	made    []madeNode

	free chan struct{} // has a value while no channel is out; capacity 1
	done chan struct{} // closed by Close
	once sync.Once
}

// A madeNode is a node in the file system that is to go with who made it.
type madeNode struct {
	path string
	info fs.FileInfo
}

func (n madeNode) remove() {
	if fi, err := os.Lstat(n.path); err == nil && os.SameFile(fi, n.info) {
		os.Remove(n.path)
	}
}

// listenFIFO opens the FIFOs, and makes those that are not there.
func listenFIFO(ctx context.Context, _ *Env, a Address) (accepter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := &fifoListener{addr: addr{"pipe", a.Where}, free: make(chan struct{}, 1), done: make(chan struct{})}
	l.free <- struct{}{}
	var err error
	if isFIFO(a.Where) && !isFIFO(a.Where+".in") {
		l.out, err = openFIFO(a.Where, unix.O_RDWR)
	} else if l.in, err = l.make(a, ".in"); err == nil {
		l.out, err = l.make(a, ".out")
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// make opens a FIFO, which it makes if it is not there.
func (l *fifoListener) make(a Address, suffix string) (*os.File, error) {
	path := a.Where + suffix
	err := unix.Mkfifo(path, 0o600)
	if err == nil {
		info, err := dressNode(path, a)
		if err != nil {
			os.Remove(path)
			return nil, err
		}
		l.made = append(l.made, madeNode{path, info})
	} else if err != unix.EEXIST {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return openFIFO(path, unix.O_RDWR)
}

// Accept hands out a channel when the last one is closed.
func (l *fifoListener) Accept() (Channel, error) {
	select {
	case <-l.free:
	case <-l.done:
		return nil, net.ErrClosed
	}
	ch, err := l.open()
	if err != nil {
		l.free <- struct{}{}
		return nil, err
	}
	return &fifoSession{ch, sync.OnceFunc(func() { l.free <- struct{}{} })}, nil
}

// open makes a channel of other descriptors of the FIFOs.
func (l *fifoListener) open() (fifoChannel, error) {
	out, err := dupFile(l.out)
	if err != nil {
		return nil, err
	}
	if l.in == nil {
		c, err := newFD(out, l.addr)
		if err != nil {
			return nil, err
		}
		return &oneWay{at: l.addr, in: nowhere(), out: c}, nil
	}
	in, err := dupFile(l.in)
	if err != nil {
		out.Close()
		return nil, err
	}
	d, err := newDuplex(in, out, l.addr, l.addr)
	if err != nil {
		return nil, err
	}
	return &fifo{duplex: d}, nil
}

// A fifoChannel is a fifo or a oneWay.
type fifoChannel interface {
	Channel
	TryWriter
}

// A fifoSession tells the listener of its end.
type fifoSession struct {
	fifoChannel
	left func()
}

// Unwrap is what the session goes by.
func (s *fifoSession) Unwrap() Channel { return s.fifoChannel }

func (s *fifoSession) Close() error {
	defer s.left()
	return s.fifoChannel.Close()
}

// dupFile is another descriptor of what f has open, on Go's poller.
func dupFile(f *os.File) (*os.File, error) {
	fd, err := dupOf(f)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func (l *fifoListener) Addr() net.Addr { return l.addr }

// Close removes the FIFOs that the listener has made, if they are still its own.
func (l *fifoListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		for _, f := range []*os.File{l.in, l.out} {
			if f != nil {
				f.Close() // nothing is lost by that
			}
		}
		for _, n := range l.made {
			n.remove()
		}
	})
	return nil
}
