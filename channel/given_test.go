package channel

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// give makes a descriptor one that was given to this process: not close-on-exec.
func give(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return "fd:" + strconv.Itoa(fd)
}

func dialFD(t *testing.T, address string) Channel {
	t.Helper()
	ch, err := Dial(t.Context(), MustParseAddress(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Close() })
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	return ch
}

// A descriptor is taken once, and nobody else has it then.
func TestFDIsTakenOnce(t *testing.T) {
	noLeaks(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := "fd:"+strconv.Itoa(pair[0]), "fd:"+strconv.Itoa(pair[1])
	here, there := dialFD(t, a), dialFD(t, b)
	for _, again := range []string{a, "fd:" + strconv.Itoa(1<<20)} {
		if _, err := Dial(t.Context(), MustParseAddress(again)); err == nil || !strings.Contains(err.Error(), "not given") {
			t.Errorf("%s again: %v", again, err)
		}
	}
	// What this process has open by itself is none of it.
	own, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := Dial(t.Context(), MustParseAddress("fd:"+strconv.Itoa(int(own.Fd())))); err == nil {
		t.Error("one of this process's own was taken")
	}
	send(t, here, "across")
	want(t, there, "across")
	parked, err := Park(here)
	if err != nil {
		t.Fatal(err)
	}
	on, err := new(Env).Adopt(MustParseAddress(a), parked)
	if err != nil {
		t.Fatal(err)
	}
	send(t, on, ", and on")
	want(t, there, ", and on")
	on.Close()
	wantEOF(t, there)
}

// A pipe has one direction; what is none of those that can be a channel is refused, and
// closed.
func TestFDKinds(t *testing.T) {
	noLeaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, out := dialFD(t, give(t, r)), dialFD(t, give(t, w))
	send(t, out, "through")
	want(t, in, "through")
	send(t, in, "for nobody")
	out.Close()
	wantEOF(t, in)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lf, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	uf, err := u.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*os.File{"listening": lf, "udp": uf, "file": file, "null": null} {
		if ch, err := Dial(t.Context(), MustParseAddress(give(t, f))); err == nil {
			ch.Close()
			t.Errorf("%s was taken", name)
		}
	}
}

// A socket that is listened on is accepted from, by number and by name, and only if it is
// as safe as one of an address would have to be.
func TestFDListens(t *testing.T) {
	noLeaks(t)
	f, at := handedOver(t, "tcp", "127.0.0.1:0")
	a := MustParseAddress(give(t, f))
	l, err := Listen(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	to := MustParseAddress("tcp://" + at.String())
	talks(t, l, to)
	parked, err := l.(Parker).Park()
	if err != nil {
		t.Fatal(err)
	}
	if l, _, err = new(Env).AdoptListener(a, parked); err != nil {
		t.Fatal(err)
	}
	talks(t, l, to)
	l.Close()

	path := t.TempDir() + "/s"
	uf, _ := handedOver(t, "unix", path)
	var in Inherited
	if err := in.Take([]*os.File{os.NewFile(dupOrFail(t, uf), "consoles")}); err != nil {
		t.Fatal(err)
	}
	defer in.sockets[0].f.Close()
	env := &Env{Inherited: &in}
	for range 2 {
		if l, err = env.Listen(t.Context(), MustParseAddress("fd:consoles")); err != nil {
			t.Fatal(err)
		}
		talks(t, l, MustParseAddress("unix:"+path))
		l.Close()
	}
	if len(in.Unused()) > 0 {
		t.Error("it is unused")
	}
	if _, err := env.Listen(t.Context(), MustParseAddress("fd:other")); err == nil || !strings.Contains(err.Error(), "there are consoles") {
		t.Errorf("another name: %v", err)
	}

	open, _ := handedOver(t, "tcp", "0.0.0.0:0")
	if _, err := Listen(t.Context(), MustParseAddress(give(t, open))); err == nil || !strings.Contains(err.Error(), "insecure=true") {
		t.Errorf("open to all: %v", err)
	}
	for _, wrong := range []string{"fd:", "fd:0", "fd:2", "fd:03", "fd:-1"} {
		if _, err := ParseAddress(wrong); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
	if _, err := Dial(t.Context(), MustParseAddress("fd:consoles")); err == nil || errors.Is(err, os.ErrInvalid) {
		t.Errorf("a name without any: %v", err)
	}
}

// Who listens on what is connected is told so, as often as he tries, and has it still.
func TestFDThatIsNotListenedOn(t *testing.T) {
	noLeaks(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := "fd:"+strconv.Itoa(pair[0]), "fd:"+strconv.Itoa(pair[1])
	for range 2 {
		if _, err := Listen(t.Context(), MustParseAddress(a)); !errors.Is(err, errNotListenedOn) {
			t.Fatalf("%v; want %v", err, errNotListenedOn)
		}
	}
	here, there := dialFD(t, a), dialFD(t, b)
	send(t, here, "across")
	want(t, there, "across")
}

func dupOrFail(t *testing.T, f *os.File) uintptr {
	t.Helper()
	fd, err := dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(fd)
}

// Whoever gave something and has it yet may make it block; what must not wait does not wait.
func TestFDThatOthersMakeBlock(t *testing.T) {
	noLeaks(t)
	for name, open := range map[string]func() (given, far *os.File){
		"socket": func() (given, far *os.File) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			return os.NewFile(uintptr(fds[0]), "given"), os.NewFile(uintptr(fds[1]), "far")
		},
		"pipe": func() (given, far *os.File) {
			r, w, err := os.Pipe()
			must(t, err)
			return w, r
		},
		"terminal": func() (given, far *os.File) {
			master, slave, err := pty.Open()
			must(t, err)
			return slave, master
		},
		"master of a terminal": func() (given, far *os.File) {
			master, slave, err := pty.Open()
			must(t, err)
			return master, slave
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := open()
			defer far.Close()
			giver, err := dup(int(near.Fd()))
			must(t, err)
			defer unix.Close(giver)
			ch := dialFD(t, give(t, near))
			must(t, unix.SetNonblock(giver, false))
			freed := time.AfterFunc(watchdog, func() { unix.Close(giver); far.Close() })
			if a, ok := AsAttended(ch); ok {
				if n, err := a.TryRead(zeroes(1)); n != 0 || err != nil {
					t.Errorf("TryRead: %d, %v", n, err)
				}
			} else if name == "socket" {
				t.Fatal("it is not attended to")
			}
			all := zeroes(4 << 20) // more than any of them takes
			n, err := ch.(TryWriter).TryWritev([][]byte{all})
			if n == 0 || n == int64(len(all)) || err != nil {
				t.Errorf("TryWritev: %d, %v", n, err)
			}
			if n, err := ch.(TryWriter).TryWritev([][]byte{all}); n > 0 && name != "master of a terminal" && name != "terminal" || err != nil {
				t.Errorf("TryWritev of what is full: %d, %v", n, err)
			}
			if !freed.Stop() {
				t.Error("it waited")
			}
		})
	}
}

func zeroes(n int) []byte { return make([]byte, n) }

// Who passes the end of a pipe is gone when nobody reads it any more.
func TestFDPipeWithoutAReader(t *testing.T) {
	noLeaks(t)
	r, w, err := os.Pipe()
	must(t, err)
	ch := dialFD(t, give(t, w))
	send(t, ch, "x")
	want(t, r, "x")
	must(t, r.Close())
	if _, err := ch.Write([]byte("y")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write that nobody reads: %v", err)
	}
	wantEOF(t, ch)
}

// Either end of a pipe goes on with a successor.
func TestFDPipeParked(t *testing.T) {
	noLeaks(t)
	for _, writes := range []bool{false, true} {
		r, w, err := os.Pipe()
		must(t, err)
		given, kept := r, w
		if writes {
			given, kept = w, r
		}
		defer kept.Close()
		at := give(t, given)
		ch := dialFD(t, at)
		parked, err := Park(ch)
		must(t, err)
		on, err := new(Env).Adopt(MustParseAddress(at), parked)
		must(t, err)
		if writes {
			send(t, on, "on")
			want(t, kept, "on")
		} else {
			send(t, kept, "on")
			want(t, on, "on")
		}
		on.Close()
	}
}

// A relay of a socket that its giver makes block rests all the same: splice(2) waits as the
// open file says.
func TestFDThatOthersMakeBlockInARelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer far.Close()
	near, err := l.Accept()
	must(t, err)
	f, err := near.(*net.TCPConn).File()
	must(t, err)
	must(t, near.Close())
	giver, err := dup(int(f.Fd()))
	must(t, err)
	defer unix.Close(giver)
	ch := dialFD(t, give(t, f))
	other, _ := connected(t)
	must(t, unix.SetNonblock(giver, false))
	relay, ended := NewRelay(ch, other), make(chan error, 1)
	relay.Start(func(err error) { ended <- err })
	for end := time.Now().Add(watchdog); !rests(ch); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("it waits where nobody can free it")
			far.Close()
			break
		}
	}
	relay.Break(errors.New("the test is over"))
	<-ended
}

// Who waits for connections to what its giver makes block can be closed all the same, and does
// not ask again and again.
func TestFDListenedOnThatOthersMakeBlock(t *testing.T) {
	noLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f, err := l.(*net.TCPListener).File()
	must(t, err)
	must(t, l.Close())
	giver, err := dup(int(f.Fd()))
	must(t, err)
	defer unix.Close(giver)
	given, err := Listen(t.Context(), MustParseAddress(give(t, f)))
	must(t, err)
	tcp := given.(*listener).accepter.(*tcpListener)
	must(t, unix.SetNonblock(giver, false))
	ended := make(chan error, 1)
	go func() {
		_, err := tcp.Accept()
		ended <- err
	}()
	awaitGate(t, &tcp.handle.in)
	must(t, given.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v; want %v", err, net.ErrClosed)
	}
}

// Who waits for what its giver makes block is woken by what comes, and does not ask again and
// again.
func TestFDThatOthersMakeBlockIsWaitedFor(t *testing.T) {
	noLeaks(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	far := os.NewFile(uintptr(fds[1]), "far")
	defer far.Close()
	giver, err := dup(fds[0])
	must(t, err)
	defer unix.Close(giver)
	ch := dialFD(t, give(t, os.NewFile(uintptr(fds[0]), "given")))
	must(t, unix.SetNonblock(giver, false))
	read := make(chan error, 1)
	go func() {
		_, err := ch.Read(zeroes(1))
		read <- err
	}()
	awaitGate(t, &handleOf(t, ch).in)
	_, err = far.WriteString("x")
	must(t, err)
	must(t, <-read)
}
