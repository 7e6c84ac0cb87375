package channel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// MaxFiles is how many files may go with one write, as with a QIOChannel
// (SOCKET_MAX_FDS of QEMU's io/channel-socket.c); the kernel would take 253
// (SCM_MAX_FD, unix(7)).
const MaxFiles = 16

// An FDPasser can give open files to its peer, and be given some: a UNIX socket
// (SCM_RIGHTS of unix(7)). They are beside the stream, with a byte of it, and no layer
// protects them. So a layer, and an Outbox, is an FDPasser that refuses: see NoFiles.
type FDPasser interface {
	// SendFiles is Write of p, with a copy of each of the files beside its first byte.
	// p must not be empty, and there may be at most MaxFiles; else nothing is sent. The
	// files stay the caller's, who may close them when it returns.
	SendFiles(p []byte, files ...*os.File) (int, error)

	// ReceiveFiles has Read take the files that come with what it reads, at most so
	// many at once, for TakeFiles. Until it is called, and with 0, what the peer sends
	// is closed by the kernel, unseen. It is called before the first Read.
	ReceiveFiles(most int) error

	// TakeFiles returns the files that came with what was read, and owns them no more.
	// They are close-on-exec. Those that nobody takes are closed when more come, and
	// with the channel. Of more than ReceiveFiles allows, or the process has room for,
	// none is kept: that is told once, by ErrTooManyFiles.
	TakeFiles() ([]*os.File, error)
}

// ErrTooManyFiles is of files that are not sent, or that came and were closed, because
// they are too many.
var ErrTooManyFiles = errors.New("too many files at once")

var errNoFiles = fmt.Errorf("%w: files go beside the stream, so they would slip past what stands on this socket", errors.ErrUnsupported)

// NoFiles is embedded by what stands on a channel and shows it with Unwrap: it refuses
// files, with an error that matches errors.ErrUnsupported. Without it As would find the
// FDPasser below, and files would go around a layer.
type NoFiles struct{}

// SendFiles refuses.
func (NoFiles) SendFiles([]byte, ...*os.File) (int, error) { return 0, errNoFiles }

// ReceiveFiles refuses.
func (NoFiles) ReceiveFiles(int) error { return errNoFiles }

// TakeFiles refuses.
func (NoFiles) TakeFiles() ([]*os.File, error) { return nil, errNoFiles }

// SendFiles makes a UNIX socket an FDPasser. The files go with the first sendmsg(2)
// alone: what that leaves of p follows without them.
func (c *unixChannel) SendFiles(p []byte, files ...*os.File) (int, error) {
	switch {
	case len(files) > MaxFiles:
		return 0, fmt.Errorf("%w: %d, and %d may go with one write", ErrTooManyFiles, len(files), MaxFiles)
	case len(files) == 0:
		return c.Write(p)
	case len(p) == 0:
		return 0, errors.New("files go with bytes, and there are none")
	}
	if err := c.dead.check(); err != nil {
		return 0, err
	}
	fds := make([]int, 0, len(files))
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, f := range files { // copies, as somebody may close them meanwhile
		fd, err := dupOf(f)
		if err != nil {
			return 0, err
		}
		fds = append(fds, fd)
	}
	rights, n := unix.UnixRights(fds...), 0
	var failed error
	err := c.f.Write(func(fd uintptr) bool {
		for n < len(p) {
			some, err := unix.SendmsgN(int(fd), p[n:], rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			switch err {
			case nil:
				n, rights = n+some, nil
			case unix.EINTR:
			case unix.EAGAIN:
				return false
			default:
				failed = err
				return true
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return n, c.dead.note(plain("write", err))
}

// An inbox is what came beside the stream of a socket, and nobody has taken yet. nil is
// that of a socket which never was to take any.
type inbox struct {
	most    atomic.Int32 // 0: nothing is taken from the kernel
	control []byte       // owned by who reads: they take turns

	mu     sync.Mutex
	files  []*os.File
	lost   bool // more came than there was room for
	closed bool
}

// room is how many files are taken from the kernel at once.
func (in *inbox) room() int {
	if in == nil {
		return 0
	}
	return int(in.most.Load())
}

// ReceiveFiles is that of an FDPasser.
func (c *unixChannel) ReceiveFiles(most int) error {
	if most < 0 || most > MaxFiles {
		return fmt.Errorf("%w: at most %d may come with one write", ErrTooManyFiles, MaxFiles)
	}
	if c.inbox.Load() == nil {
		c.inbox.CompareAndSwap(nil, new(inbox))
	}
	c.inbox.Load().most.Store(int32(most))
	return nil
}

// TakeFiles is that of an FDPasser.
func (c *unixChannel) TakeFiles() (files []*os.File, err error) {
	in := c.inbox.Load()
	if in == nil {
		return nil, nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lost {
		err = fmt.Errorf("%w: at most %d are taken, and none was kept", ErrTooManyFiles, in.most.Load())
	}
	files, in.files, in.lost = in.files, nil, false
	return files, err
}

// Read takes files, too, if it is to. (recv(2) has the kernel close them.)
func (c *unixChannel) Read(p []byte) (int, error) {
	in := c.inbox.Load()
	most := in.room()
	if most == 0 || len(p) == 0 {
		return c.socket.Read(p)
	}
	n := 0
	var failed error
	err := c.f.Read(func(fd uintptr) bool {
		// Not CmsgSpace: the kernel would fill the padding with one more.
		if in.control = in.control[:0]; cap(in.control) < unix.CmsgLen(4*most) {
			in.control = make([]byte, unix.CmsgLen(4*most))
		}
		in.control = in.control[:unix.CmsgLen(4*most)]
		for {
			some, size, flags, _, err := unix.Recvmsg(int(fd), p, in.control, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			switch err {
			case nil:
				if size > 0 || flags&unix.MSG_CTRUNC != 0 {
					in.put(received(in.control[:size]), flags&unix.MSG_CTRUNC != 0)
				}
				if n = some; n == 0 {
					failed = io.EOF
				}
				return true
			case unix.EINTR:
			case unix.EAGAIN:
				return false
			default:
				failed = err
				return true
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, plain("read", err)
	}
	return n, nil
}

// received are the files in what came beside the stream.
func received(control []byte) (files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil { // the kernel makes no such ones
		return nil
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil { // something else
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files
}

// put has files be there in place of those that nobody took, if they came whole.
func (in *inbox) put(files []*os.File, cut bool) {
	in.mu.Lock()
	gone := in.files
	if in.files, in.lost = files, cut; cut || in.closed {
		gone, in.files = append(gone, files...), nil
	}
	in.mu.Unlock()
	closeFiles(gone)
}

// close closes what came, and what comes yet.
func (in *inbox) close() {
	if in == nil {
		return
	}
	in.mu.Lock()
	gone := in.files
	in.files, in.closed = nil, true
	in.mu.Unlock()
	closeFiles(gone)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close() // whose own this is: no error of it matters here
	}
}

// Close closes what nobody took, too.
func (c *unixChannel) Close() error {
	err := c.socket.Close()
	c.inbox.Load().close() // nobody reads any more who could put something into another one
	return err
}

// Park parks the socket; what nobody took of the files is closed.
func (c *unixChannel) Park() (*Parked, error) {
	c.inbox.Load().close()
	return c.socket.Park()
}
