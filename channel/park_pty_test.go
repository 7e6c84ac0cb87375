package channel

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ptyAgain parks the listener of a pty with its session, if there is one, which is parked
// after it, as both are at the same time.
func ptyAgain(t *testing.T, a Address, l Listener, ch Channel) (Listener, Channel) {
	t.Helper()
	type result struct {
		p   *Parked
		err error
	}
	parked := make(chan result, 1)
	go func() {
		p, err := l.(Parker).Park()
		parked <- result{p, err}
	}()
	if ch != nil {
		if _, err := Park(ch); err != nil {
			t.Fatal(err)
		}
	}
	r := next(t, parked)
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.p.Session != (ch != nil) {
		t.Fatalf("parked with a session: %v", r.p.Session)
	}
	l, session, err := new(Env).AdoptListener(a, overAgain(t, r.p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if session != nil {
		session.SetDeadline(time.Now().Add(watchdog))
		t.Cleanup(func() { session.Close() })
	}
	return l, session
}

// A pty lives through being parked, with whoever has it open and without.
func TestParkedPty(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	a := MustParseAddress("pty:" + link)
	slave, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	l, ch := ptyAgain(t, a, l, nil)
	if ch != nil {
		t.Fatal("a session of nobody")
	}
	f := open(t, link)
	ch = accept(t, l)
	for range 20 {
		send(t, f, "typed ")
		l, ch = ptyAgain(t, a, l, ch)
		if ch == nil {
			t.Fatal("the session is gone")
		}
		send(t, f, "more")
		want(t, ch, "typed more")
		send(t, ch, "printed")
		want(t, f, "printed")
	}
	if now, err := os.Readlink(link); now != slave {
		t.Errorf("the link leads to %s, %v; before to %s", now, err, slave)
	}
	// The opener leaves while it is parked, with a last word.
	parked := make(chan *Parked, 1)
	go func() {
		p, err := l.(Parker).Park()
		if err != nil {
			t.Error(err)
		}
		parked <- p
	}()
	if _, err := Park(ch); err != nil {
		t.Fatal(err)
	}
	p := next(t, parked)
	send(t, f, "last")
	f.Close()
	l, ch, err = new(Env).AdoptListener(a, p)
	if err != nil || ch == nil {
		t.Fatalf("adopted: %v, %v", ch, err)
	}
	ch.SetDeadline(time.Now().Add(watchdog))
	want(t, ch, "last")
	wantEOF(t, ch)
	ch.Close()

	// And without one.
	f = open(t, link)
	ch = accept(t, l)
	send(t, ch, "never read")
	go func() {
		p, err := l.(Parker).Park()
		if err != nil {
			t.Error(err)
		}
		parked <- p
	}()
	if _, err := Park(ch); err != nil {
		t.Fatal(err)
	}
	p = next(t, parked)
	f.Close()
	l, ch, err = new(Env).AdoptListener(a, p)
	if err != nil || ch != nil {
		t.Fatalf("adopted: %v, %v; want no session", ch, err)
	}
	f = open(t, link) // gets nothing of the one before
	ch = accept(t, l)
	send(t, ch, "new")
	want(t, f, "new")
	f.Close()
	ch.Close()
	l.Close()
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link, after Close: %v", err)
	}
}

// A session that its user ends instead is ended, and one that nobody has had is begun
// again for the next listener.
func TestParkedPtySessionOver(t *testing.T) {
	noLeaks(t)
	l, link := listenOn(t, "")
	a := MustParseAddress("pty:" + link)
	f := open(t, link)
	ch := accept(t, l)
	parked := make(chan *Parked, 1)
	go func() {
		p, err := l.(Parker).Park()
		if err != nil {
			t.Error(err)
		}
		parked <- p
	}()
	ch.Close()
	p := next(t, parked)
	if _, err := f.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.EIO) {
		t.Errorf("who was cut reads %v", err)
	}
	if p.Session {
		t.Error("a session that was closed is parked")
	}
	f.Close()
	f = open(t, link)
	send(t, f, "waiting")
	l, ch, err := new(Env).AdoptListener(a, p)
	if err != nil || ch != nil {
		t.Fatalf("adopted: %v, %v", ch, err)
	}
	l, ch = ptyAgain(t, a, l, nil) // it may have begun one by now
	if ch != nil {
		t.Fatal("a session of somebody who was never accepted")
	}
	ch = accept(t, l)
	want(t, ch, "waiting")
	ch.Close()
	f.Close()
	l.Close()
}

// A command's end is told of also if it came while it was parked.
func TestParkedCommandEnds(t *testing.T) {
	noLeaks(t)
	a := MustParseAddress("exec:read line; echo got $line; exit 3")
	ch, err := Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Park(ch)
	if err != nil {
		t.Fatal(err)
	}
	ch.Close()
	if _, err := unix.Write(p.FDs[0], []byte("this\r")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, p.PID, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if ch, err = new(Env).Adopt(a, overAgain(t, p)); err != nil {
		t.Fatal(err)
	}
	ch.SetDeadline(time.Now().Add(watchdog))
	if got := readAll(t, ch); got != "this\ngot this\n" {
		t.Errorf("read %q", got)
	}
	if status, ok := mustAs[Exiter](t, ch).Exited(); !ok || status != "exit status 3" {
		t.Errorf("exited: %q, %v", status, ok)
	}
	ch.Close()

	// Close ends one that was adopted.
	a = MustParseAddress("exec:sleep 1000")
	if ch, err = Dial(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if p, err = Park(ch); err != nil {
		t.Fatal(err)
	}
	pid := p.PID
	if ch, err = new(Env).Adopt(a, p); err != nil {
		t.Fatal(err)
	}
	if err := ch.Close(); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the command after Close: %v", err)
	}
}

// A command of another process can not be adopted, and its terminal is closed.
func TestParkedCommandOfOthers(t *testing.T) {
	noLeaks(t)
	a := MustParseAddress("exec:read line")
	ch, err := Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Park(ch)
	if err != nil {
		t.Fatal(err)
	}
	own := p.PID
	p.PID = 1
	if _, err := new(Env).Adopt(a, p); !errors.Is(err, errNoChild) {
		t.Errorf("adopted: %v", err)
	}
	if _, err := unix.Wait4(own, nil, 0, nil); err != nil { // the hang-up has ended it
		t.Error(err)
	}
}
