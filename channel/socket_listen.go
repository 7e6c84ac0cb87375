package channel

import (
	"golang.org/x/sys/unix"
)

// A socketListener is what the sockets that are listened on have in common. It is a
// handle, as a socket is.
type socketListener struct {
	handle *handle
	rest   rest
}

// Rest makes it a Rester, whose Read is Accept, unless somebody waits to be accepted: where a
// device keeps the one core busy, who is woken for each connection alone accepts a hundred in a
// second (measured: 4000 clients took more than 30 s).
func (l *socketListener) Rest(wake func()) bool {
	l.handle.in.ungate()
	return !l.comes() && l.rest.begin(l.handle, nil, nil, wake)
}

// comes says whether there is a connection to accept.
func (l *socketListener) comes() bool {
	n := 0
	l.handle.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return n > 0
}

// accept waits for the next connection, which does not block. One that is gone before is
// none. Whoever else has the socket may have made it block; nobody tells accept4(2) not to.
func (l *socketListener) accept() (conn int, peer unix.Sockaddr, err error) {
	cerr := l.handle.Read(func(fd uintptr) bool {
		if err = unix.SetNonblock(int(fd), true); err != nil {
			return true
		}
		for {
			conn, peer, err = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if err != unix.EINTR && err != unix.ECONNABORTED {
				return err != unix.EAGAIN
			}
		}
	})
	if cerr != nil {
		err = cerr
	}
	return conn, peer, plain("accept", err)
}

func (l *socketListener) Close() error {
	l.rest.close()
	return plain("close", l.handle.Close())
}

// Park makes it a Parker.
func (l *socketListener) Park() (*Parked, error) { return parkIn(l.handle, l) }
