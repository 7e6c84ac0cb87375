package channel

import (
	"net"
	"os"
	"syscall"
)

// Park makes a socket a Parker.
func (s *socket) Park() (*Parked, error) { return s.park() }

// asFile has use look at the one descriptor that is parked, and closes it: use takes
// a duplicate, as the functions of net do.
func asFile[T any](p *Parked, use func(*os.File) (T, error)) (T, error) {
	var none T
	f, err := oneFile(p, "")
	if err != nil {
		return none, err
	}
	defer f.Close()
	t, err := use(f)
	if err != nil {
		return none, plain("adopt", err)
	}
	return t, nil
}

// A conn is a connection of net.
type conn interface {
	net.Conn
	syscall.Conn
}

// A gonePeer is a connection whose peer has left no address: it was reset.
type gonePeer struct {
	conn
	remote net.Addr
}

func (g gonePeer) RemoteAddr() net.Addr { return g.remote }

// adoptConn goes on with a connection.
func adoptConn(a Address, p *Parked) (conn, error) {
	c, err := asFile(p, net.FileConn)
	if err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case *net.TCPConn:
		if c.RemoteAddr() == nil {
			return gonePeer{c, addr{"tcp", "gone"}}, nil
		}
		return c, nil
	case *net.UnixConn:
		if c.RemoteAddr() == nil {
			return gonePeer{c, addr{"unix", a.Where}}, nil
		}
		return c, nil
	}
	c.Close()
	return nil, errNotParked
}

func adoptTCP(a Address, p *Parked) (Channel, error) {
	c, err := adoptConn(a, p)
	if err != nil {
		return nil, err
	}
	ch, err := newTCP(c)
	if err == nil {
		ch.(*socket).sent() // something may be under way
	}
	return ch, err
}

func adoptUnix(a Address, p *Parked) (Channel, error) {
	c, err := adoptConn(a, p)
	if err != nil {
		return nil, err
	}
	return newUnix(c, a.Where)
}

func adoptTCPListener(e *Env, a Address, p *Parked) (accepter, Channel, error) {
	from, err := fromNetworks(a)
	if err != nil {
		p.Drop()
		return nil, nil, err
	}
	l, err := asFile(p, net.FileListener)
	if err != nil {
		return nil, nil, err
	}
	tl, ok := l.(*net.TCPListener)
	if !ok {
		l.Close()
		return nil, nil, errNotParked
	}
	acc, err := newTCPListener(e, tl, from)
	return acc, nil, err
}

// Park makes a listener a Parker; its name stays.
func (l *unixListener) Park() (*Parked, error) {
	l.once.Do(func() {}) // Close removes nothing
	p, err := l.socketListener.Park()
	if err == nil && l.path != "" {
		p.Dev, p.Ino = l.node.dev, l.node.ino
	}
	return p, err
}

func adoptUnixListener(_ *Env, a Address, p *Parked) (accepter, Channel, error) {
	was, path := inode{p.Dev, p.Ino}, ""
	if p.Ino != 0 { // else it is abstract
		fi, err := os.Lstat(a.Where)
		if err != nil {
			p.Drop()
			return nil, nil, plain("stat", err)
		}
		if inodeOf(fi) != was {
			p.Drop()
			return nil, nil, errNotParked
		}
		path = a.Where
	}
	nl, err := asFile(p, net.FileListener)
	if err != nil {
		return nil, nil, err
	}
	ul, ok := nl.(*net.UnixListener)
	if !ok {
		nl.Close()
		return nil, nil, errNotParked
	}
	l, err := newUnixListener(ul)
	if err != nil {
		return nil, nil, err
	}
	l.at, l.path, l.node = a.Where, path, was
	return l, nil, nil
}
