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
// takes it off the pty at once, with what there still is to read.
//
// Reading and writing have a descriptor each, because the owner must be able to
// stop the one without the other: only when nobody reads can it tell whether
// what is there to read was written by one who has left or by the next.
type master struct {
	*fdChannel // for writing

	letGo   func()        // closes the descriptor for writing and waits for its writers
	hungUp  chan struct{} // to the owner: somebody saw a hang-up; capacity 1
	closing chan struct{} // closed by Close: the owner then ends the session
	shut    func()        // closes closing
	parked  chan struct{} // closed by Park: nobody uses it any more, and the pty is to live on
	leave   func()        // closes parked
	over    chan struct{} // closed by the owner when the session is off the pty

	mu       sync.Mutex
	in       *masterReader
	deadline time.Time // of reading
	left     []byte    // after over: what is not read yet
}

// A masterReader is the descriptor for reading, for a while.
type masterReader struct {
	f      *os.File
	close  func()        // and waits for who reads
	passed chan struct{} // closed when there is another one
}

// newMaster starts a session on p. When hungUp has a value or closing is closed
// the owner must see to it, and finally close over.
func newMaster(p *ptyPair, local, remote net.Addr) (*master, error) {
	f, err := p.dup()
	if err != nil {
		return nil, err
	}
	c, err := newFD(f, endAddrsOf(local, remote, ""))
	if err != nil {
		return nil, err
	}
	m := &master{
		fdChannel: c,
		letGo:     sync.OnceFunc(func() { f.Close() }),
		hungUp:    make(chan struct{}, 1),
		closing:   make(chan struct{}),
		parked:    make(chan struct{}),
		over:      make(chan struct{}),
	}
	m.shut = sync.OnceFunc(func() { close(m.closing) })
	m.leave = sync.OnceFunc(func() { close(m.parked) })
	if err := m.resumeReading(p); err != nil {
		m.letGo()
		return nil, err
	}
	return m, nil
}

// hang tells the owner of a hang-up.
func (m *master) hang() {
	select {
	case m.hungUp <- struct{}{}:
	default:
	}
}

// stopReading is the owner's: on return nobody reads, until resumeReading or the
// end.
func (m *master) stopReading() { m.reader().close() }

func (m *master) resumeReading(p *ptyPair) error {
	f, err := p.dup()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.in != nil {
		close(m.in.passed)
	}
	m.in = &masterReader{f: f, close: sync.OnceFunc(func() { f.Close() }), passed: make(chan struct{})}
	f.SetReadDeadline(m.deadline) // fails for a closed file only
	return nil
}

func (m *master) reader() *masterReader {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.in
}

// end is the owner's, after stopReading: no write touches the pty any more; left
// is read yet. When the owner has brought the pty in order it closes over.
func (m *master) end(left []byte) {
	m.letGo()
	m.mu.Lock()
	m.left = left
	m.mu.Unlock()
}

// discard closes a session that nobody has had.
func (m *master) discard() {
	m.stopReading()
	m.letGo()
}

// Read returns io.EOF for ever when nobody has the slave open any more and what
// they wrote is read.
func (m *master) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		in := m.reader()
		n, err := in.f.Read(b)
		if n > 0 {
			return n, nil
		}
		err = plain("read", err)
		switch {
		case errors.Is(err, syscall.EIO):
			m.hang()
		case err != net.ErrClosed:
			return 0, err
		}
		// The owner decides at once whether it is the end; it waits for nobody.
		select {
		case <-in.passed:
		case <-m.over:
			return m.readRest(b)
		}
	}
}

func (m *master) readRest(b []byte) (int, error) {
	if m.isClosed() {
		return 0, net.ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.left) == 0 {
		m.left = nil
		return 0, io.EOF
	}
	n := copy(b, m.left)
	m.left = m.left[n:]
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

// AwaitWrite is that of a TryWriter.
func (m *master) AwaitWrite() error { return m.writeError(m.fdChannel.AwaitWrite()) }

// writeError tells the end of the session from Close.
func (m *master) writeError(err error) error {
	if err == net.ErrClosed && !m.isClosed() {
		return errShut
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

// Close ends the session and waits until the owner has made that good. What the
// other end has not read is lost.
func (m *master) Close() error {
	m.shut()
	m.letGo()
	m.stopReading()
	<-m.over
	return nil
}

func (m *master) SetDeadline(t time.Time) error {
	return errors.Join(m.SetReadDeadline(t), m.SetWriteDeadline(t))
}

func (m *master) SetReadDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deadline = t
	return m.deadlineError(plain("deadline", m.in.f.SetReadDeadline(t)))
}

func (m *master) SetWriteDeadline(t time.Time) error {
	return m.deadlineError(m.fdChannel.SetWriteDeadline(t))
}

// deadlineError lets a deadline pass for a session that is over: nothing waits
// any more.
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
	cerr := m.f.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(cols), Row: uint16(rows)})
	})
	return plain("resize", errors.Join(cerr, err))
}
