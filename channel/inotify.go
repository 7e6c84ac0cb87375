package channel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// All watches of the process share one inotify(7) instance, because a user has
// only 128 of them (fs.inotify.max_user_instances). It is made with the first
// watch and ends, its goroutine waited for, with the last.
var inotifier struct {
	// mu also keeps adding and removing a watch apart: the kernel has one watch
	// descriptor per inode, and one that is just being removed must not be
	// handed out again. The calls it is held over do not wait for a device.
	mu      sync.Mutex
	running *inotify // nil: no watch, no instance
}

// An inotify is one instance and the watches on it.
type inotify struct {
	f    *os.File
	rc   syscall.RawConn
	done chan struct{} // closed when read has ended

	// guarded by inotifier.mu
	byWD  map[int32][]*inodeWatch
	count int // of watches, of those too whose inode is gone
}

// An inodeWatch tells a channel when something happens to an inode.
type inodeWatch struct {
	tell chan<- struct{}
	in   *inotify
	wd   int32
	mask uint32
	name string // of a folder: only what happens to this entry; "" is all

	// guarded by inotifier.mu
	closed bool
	lost   bool // it may never tell anything again
}

// lostMask are the events after which a watch may never tell anything again.
const lostMask = unix.IN_IGNORED | unix.IN_UNMOUNT | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// watchInode starts to watch what path names, symbolic links followed, for the
// events in mask. If name is not "" then path is a folder and only events of
// its entry of that name count. tell, of capacity 1, has a value when one of
// them, the inode's removal or renaming, or a loss of events happened since the
// last receive; several happenings are one value, and several watches may share
// the channel: whoever receives looks for himself. What happens from the return
// on is told.
func watchInode(path string, mask uint32, name string, tell chan<- struct{}) (*inodeWatch, error) {
	inotifier.mu.Lock()
	defer inotifier.mu.Unlock()
	in := inotifier.running
	if in == nil {
		var err error
		if in, err = newInotify(); err != nil {
			return nil, err
		}
	}
	wd, err := in.add(path, mask|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
	if err != nil {
		if in.count == 0 {
			in.f.Close()
		}
		return nil, err
	}
	if in.count == 0 {
		inotifier.running = in
		go in.read()
	}
	in.count++
	w := &inodeWatch{tell: tell, in: in, wd: wd, mask: mask | lostMask, name: name}
	in.byWD[wd] = append(in.byWD[wd], w)
	return w, nil
}

func newInotify() (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == unix.EMFILE {
		return nil, fmt.Errorf("no more inotify instances (%w): raise fs.inotify.max_user_instances or the limit of open files", err)
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &inotify{f: f, rc: rc, done: make(chan struct{}), byWD: map[int32][]*inodeWatch{}}, nil
}

// add returns the watch descriptor of the inode, with mask added to what is
// watched already.
func (in *inotify) add(path string, mask uint32) (int32, error) {
	var wd int
	var err error
	if cerr := in.rc.Control(func(fd uintptr) {
		wd, err = unix.InotifyAddWatch(int(fd), path, mask|unix.IN_MASK_ADD)
	}); cerr != nil {
		return 0, cerr
	}
	if err == unix.ENOSPC {
		return 0, fmt.Errorf("watch %s: no more inotify watches: raise fs.inotify.max_user_watches", path)
	}
	if err != nil {
		return 0, fmt.Errorf("watch %s: %w", path, err)
	}
	return int32(wd), nil
}

// Close ends the watch; the last one waits for the end of the instance. It may
// be called more than once.
func (w *inodeWatch) Close() {
	inotifier.mu.Lock()
	if w.closed {
		inotifier.mu.Unlock()
		return
	}
	w.closed = true
	in := w.in
	if ws := in.byWD[w.wd]; len(ws) > 1 {
		in.byWD[w.wd] = slices.DeleteFunc(ws, func(o *inodeWatch) bool { return o == w })
	} else if len(ws) == 1 && ws[0] == w {
		delete(in.byWD, w.wd)
		// Fails only if the inode went away by itself.
		in.rc.Control(func(fd uintptr) { unix.InotifyRmWatch(int(fd), uint32(w.wd)) })
	}
	in.count--
	last := in.count == 0
	if last {
		inotifier.running = nil
	}
	inotifier.mu.Unlock()
	if last {
		in.f.Close()
		<-in.done
	}
}

// read is the one goroutine of the instance: it tells the watches. watchInode
// starts it; closing the last watch waits for it.
func (in *inotify) read() {
	defer close(in.done)
	buf := make([]byte, 16<<10)
	for {
		n, err := in.f.Read(buf)
		if err != nil {
			return // closed; reading an inotify descriptor fails for nothing else
		}
		in.dispatch(buf[:n])
	}
}

// dispatch goes through the events of one read: of each a struct inotify_event
// (inotify(7)), wd, mask, cookie and len of 32 bits, and len bytes of name.
func (in *inotify) dispatch(b []byte) {
	inotifier.mu.Lock()
	defer inotifier.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b[0:]))
		mask := binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		b = b[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			for _, ws := range in.byWD {
				signal(ws, mask, nil)
			}
			continue
		}
		signal(in.byWD[wd], mask, name)
		if mask&unix.IN_IGNORED != 0 {
			delete(in.byWD, wd) // the kernel has removed it
		}
	}
}

// signal tells those of ws whom an event concerns. It never waits.
func signal(ws []*inodeWatch, mask uint32, name []byte) {
	for _, w := range ws {
		w.lost = w.lost || mask&lostMask != 0
		if mask&(lostMask|unix.IN_Q_OVERFLOW) == 0 && (mask&w.mask == 0 || w.name != "" && w.name != string(name)) {
			continue
		}
		select {
		case w.tell <- struct{}{}:
		default:
		}
	}
}
