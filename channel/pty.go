package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// pty opens a terminal, or makes one under a stable name (pty_listen.go).
var ptyTransport = &transport{
	name: "pty", what: "a path", file: true, options: fileOptions,
	dial:   dialPty,
	listen: listenPty,

	adopt:         adoptPty,
	adoptListener: adoptPtyListener,
}

// dialPty opens a tty, raw and without echo. It never waits: what cannot be
// opened at once fails.
func dialPty(ctx context.Context, _ *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// With O_NONBLOCK the open waits neither for a carrier nor for a reader.
	fd, err := unix.Open(a.Where, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(err)
	}
	if err := setRaw(fd, unix.TCSETS); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ENOTTY) {
			return nil, errors.New("not a terminal: pty wants the path of a tty, or of a link to one")
		}
		return nil, err
	}
	return newPty(fd, a), nil
}

// Numbered says whether what the address names is a terminal by its number on devpts. When who
// holds its master is gone, so is the terminal, and the next program that wants one gets the
// number (pts(4)).
func (a Address) Numbered() bool {
	if a.Transport != "pty" && a.Transport != "serial" {
		return false
	}
	var st unix.Statfs_t
	return unix.Statfs(filepath.Dir(a.Where), &st) == nil && st.Type == unix.DEVPTS_SUPER_MAGIC
}

// A ptyChannel is the tty of a pty, over a handle: a guest's console, which is read as a
// socket is.
type ptyChannel struct {
	tty
	handle *handle
}

// newPty makes a channel of a tty that does not block. It owns fd.
func newPty(fd int, a Address) *ptyChannel {
	h := newHandle(fd)
	return &ptyChannel{tty{&fdChannel{f: h, at: addr{"pty", a.Where}}}, h}
}

// Rest makes it a Rester.
func (p *ptyChannel) Rest(wake func()) bool { return p.Attend(nil, nil, wake) }

// Attend makes it Attended, with TryRead.
func (p *ptyChannel) Attend(try func() bool, then, wake func()) bool {
	p.handle.in.ungate()
	return p.rest.begin(p.f, try, then, wake)
}

func (p *ptyChannel) TryRead(b []byte) (int, error) {
	n, err := p.tryRead(b)
	return n, endOfTTY(err)
}

// openError says what to do about an open(2) that failed.
func openError(err error) error {
	switch err {
	case unix.EIO:
		return fmt.Errorf("open: %w: nobody holds the master of this pty any more, or it is locked yet", err)
	case unix.EBUSY:
		return fmt.Errorf("open: %w: another program has this tty for itself alone (TIOCEXCL)", err)
	case unix.ENXIO:
		return fmt.Errorf("open: %w: it is a socket, or the device is not there", err)
	}
	return fmt.Errorf("open: %w", err)
}

// A tty is a terminal that was opened. Its peer, who holds the master, is gone
// for good when it hangs up.
type tty struct{ *fdChannel }

// Read returns io.EOF after a hang-up. A hung-up tty reads 0 bytes (io.EOF by
// then), but a Read that was waiting may get EIO.
func (t *tty) Read(p []byte) (int, error) {
	n, err := t.fdChannel.Read(p)
	return n, endOfTTY(err)
}

// endOfTTY is the error of reading a terminal, of which EIO is the end.
func endOfTTY(err error) error {
	if errors.Is(err, syscall.EIO) {
		return io.EOF
	}
	return err
}

// CloseWrite fails: a terminal has no half close.
func (t *tty) CloseWrite() error { return errors.ErrUnsupported }

// Rest makes a tty a Rester.
func (t *tty) Rest(wake func()) bool { return t.rest.begin(t.f, nil, nil, wake) }
