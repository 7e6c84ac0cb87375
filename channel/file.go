package channel

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// file writes a file, or reads one as it grows (mode=follow, file_follow.go). The
// files that it makes are 0600.
var fileTransport = &transport{
	name: "file", what: "a path", file: true,
	options: []optionDef{
		{name: "mode", check: isOneOf("append", "truncate", "follow")},
		{name: "begin", check: isOneOf("start", "end")},
	},
	check: func(a Address) error {
		if a.Get("begin") != "" && a.Get("mode") != "follow" {
			return errors.New("option begin is for mode=follow")
		}
		return nil
	},
	dial: dialFile,

	adopt: adoptFile,
}

// dialFile opens the file, which must be a regular one if it is there.
func dialFile(ctx context.Context, _ *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if a.Get("mode") == "follow" {
		return followFile(a)
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if a.Get("mode") == "truncate" {
		flags |= os.O_TRUNC
	}
	f, err := openRegular(a.Where, flags)
	if err != nil {
		return nil, err
	}
	return newWrittenFile(f, a.Where), nil
}

// openRegular opens a regular file. It waits for nothing.
func openRegular(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600)
	if err != nil {
		if errors.Is(err, unix.ENXIO) {
			return nil, errNotRegular
		}
		return nil, plain("open", err)
	}
	fi, err := f.Stat()
	if err == nil && fi.Mode().Type() != 0 {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, plain("open", err)
	}
	return f, nil
}

var errNotRegular = errors.New("not a regular file: pipe:, pty:, serial: and unix: are for others")

// A writtenFile is a file that is written; reading it waits until Close, as nothing
// ever comes.
//
// A write waits for the disk if it has to, which no deadline and no Close can change:
// both are looked at before it. So it is no TryWriter.
type writtenFile struct {
	silent *PipeEnd // for reading
	f      *os.File
	at     addr
	dead   deadWrite

	turn sync.Mutex // who writes

	mu sync.Mutex
	by time.Time // the deadline of writing

	once     sync.Once
	closeErr error
}

func newWrittenFile(f *os.File, path string) *writtenFile {
	silent, _ := Pipe(1)
	return &writtenFile{silent: silent, f: f, at: addr{"file", path}}
}

func (w *writtenFile) Read(p []byte) (int, error)        { return w.silent.Read(p) }
func (w *writtenFile) SetReadDeadline(t time.Time) error { return w.silent.SetReadDeadline(t) }
func (w *writtenFile) LocalAddr() net.Addr               { return w.at }
func (w *writtenFile) RemoteAddr() net.Addr              { return w.at }

func (w *writtenFile) Write(p []byte) (int, error) {
	return writeOne(w, p)
}

// Writev appends to the file: others who append to it, too, come before or behind, as long
// as the system takes it in one call (write(2)).
func (w *writtenFile) Writev(bufs [][]byte) (int64, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	if err := w.dead.check(); err != nil {
		return 0, err
	}
	total, done := SizeOf(bufs), int64(0)
	if total == 0 {
		return 0, nil
	}
	if w.late() {
		return 0, w.dead.note(timeoutError{"write"})
	}
	rc, err := w.f.SyscallConn()
	for err == nil && done < total {
		n, werr := 0, error(nil)
		err = rc.Write(func(fd uintptr) bool {
			n, werr = unix.Writev(int(fd), gather(nil, bufs, done))
			return true
		})
		if n > 0 {
			done += int64(n)
		}
		if err == nil && werr != unix.EINTR {
			err = werr
		}
		if err == nil {
			err = w.dead.check() // closed meanwhile
		}
	}
	return done, w.dead.note(plain("write", err))
}

func (w *writtenFile) late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.by.IsZero() && !time.Now().Before(w.by)
}

// CloseWrite fails: nobody reads it as a stream.
func (w *writtenFile) CloseWrite() error { return errors.ErrUnsupported }

// Close closes the file; a write that is under way ends by itself.
func (w *writtenFile) Close() error {
	w.once.Do(func() {
		w.dead.note(net.ErrClosed)
		w.silent.Close()
		w.closeErr = plain("close", w.f.Close())
	})
	return w.closeErr
}

func (w *writtenFile) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// SetWriteDeadline bounds the writes that begin from now on.
func (w *writtenFile) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = t
	return nil
}

// Park makes a written file a Parker.
func (w *writtenFile) Park() (*Parked, error) {
	fd, err := dupOf(w.f)
	w.Close()
	if err != nil {
		return nil, plain("park", err)
	}
	return &Parked{FDs: []int{fd}}, nil
}

func adoptFile(a Address, p *Parked) (Channel, error) {
	if a.Get("mode") == "follow" {
		return adoptFollower(a, p)
	}
	f, err := oneFile(p, a.Where)
	if err != nil {
		return nil, err
	}
	return newWrittenFile(f, a.Where), nil
}
