package channel

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// layered is what the layers have in common: the channel below, whose addresses
// and deadlines are theirs, and a Close that has the last word.
type layered struct {
	NoFiles
	under Channel // fixed at construction

	closed    atomic.Bool
	dead      deadWrite
	closeOnce sync.Once
	closeErr  error

	deadlines sync.Mutex // held while deadlines are set: those of Close are the last
}

// goodbye bounds how long the Close of a layer tries to send its last words to a
// peer that takes nothing. Only the outermost layer of a stack can wait so long:
// what could not be sent has killed the write side of those below.
const goodbye = 400 * time.Millisecond

// close frees who reads at once and who writes after goodbye, lets lastWords send
// what the layer ends with, and closes the channel below. Only the first call
// counts.
func (l *layered) close(lastWords func()) error {
	l.closeOnce.Do(func() {
		l.deadlines.Lock()
		l.closed.Store(true)
		l.under.SetReadDeadline(time.Now())
		l.under.SetWriteDeadline(time.Now().Add(goodbye))
		l.deadlines.Unlock()
		lastWords()
		l.closeErr = l.under.Close()
	})
	return l.closeErr
}

// sendEncoded writes what size bytes of data were encoded as, in order with other
// writes of the layer, and returns how many of them are out at least.
func (l *layered) sendEncoded(out [][]byte, size int64) (int64, error) {
	n, err := l.under.Writev(out)
	return max(0, n-(SizeOf(out)-size)), l.wrote(err)
}

// wrote notes how a write to the channel below ended, and returns it in the words
// of this one.
func (l *layered) wrote(err error) error {
	if err != nil && l.closed.Load() {
		err = net.ErrClosed
	}
	return l.dead.note(plain("write", err))
}

// Unwrap is the channel below.
func (l *layered) Unwrap() Channel { return l.under }

// LocalAddr is that of the channel below.
func (l *layered) LocalAddr() net.Addr { return l.under.LocalAddr() }

// RemoteAddr is that of the channel below.
func (l *layered) RemoteAddr() net.Addr { return l.under.RemoteAddr() }

// SetDeadline sets both deadlines, on the channel below.
func (l *layered) SetDeadline(t time.Time) error { return l.deadline(l.under.SetDeadline, t) }

// SetReadDeadline sets that of reading, on the channel below.
func (l *layered) SetReadDeadline(t time.Time) error { return l.deadline(l.under.SetReadDeadline, t) }

// SetWriteDeadline sets that of writing, on the channel below.
func (l *layered) SetWriteDeadline(t time.Time) error { return l.deadline(l.under.SetWriteDeadline, t) }

func (l *layered) deadline(set func(time.Time) error, t time.Time) error {
	l.deadlines.Lock()
	defer l.deadlines.Unlock()
	if l.closed.Load() {
		return net.ErrClosed
	}
	return set(t)
}
