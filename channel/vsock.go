package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// vsock is for a guest and its host without a network (vsock(7)): a machine is its context
// ID, a number, or one of the names any, local (1: this machine) and host (2: the host of
// this guest). A port is a number of 32 bits; to listen, 0 is one that the kernel chooses.
//
// Nobody listens in between a guest and its host, and the host vouches for the context ID
// of a guest, which from= can ask for. But who is there is another machine, and at a
// listener that of any guest: so all but local is beyond this host, as it is for tcp.
//
// The sockets are made here. github.com/mdlayher/vsock keeps each on Go's poller for as long
// as it is open, and its listener gives nobody the descriptor, which resting and parking need.
var vsockTransport = &transport{
	name: "vsock",
	hosts: &hosts{
		check:     func(where string) error { _, err := vsockAddr(where); return err },
		canonical: canonicalCID,
		loopback:  func(h string) bool { return canonicalCID(h) == vsockLocal },
	},
	options: []optionDef{{name: "from", check: isCID, repeat: true}},
	dial:    dialVsock,
	listen:  listenVsock,

	adopt: func(_ Address, p *Parked) (Channel, error) {
		h, err := adoptVsock(p)
		if err != nil {
			return nil, err
		}
		return newVsock(h)
	},
	adoptListener: func(e *Env, a Address, p *Parked) (accepter, Channel, error) {
		h, err := adoptVsock(p)
		if err != nil {
			return nil, nil, err
		}
		l, err := newVsockListener(h, e, a)
		return l, nil, err
	},
}

const vsockLocal = "1"

// parseCID reads a context ID.
func parseCID(h string) (uint32, error) {
	switch h {
	case "", "any":
		return unix.VMADDR_CID_ANY, nil
	case "local":
		return unix.VMADDR_CID_LOCAL, nil
	case "host":
		return unix.VMADDR_CID_HOST, nil
	}
	n, err := strconv.ParseUint(h, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != h {
		return 0, fmt.Errorf("context ID %q is neither a number nor any, local or host", h)
	}
	return uint32(n), nil
}

func isCID(v string) error {
	if cid, err := parseCID(v); err != nil || cid == unix.VMADDR_CID_ANY {
		return fmt.Errorf("want a context ID, a number or local or host, have %q", v)
	}
	return nil
}

func canonicalCID(h string) string {
	cid, err := parseCID(h)
	switch {
	case err != nil:
		return h
	case cid == unix.VMADDR_CID_ANY:
		return ""
	}
	return strconv.FormatUint(uint64(cid), 10)
}

// vsockAddr reads what stands behind vsock://.
func vsockAddr(where string) (*unix.SockaddrVM, error) {
	host, port, err := net.SplitHostPort(where)
	if err != nil {
		return nil, fmt.Errorf("want CID:port, have %q", where)
	}
	cid, err := parseCID(host)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != port || n == unix.VMADDR_PORT_ANY {
		return nil, fmt.Errorf("port %q is not a number from 0 to %d", port, uint32(unix.VMADDR_PORT_ANY-1))
	}
	return &unix.SockaddrVM{CID: cid, Port: uint32(n)}, nil
}

// vsockName is an address of the kernel's, as vsockAddr reads it.
func vsockName(sa unix.Sockaddr) addr {
	vm, ok := sa.(*unix.SockaddrVM)
	if !ok { // the peer was reset, and left none
		return addr{"vsock", "gone"}
	}
	if vm.CID == unix.VMADDR_CID_ANY {
		return addr{"vsock", fmt.Sprintf("any:%d", vm.Port)}
	}
	return addr{"vsock", fmt.Sprintf("%d:%d", vm.CID, vm.Port)}
}

// vsockSocket makes a socket.
func vsockSocket() (*handle, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == unix.EAFNOSUPPORT {
		return nil, fmt.Errorf("socket: %w: the kernel has no vsock (modprobe vsock), or this process may not use it (RestrictAddressFamilies= of its unit)", err)
	}
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return newHandle(fd), nil
}

// bindVsock gives a socket its address.
func bindVsock(h *handle, at *unix.SockaddrVM) error {
	err := h.do(func(fd int) error { return unix.Bind(fd, at) })
	switch {
	case err == unix.EADDRNOTAVAIL && at.CID == unix.VMADDR_CID_LOCAL:
		return fmt.Errorf("bind: %w: the kernel has no local vsock (modprobe vsock_loopback)", err)
	case err == unix.EADDRNOTAVAIL:
		return fmt.Errorf("bind: %w: context ID %d is not this machine's", err, at.CID)
	case err == unix.EACCES:
		return fmt.Errorf("bind: %w: ports below 1024 are for root", err)
	}
	return os.NewSyscallError("bind", err)
}

func dialVsock(ctx context.Context, _ *Env, a Address) (Channel, error) {
	to, err := vsockAddr(a.Where)
	if err != nil {
		return nil, err
	}
	if to.CID == unix.VMADDR_CID_ANY || to.Port == 0 {
		return nil, errors.New("to connect, the address must say which context ID and which port")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := vsockSocket()
	if err != nil {
		return nil, err
	}
	if err := connectVsock(ctx, h, to); err != nil {
		h.Close()
		return nil, err
	}
	return newVsock(h)
}

func connectVsock(ctx context.Context, h *handle, to *unix.SockaddrVM) error {
	if to.CID == unix.VMADDR_CID_LOCAL {
		// Without vsock_loopback a guest's kernel would ask its host for it.
		if err := bindVsock(h, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: unix.VMADDR_PORT_ANY}); err != nil {
			return err
		}
	}
	err := h.do(func(fd int) error { return unix.Connect(fd, to) })
	if err == unix.EINPROGRESS {
		ended := context.AfterFunc(ctx, func() { h.SetWriteDeadline(longAgo) })
		err = h.Write(writable)
		if !ended() {
			return ctx.Err()
		}
		if err == nil {
			err = h.do(socketError)
		}
	}
	if err == unix.ENODEV {
		return fmt.Errorf("connect: %w: no vsock leads there (for guests modprobe vhost_vsock, in one vmw_vsock_virtio_transport)", err)
	}
	return plain("connect", err)
}

// socketError is what became of what a socket had begun.
func socketError(fd int) error {
	e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if e != 0 {
		return unix.Errno(e)
	}
	return nil
}

// newVsock is the channel of a connected socket, which it owns.
func newVsock(h *handle) (Channel, error) {
	var local, remote unix.Sockaddr
	err := h.do(func(fd int) (err error) {
		local, err = unix.Getsockname(fd)
		remote, _ = unix.Getpeername(fd)
		return err
	})
	if err != nil {
		h.Close()
		return nil, plain("getsockname", err)
	}
	s := new(socket)
	s.have(h, &otherAddrs{vsockName(local), vsockName(remote)})
	return s, nil
}

func listenVsock(ctx context.Context, e *Env, a Address) (accepter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := vsockAddr(a.Where)
	if err != nil {
		return nil, err
	}
	if at.Port == 0 {
		at.Port = unix.VMADDR_PORT_ANY
	}
	h, err := vsockSocket()
	if err != nil {
		return nil, err
	}
	if err = bindVsock(h, at); err == nil {
		err = plain("listen", h.do(func(fd int) error { return unix.Listen(fd, unix.SOMAXCONN) }))
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return newVsockListener(h, e, a)
}

// newVsockListener listens with a socket that is listened on. It owns h.
func newVsockListener(h *handle, e *Env, a Address) (accepter, error) {
	l := &vsockListener{socketListener: socketListener{handle: h}, env: e}
	var at unix.Sockaddr
	err := h.do(func(fd int) (err error) { at, err = unix.Getsockname(fd); return err })
	for _, f := range a.All("from") {
		cid, ferr := parseCID(f)
		err = errors.Join(err, ferr)
		l.from = append(l.from, cid)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	l.addr = vsockName(at)
	return l, nil
}

type vsockListener struct {
	socketListener
	addr addr
	from []uint32 // allowed context IDs; empty: all
	env  *Env
}

func (l *vsockListener) Accept() (Channel, error) {
	conn, sa, err := l.accept()
	if err != nil {
		return nil, err
	}
	h := newHandle(conn)
	if vm, ok := sa.(*unix.SockaddrVM); len(l.from) > 0 && (!ok || !slices.Contains(l.from, vm.CID)) {
		l.env.refused(l.addr, vsockName(sa), errNotFrom)
		h.Close()
		return nil, nil
	}
	ch, err := newVsock(h)
	if err != nil { // the peer is gone already
		return nil, nil
	}
	return ch, nil
}

func (l *vsockListener) Addr() net.Addr { return l.addr }

// adoptVsock takes the socket that was parked.
func adoptVsock(p *Parked) (*handle, error) {
	fd, err := oneFD(p)
	if err != nil {
		return nil, err
	}
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_VSOCK {
		unix.Close(fd)
		return nil, errNotParked
	}
	return newHandle(fd), nil
}
