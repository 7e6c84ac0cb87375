package channel

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// handedOver is a socket that somebody else listens on, as this process gets it.
func handedOver(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if ul, ok := l.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, addr
}

// talks dials the listener's address and has a byte come over.
func talks(t *testing.T, l Listener, a Address) {
	t.Helper()
	there, err := Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if _, err := there.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if n, err := here.Read(b); n != 1 || err != nil || b[0] != 'x' {
		t.Fatalf("read %q, %v", b[:n], err)
	}
}

// Who listens at the address of an inherited socket gets that one; closed, it can be
// listened on again, and a client that came meanwhile is served then. Its name stays.
func TestListenTakesTheInheritedSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	uf, _ := handedOver(t, "unix", path)
	tf, taddr := handedOver(t, "tcp", "127.0.0.1:0")
	var in Inherited
	if err := in.Take([]*os.File{uf, tf}); err != nil {
		t.Fatal(err)
	}
	env := &Env{Inherited: &in}
	if have := in.Unused(); len(have) != 2 {
		t.Fatalf("unused before anybody listens: %q", have)
	}
	port := taddr.(*net.TCPAddr).AddrPort().Port()
	for _, a := range []Address{
		{Transport: "unix", Where: path},
		MustParseAddress("tcp://" + taddr.String()),
		{Transport: "tcp", Where: net.JoinHostPort("localhost", MustParseAddress("tcp://"+taddr.String()).Port())},
	} {
		for range 2 {
			l, err := env.Listen(t.Context(), a)
			if err != nil {
				t.Fatalf("%s: %v (a socket of its own at port %d would clash)", a, err, port)
			}
			talks(t, l, a)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		// Nobody accepts now; the socket is there all the same.
		waiting, err := Dial(t.Context(), a)
		if err != nil {
			t.Fatalf("%s, while nobody listens: %v", a, err)
		}
		l, err := env.Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		here, err := l.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		here.Close()
		waiting.Close()
		l.Close()
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket's name is of whoever made it: %v", err)
	}
	if have := in.Unused(); len(have) != 0 {
		t.Errorf("unused: %q", have)
	}
}

func TestAnInheritedSocketIsWhoseAddressItHas(t *testing.T) {
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	path := func(s string) net.Addr { return &net.UnixAddr{Name: s, Net: "unix"} }
	for _, c := range []struct {
		have net.Addr
		a    string
		want bool
	}{
		{tcp("127.0.0.1:70"), "tcp://127.0.0.1:70", true},
		{tcp("127.0.0.1:70"), "tls://127.0.0.1:70", true},
		{tcp("127.0.0.1:70"), "tcp://localhost:70", true},
		{tcp("[::1]:70"), "tcp://localhost:70", true},
		{tcp("127.0.0.1:70"), "tcp://127.0.0.1:71", false},
		{tcp("127.0.0.1:70"), "tcp://127.0.0.2:70", false},
		{tcp("127.0.0.1:70"), "tcp://0.0.0.0:70", false},
		{tcp("0.0.0.0:70"), "tcp://127.0.0.1:70", false},
		{tcp("0.0.0.0:70"), "tcp://localhost:70", false},
		{tcp("[::]:70"), "tcp://0.0.0.0:70", true},
		{tcp("0.0.0.0:70"), "tcp://[::]:70", true},
		{tcp("[::]:70"), "tcp://:70", true},
		{tcp("10.1.2.3:70"), "tcp://board.example:70", false},
		{path("/run/a"), "unix:/run/a", true},
		{path("/run/a"), "unix:/run//b/../a", true},
		{path("/run/a"), "unix:/run/b", false},
		{path("@a"), "unix:@a", true},
		{path("@a"), "unix:a", false},
		{path("/run/a"), "pty:/run/a", false},
	} {
		a, err := ParseAddress(c.a)
		if err != nil {
			t.Fatal(err)
		}
		if have := listensAt(c.have, a); have != c.want {
			t.Errorf("%s for %s: %v, want %v", c.have, c.a, have, c.want)
		}
	}
}

// What cannot be listened on is told, by its name, and closed.
func TestInheritedSocketsAreListenedOn(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	udp, err := pc.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	good, addr := handedOver(t, "tcp", "127.0.0.1:0")
	var in Inherited
	err = in.Take([]*os.File{w, udp, good})
	if err == nil || strings.Count(err.Error(), "want a TCP or UNIX stream socket") != 2 {
		t.Errorf("error %v", err)
	}
	if have := in.Unused(); !slices.Equal(have, []string{"tcp " + addr.String()}) {
		t.Errorf("unused: %q", have)
	}
	if err := w.Close(); err == nil {
		t.Error("the pipe was left open")
	}
}
