package channel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stdio is the standard input and output of this process, as QEMU's chardev of that name: one
// channel at a time. A terminal there is raw meanwhile but for what it does with output, as
// the log may go there too, and for the keys that send signals (^C, ^\ and ^Z), which
// signal=false gives to whoever reads the channel. Its settings come back whatever becomes of
// the process (stdio_terminal.go).
//
// An input that has ended is not opened again. There is no half close: the output is the
// process's.
var stdioTransport = &transport{
	name: "stdio", nowhere: true,
	options: []optionDef{{name: "signal", check: isBool}},
	check: func(a Address) error {
		if a.Where != "" {
			return errors.New("nothing stands behind the colon of stdio: there is one")
		}
		return nil
	},
	dial: dialStdio,

	adopt: adoptStdio,
}

// The standard input and output are the process's.
var (
	stdioTaken atomic.Bool // by a channel that is open
	stdinEnded atomic.Bool
)

var (
	errStdioTaken = errors.New("standard input and output are in use already: a process has them once")
	errStdinEnded = errors.New("standard input has ended")
)

func dialStdio(ctx context.Context, _ *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if stdinEnded.Load() {
		return nil, errStdinEnded
	}
	return takeStdio(func() (Channel, error) { return openStdio(unix.Stdin, unix.Stdout, a, leaveStdio) })
}

// takeStdio has open open what can be open once.
func takeStdio(open func() (Channel, error)) (Channel, error) {
	if !stdioTaken.CompareAndSwap(false, true) {
		return nil, errStdioTaken
	}
	ch, err := open()
	if err != nil {
		stdioTaken.Store(false)
	}
	return ch, err
}

// leaveStdio gives them back.
func leaveStdio(ended bool) {
	for _, fd := range []int{unix.Stdin, unix.Stdout} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
			unix.SetNonblock(fd, false) // see stdioFile
		}
	}
	stdinEnded.Store(ended)
	stdioTaken.Store(false)
}

// A stdio is a channel that reads one descriptor and writes another, which both are not
// its own: it has made others of what they are open to.
type stdio struct {
	at  addr
	in  stdioIn
	out stdioOut

	inRC, outRC syscall.RawConn
	terminal    *rawTerminal // nil: it is none

	ended atomic.Bool      // the end of the input was read
	left  func(ended bool) // called once at its end
	once  sync.Once
	err   error // of Close
}

type stdioIn interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

type stdioOut interface {
	io.WriteCloser
	Writev(bufs [][]byte) (int64, error)
	SetWriteDeadline(time.Time) error
}

// A tryingStdio can write without waiting, which no file on a disk can.
type tryingStdio struct {
	*stdio
	TryWriter
}

// openStdio makes the channel of two descriptors, which stay as they are. left is called when
// it is closed, with whether its input had ended.
func openStdio(in, out int, a Address, left func(ended bool)) (Channel, error) {
	i, err := stdioFile(in, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	o, err := stdioFile(out, unix.O_WRONLY)
	if err != nil {
		i.Close()
		return nil, err
	}
	var terminal *rawTerminal
	if isTerminal(in) {
		if terminal, err = takeTerminal(in, a); err != nil {
			i.Close()
			o.Close()
			return nil, err
		}
	}
	return newStdio(i, o, &stdio{at: addr{"stdio", ""}, terminal: terminal, left: left})
}

// newStdio has s read i and write o, which it owns.
func newStdio(i, o *os.File, s *stdio) (Channel, error) {
	var err error
	if s.in, s.inRC, err = stdioReader(i, s.at); err != nil {
		o.Close()
		return nil, errors.Join(err, s.terminal.restore())
	}
	if !waits(o) {
		s.outRC, err = o.SyscallConn()
		s.out = newWrittenFile(o, s.at.network)
		return s, err
	}
	c, err := newSharedFD(o, s.at)
	if err != nil {
		s.in.Close()
		return nil, errors.Join(err, s.terminal.restore())
	}
	s.out, s.outRC = c, c.f
	return tryingStdio{s, c}, nil
}

// stdioReader reads f, which it owns.
func stdioReader(f *os.File, at addr) (stdioIn, syscall.RawConn, error) {
	if !waits(f) {
		rc, err := f.SyscallConn()
		return &readyFile{f: f}, rc, err
	}
	c, err := newSharedFD(f, at)
	if err != nil {
		return nil, nil, err
	}
	return &tty{c}, c.f, nil // whose end is that of anything else, too
}

// stdioFile is another file for what a descriptor is open to. Where that can not be opened
// once more (a socket, or another user's terminal) whoever else has it will not wait either
// until Close.
func stdioFile(fd, flags int) (*os.File, error) {
	if !mayWait(fd) {
		own, err := dup(fd) // opened once more it would begin at its start
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(own), "stdio"), nil
	}
	own, err := unix.Open(procFD(fd), flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		if own, err = dup(fd); err != nil {
			return nil, err
		}
		if err := unix.SetNonblock(own, true); err != nil {
			unix.Close(own)
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	return os.NewFile(uintptr(own), "stdio"), nil
}

// mayWait says whether reading or writing a descriptor may have to wait for somebody.
func mayWait(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return true
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFBLK:
		return false
	case unix.S_IFCHR:
		return isTerminal(fd) // and not /dev/null
	}
	return true
}

func waits(f *os.File) (may bool) {
	if rc, err := f.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) { may = mayWait(int(fd)) })
	}
	return may
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

func (s *stdio) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err == io.EOF {
		s.ended.Store(true)
	}
	return n, err
}

func (s *stdio) Write(p []byte) (int, error)         { return s.out.Write(p) }
func (s *stdio) Writev(bufs [][]byte) (int64, error) { return s.out.Writev(bufs) }
func (s *stdio) LocalAddr() net.Addr                 { return s.at }
func (s *stdio) RemoteAddr() net.Addr                { return s.at }
func (s *stdio) SetReadDeadline(t time.Time) error   { return s.in.SetReadDeadline(t) }
func (s *stdio) SetWriteDeadline(t time.Time) error  { return s.out.SetWriteDeadline(t) }

func (s *stdio) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// CloseWrite fails: the process still has its output.
func (s *stdio) CloseWrite() error { return errors.ErrUnsupported }

// Close gives the terminal its settings back.
func (s *stdio) Close() error {
	s.once.Do(func() {
		s.err = errors.Join(s.in.Close(), s.out.Close(), s.terminal.restore())
		s.left(s.ended.Load())
	})
	return s.err
}

// Park makes a stdio a Parker. A terminal stays raw; only the same process can adopt it.
func (s *stdio) Park() (p *Parked, err error) {
	err = net.ErrClosed // unless this is what closes it
	s.once.Do(func() {
		if p, err = s.hand(); err == nil {
			s.terminal.release()
		} else {
			err = errors.Join(plain("park", err), s.terminal.restore())
		}
		s.err = errors.Join(s.in.Close(), s.out.Close())
		s.left(s.ended.Load())
	})
	return p, err
}

// hand makes what Park returns.
func (s *stdio) hand() (*Parked, error) {
	p := new(Parked)
	from := []interface{ Control(func(fd uintptr)) error }{s.inRC, s.outRC}
	if t := s.terminal; t != nil {
		rc, err := t.pipe.SyscallConn()
		if err != nil {
			return nil, err
		}
		from, p.PID = append(from, rc), t.guard.Pid
	}
	for _, rc := range from {
		fd, err := dupIn(rc)
		if err != nil {
			p.Drop()
			return nil, err
		}
		p.FDs = append(p.FDs, fd)
	}
	return p, nil
}

func adoptStdio(a Address, p *Parked) (Channel, error) {
	if len(p.FDs) < 2 {
		p.Drop()
		return nil, errNotParked
	}
	return takeStdio(func() (Channel, error) {
		s := &stdio{at: addr{"stdio", ""}, left: leaveStdio}
		if len(p.FDs) > 2 {
			var err error
			if s.terminal, err = adoptRaw(a, p); err != nil {
				p.Drop()
				return nil, err
			}
		}
		i, o := os.NewFile(uintptr(p.FDs[0]), "stdio"), os.NewFile(uintptr(p.FDs[1]), "stdio")
		p.FDs = nil
		return newStdio(i, o, s)
	})
}

// A readyFile is a file that is read and never has to be waited for.
type readyFile struct {
	f *os.File

	mu sync.Mutex
	by time.Time // the deadline
}

func (r *readyFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	late := !r.by.IsZero() && !time.Now().Before(r.by)
	r.mu.Unlock()
	if late {
		return 0, timeoutError{"read"}
	}
	n, err := r.f.Read(p)
	return n, plain("read", err)
}

func (r *readyFile) Close() error { return plain("close", r.f.Close()) }

func (r *readyFile) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by = t
	return nil
}
