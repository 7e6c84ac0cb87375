package channel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

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

// A peer that is gone without a FIN is noticed after 30 s: by probes where
// nothing is under way, by TCP_USER_TIMEOUT where something is (tcp(7); the
// latter also ends a peer that takes no byte for so long).
const tcpDeadAfter = 30 * time.Second

var tcpKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

func setUserTimeout(h *handle) error {
	return h.do(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(tcpDeadAfter.Milliseconds()))
	})
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
func (s *socket) have(h *handle, at endAddrs) { s.f, s.at, s.handle = h, at, h }

func (s *socket) CloseWrite() error {
	if err := s.dead.check(); err != nil {
		return err
	}
	return s.dead.note(plain("shutdown", s.handle.CloseWrite()))
}

// Rest makes a socket a Rester.
func (s *socket) Rest(wake func()) bool {
	s.handle.in.rest()
	return s.rest.begin(s.f, nil, wake)
}

// Attend makes a socket Attended, with TryRead.
func (s *socket) Attend(try func() bool, wake func()) bool {
	s.handle.in.rest()
	return s.rest.begin(s.f, try, wake)
}

func (s *socket) TryRead(p []byte) (int, error) {
	op := readOps.Get().(*readOp)
	n, err := op.runNow(&s.fdChannel, s.handle, p)
	readOps.Put(op)
	if err != nil {
		return 0, plain("read", err)
	}
	s.fast.Store(n >= fastRead)
	return n, nil
}

func dialTCP(ctx context.Context, _ *Env, a Address) (Channel, error) {
	d := net.Dialer{KeepAliveConfig: tcpKeepAlive}
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
	s, err := newSocket(c)
	if err != nil {
		return nil, err
	}
	if err := setUserTimeout(s.handle); err != nil {
		s.Close()
		return nil, plain("setsockopt", err)
	}
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
	return newTCPListener(e, l, from), nil
}

func newTCPListener(e *Env, l tcpSocket, from []netip.Prefix) *tcpListener {
	return &tcpListener{restingListener: newRestingListener(l), l: l, from: from, env: e}
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

// A tcpSocket is what a tcpListener accepts from.
type tcpSocket interface {
	net.Listener
	syscall.Conn
	AcceptTCP() (*net.TCPConn, error)
}

// makeTCP makes the socket, or takes the inherited one.
func makeTCP(ctx context.Context, e *Env, a Address) (tcpSocket, error) {
	l, err := e.Inherited.listener(a)
	if err != nil {
		return nil, err
	}
	if l != nil {
		return inheritedTCP{l.(*net.TCPListener)}, nil
	}
	lc := net.ListenConfig{KeepAliveConfig: tcpKeepAlive}
	if l, err = lc.Listen(ctx, "tcp", a.Where); err != nil {
		return nil, plain("listen", err)
	}
	return l.(*net.TCPListener), nil
}

var errNotFrom = errors.New("from= of the listener does not have its address")

type tcpListener struct {
	restingListener
	l    tcpSocket
	from []netip.Prefix // allowed networks; empty: all
	env  *Env
}

func (l *tcpListener) Accept() (Channel, error) {
	for {
		c, err := l.l.AcceptTCP()
		if err != nil {
			return nil, plain("accept", err)
		}
		if !l.allowed(c.RemoteAddr()) {
			l.env.refused(l.l.Addr(), c.RemoteAddr(), errNotFrom)
			c.Close()
			continue
		}
		ch, err := newTCP(c)
		if err != nil { // the peer is gone already
			continue
		}
		return ch, nil
	}
}

func (l *tcpListener) allowed(remote net.Addr) bool {
	ta, ok := remote.(*net.TCPAddr)
	if len(l.from) == 0 || !ok {
		return ok
	}
	ip := ta.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.from, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func (l *tcpListener) Addr() net.Addr { return l.l.Addr() }

func (l *tcpListener) Close() error {
	l.rest.close()
	return plain("close", l.l.Close())
}
