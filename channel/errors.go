package channel

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// A timeoutError is a deadline that passed. crypto/tls goes on reading after an
// error only if it is a net.Error whose Temporary() is true.
type timeoutError struct{ op string }

func (e timeoutError) Error() string   { return e.op + ": deadline passed" }
func (e timeoutError) Timeout() bool   { return true }
func (e timeoutError) Temporary() bool { return true }
func (e timeoutError) Unwrap() error   { return os.ErrDeadlineExceeded }

// fileClosing is what the deadlines and the RawConn of a closed *os.File say,
// with an error of the standard library's inside that matches nothing; its other
// methods make it fs.ErrClosed.
const fileClosing = "use of closed file"

// plain brings the errors of net and os to the words that Channel promises:
// io.EOF, net.ErrClosed, a timeout that is a net.Error; others stay.
func plain(op string, err error) error {
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return timeoutError{op}
	case errors.Is(err, net.ErrClosed), errors.Is(err, fs.ErrClosed), err.Error() == fileClosing:
		return net.ErrClosed
	}
	if ioe, ok := errors.AsType[*ioError](err); ok {
		return ioe // a layer has it from the channel below
	}
	// The path or address is told once, by whoever knows the chardev.
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		err = le.Err
	}
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		err = oe.Err
	}
	if se, ok := errors.AsType[*os.SyscallError](err); ok {
		err = se.Err
	}
	return &ioError{op, err}
}

// An ioError says what was done when the system said no.
type ioError struct {
	op  string
	err error
}

func (e *ioError) Error() string { return e.op + ": " + e.err.Error() }
func (e *ioError) Unwrap() error { return e.err }

// IsGone says whether err means that the peer went away: an orderly end, a
// reset, a hang-up. A caller need not shout about it.
func IsGone(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT, syscall.ECONNABORTED, syscall.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isShortage says whether accept failed for want of something that others hold,
// or because the connection was gone already (accept(2)): the listener is well.
func isShortage(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// A deadWrite remembers the first error of a write side for ever.
type deadWrite struct{ err atomic.Pointer[error] }

// check returns the error that killed the write side, if any.
func (d *deadWrite) check() error {
	if p := d.err.Load(); p != nil {
		return *p
	}
	return nil
}

// note keeps err, unless an earlier one is there, and returns it.
func (d *deadWrite) note(err error) error {
	if err != nil {
		first := err // &err would move err to the heap with every write that succeeds
		d.err.CompareAndSwap(nil, &first)
	}
	return err
}

// errShut is what a write gets after the end of the stream was sent.
var errShut error = &ioError{"write", syscall.EPIPE}
