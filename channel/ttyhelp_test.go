package channel

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// watchdog bounds whatever a test waits for.
const watchdog = 10 * time.Second

// noLeaks fails the test if it leaves a goroutine or a descriptor. Called
// first, it looks last.
func noLeaks(t *testing.T) {
	t.Helper()
	before := openFiles(t)
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, current)
		if after := openFiles(t); after > before { // fewer: what the test before has closed went a moment later
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	// The first pollable file of a process makes Go's own epoll instance.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func inTime(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchdog)
	t.Cleanup(cancel)
	return ctx
}

// listenOn listens on a link in a folder of its own.
func listenOn(t *testing.T, options string) (Listener, string) {
	t.Helper()
	link := filepath.Join(t.TempDir(), "vm1")
	l, err := Listen(t.Context(), MustParseAddress("pty:"+link+options))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, link
}

// open opens the link as any program would.
func open(t *testing.T, link string) *os.File {
	t.Helper()
	f, err := os.OpenFile(link, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.SetDeadline(time.Now().Add(watchdog)); err != nil {
		t.Fatal(err)
	}
	return f
}

func accept(t *testing.T, l Listener) Channel {
	t.Helper()
	ch, err := l.Accept(inTime(t))
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	t.Cleanup(func() { ch.Close() })
	if err := ch.SetDeadline(time.Now().Add(watchdog)); err != nil { // none where it is over already
		t.Fatal(err)
	}
	return ch
}

func send(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatalf("write %q: %v", s, err)
	}
}

func want(t *testing.T, r io.Reader, s string) {
	t.Helper()
	got := make([]byte, len(s))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != s {
		t.Fatalf("read %q, %v; want %q", got[:n], err, s)
	}
}

func wantEOF(t *testing.T, r io.Reader) {
	t.Helper()
	for range 3 {
		if n, err := r.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Fatalf("read %d, %v; want EOF", n, err)
		}
	}
}

func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	rc, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := rc.Control(func(fd uintptr) { err = do(int(fd)) })
	if err := errors.Join(err, cerr); err != nil {
		t.Fatal(err)
	}
}

func mustAs[T any](t *testing.T, ch Channel) T {
	t.Helper()
	x, ok := As[T](ch)
	if !ok {
		t.Fatalf("%T has not what it should", ch)
	}
	return x
}
