package channel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A master is a channel over the master of a pty: one session, from the time
// when somebody has the slave open until nobody has, or until Close. The pty
// can outlive it.
//
// It has two parties. Its user has the methods of Channel. Its owner, a
// goroutine that watches the pty, ends it when the other end has hung up; that
// detaches it from the pty at once, with what there still is to read.
type master struct {
	*fdChannel // over a descriptor of its own

	letGo   func()        // closes the descriptor and waits for those who use it
	hungUp  chan struct{} // closed when somebody saw the hang-up: the owner then ends it
	hang    func()        // closes hungUp
	closing chan struct{} // closed by Close: the owner then ends it
	shut    func()        // closes closing
	over    chan struct{} // closed by the owner, last

	mu   sync.Mutex
	rest []byte // what was there at the end and is not read yet
}

// newMaster starts a session on p. The owner must detach it when hungUp or
// closing is closed, and then close over.
func newMaster(p *ptyPair, local, remote net.Addr) (*master, error) {
	fd, err := dup(p.fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), p.name)
	c, err := newFD(f, local, remote)
	if err != nil {
		return nil, err
	}
	m := &master{
		fdChannel: c,
		letGo:     sync.OnceFunc(func() { f.Close() }),
		hungUp:    make(chan struct{}),
		closing:   make(chan struct{}),
		over:      make(chan struct{}),
	}
	m.hang = sync.OnceFunc(func() { close(m.hungUp) })
	m.shut = sync.OnceFunc(func() { close(m.closing) })
	return m, nil
}

// detach is the owner's: it takes the session off the pty. No read or write of it
// touches the pty any more; what is there to read is read yet, then io.EOF. When
// the owner has brought the pty in order it closes over.
func (m *master) detach(p *ptyPair) {
	m.letGo()
	m.rest = p.drain()
}

// Read returns io.EOF for ever when nobody has the slave open any more and what
// they wrote is read.
func (m *master) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := m.fdChannel.Read(b)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, syscall.EIO):
		m.hang()
	case err == net.ErrClosed:
	default:
		return 0, err
	}
	// The owner acts at once, and waits for nobody.
	<-m.over
	if m.isClosed() {
		return 0, net.ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rest) == 0 {
		m.rest = nil
		return 0, io.EOF
	}
	n = copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *master) Write(b []byte) (int, error) {
	n, err := m.fdChannel.Write(b)
	return n, m.writeError(err)
}

func (m *master) Writev(bufs [][]byte) (int64, error) {
	n, err := m.fdChannel.Writev(bufs)
	return n, m.writeError(err)
}

func (m *master) TryWritev(bufs [][]byte) (int64, error) {
	n, err := m.fdChannel.TryWritev(bufs)
	return n, m.writeError(err)
}

// writeError tells the end of the session from Close.
func (m *master) writeError(err error) error {
	if err == net.ErrClosed && !m.isClosed() {
		return &ioError{"write", syscall.EPIPE}
	}
	return err
}

func (m *master) isClosed() bool {
	select {
	case <-m.closing:
		return true
	default:
		return false
	}
}

// CloseWrite fails: a terminal has no half close.
func (m *master) CloseWrite() error { return errors.ErrUnsupported }

// Close ends the session and waits until the owner has made that good.
func (m *master) Close() error {
	m.shut()
	m.letGo()
	<-m.over
	return nil
}

// The deadlines of a session that is over are of no use, but no error either.

func (m *master) SetDeadline(t time.Time) error { return m.deadlineError(m.fdChannel.SetDeadline(t)) }
func (m *master) SetReadDeadline(t time.Time) error {
	return m.deadlineError(m.fdChannel.SetReadDeadline(t))
}
func (m *master) SetWriteDeadline(t time.Time) error {
	return m.deadlineError(m.fdChannel.SetWriteDeadline(t))
}

func (m *master) deadlineError(err error) error {
	if err == net.ErrClosed && !m.isClosed() {
		return nil
	}
	return err
}

// setSize sets the window size of the slave; its foreground group gets SIGWINCH.
func (m *master) setSize(cols, rows int) error {
	if cols < 1 || rows < 1 || cols > 0xffff || rows > 0xffff {
		return errors.New("a window size is from 1 to 65535 columns and rows")
	}
	var err error
	cerr := m.rc.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(cols), Row: uint16(rows)})
	})
	return plain("resize", errors.Join(cerr, err))
}
