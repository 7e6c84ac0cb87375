package channel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A udpListener learns its peers: each address that sends a datagram, be it an empty one,
// becomes a channel, by a socket of its own that is bound to the same port and connected to
// that address. The kernel gives it what comes from there from then on (connect(2)).
type udpListener struct {
	conn net.PacketConn
	rc   syscall.RawConn // of conn
	addr net.Addr
	from []netip.Prefix
	env  *Env
	a    Address

	// owned by Accept and Rest, which take turns
	arrived []*udpArrival
	held    int // bytes of their datagrams, with udpLeast more for each

	rest rest

	mu    sync.Mutex
	peers map[netip.AddrPort]bool // that have a channel
}

// A udpArrival is somebody who has sent something and has no channel yet.
type udpArrival struct {
	peer      netip.AddrPort
	sockaddr  unix.Sockaddr
	datagrams [][]byte
}

const (
	// udpArrivals is how many a listener knows of at once, and udpHeld how much of what they
	// have sent it holds, in bytes; what else is sent is dropped, as by a queue that is full.
	udpArrivals = 1024
	udpHeld     = 4 << 20

	// udpLeast is less than the kernel's bookkeeping takes of a queue's room for each datagram
	// (SO_RCVBUF of socket(7)), and about what it costs to hold one here.
	udpLeast = 256
)

func listenUDP(ctx context.Context, e *Env, a Address) (accepter, error) {
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp", a.Where)
	if err != nil {
		return nil, plain("listen", err)
	}
	return newUDPListener(e, a, c)
}

// newUDPListener listens with a socket that is bound. It owns c.
func newUDPListener(e *Env, a Address, c net.PacketConn) (*udpListener, error) {
	from, err := fromNetworks(a)
	if err != nil {
		c.Close()
		return nil, err
	}
	l := &udpListener{conn: c, addr: c.LocalAddr(), from: from, env: e, a: a, peers: map[netip.AddrPort]bool{}}
	if l.rc, err = c.(syscall.Conn).SyscallConn(); err != nil {
		c.Close()
		return nil, plain("listen", err)
	}
	// Only now, when the port is this socket's alone: others of the same user may share it
	// then (SO_REUSEPORT, socket(7)), if they ask for that.
	if cerr := l.rc.Control(func(fd uintptr) { err = sharePort(int(fd)) }); cerr != nil || err != nil {
		c.Close()
		return nil, plain("listen", errors.Join(cerr, err))
	}
	return l, nil
}

func sharePort(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

// Rest waits for a datagram, unless somebody waits who has sent one already.
func (l *udpListener) Rest(wake func()) bool {
	return len(l.arrived) == 0 && l.rest.begin(l.rc, nil, nil, wake)
}

// Accept waits for a datagram of somebody who has no channel.
func (l *udpListener) Accept() (Channel, error) {
	for {
		for len(l.arrived) == 0 {
			if err := l.receive(l.rc.Read); err != nil {
				return nil, plain("accept", err)
			}
		}
		next := l.arrived[0]
		c, err := l.connect(next.sockaddr)
		if err == nil {
			l.drain()
		}
		l.arrived = l.arrived[1:]
		for _, b := range next.datagrams {
			l.held -= len(b) + udpLeast
		}
		switch {
		case err == nil:
			return l.channel(c, next)
		case isShortage(err), err == net.ErrClosed:
			return nil, err
		}
		l.env.refused(l.addr, net.UDPAddrFromAddrPort(next.peer), err)
	}
}

// drain takes from the queue what has come before a peer had a socket of its own, and maybe
// more: it may be filled as fast as it is emptied, so no more is taken than it has room for.
func (l *udpListener) drain() {
	size := 0
	l.rc.Control(func(fd uintptr) { size, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) })
	for range size/udpLeast + 1 {
		if l.receive(l.once) != nil {
			return
		}
	}
}

// once has use try once, and fails with EAGAIN if that was too early.
func (l *udpListener) once(use func(fd uintptr) bool) error {
	done := false
	if err := l.rc.Control(func(fd uintptr) { done = use(fd) }); err != nil {
		return err
	}
	if !done {
		return unix.EAGAIN
	}
	return nil
}

// receive takes a datagram from the queue, when turn says that there may be one.
func (l *udpListener) receive(turn func(use func(fd uintptr) bool) error) error {
	buf := udpBuffers.Get().(*[1 << 16]byte)
	defer udpBuffers.Put(buf)
	var n int
	var from unix.Sockaddr
	var err error
	if terr := turn(func(fd uintptr) bool {
		n, from, err = unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT)
		return err != unix.EAGAIN && err != unix.EINTR
	}); terr != nil {
		return terr
	}
	if err != nil {
		return err
	}
	if peer, ok := addrPort(from); ok {
		l.arrive(peer, from, buf[:n])
	}
	return nil
}

// arrive notes what somebody has sent.
func (l *udpListener) arrive(peer netip.AddrPort, from unix.Sockaddr, b []byte) {
	l.mu.Lock()
	known := l.peers[peer]
	l.mu.Unlock()
	if known { // it was on its way to this socket while that peer got its own
		return
	}
	if at := slices.IndexFunc(l.arrived, func(o *udpArrival) bool { return o.peer == peer }); at >= 0 {
		l.hold(l.arrived[at], b)
		return
	}
	ip := peer.Addr().Unmap()
	if len(l.from) > 0 && !slices.ContainsFunc(l.from, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		l.env.refused(l.addr, net.UDPAddrFromAddrPort(peer), errNotFrom)
		return
	}
	if len(l.arrived) < udpArrivals {
		o := &udpArrival{peer: peer, sockaddr: from}
		l.arrived = append(l.arrived, o)
		l.hold(o, b)
	}
}

// hold holds a datagram for the channel that o becomes. An empty one is no byte.
func (l *udpListener) hold(o *udpArrival, b []byte) {
	if room := len(b) + udpLeast; len(b) > 0 && l.held+room <= udpHeld {
		o.datagrams = append(o.datagrams, slices.Clone(b))
		l.held += room
	}
}

// addrPort is the address of a peer; false: it has none that could be answered.
func addrPort(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), sa.Port != 0
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), sa.Port != 0
	}
	return netip.AddrPort{}, false
}

// connect makes the socket for a peer.
func (l *udpListener) connect(peer unix.Sockaddr) (*net.UDPConn, error) {
	family := unix.AF_INET
	if _, six := peer.(*unix.SockaddrInet6); six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &ioError{"socket", err}
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	if err := l.bindLike(fd, family); err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, peer); err != nil {
		return nil, &ioError{"connect", err}
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, plain("connect", err)
	}
	return c.(*net.UDPConn), nil
}

// bindLike binds a socket to the listener's port and address.
func (l *udpListener) bindLike(fd, family int) error {
	if err := sharePort(fd); err != nil {
		return err
	}
	var at unix.Sockaddr
	var err error
	if cerr := l.rc.Control(func(own uintptr) {
		if family == unix.AF_INET6 {
			only, oerr := unix.GetsockoptInt(int(own), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
			err = errors.Join(oerr, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only))
		}
		if err == nil {
			at, err = unix.Getsockname(int(own))
		}
	}); cerr != nil {
		return plain("bind", cerr)
	}
	if err == nil {
		err = unix.Bind(fd, at)
	}
	return plain("bind", err)
}

// channel is that of a peer, who is not known any more when it is closed.
func (l *udpListener) channel(c *net.UDPConn, peer *udpArrival) (Channel, error) {
	u, err := newUDP(c, l.a)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.peers[peer.peer] = true
	l.mu.Unlock()
	u.rest = peer.datagrams
	u.left = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.peers, peer.peer)
	}
	return u, nil
}

func (l *udpListener) Addr() net.Addr { return l.addr }

func (l *udpListener) Close() error {
	l.rest.close()
	return plain("close", l.conn.Close())
}

// Park makes a udpListener a Parker.
func (l *udpListener) Park() (*Parked, error) {
	fd, err := dupIn(l.rc)
	l.Close()
	if err != nil {
		return nil, plain("park", err)
	}
	return &Parked{FDs: []int{fd}}, nil
}

func adoptUDPListener(e *Env, a Address, p *Parked) (accepter, Channel, error) {
	c, err := asFile(p, net.FilePacketConn)
	if err != nil {
		return nil, nil, err
	}
	if _, ok := c.(*net.UDPConn); !ok {
		c.Close()
		return nil, nil, errNotParked
	}
	l, err := newUDPListener(e, a, c)
	if err != nil {
		return nil, nil, err
	}
	return l, nil, nil
}
