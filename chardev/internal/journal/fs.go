package journal

import (
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
	Open(name string, flag int) (file, error) // what it makes is 0600
	MkdirAll(dir string) error                // what it makes is 0700
	ReadDir(dir string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
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
	Sync() error // fdatasync(2); for a folder what it lists
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Close() error
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

func (disk) Open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) MkdirAll(dir string) error                 { return os.MkdirAll(dir, 0o700) }
func (disk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }
func (disk) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (disk) Rename(from, to string) error              { return os.Rename(from, to) }
func (disk) Remove(name string) error                  { return os.Remove(name) }
func (disk) SetTime(name string, m time.Time) error    { return os.Chtimes(name, time.Time{}, m) }
func (disk) Writable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}

type diskFile struct{ *os.File }

// maxIOV is how many buffers one writev(2) takes (IOV_MAX).
const maxIOV = 1024

func (f diskFile) Writev(bufs [][]byte) (int, error) {
	for {
		n, err := unix.Writev(int(f.Fd()), bufs[:min(len(bufs), maxIOV)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return max(n, 0), &fs.PathError{Op: "writev", Path: f.Name(), Err: err}
		}
		return n, nil
	}
}

func (f diskFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// sameFile says whether two names or descriptors are of one file.
func sameFile(a, b fs.FileInfo) bool { return os.SameFile(a, b) }
