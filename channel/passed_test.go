package channel

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// halves are both ends of a UNIX socket as files; the second is closed at the end.
func halves(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { b.Close() })
	return a, b
}

// What is connected can be opened, once; what is not wanted is closed with the rest.
func TestPassedIsOpenedOnce(t *testing.T) {
	noLeaks(t)
	env := &Env{Passed: new(Passed)}
	at, other := MustParseAddress("fd:passed-1"), MustParseAddress("fd:passed-2")
	a, b := halves(t)
	listens, peer, err := env.Passed.Put(at, a)
	if listens != nil || peer == nil || err != nil {
		t.Fatal(listens, peer, err)
	}
	if !at.Once() || MustParseAddress("fd:name").Once() {
		t.Error("it is not known what can be opened once")
	}
	ch, err := env.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	want(t, ch, "x")
	if _, err := env.Dial(t.Context(), at); err == nil {
		t.Error("it is opened twice")
	}
	for _, gone := range []func(){func() { env.Passed.Drop(other) }, env.Passed.Close} {
		a, b := halves(t)
		if _, _, err := env.Passed.Put(other, a); err != nil {
			t.Fatal(err)
		}
		gone()
		if n, err := b.Read(make([]byte, 1)); n != 0 {
			t.Error(n, err)
		}
	}
}

// What is connected can be listened on: one comes, and nobody else, until the end; and
// after that of a listener that was parked nobody does.
func TestPassedComes(t *testing.T) {
	noLeaks(t)
	env := &Env{Passed: new(Passed)}
	at := MustParseAddress("telnet+fd:passed-1")
	a, b := halves(t)
	if _, _, err := env.Passed.Put(at, a); err != nil {
		t.Fatal(err)
	}
	l, err := env.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.FileConn(b)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.Write([]byte("plain"))
	ch, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	want(t, ch, "plain")
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Accept(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("somebody else: %v", err)
	}
	p, err := l.(Parker).Park()
	if err != nil || len(p.FDs) != 0 {
		t.Fatal(p, err)
	}
	l, _, err = env.AdoptListener(at, p)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	l.Serve(func(Channel) { t.Error("somebody came") }, func(err error) { failed <- err })
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// A socket that is listened on is that, and only that.
func TestPassedListens(t *testing.T) {
	noLeaks(t)
	env := &Env{Passed: new(Passed)}
	at := MustParseAddress("fd:passed-1")
	path := filepath.Join(t.TempDir(), "s")
	for _, open := range []bool{true, false} {
		nl, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := nl.(*net.UnixListener).File()
		if err != nil {
			t.Fatal(err)
		}
		nl.(*net.UnixListener).SetUnlinkOnClose(!open)
		nl.Close()
		listens, _, err := env.Passed.Put(at, f)
		if err != nil || listens == nil {
			t.Fatal(listens, err)
		}
		if !open {
			if _, err := env.Dial(t.Context(), at); !errors.Is(err, errNotConnected) {
				t.Error(err)
			}
			continue
		}
		l, err := env.Listen(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := l.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ch.Close()
		c.Close()
		l.Close()
		os.Remove(path)
	}
	everywhere, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	f, err := everywhere.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := env.Passed.Put(at, f); err == nil {
		t.Error("it is open to all, without TLS")
	}
}
