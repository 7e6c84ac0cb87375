package channel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Inherited are sockets that somebody else made and listens on for this process: a
// service manager, as systemd.socket(5). A Listen whose Env has them takes the one
// that has its address, if there is one, instead of making another; its path, mode
// and owner are then those that its maker gave it, and stay when the listener is
// closed. A closed one can be listened on again. Its zero value, and nil, has none.
type Inherited struct {
	sockets []*inheritedSocket // fixed once somebody listens
}

type inheritedSocket struct {
	f    *os.File // open for as long as the process is
	addr net.Addr
	used atomic.Bool
}

// Take adds files, which it owns from then on; nobody may listen yet. Those that are
// no TCP or UNIX stream sockets that are listened on are closed, and told in the error.
func (in *Inherited) Take(files []*os.File) error {
	var errs []error
	for _, f := range files {
		addr, err := listeningAddr(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name(), err))
			f.Close()
			continue
		}
		in.sockets = append(in.sockets, &inheritedSocket{f: f, addr: addr})
	}
	return errors.Join(errs...)
}

var errNotListening = errors.New("want a TCP or UNIX stream socket that is listened on")

// listeningAddr is where a socket is listened on.
func listeningAddr(f *os.File) (net.Addr, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	on := 0
	if cerr := rc.Control(func(fd uintptr) { on, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN) }); cerr != nil {
		return nil, cerr
	}
	if err != nil || on == 0 {
		return nil, errNotListening
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, errNotListening
	}
	defer l.Close()
	switch a := l.Addr().(type) {
	case *net.TCPAddr:
		return a, nil
	case *net.UnixAddr:
		if a.Net == "unix" {
			return a, nil
		}
	}
	return nil, errNotListening
}

// Unused are the addresses that nothing has listened on yet.
func (in *Inherited) Unused() []string {
	var all []string
	for _, s := range in.all() {
		if !s.used.Load() {
			all = append(all, s.addr.Network()+" "+s.addr.String())
		}
	}
	return all
}

func (in *Inherited) all() []*inheritedSocket {
	if in == nil {
		return nil
	}
	return in.sockets
}

// listener is that of the socket which has an address; nil, nil: none has.
func (in *Inherited) listener(a Address) (net.Listener, error) {
	for _, s := range in.all() {
		if !listensAt(s.addr, a) {
			continue
		}
		l, err := net.FileListener(s.f)
		if err != nil {
			return nil, plain("listen", err)
		}
		s.used.Store(true)
		return l, nil
	}
	return nil, nil
}

// use notes that the address is listened on.
func (in *Inherited) use(a Address) {
	for _, s := range in.all() {
		if listensAt(s.addr, a) {
			s.used.Store(true)
		}
	}
}

// listensAt says whether a socket's address is what an address means: localhost is
// any address of the loopback range, and all addresses are all of either family.
func listensAt(addr net.Addr, a Address) bool {
	switch addr := addr.(type) {
	case *net.UnixAddr:
		return a.Transport == "unix" && addr.Name == cleanSocket(a.Where)
	case *net.TCPAddr:
		if a.Transport != "tcp" || strconv.Itoa(addr.Port) != a.Port() {
			return false
		}
		at, host := addr.AddrPort().Addr().Unmap(), a.Host()
		if strings.EqualFold(host, "localhost") {
			return at.IsLoopback()
		}
		ip, err := netip.ParseAddr(host)
		if host == "" || err == nil && ip.Unmap().IsUnspecified() {
			return at.IsUnspecified()
		}
		return err == nil && ip.Unmap() == at
	}
	return false
}

// cleanSocket is the path of a UNIX socket as its maker is told it; an abstract name
// stays as it is.
func cleanSocket(where string) string {
	if strings.HasPrefix(where, "@") {
		return where
	}
	return filepath.Clean(where)
}
