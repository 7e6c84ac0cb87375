package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// fd takes a descriptor that whoever started this process has given to it: a stream
// socket, connected or listened on, a pipe or a terminal. Where is its number, from 3 on, or
// the name that systemd gave it (FileDescriptorName= of systemd.socket(5)).
//
// A number is taken once, and is close-on-exec from then on, so that no command has it:
// there is nothing to open again when its stream is over. A name is a socket that is
// listened on, as often as one likes; or a descriptor of Passed, once.
var fdTransport = &transport{
	name: "fd", what: "the number of a descriptor, or its name",
	options: []optionDef{{name: "http", check: isOneOf("allow")}},
	check: func(a Address) error {
		if n, err := strconv.Atoi(a.Where); err == nil && (n < 3 || strconv.Itoa(n) != a.Where) {
			return errors.New("want a number from 3 on")
		}
		return nil
	},
	dial:   dialGiven,
	listen: listenGiven,

	adopt: func(a Address, p *Parked) (Channel, error) {
		f, err := oneFile(p, "")
		if err != nil {
			return nil, err
		}
		return givenChannel(f, a)
	},
	adoptListener: func(e *Env, a Address, p *Parked) (accepter, Channel, error) {
		if len(p.FDs) == 0 {
			return newOnlyOne(nil, addr{"fd", a.Where}), nil, nil
		}
		f, err := oneFile(p, "")
		if err != nil {
			return nil, nil, err
		}
		l, err := givenListener(f, e, a)
		return l, nil, err
	},
}

// given takes the descriptor that an address names.
func given(e *Env, where string) (*os.File, error) {
	n, err := strconv.Atoi(where)
	if err != nil && isPassed(where) {
		return nil, errPassed(where)
	}
	if err != nil {
		return e.Inherited.named(where)
	}
	if !wasGiven(n) {
		return nil, fmt.Errorf("descriptor %d was not given to this process, or is used up", n)
	}
	fd, err := dup(n)
	if err != nil {
		return nil, err
	}
	unix.Close(n)
	return os.NewFile(uintptr(fd), where), nil
}

// wasGiven says whether a descriptor came from who started this process: its own all are
// close-on-exec.
func wasGiven(n int) bool {
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

func isListenedOn(n int) bool {
	on, err := unix.GetsockoptInt(n, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

var errNotListenedOn = errors.New("this descriptor is no socket that is listened on: for one client by it, say connect = in a [[chardev.frontend]]")

func dialGiven(ctx context.Context, e *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if one, ok := e.Passed.take(a.Where); ok {
		if one.ch == nil {
			one.close()
			return nil, errNotConnected
		}
		return one.ch, nil
	}
	f, err := given(e, a.Where)
	if err != nil {
		return nil, err
	}
	return givenChannel(f, a)
}

// givenChannel is the channel that speaks by a descriptor. It owns f.
func givenChannel(f *os.File, a Address) (Channel, error) {
	fd, where := int(f.Fd()), addr{"fd", a.Where}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, os.NewSyscallError("fstat", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return givenSocket(f, a)
	case unix.S_IFIFO:
		return newGivenPipe(f, where)
	case unix.S_IFCHR:
		if err := setRaw(fd, unix.TCSETS); err == nil {
			c, err := pollable(f, where)
			if err != nil {
				return nil, err
			}
			return &tty{c}, nil
		}
	}
	f.Close()
	return nil, errNotGiven
}

var errNotGiven = errors.New("want a stream socket, a pipe or a terminal")

// pollable is a channel over what a descriptor is open to, that does not block. It owns f.
func pollable(f *os.File, where addr) (*fdChannel, error) {
	defer f.Close()
	if fd, err := openAnew(int(f.Fd())); err == nil {
		return newFD(os.NewFile(uintptr(fd), where.where), where)
	}
	fd, err := dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return newSharedFD(os.NewFile(uintptr(fd), where.where), where)
}

// openAnew opens what a descriptor of a pipe or a terminal is open to, as an open file of this
// process alone: nobody else can have that block (proc_pid_fd(5)). It fails where that is
// not permitted, and for what would be another terminal: /dev/tty, the master of a pty, the
// console that is shown.
func openAnew(fd int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && (unix.Major(uint64(st.Rdev)) == ttyAlternates || uint64(st.Rdev) == unix.Mkdev(4, 0)) {
		return -1, unix.ENXIO
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return -1, err
	}
	return unix.Open(procFD(fd), flags&unix.O_ACCMODE|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
}

// ttyAlternates is the major number of /dev/tty, /dev/console and /dev/ptmx (devices.txt of
// Linux).
const ttyAlternates = 5

// A givenPipe is one end of a pipe that was given.
type givenPipe struct {
	oneWay
	end  *fdChannel
	left *PipeEnd // of one that writes: closed when nobody reads it any more, which ends Read too
}

// newGivenPipe is a channel over one end of a pipe: it reads, or writes.
func newGivenPipe(f *os.File, where addr) (Channel, error) {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	c, err := pollable(f, where)
	if err != nil {
		return nil, err
	}
	if flags&unix.O_ACCMODE == unix.O_WRONLY {
		silent, left := Pipe(1)
		return &givenPipe{oneWay{at: where, in: silent, out: c}, c, left}, nil
	}
	return &givenPipe{oneWay{at: where, in: c, out: nowhere()}, c, nil}, nil
}

func (g *givenPipe) Write(p []byte) (int, error) {
	n, err := g.out.Write(p)
	return n, g.look(err)
}

func (g *givenPipe) Writev(bufs [][]byte) (int64, error) {
	n, err := g.out.Writev(bufs)
	return n, g.look(err)
}

func (g *givenPipe) TryWritev(bufs [][]byte) (int64, error) {
	n, err := g.out.TryWritev(bufs)
	return n, g.look(err)
}

// look ends Read when a write has told that nobody reads.
func (g *givenPipe) look(err error) error {
	if errors.Is(err, syscall.EPIPE) && g.left != nil {
		g.left.CloseWrite()
	}
	return err
}

// Park makes a givenPipe a Parker.
func (g *givenPipe) Park() (*Parked, error) {
	p, err := g.end.park()
	g.Close()
	return p, err
}

// givenSocket is a channel over a connected socket.
func givenSocket(f *os.File, a Address) (Channel, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotGiven, plain("descriptor", err))
	}
	switch c := c.(type) {
	case *net.TCPConn:
		if c.RemoteAddr() == nil {
			c.Close()
			return nil, errNotConnected
		}
		if err := mayCross(c.RemoteAddr(), a); err != nil {
			c.Close()
			return nil, err
		}
		return newTCP(c)
	case *net.UnixConn:
		if c.RemoteAddr() == nil {
			c.Close()
			return nil, errNotConnected
		}
		if c.LocalAddr().Network() == "unix" {
			return newUnix(c, "")
		}
	}
	c.Close()
	return nil, errNotGiven
}

var errNotConnected = errors.New("this socket is not connected: to accept from one, say listen")

// mayCross refuses a socket that leads to other hosts, or can be reached from them, in the
// clear: what its address is only shows now.
func mayCross(at net.Addr, a Address) error {
	if t, ok := at.(*net.TCPAddr); ok && !t.IP.IsLoopback() && !a.Has("tls") && !a.Is("insecure") {
		return fmt.Errorf("this socket (%s) is open to other hosts, without TLS; put tls+ before it, or say insecure=true", at)
	}
	return nil
}

func listenGiven(ctx context.Context, e *Env, a Address) (accepter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if one, ok := e.Passed.take(a.Where); ok {
		if one.ch != nil {
			return newOnlyOne(one.ch, addr{"fd", a.Where}), nil
		}
		return givenListener(one.listening, e, a)
	}
	if n, err := strconv.Atoi(a.Where); err == nil && wasGiven(n) && !isListenedOn(n) {
		return nil, errNotListenedOn // and not taken: who tries again is told the same
	}
	f, err := given(e, a.Where)
	if err != nil {
		return nil, err
	}
	return givenListener(f, e, a)
}

// givenListener listens with a descriptor. It owns f.
func givenListener(f *os.File, e *Env, a Address) (accepter, error) {
	defer f.Close()
	at, err := listeningAddr(f)
	if err != nil {
		return nil, err
	}
	if err := mayCross(at, a); err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, plain("listen", err)
	}
	if tl, ok := l.(*net.TCPListener); ok {
		return newTCPListener(e, tl, nil)
	}
	return newUnixListener(l.(*net.UnixListener))
}

// named is the socket that was passed by a name to be listened on.
func (in *Inherited) named(name string) (*os.File, error) {
	var known []string
	for _, s := range in.all() {
		if s.f.Name() == name {
			fd, err := dupOf(s.f)
			if err != nil {
				return nil, err
			}
			s.used.Store(true)
			return os.NewFile(uintptr(fd), name), nil
		}
		known = append(known, s.f.Name())
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("no socket named %q was passed, nor any other", name)
	}
	return nil, fmt.Errorf("no socket named %q was passed; there are %s", name, strings.Join(known, ", "))
}
