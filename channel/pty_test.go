package channel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPtySession(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "?mode=0640")
	fi, err := os.Stat(link)
	if err != nil || fi.Mode().Perm() != 0o640 {
		t.Fatalf("stat: %v, %v; want mode 0640", fi, err)
	}
	f := open(t, link)
	ch := accept(t, l)
	send(t, f, "\x03to you\r")
	want(t, ch, "\x03to you\r") // raw: neither a signal nor a newline
	send(t, ch, "to me\n\x04")
	want(t, f, "to me\n\x04")
	if err := ch.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
	send(t, f, "the rest")
	f.Close()
	want(t, ch, "the ") // in pieces
	want(t, ch, "rest")
	wantEOF(t, ch)
	if _, err := ch.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after the end: %v; want EPIPE", err)
	}
	if _, err := ch.Writev([][]byte{[]byte("x")}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writev after the end: %v; want EPIPE", err)
	}
	if l.Addr().Network() != "pty" || l.Addr().String() != link || ch.RemoteAddr().Network() != "pty" {
		t.Errorf("addresses %v and %v", l.Addr(), ch.RemoteAddr())
	}
	ch.Close()
	if _, err := ch.Read(make([]byte, 1)); err != net.ErrClosed {
		t.Errorf("read after Close: %v", err)
	}
}

// What was written in a session and not read by its opener is not for the next
// one, whether it is in the line discipline or on its way, nor is his termios.
func TestPtyNothingStale(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	for range 20 {
		f := open(t, link)
		ch := accept(t, l)
		stale := [][]byte{bytes.Repeat([]byte("stale"), 20000)}
		for total, n := int64(0), int64(1); n > 0; total += n { // one write may stop at half a tty
			var err error
			if n, err = mustAs[TryWriter](t, ch).TryWritev(stale); err != nil || n == 100000 || n == 0 && total == 0 {
				t.Fatalf("TryWritev: %d, %v, after %d; want a full tty", n, err, total)
			}
		}
		control(t, f, func(fd int) error {
			tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			tio.Lflag |= unix.ECHO | unix.ICANON
			return errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, tio))
		})
		f.Close()
		if _, err := io.Copy(io.Discard, ch); err != nil { // some of it came back, too
			t.Fatal(err)
		}

		f = open(t, link)
		ch = accept(t, l)
		send(t, ch, "fresh")
		want(t, f, "fresh")
		send(t, f, "raw")
		want(t, ch, "raw")
		ch.SetReadDeadline(time.Now().Add(time.Millisecond))
		if n, err := ch.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read %d, %v; want no echo", n, err)
		}
		f.Close()
		ch.SetReadDeadline(time.Now().Add(watchdog))
		wantEOF(t, ch)
	}
}

// A hundred openers, each as soon as the last one has gone: none is missed,
// each talks to a session, none waits for ever. Who comes before the end of the
// last session was noticed shares it.
func TestPtyManyOpeners(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	sessions := 0
	served := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(served)
		for {
			ch, err := l.Accept(ctx)
			if err != nil {
				return
			}
			sessions++
			io.Copy(ch, ch)
			ch.Close()
		}
	}()
	const openers = 100
	for i := range openers {
		f := open(t, link)
		line := strings.Repeat("x", i+1) + "\n"
		send(t, f, line)
		want(t, f, line)
		f.Close()
	}
	cancel()
	<-served
	if sessions < 1 || sessions > openers {
		t.Errorf("%d sessions for %d openers", sessions, openers)
	}
	t.Logf("%d sessions for %d openers", sessions, openers)
}

// Who writes and goes before anybody looks is heard: echo hello > link.
func TestPtyQuickWriter(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	var all strings.Builder
	for i := range 50 {
		line := strings.Repeat("y", i) + "\n"
		all.WriteString(line)
		f := open(t, link)
		send(t, f, line)
		f.Close()
	}
	var got bytes.Buffer
	for got.Len() < all.Len() {
		ch := accept(t, l)
		if _, err := got.ReadFrom(ch); err != nil {
			t.Fatal(err)
		}
		ch.Close()
	}
	if got.String() != all.String() {
		t.Errorf("got %q", got.String())
	}
}

// Several who have the pty open share the session; it ends with the last one.
func TestPtyShared(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	a := open(t, link)
	ch := accept(t, l)
	b := open(t, link)
	a.Close()
	send(t, b, "still here")
	want(t, ch, "still here")
	b.Close()
	wantEOF(t, ch)
}

// If we close the session then who has it open gets a hang-up, and the link
// leads to a pty that works.
func TestPtyKick(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	for range 10 {
		f := open(t, link)
		ch := accept(t, l)
		before, _ := os.Readlink(link)
		read := make(chan error, 1)
		go func() { _, err := f.Read(make([]byte, 1)); read <- err }()
		if err := ch.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != io.EOF && !errors.Is(err, syscall.EIO) {
			t.Fatalf("the opener read %v; want a hang-up", err)
		}
		if after, err := os.Readlink(link); after == before || err != nil {
			t.Fatalf("the link leads to %s (%v), before to %s", after, err, before)
		}
		g := open(t, link)
		ch = accept(t, l)
		send(t, ch, "new")
		want(t, g, "new")
		g.Close()
		wantEOF(t, ch)
		ch.Close()
	}
}

// Close frees who is in Read and Write, of a session and of an opened tty.
func TestPtyCloseFrees(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	for _, dialled := range []bool{true, false} {
		peer, err := Dial(t.Context(), MustParseAddress("pty:"+link))
		if err != nil {
			t.Fatal(err)
		}
		ch := accept(t, l)
		if dialled {
			ch, peer = peer, ch
		}
		ended := make(chan error, 2)
		go func() { _, err := ch.Read(make([]byte, 1)); ended <- err }()
		go func() { _, err := ch.Write(make([]byte, 1<<20)); ended <- err }()
		want(t, peer, strings.Repeat("\x00", 4096)) // the writer is at it
		ch.Close()
		for range 2 {
			if err := <-ended; err != net.ErrClosed {
				t.Errorf("%T: %v; want net.ErrClosed", ch, err)
			}
		}
		peer.Close()
	}
}

// The end of the opener frees a blocked writer too.
func TestPtyLeaverFreesWriter(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	f := open(t, link)
	ch := accept(t, l)
	ended := make(chan error, 1)
	go func() { _, err := ch.Write(make([]byte, 1<<20)); ended <- err }()
	want(t, f, strings.Repeat("\x00", 4096))
	f.Close()
	if err := <-ended; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write: %v; want EPIPE", err)
	}
}

// A reader that stops makes TryWritev stop, not wait; when it goes on, all comes
// in order.
func TestPtySlowReader(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	f := open(t, link)
	ch := accept(t, l)
	tw := mustAs[TryWriter](t, ch)
	data := make([]byte, 200_000)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	left := data
	for {
		n, err := tw.TryWritev([][]byte{left[:1000]})
		if err != nil {
			t.Fatal(err)
		}
		left = left[n:]
		if n < 1000 {
			break
		}
	}
	if len(left) < 100_000 {
		t.Fatalf("the tty took %d bytes", len(data)-len(left))
	}
	written := make(chan error, 1)
	go func() { _, err := ch.Writev([][]byte{left[:777], left[777:]}); written <- err }()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read: %v, equal: %v", err, bytes.Equal(got, data))
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestPtyLink(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "vm1")
	a := MustParseAddress("pty:" + link)

	if _, err := Listen(t.Context(), MustParseAddress("pty:"+dir+"/none/vm1")); err == nil || !strings.Contains(err.Error(), dir+"/none") {
		t.Errorf("no folder: %v", err)
	}
	os.WriteFile(link, []byte("precious"), 0o600)
	if _, err := Listen(t.Context(), a); err == nil || !strings.Contains(err.Error(), "no symbolic link") {
		t.Errorf("a file in the way: %v", err)
	}
	if b, _ := os.ReadFile(link); string(b) != "precious" {
		t.Error("the file was touched")
	}
	os.Remove(link)
	os.Symlink("precious", link)
	if _, err := Listen(t.Context(), a); err == nil || !strings.Contains(err.Error(), "is a link to precious") {
		t.Errorf("a link in the way: %v", err)
	}
	if to, _ := os.Readlink(link); to != "precious" {
		t.Error("the link was touched")
	}
	os.Remove(link)

	// What a killed daemon leaves: the link, or the one it was about to place.
	os.Symlink("/dev/pts/4095", link)
	os.Symlink("/dev/pts/4096", filepath.Join(dir, ".vm1.new"))
	l, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if to, _ := os.Readlink(link); to == "/dev/pts/4095" {
		t.Error("the old link is still there")
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("in the folder: %v", all)
	}
	l.Close()
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}

	// Another's link is left alone.
	if l, err = Listen(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	l2, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	to, _ := os.Readlink(link)
	l.Close()
	if now, _ := os.Readlink(link); now != to {
		t.Errorf("the link is %q, was %q", now, to)
	}
	l2.Close()
	if _, err := l2.Accept(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after Close: %v", err)
	}
}

// A session lives on when the listener is closed, and its pty goes with it.
func TestPtyOutlivesListener(t *testing.T) {
	noLeaks(t)
	for _, kick := range []bool{false, true} {
		l, link := listenOn(t, "")
		f := open(t, link)
		ch := accept(t, l)
		l.Close()
		send(t, ch, "on")
		want(t, f, "on")
		if kick {
			ch.Close()
			if _, err := f.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after Close: %v", err)
			}
			continue
		}
		send(t, f, "and on")
		f.Close()
		want(t, ch, "and on")
		wantEOF(t, ch)
	}
	// One that nobody accepted goes with the listener.
	l, link := listenOn(t, "")
	f := open(t, link)
	l.Close()
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("not accepted: %v; want a hang-up", err)
	}
}

func TestPtyDial(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	os.WriteFile(dir+"/file", nil, 0o600)
	for path, message := range map[string]string{
		dir + "/file": "not a terminal",
		dir + "/none": "no such file",
		dir:           "is a directory",
		"/dev/null":   "not a terminal",
	} {
		if _, err := Dial(t.Context(), MustParseAddress("pty:"+path)); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v; want %q", path, err, message)
		}
	}

	p, slave, err := openPty()
	if err != nil {
		t.Fatal(err)
	}
	link := dir + "/tty"
	os.Symlink(slave.Name(), link)
	ch, err := Dial(t.Context(), MustParseAddress("pty:"+link))
	if err != nil {
		t.Fatal(err)
	}
	slave.Close()
	unix.Write(p.fd, []byte("a\rb\n"))
	want(t, ch, "a\rb\n")
	send(t, ch, "c\n")
	buf := make([]byte, 10)
	if n, err := unix.Read(p.fd, buf); err != nil || string(buf[:n]) != "c\n" {
		t.Errorf("the master read %q, %v; want no echo and no carriage return", buf[:n], err)
	}
	read := make(chan error, 1)
	go func() { _, err := ch.Read(make([]byte, 1)); read <- err }()
	p.close()
	if err := <-read; err != io.EOF {
		t.Errorf("at the hang-up: %v", err)
	}
	wantEOF(t, ch)
	if _, err := ch.Write([]byte("x")); !IsGone(err) {
		t.Errorf("write after the hang-up: %v", err)
	}
	ch.Close()
}

func TestPtyCycles(t *testing.T) {
	noLeaks(t)
	link := filepath.Join(t.TempDir(), "vm1")
	a := MustParseAddress("pty:" + link)
	for range 200 {
		l, err := Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		ch := accept(t, l)
		send(t, ch, "x")
		want(t, peer, "x")
		peer.Close()
		ch.Close()
		l.Close()
	}
}

// Where there are no descriptors for another pty a kick is a hang-up all the
// same, the link does not lead to what may be another's pty by then, and the
// listener recovers when there are some again.
func TestPtyShortage(t *testing.T) {
	noLeaks(t)
	link := filepath.Join(t.TempDir(), "vm1")
	e := &Env{Log: slog.New(slog.DiscardHandler)}
	l, err := e.Listen(t.Context(), MustParseAddress("pty:"+link))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	w := watchPath(t, link)
	f := open(t, link)
	ch := accept(t, l)

	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
	ch.Close()
	_, gone := os.Lstat(link)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))

	if !errors.Is(gone, os.ErrNotExist) {
		t.Errorf("the link: %v; want none", gone)
	}
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the opener read %v; want a hang-up", err)
	}
	told(t, w, "the link is back", exists(link))
	g := open(t, link)
	ch = accept(t, l)
	send(t, g, "back")
	want(t, ch, "back")
	g.Close()
}

// Whatever one user makes of the tty, the next one has one that works.
func TestPtyAfterAVandal(t *testing.T) {
	noLeaks(t)
	link := filepath.Join(t.TempDir(), "vm1")
	l, err := Listen(t.Context(), MustParseAddress("pty:"+link))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	const null = 27 // N_NULL, a line discipline that takes nothing
	for what, do := range map[string]func(fd int) error{
		"nobody else may open it": func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0) },
		"its output is stopped":   func(fd int) error { return unix.IoctlSetInt(fd, unix.TCXONC, 0) },
		"it is a terminal's line no more": func(fd int) error {
			return unix.IoctlSetPointerInt(fd, unix.TIOCSETD, null)
		},
	} {
		vandal := open(t, link)
		ch := accept(t, l)
		send(t, ch, "x")
		want(t, vandal, "x")
		control(t, vandal, do)
		vandal.Close()
		wantEOF(t, ch)
		ch.Close()

		next := open(t, link)
		ch = accept(t, l)
		control(t, next, func(fd int) error {
			if on, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL); err != nil || on != 0 {
				t.Errorf("%s: who is not root may not open it: %d, %v", what, on, err)
			}
			return nil
		})
		_, err := next.WriteString("y")
		if err == nil {
			want(t, ch, "y")
		} else {
			t.Errorf("%s: the next one can not write: %v", what, err)
		}
		next.Close()
		ch.Close()
	}
}
