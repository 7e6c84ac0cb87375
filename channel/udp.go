package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// udp carries a stream by datagrams (RFC 768), of which any may get lost, and some may
// come in another order: what a QEMU with -chardev udp wants, and a network that loses
// nothing. There is no end to see, but for a peer whose host says that nobody is there
// (ICMP), which is told when something is sent. It has no layers, which all need a stream
// that loses nothing.
//
// What is written goes out in datagrams of at most udpPayload bytes; with whole=true each
// write is one datagram, however large. A read never gives bytes of two.
var udpTransport = &transport{
	name: "udp", hosts: ipHosts,
	options: []optionDef{
		{name: "local", check: checkHostPort},
		{name: "whole", check: isBool},
	},
	check: func(a Address) error {
		if len(a.Layers) > 0 {
			return fmt.Errorf("%s cannot stand on udp, which loses what a layer needs", a.Layers[len(a.Layers)-1])
		}
		return nil
	},
	dial:   dialUDP,
	listen: listenUDP,

	adopt:         adoptUDP,
	adoptListener: adoptUDPListener,
}

const (
	// udpPayload fits into every path of IPv6, of at least 1280 bytes (RFC 8200 §5), less
	// the headers of 40 and 8: no datagram of it is ever cut into fragments, of which one
	// that is lost loses all.
	udpPayload = 1232

	// udpMost is the largest datagram over IPv4 (RFC 768, RFC 791).
	udpMost = 65507
)

// A udpChannel is a connected socket.
type udpChannel struct {
	*socket
	whole bool
	left  func() // called by Close; may be nil

	writing sync.Mutex // over all datagrams of a write

	gone sideEnd // by what a write was told: nobody is at the other end

	reading sync.Mutex // owns what follows, also while it waits
	rest    [][]byte   // datagrams, the first of which may be a part, that are to be read first
}

func dialUDP(ctx context.Context, _ *Env, a Address) (Channel, error) {
	var d net.Dialer
	if at := a.Get("local"); at != "" {
		local, err := net.ResolveUDPAddr("udp", at)
		if err != nil {
			return nil, plain("option local", err)
		}
		d.LocalAddr = local
	}
	c, err := d.DialContext(ctx, "udp", a.Where)
	if err != nil {
		return nil, plainDial(ctx, err)
	}
	return newUDP(c.(*net.UDPConn), a)
}

func newUDP(c *net.UDPConn, a Address) (*udpChannel, error) {
	s, err := newSocket(c)
	if err != nil {
		return nil, err
	}
	return &udpChannel{socket: s, whole: a.Is("whole"), gone: sideEnd{of: s}}, nil
}

// udpBuffers are for what of a datagram its reader has no room for.
var udpBuffers = sync.Pool{New: func() any { return new([1 << 16]byte) }}

func (u *udpChannel) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	u.reading.Lock()
	defer u.reading.Unlock()
	if n := u.readRest(p); n > 0 {
		return n, nil
	}
	var n int
	var err error
	if werr := u.f.Read(func(fd uintptr) bool {
		n, err = u.receive(int(fd), p)
		return err != unix.EAGAIN
	}); werr != nil {
		err = werr
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if gone := u.gone.reason(); gone != nil {
			err = gone
		}
	}
	return n, plain("read", err)
}

// end has reads fail when a write was told that nobody is there: the kernel tells it once.
func (u *udpChannel) end(err error) {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) || u.dead.check() == nil {
		return
	}
	u.gone.end(err)
}

// Rest is the socket's, but for what a write was told.
func (u *udpChannel) Rest(wake func()) bool { return u.gone.Rest(wake) }

func (u *udpChannel) SetReadDeadline(t time.Time) error { return u.gone.SetReadDeadline(t) }

func (u *udpChannel) SetDeadline(t time.Time) error {
	return errors.Join(u.SetReadDeadline(t), u.SetWriteDeadline(t))
}

// readRest reads what was received already.
func (u *udpChannel) readRest(p []byte) int {
	if len(u.rest) == 0 || u.f.Control(func(uintptr) {}) != nil {
		return 0
	}
	n := copy(p, u.rest[0])
	if u.rest[0] = u.rest[0][n:]; len(u.rest[0]) == 0 {
		u.rest = u.rest[1:]
	}
	if len(u.rest) == 0 {
		u.rest = nil
	}
	return n
}

// receive reads a datagram, and keeps what p has no room for. An empty one is no byte.
func (u *udpChannel) receive(fd int, p []byte) (int, error) {
	more := udpBuffers.Get().(*[1 << 16]byte)
	defer udpBuffers.Put(more)
	for {
		n, err := unix.Readv(fd, [][]byte{p, more[:]})
		switch {
		case err == unix.EINTR || n == 0 && err == nil:
			continue
		case err != nil:
			return 0, err
		case n > len(p):
			u.rest = [][]byte{slices.Clone(more[:n-len(p)])}
			n = len(p)
		}
		return n, nil
	}
}

func (u *udpChannel) Write(p []byte) (int, error) {
	n, err := u.send([][]byte{p}, u.socket.Writev)
	return int(n), err
}

func (u *udpChannel) Writev(bufs [][]byte) (int64, error) { return u.send(bufs, u.socket.Writev) }
func (u *udpChannel) TryWritev(bufs [][]byte) (int64, error) {
	return u.send(bufs, u.socket.TryWritev)
}

// send sends bufs by one datagram, or as many as it takes, until one is not taken.
func (u *udpChannel) send(bufs [][]byte, write func([][]byte) (int64, error)) (int64, error) {
	u.writing.Lock()
	defer u.writing.Unlock()
	total, size, done := SizeOf(bufs), int64(udpPayload), int64(0)
	if total == 0 {
		return write(nil)
	}
	if u.whole {
		size = total
	}
	if size > udpMost {
		return 0, u.dead.note(&ioError{"write", fmt.Errorf("%w: a datagram has at most %d bytes, and whole=true makes one of %d", unix.EMSGSIZE, udpMost, total)})
	}
	var few [iovFew][]byte
	for done < total {
		part := min(size, total-done)
		iov := SlicesOf(few[:0], bufs, done, part)
		if len(iov) > iovMax { // more than one call takes, which would be two datagrams
			iov = [][]byte{slices.Concat(iov...)}
		}
		n, err := write(iov)
		done += n
		if err != nil || n < part {
			u.end(err)
			return done, err
		}
	}
	return done, nil
}

// CloseWrite fails: a datagram cannot say that it is the last.
func (u *udpChannel) CloseWrite() error { return errors.ErrUnsupported }

func (u *udpChannel) Close() error {
	err := u.socket.Close()
	if u.left != nil {
		u.left()
	}
	return err
}

// Park makes a udpChannel a Parker.
func (u *udpChannel) Park() (*Parked, error) {
	p, err := u.socket.Park()
	if err != nil {
		return nil, err
	}
	if u.left != nil {
		u.left()
	}
	u.reading.Lock()
	defer u.reading.Unlock()
	p.Unread = slices.Concat(u.rest...)
	return p, nil
}

func adoptUDP(a Address, p *Parked) (Channel, error) {
	c, err := asFile(p, net.FileConn)
	if err != nil {
		return nil, err
	}
	uc, ok := c.(*net.UDPConn)
	if !ok || uc.RemoteAddr() == nil {
		c.Close()
		return nil, errNotParked
	}
	u, err := newUDP(uc, a)
	if err != nil {
		return nil, err
	}
	if len(p.Unread) > 0 {
		u.rest = [][]byte{p.Unread}
	}
	return u, nil
}
