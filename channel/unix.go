package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var unixTransport = &transport{
	name:    "unix",
	what:    "a path or @name",
	file:    true,
	notFile: func(where string) bool { return strings.HasPrefix(where, "@") },
	options: append([]optionDef{{name: "http", check: isOneOf("allow")}}, fileOptions...),
	check:   func(a Address) error { return checkSocketPath(a.Where) },
	dial:    dialUnix,
	listen:  listenUnix,

	adopt:         adoptUnix,
	adoptListener: adoptUnixListener,
}

// MaxSocketPath is how long the path of a UNIX socket may be, in bytes: sun_path
// less its NUL (unix(7)).
const MaxSocketPath = 107

func checkSocketPath(p string) error {
	if len(p) > MaxSocketPath {
		return fmt.Errorf("a UNIX socket path has at most %d bytes, this one has %d", MaxSocketPath, len(p))
	}
	return nil
}

// A unixChannel is a socket that knows who is at its other end, and over which files can
// be passed (fdpass.go).
type unixChannel struct {
	socket
	inbox atomic.Pointer[inbox] // nil: nobody wants files
}

// newUnix makes a channel of a connection, which it owns. known is what may be the name of
// one of its ends.
func newUnix(c conn, known string) (Channel, error) {
	u := new(unixChannel)
	if err := u.take(c, known); err != nil {
		return nil, err
	}
	return u.inline(), nil
}

// inline has what the peer sends as urgent stand in the stream, as with TCP. A kernel that
// knows nothing of that for UNIX sockets (before 5.15) does not have it sent either.
func (c *unixChannel) inline() *unixChannel {
	_ = c.handle.do(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1) })
	return c
}

// PeerCred is who made the connection, or, when dialled, who listens.
func (c *unixChannel) PeerCred() (PeerCred, error) {
	var u *unix.Ucred
	var groups []uint32
	var err error
	if cerr := c.f.Control(func(fd uintptr) {
		u, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		groups = peerGroups(fd)
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		return PeerCred{}, plain("getsockopt", err)
	}
	return PeerCred{u.Pid, u.Uid, u.Gid, groups}, nil
}

// peerGroups asks for the supplementary groups of who is at the other end of a
// socket: the kernel says how many there are if there is no room for them.
func peerGroups(fd uintptr) []uint32 {
	list := make([]uint32, 32)
	for {
		size := uint32(4 * len(list))
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(list))), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case e == unix.ERANGE && int(size/4) > len(list):
			list = make([]uint32, size/4)
		case e != 0:
			return nil
		default:
			return list[:size/4]
		}
	}
}

func dialUnix(ctx context.Context, e *Env, a Address) (Channel, error) {
	if err := checkSocketPath(a.Where); err != nil {
		return nil, err
	}
	name, done, err := e.reach(a.Where)
	if err != nil {
		return nil, plain("connect", err)
	}
	defer done()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, plainDial(ctx, err)
	}
	return newUnix(c.(*net.UnixConn), a.Where)
}

// listenUnix makes the socket under a name of its own, with its mode and owner,
// and gives it its real name when it listens: whoever sees the name can
// connect, and nobody ever could who may not.
func listenUnix(ctx context.Context, e *Env, a Address) (accepter, error) {
	if err := checkSocketPath(a.Where); err != nil {
		return nil, err
	}
	switch l, err := e.Inherited.listener(a); {
	case err != nil:
		return nil, err
	case l != nil:
		return newUnixListener(l.(*net.UnixListener))
	}
	if strings.HasPrefix(a.Where, "@") {
		l, err := new(net.ListenConfig).Listen(ctx, "unix", a.Where)
		if err != nil {
			return nil, plain("listen", err)
		}
		return newUnixListener(l.(*net.UnixListener))
	}
	dir, err := os.OpenFile(filepath.Dir(a.Where), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", filepath.Dir(a.Where), errors.Unwrap(err))
	}
	defer dir.Close()
	if err := clearSocketPath(ctx, a.Where); err != nil {
		return nil, err
	}
	// The short way round by /proc leaves room for the longer name.
	tmp := ".chardevd-" + rand.Text()[:12]
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		// The node gets the mode of the socket less the umask when it is made.
		return rc.Control(func(fd uintptr) { unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := lc.Listen(ctx, "unix", procFD(int(dir.Fd()))+"/"+tmp)
	if err != nil {
		return nil, plain("listen", err)
	}
	tmp = filepath.Join(filepath.Dir(a.Where), tmp)
	ul, err := newUnixListener(l.(*net.UnixListener))
	if err != nil {
		os.Remove(tmp)
		return nil, err
	}
	node, err := dressNode(tmp, a)
	if err == nil {
		err = plain("rename", os.Rename(tmp, a.Where))
	}
	if err != nil {
		os.Remove(tmp)
		ul.Close()
		return nil, err
	}
	ul.at, ul.path, ul.node = a.Where, a.Where, inodeOf(node)
	return ul, nil
}

// clearSocketPath sees to it that the path may be taken: what is there can only
// be the socket of somebody who is gone.
func clearSocketPath(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return plain("stat", err)
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return errors.New("the path is taken by something that is not a socket")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("somebody else listens on this socket: %w", syscall.EADDRINUSE)
	}
	return nil // the rename replaces it
}

// dressNode gives a node that was just made the mode (default 0600), owner and
// group that the address asks for, and returns its identity.
func dressNode(path string, a Address) (fs.FileInfo, error) {
	mode, uid, gid, err := fileRights(a)
	if err != nil {
		return nil, err
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(path, uid, gid); err != nil {
			return nil, plain("change the owner or group", err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, plain("change the mode", err)
	}
	fi, err := os.Lstat(path)
	return fi, plain("stat", err)
}

type unixListener struct {
	socketListener
	at   string // its address
	name string // the same, as the kernel has it
	path string // "" if abstract or inherited
	node inode  // what was put there

	once sync.Once
}

// An inode tells a file from all others.
type inode struct{ dev, ino uint64 }

func inodeOf(fi fs.FileInfo) inode {
	st, _ := fi.Sys().(*syscall.Stat_t) // as it is on Linux
	return inode{uint64(st.Dev), st.Ino}
}

// newUnixListener listens with a socket that is listened on. It owns l.
func newUnixListener(l *net.UnixListener) (*unixListener, error) {
	l.SetUnlinkOnClose(false)
	name := l.Addr().String()
	h, err := takeHandle(l)
	if err != nil {
		return nil, plain("listen", err)
	}
	return &unixListener{socketListener: socketListener{handle: h}, at: name, name: name}, nil
}

func (l *unixListener) Accept() (Channel, error) {
	conn, peer, err := l.accept()
	if err != nil {
		return nil, err
	}
	at := &unixAddrs{here: l.name, there: "@"} // what has no name
	if sa, ok := peer.(*unix.SockaddrUnix); ok && sa.Name != "" {
		at.there = sa.Name
	}
	u := new(unixChannel)
	u.have(newHandle(conn), at)
	return u.inline(), nil
}

func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.at, Net: "unix"} }

// Close removes the socket's name if it is still this socket's.
func (l *unixListener) Close() error {
	err := l.socketListener.Close()
	l.once.Do(func() {
		if l.path == "" {
			return
		}
		if fi, err := os.Lstat(l.path); err == nil && inodeOf(fi) == l.node {
			os.Remove(l.path)
		}
	})
	return err
}
