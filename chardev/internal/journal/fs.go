package journal

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A filesystem is what a journal needs of one. Names are whole paths, and errors
// name them. Tests put one in that fails.
type filesystem interface {
	// Open makes files as 0600, and waits for nobody. What has the name but is no regular
	// file (with os.O_RDONLY|unix.O_DIRECTORY: no folder) is none: errNoFile.
	Open(name string, flag int) (file, error)
	MkdirAll(dir string) error // what it makes is 0700
	ReadDir(dir string) ([]fs.DirEntry, error)
	Stat(name string) (info, error)
	Rename(from, to string) error
	Remove(name string) error
	SetTime(name string, modified time.Time) error
	Writable(dir string) error // nil if files can be made and renamed in it
}

// A file is an open one. ReadAt may be called from anywhere, the rest by its owner.
type file interface {
	Write(p []byte) (int, error)       // an error if n < len(p)
	Writev(bufs [][]byte) (int, error) // in one writev(2); may write less without an error
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) error // not of a file that is appended to: see pwrite(2)
	Sync() error                       // fdatasync(2); for a folder what it lists
	Truncate(size int64) error
	Stat() (info, error)
	Close() error
}

// An info is what is asked of a file.
type info struct {
	size     int64
	modified time.Time
}

// A world is what journals find around them, and tests replace.
type world struct {
	fs   filesystem
	now  func() time.Time
	boot [16]byte // this boot of the machine; zero: not known
}

// realWorld is the machine's own.
var realWorld = sync.OnceValue(func() *world {
	return &world{fs: disk{}, now: time.Now, boot: bootID()}
})

// bootID returns what the kernel calls this boot (random(4)), or zero.
func bootID() (id [16]byte) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	digits := strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
	if len(digits) == 2*len(id) {
		copy(id[:], unhex(digits))
	}
	return id
}

// disk is the kernel's file system.
type disk struct{}

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// pathError says what failed on what.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// errNoFile is a name that somebody gave to something else than a file: the file is
// not there (fs.ErrNotExist).
var errNoFile error = noFile{}

type noFile struct{}

func (noFile) Error() string        { return "is no regular file: move it away" }
func (noFile) Is(target error) bool { return target == fs.ErrNotExist }

// Open opens with O_NONBLOCK, which means nothing to files and folders: a FIFO would
// wait for its other end (fifo(7)).
func (disk) Open(name string, flag int) (file, error) {
	f := &diskFile{name: name}
	err := again(func() (err error) {
		f.fd, err = unix.Open(name, flag|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
		return err
	})
	switch err {
	case nil:
	case unix.ENXIO, unix.EISDIR:
		return nil, pathError("open", name, errNoFile)
	default:
		return nil, pathError("open", name, err)
	}
	want := uint32(unix.S_IFREG)
	if flag&unix.O_DIRECTORY != 0 {
		want = unix.S_IFDIR
	}
	var st unix.Stat_t
	if err = again(func() error { return unix.Fstat(f.fd, &st) }); err == nil && st.Mode&unix.S_IFMT != want {
		err = errNoFile
	}
	if err != nil {
		f.Close()
		return nil, pathError("open", name, err)
	}
	return f, nil
}

func (disk) MkdirAll(dir string) error                 { return os.MkdirAll(dir, 0o700) }
func (disk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }
func (disk) Rename(from, to string) error              { return os.Rename(from, to) }
func (disk) Remove(name string) error                  { return os.Remove(name) }
func (disk) SetTime(name string, m time.Time) error    { return os.Chtimes(name, time.Time{}, m) }

func (disk) Stat(name string) (info, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Stat(name, &st) })
	return newInfo(&st), pathError("stat", name, err)
}

func (disk) Writable(dir string) error {
	return pathError("access", dir, unix.Access(dir, unix.W_OK|unix.X_OK))
}

func newInfo(st *unix.Stat_t) info { return info{st.Size, time.Unix(st.Mtim.Unix())} }

// A diskFile is a descriptor: there are many journals, and an os.File asks the
// kernel and the scheduler for more than a regular file needs.
type diskFile struct {
	fd   int
	name string
}

// maxIOV is how many buffers one writev(2) takes (IOV_MAX).
const maxIOV = 1024

func (f *diskFile) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := unix.Write(f.fd, p[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, pathError("write", f.name, err)
		}
		n += m
	}
	return n, nil
}

func (f *diskFile) Writev(bufs [][]byte) (int, error) {
	for {
		n, err := unix.Writev(f.fd, bufs[:min(len(bufs), maxIOV)])
		if err == unix.EINTR {
			continue
		}
		return max(n, 0), pathError("writev", f.name, err)
	}
}

func (f *diskFile) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, pathError("read", f.name, err)
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}

func (f *diskFile) WriteAt(p []byte, off int64) error {
	for n := 0; n < len(p); {
		m, err := unix.Pwrite(f.fd, p[n:], off+int64(n))
		if err != nil && err != unix.EINTR {
			return pathError("write", f.name, err)
		}
		n += max(m, 0)
	}
	return nil
}

func (f *diskFile) Sync() error {
	return pathError("sync", f.name, again(func() error { return unix.Fdatasync(f.fd) }))
}

func (f *diskFile) Truncate(size int64) error {
	return pathError("truncate", f.name, again(func() error { return unix.Ftruncate(f.fd, size) }))
}

func (f *diskFile) Stat() (info, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(f.fd, &st) })
	return newInfo(&st), pathError("stat", f.name, err)
}

func (f *diskFile) Close() error { return pathError("close", f.name, unix.Close(f.fd)) }
