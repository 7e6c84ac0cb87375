package channel

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A follower reads a file as it grows. It begins where the file ends now, or at its
// start where the address says begin=start; a file that is not there yet is waited for,
// and read from its start.
//
// When the path is another file's it reads what there is of the old one, and goes on with
// the new one from its start as soon as that has something: until then a program that
// has not heard of the rotation writes to the old one. A file that has become shorter is
// read from its start again. (One that was truncated and is as long as before when that
// is looked at cannot be told from one that was not.)
//
// What is written to the channel is thrown away.
type follower struct {
	*PipeEnd          // the user's
	sink     *PipeEnd // run's
	path     string

	appeared *PathWatch
	wrote    chan struct{} // has a value when one of watches tells; capacity 1
	done     chan struct{} // closed by Close
	wait     sync.WaitGroup

	// owned by run
	f       *os.File // nil: there is none yet
	pos     int64
	watches []*inodeWatch // of f, and of what is at the path if that is another file

	mu  sync.Mutex
	err error // why it has ended

	once sync.Once
}

// followBuffer is how much a follower reads ahead.
const followBuffer = 64 << 10

func followFile(a Address) (Channel, error) {
	w := newFollower(a.Where)
	if err := w.watchPath(); err != nil {
		return nil, err
	}
	f, err := openRegular(a.Where, os.O_RDONLY)
	if err == nil && a.Get("begin") != "start" {
		w.pos, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.appeared.Close()
		return nil, plain("open", err)
	}
	w.f = f
	return w.start(), nil
}

func newFollower(path string) *follower {
	w := &follower{path: path, wrote: make(chan struct{}, 1), done: make(chan struct{})}
	w.PipeEnd, w.sink = Pipe(followBuffer)
	w.local, w.remote = addr{"file", path}, addr{"file", path}
	w.sink.Discard()
	return w
}

func (w *follower) watchPath() (err error) {
	w.appeared, err = WatchPath(w.path)
	return err
}

func (w *follower) start() Channel {
	w.wait.Go(w.run)
	return w
}

// run reads until Close or an error.
func (w *follower) run() {
	defer w.appeared.Close()
	defer func() { closeAll(w.watches) }()
	err := w.watchAnew()
	for err == nil {
		if err = w.follow(); err != nil {
			break
		}
		select {
		case <-w.wrote:
		case <-w.appeared.C:
		case <-w.done:
			err = net.ErrClosed
		}
	}
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.sink.CloseWrite()
}

// follow reads all that there is now.
func (w *follower) follow() error {
	for {
		if err := w.readOn(); err != nil {
			return err
		}
		now, err := os.Stat(w.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return plain("stat", err)
		}
		if w.f != nil {
			was, err := w.f.Stat()
			if err != nil {
				return plain("stat", err)
			}
			if os.SameFile(was, now) {
				return nil
			}
		}
		if now.Size() == 0 {
			// It is watched, and then looked at once more.
			if err := w.watchAnew(); err != nil {
				return err
			}
			if now, err = os.Stat(w.path); err != nil || now.Size() == 0 {
				return nil
			}
		}
		if err := w.readOn(); err != nil { // what came to the old one meanwhile
			return err
		}
		if err := w.reopen(); err != nil {
			return err
		}
	}
}

// readOn reads the open file to its end.
func (w *follower) readOn() error {
	if w.f == nil {
		return nil
	}
	fi, err := w.f.Stat()
	if err != nil {
		return plain("stat", err)
	}
	if fi.Size() < w.pos {
		if w.pos, err = w.f.Seek(0, io.SeekStart); err != nil {
			return plain("seek", err)
		}
	}
	n, err := io.Copy(w.sink, w.f)
	w.pos += n
	return plain("read", err)
}

// reopen goes over to what is at the path now, if that can be opened.
func (w *follower) reopen() error {
	f, err := openRegular(w.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.f != nil {
		w.f.Close() // it was read only
	}
	w.f, w.pos = f, 0
	return w.watchAnew()
}

// watchAnew watches the open file, wherever it is by now, and the one at the path.
func (w *follower) watchAnew() error {
	var watches []*inodeWatch
	var paths []string
	if w.f != nil {
		rc, err := w.f.SyscallConn()
		if err != nil {
			return err
		}
		// Its name may be another one by now.
		rc.Control(func(fd uintptr) { paths = append(paths, procFD(int(fd))) })
	}
	for _, path := range append(paths, w.path) {
		i, err := watchInode(path, unix.IN_MODIFY, "", w.wrote)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			closeAll(watches)
			return err
		}
		watches = append(watches, i)
	}
	closeAll(w.watches)
	w.watches = watches
	return nil
}

func (w *follower) Read(p []byte) (int, error) {
	n, err := w.PipeEnd.Read(p)
	if err == io.EOF {
		w.mu.Lock()
		defer w.mu.Unlock()
		err = w.err
	}
	return n, err
}

// Close ends the reading and waits for that.
func (w *follower) Close() error {
	w.once.Do(func() {
		w.PipeEnd.Close()
		w.end()
		if w.f != nil {
			w.f.Close() // it was read only
		}
	})
	return nil
}

// end has run end, which may be waiting for the user to read.
func (w *follower) end() {
	close(w.done)
	w.sink.Close()
	w.wait.Wait()
}

// Park makes a follower a Parker: where it is in the file goes on.
func (w *follower) Park() (parked *Parked, err error) {
	err = net.ErrClosed // unless this is what closes it
	w.once.Do(func() {
		w.end()
		defer w.PipeEnd.Close()
		parked, err = w.hand()
	})
	return parked, err
}

// hand makes what Park returns.
func (w *follower) hand() (*Parked, error) {
	parked := &Parked{Unread: make([]byte, w.Buffered())}
	if len(parked.Unread) > 0 {
		w.SetReadDeadline(time.Time{})
		if _, err := w.PipeEnd.Read(parked.Unread); err != nil {
			return nil, err
		}
	}
	if w.f == nil {
		return parked, nil
	}
	defer w.f.Close()
	if _, err := w.f.Seek(w.pos, io.SeekStart); err != nil { // a part of what was read has not gone out
		return nil, plain("seek", err)
	}
	fd, err := dupOf(w.f)
	if err != nil {
		return nil, plain("park", err)
	}
	parked.FDs = []int{fd}
	return parked, nil
}

func adoptFollower(a Address, p *Parked) (Channel, error) {
	w := newFollower(a.Where)
	if len(p.FDs) > 1 {
		p.Drop()
		return nil, errNotParked
	}
	if len(p.FDs) == 1 {
		w.f = os.NewFile(uintptr(p.FDs[0]), a.Where)
		p.FDs = nil
	}
	err := w.watchPath()
	if err == nil && w.f != nil {
		if w.pos, err = w.f.Seek(0, io.SeekCurrent); err != nil {
			w.appeared.Close()
		}
	}
	if err != nil {
		if w.f != nil {
			w.f.Close()
		}
		return nil, err
	}
	w.sink.Write(p.Unread) // which it has room for
	return w.start(), nil
}
