package channel

import (
	"net"
	"os"
	"syscall"
)

// Park makes a socket a Parker.
func (s *socket) Park() (*Parked, error) {
	fd, err := s.park()
	if err != nil {
		return nil, err
	}
	return &Parked{FDs: []int{fd}}, nil
}

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
	return newTCP(c)
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
	if _, ok := l.(*net.TCPListener); !ok {
		l.Close()
		return nil, nil, errNotParked
	}
	acc, err := newTCPListener(e, l, from)
	return acc, nil, err
}

// Park makes a listener a Parker; its name stays.
func (l *unixListener) Park() (*Parked, error) {
	fd, err := dupIn(l.rc)
	p := &Parked{FDs: []int{fd}}
	if l.path != "" {
		if st, ok := l.node.Sys().(*syscall.Stat_t); ok {
			p.Dev, p.Ino = uint64(st.Dev), st.Ino
		}
	}
	l.once.Do(func() {}) // Close removes nothing
	l.Close()
	if err != nil {
		return nil, plain("park", err)
	}
	return p, nil
}

func adoptUnixListener(_ *Env, a Address, p *Parked) (accepter, Channel, error) {
	l := &unixListener{}
	if p.Ino != 0 { // else it is abstract
		fi, err := os.Lstat(a.Where)
		if err != nil {
			p.Drop()
			return nil, nil, plain("stat", err)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || uint64(st.Dev) != p.Dev || st.Ino != p.Ino {
			p.Drop()
			return nil, nil, errNotParked
		}
		l.path, l.node = a.Where, fi
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
	l.l, l.addr, l.restingListener = ul, &net.UnixAddr{Name: a.Where, Net: "unix"}, newRestingListener(ul)
	return l, nil, nil
}
