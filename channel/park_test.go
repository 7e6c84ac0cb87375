package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// overAgain takes what is parked the way of a document, as another process gets it.
func overAgain(t *testing.T, p *Parked) *Parked {
	t.Helper()
	doc, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	next := &Parked{FDs: p.FDs}
	if err := json.Unmarshal(doc, next); err != nil {
		t.Fatal(err)
	}
	return next
}

var withOutbox = &Env{Below: func(c Channel) Channel { return NewOutbox(c) }}

// again parks a channel and adopts it.
func again(t *testing.T, a Address, ch Channel) (next Channel, unsent int) {
	t.Helper()
	p, err := Park(ch)
	if err != nil {
		t.Fatal("park:", err)
	}
	ch.Close() // does nothing more
	p = overAgain(t, p)
	unsent = len(p.Unsent)
	if next, err = withOutbox.Adopt(a, p); err != nil {
		t.Fatal("adopt:", err)
	}
	if err := next.SetReadDeadline(time.Now().Add(watchdog)); err != nil {
		t.Fatal(err)
	}
	return next, unsent
}

// pattern is bytes of which none can be missing or twice unnoticed.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>7 ^ i>>15)
	}
	return b
}

// echoes sends all over a channel whose peer sends it back, and parks the channel many
// times meanwhile; what comes back is to be all of it. unsent is how much was parked.
func echoes(t *testing.T, a Address, ch Channel, total int) (unsent int) {
	t.Helper()
	all := pattern(total)
	got := make([]byte, 0, total)
	buf := make([]byte, 5<<10)
	parks := 0
	for sent := 0; len(got) < total; {
		for sent < total && ch.(*Outbox).Kept() == 0 && sent-len(got) < 64<<10 {
			n := min(7<<10, total-sent)
			if _, err := ch.Write(all[sent : sent+n]); err != nil {
				t.Fatalf("write at %d: %v", sent, err)
			}
			sent += n
		}
		if parks < 1+len(got)*20/total {
			var more int
			ch, more = again(t, a, ch)
			unsent += more
			parks++
		}
		n, err := ch.Read(buf)
		if err != nil {
			t.Fatalf("read at %d of %d: %v", len(got), total, err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, all) {
		i := 0
		for got[i] == all[i] {
			i++
		}
		t.Fatalf("what came back differs at %d of %d", i, total)
	}
	if parks < 20 {
		t.Fatalf("parked only %d times", parks)
	}
	if err := ch.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return unsent
}

// echo sends back what it reads, until the test ends.
func echo(t *testing.T, rw io.ReadWriteCloser) {
	done := make(chan struct{})
	t.Cleanup(func() { rw.Close(); <-done })
	go func() {
		defer close(done)
		io.Copy(rw, rw)
	}()
}

// A channel lives through being parked again and again: its peer sees nothing of it, no
// byte is lost or twice, in what is read, what is written and what waits to be.
func TestParkedLivesOn(t *testing.T) {
	t.Run("tcp", func(t *testing.T) { socketLivesOn(t, "tcp://127.0.0.1:0") })
	t.Run("unix", func(t *testing.T) { socketLivesOn(t, "unix:"+t.TempDir()+"/s") })
	t.Run("pty", func(t *testing.T) {
		noLeaks(t)
		l, link := listenOn(t, "")
		a := MustParseAddress("pty:" + link)
		ch, err := withOutbox.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, accept(t, l))
		if unsent := echoes(t, a, ch, 256<<10); unsent == 0 {
			t.Error("no write ever waited when the channel was parked")
		}
	})
	t.Run("serial", func(t *testing.T) {
		noLeaks(t)
		l, link := listenOn(t, "")
		a := MustParseAddress("serial:" + link + "?baud=9600")
		ch, err := withOutbox.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, accept(t, l))
		if unsent := echoes(t, a, ch, 256<<10); unsent == 0 {
			t.Error("no write ever waited when the port was parked")
		}
	})
	t.Run("exec", func(t *testing.T) {
		noLeaks(t)
		a := MustParseAddress("exec:stty raw -echo; echo ready; exec cat")
		ch, err := withOutbox.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		want(t, ch, "ready\n")
		if unsent := echoes(t, a, ch, 256<<10); unsent == 0 {
			t.Error("no write ever waited when the command was parked")
		}
	})
}

// socketLivesOn is TestParkedLivesOn of what is dialled where one listens.
func socketLivesOn(t *testing.T, address string) {
	noLeaks(t)
	a := MustParseAddress(address)
	l, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	a.Where = l.Addr().String()
	dialled, err := withOutbox.Dial(inTime(t), a)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, accept(t, l))
	l.Close()
	echoes(t, a, dialled, 2<<20)
}

// A layer can not be parked, and is as before.
func TestParkRefusesLayers(t *testing.T) {
	noLeaks(t)
	a, b := Pipe(100)
	defer b.Close()
	out := NewOutbox(a)
	for _, ch := range []Channel{a, out, &telnetLike{out}} {
		if _, err := Park(ch); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("park of %T: %v", ch, err)
		}
	}
	send(t, out, "as before")
	want(t, b, "as before")
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	for address, parks := range map[string]bool{
		"tcp://h:1": true, "unix:/a": true, "pty:/a": true, "serial:/a": true, "exec:a": true,
		"telnet://h:1": false, "tls+unix:/a": false, "null:": false, "sim:boot": false,
	} {
		if a := MustParseAddress(address); a.Parks() != parks {
			t.Errorf("%s parks: %v", address, !parks)
		}
	}
}

type telnetLike struct{ Channel }

// A listener that was parked lives on: who came meanwhile is accepted afterwards, its
// name in the file system stays the same node all the time, and goes with its Close.
func TestParkedListenerLivesOn(t *testing.T) {
	t.Run("tcp", func(t *testing.T) { listenerLivesOn(t, "tcp://127.0.0.1:0?from=127.0.0.0/8", "") })
	t.Run("unix", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		listenerLivesOn(t, "unix:"+path, path)
	})
}

// listenerLivesOn is TestParkedListenerLivesOn of an address whose node is at path, "" if it
// has none.
func listenerLivesOn(t *testing.T, address, path string) {
	noLeaks(t)
	a := MustParseAddress(address)
	l, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	to := a
	to.Where = l.Addr().String()
	to.Options = nil
	before, _ := os.Stat(path)
	for range 20 {
		p, err := l.(Parker).Park()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		dialled, err := Dial(inTime(t), to) // the kernel lets it in
		if err != nil {
			t.Fatal(err)
		}
		send(t, dialled, "hello")
		if l, _, err = new(Env).AdoptListener(a, overAgain(t, p)); err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() != to.Where {
			t.Fatalf("it listens on %s, not on %s", l.Addr(), to.Where)
		}
		ch := accept(t, l)
		want(t, ch, "hello")
		ch.Close()
		dialled.Close()
	}
	if now, _ := os.Stat(path); path != "" && !os.SameFile(before, now) {
		t.Error("it is another node")
	}
	l.Close()
	if _, err := os.Stat(path); path != "" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}

// A UNIX socket whose name is another one's by now is not adopted, and what is there is
// left alone.
func TestParkedSocketReplaced(t *testing.T) {
	noLeaks(t)
	path := filepath.Join(t.TempDir(), "s")
	a := MustParseAddress("unix:" + path)
	l, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.(Parker).Park()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := new(Env).AdoptListener(a, p); !errors.Is(err, errNotParked) {
		t.Errorf("adopted: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// What comes while a listener is being parked is handed out by it, or is left for the
// next: nobody is turned away.
func TestParkedListenerTurnsNobodyAway(t *testing.T) {
	noLeaks(t)
	a := MustParseAddress("unix:" + filepath.Join(t.TempDir(), "s"))
	l, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	const rounds, each = 50, 4
	served := make(chan Channel, rounds*each)
	use := func(ch Channel) { served <- ch }
	l.Serve(use, func(err error) { t.Error(err) })
	for range rounds {
		dialled := make(chan Channel, each)
		go func() {
			for range each {
				ch, err := Dial(t.Context(), a)
				if err != nil {
					t.Error(err)
				}
				dialled <- ch
			}
		}()
		p, err := l.(Parker).Park()
		if err != nil {
			t.Fatal(err)
		}
		if l, _, err = new(Env).AdoptListener(a, p); err != nil {
			t.Fatal(err)
		}
		l.Serve(use, func(err error) { t.Error(err) })
		for range each {
			d := next(t, dialled)
			send(t, d, "x")
			d.CloseWrite()
			ch := next(t, served)
			want(t, ch, "x")
			ch.Close()
			d.Close()
		}
	}
	l.Close()
}

// What a serial port had read beside bytes goes along.
func TestParkedSerialMarks(t *testing.T) {
	for _, c := range []struct {
		marks parmrk
		due   mark
		rest  string
		want  string
	}{
		{parmrk{}, noMark, "", ""},
		{parmrk{}, noMark, "ab", "ab"},
		{parmrk{markByte}, noMark, "", "\xff"},
		{parmrk{markNUL}, noMark, "", "\xff\x00"},
		{parmrk{}, breakMark, "x", "\xff\x00\x00x"},
		{parmrk{markTaken}, errorMark, "x", "\xff\x00x"},
	} {
		p := &serialPort{marks: c.marks, due: c.due, left: []byte(c.rest)}
		if got := string(p.undecoded()); got != c.want {
			t.Errorf("%+v: %q; want %q", c, got, c.want)
		}
	}
}

// A connection whose peer has reset it is adopted, and tells so.
func TestParkedGone(t *testing.T) {
	noLeaks(t)
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	a := MustParseAddress("tcp://" + nl.Addr().String())
	ch, err := Dial(inTime(t), a)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := nl.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Park(ch)
	if err != nil {
		t.Fatal(err)
	}
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	ch, err = new(Env).Adopt(a, p)
	if err != nil {
		return // that it is gone was told at once
	}
	defer ch.Close()
	if ch.RemoteAddr() == nil {
		t.Error("no address")
	}
	ch.SetDeadline(time.Now().Add(watchdog))
	if _, err := ch.Read(make([]byte, 1)); !IsGone(err) {
		t.Errorf("read: %v", err)
	}
}

// What can not be what the address says is dropped: no descriptor stays.
func TestAdoptWrongThing(t *testing.T) {
	noLeaks(t)
	for _, address := range []string{"tcp://127.0.0.1:1", "unix:/nowhere", "exec:true", "null:", "serial:/dev/ttyS9", "pty:/nowhere/x"} {
		a := MustParseAddress(address)
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := new(Env).Adopt(a, &Parked{FDs: []int{fd}})
		if err == nil {
			ch.Close() // a file that is no terminal is one that has ended
		}
		if fd, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := new(Env).AdoptListener(a, &Parked{FDs: []int{fd}, Session: true}); err == nil {
			t.Errorf("%s: a listener was made of %s", address, os.DevNull)
		}
	}
}

// net/http closes a listener as soon as its Accept fails, which it does while Park goes on.
func TestParkedWhileItIsClosed(t *testing.T) {
	a, err := ParseAddress("unix:" + filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(Env).Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		closed := make(chan struct{})
		go func(l Listener) {
			defer close(closed)
			if _, err := l.Accept(context.Background()); err == nil {
				t.Error("something was accepted")
			}
			l.Close()
		}(l)
		p, err := l.(Parker).Park()
		if err != nil {
			t.Fatal(err)
		}
		<-closed
		if l, _, err = new(Env).AdoptListener(a, p); err != nil {
			t.Fatal(err) // also if its name is gone
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.(Parker).Park(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener is parked: %v", err)
	}
	if _, err := os.Lstat(a.Where); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a closed listener leaves its name: %v", err)
	}
}
