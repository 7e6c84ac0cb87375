package channel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

var tcpTransport = &transport{
	name:    "tcp",
	hosts:   ipHosts,
	options: []optionDef{{name: "http", check: isOneOf("allow")}},
	dial:    dialTCP,
	listen:  listenTCP,

	adopt:         adoptTCP,
	adoptListener: adoptTCPListener,
}

// Segment is how many bytes are best given to TCP at once, or a multiple of them: with what
// TLS or a websocket adds they are a little less than one of its segments holds (65483
// bytes on loopback), so that no tiny one is left behind.
const Segment = 62 << 10

// tcpOptions are those of each connection. A peer that is gone without a FIN is noticed
// after 30 s: by probes where nothing is under way, by TCP_USER_TIMEOUT (tcp(7)), which
// newTCPOf sets, where something is. What a peer sends as urgent, as telnet does the half of
// its Synch, is in the stream where it stands.
var tcpOptions = []struct{ level, name, value int }{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.SOL_SOCKET, unix.SO_OOBINLINE, 1},
}

func setTCPOptions(fd int) error {
	for _, o := range tcpOptions {
		if err := setTCPOption(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return setUserTimeout(fd, deadPeer)
}

// setTCPOption sets an option, unless the socket has none like it: MPTCP, for which package
// net listens too, lacks some (net/mptcp/sockopt.c).
func setTCPOption(fd, level, name, value int) error {
	err := unix.SetsockoptInt(fd, level, name, value)
	if err == unix.EOPNOTSUPP || err == unix.ENOPROTOOPT {
		return nil
	}
	return err
}

// A socket is an fdChannel with a half close, over a handle.
type socket struct {
	fdChannel
	handle *handle
}

// newSocket makes a socket of a connection, which it owns.
func newSocket(c conn) (*socket, error) {
	s := new(socket)
	return s, s.take(c, "")
}

// take is newSocket for one that stands in something else, where the name of an end may
// be known.
func (s *socket) take(c conn, known string) error {
	at := endAddrsOf(c.LocalAddr(), c.RemoteAddr(), known)
	h, err := takeHandle(c)
	if err != nil {
		return err
	}
	s.have(h, at)
	return nil
}

// have gives the socket its handle, which it owns.
func (s *socket) have(h *handle, at endAddrs) {
	s.f, s.calls, s.at, s.handle = h, socketCalls, at, h
}

func (s *socket) CloseWrite() error {
	if err := s.dead.check(); err != nil {
		return err
	}
	return s.dead.note(plain("shutdown", s.handle.CloseWrite()))
}

// Rest makes a socket a Rester.
func (s *socket) Rest(wake func()) bool {
	return s.Attend(nil, nil, wake)
}

// Attend makes a socket Attended, with TryRead.
func (s *socket) Attend(try func() bool, then, wake func()) bool {
	s.handle.in.ungate()
	return s.rest.begin(s.f, try, then, wake)
}

func (s *socket) TryRead(p []byte) (int, error) { return s.tryRead(p) }

func dialTCP(ctx context.Context, _ *Env, a Address) (Channel, error) {
	d := net.Dialer{KeepAlive: -1} // newTCP sets it
	c, err := d.DialContext(ctx, "tcp", a.Where)
	if err != nil {
		return nil, plainDial(ctx, err)
	}
	return newTCP(c.(*net.TCPConn))
}

// plainDial is plain for the error of a dial: the context's own error if it ended.
func plainDial(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return plain("connect", err)
}

func newTCP(c conn) (Channel, error) {
	at := endAddrsOf(c.LocalAddr(), c.RemoteAddr(), "")
	h, err := takeHandle(c)
	if err != nil {
		return nil, err
	}
	return newTCPOf(h, at)
}

// newTCPOf is the channel of a connected socket, which it owns.
func newTCPOf(h *handle, at endAddrs) (Channel, error) {
	if err := h.do(setTCPOptions); err != nil {
		h.Close()
		return nil, plain("setsockopt", err)
	}
	s := new(socket)
	s.have(h, at)
	s.peer = &peerWatch{f: h}
	return s, nil
}

func listenTCP(ctx context.Context, e *Env, a Address) (accepter, error) {
	from, err := fromNetworks(a)
	if err != nil {
		return nil, err
	}
	l, err := makeTCP(ctx, e, a)
	if err != nil {
		return nil, err
	}
	return newTCPListener(e, l, from)
}

// newTCPListener listens with a socket that is listened on. It owns l.
func newTCPListener(e *Env, l *net.TCPListener, from []netip.Prefix) (accepter, error) {
	at := l.Addr().(*net.TCPAddr).AddrPort()
	h, err := takeHandle(l)
	if err != nil {
		return nil, plain("listen", err)
	}
	return &tcpListener{socketListener: socketListener{handle: h}, at: at, from: from, env: e}, nil
}

// fromNetworks are the networks that from= of an address allows.
func fromNetworks(a Address) ([]netip.Prefix, error) {
	var from []netip.Prefix
	for _, f := range a.All("from") {
		p, err := parsePrefix(f)
		if err != nil {
			return nil, err
		}
		from = append(from, p)
	}
	return from, nil
}

// makeTCP makes the socket, or takes the inherited one.
func makeTCP(ctx context.Context, e *Env, a Address) (*net.TCPListener, error) {
	l, err := e.Inherited.listener(a)
	if err != nil {
		return nil, err
	}
	if l == nil {
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", a.Where); err != nil {
			return nil, plain("listen", err)
		}
	}
	return l.(*net.TCPListener), nil
}

var errNotFrom = errors.New("from= of the listener does not have its address")

type tcpListener struct {
	socketListener
	at   netip.AddrPort
	from []netip.Prefix // allowed networks; empty: all
	env  *Env
}

func (l *tcpListener) Accept() (Channel, error) {
	conn, sa, err := l.accept()
	if err != nil {
		return nil, err
	}
	h, at := newHandle(conn), &tcpAddrs{there: tcpAddrPort(sa)}
	if !l.allowed(at.there.Addr()) {
		l.env.refused(l.Addr(), at.remote(), errNotFrom)
		h.Close()
		return nil, nil
	}
	if sa, err = unix.Getsockname(conn); err == nil {
		at.here = tcpAddrPort(sa)
	}
	ch, err := newTCPOf(h, at)
	if err != nil { // the peer is gone already
		return nil, nil
	}
	return ch, nil
}

// tcpAddrPort is an address of the kernel's.
func tcpAddrPort(sa unix.Sockaddr) netip.AddrPort {
	at, _ := addrPort(sa)
	if six, ok := sa.(*unix.SockaddrInet6); ok && six.ZoneId != 0 {
		zone := strconv.FormatUint(uint64(six.ZoneId), 10)
		if i, err := net.InterfaceByIndex(int(six.ZoneId)); err == nil {
			zone = i.Name
		}
		at = netip.AddrPortFrom(at.Addr().WithZone(zone), at.Port())
	}
	return at
}

func (l *tcpListener) allowed(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return len(l.from) == 0 || slices.ContainsFunc(l.from, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func (l *tcpListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }
