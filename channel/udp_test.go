package channel

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listenUDPOn(t *testing.T, options string) (Listener, Address) {
	t.Helper()
	l, err := Listen(t.Context(), MustParseAddress("udp://127.0.0.1:0"+options))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, MustParseAddress("udp://" + l.Addr().String())
}

// All bytes of a few datagrams at a time arrive in order, whatever the sizes of writes
// and reads.
func TestUDPOrder(t *testing.T) {
	noLeaks(t)
	l, at := listenUDPOn(t, "")
	here := dialFD(t, at.String())
	send(t, here, ".")
	there := acceptOn(t, l)
	want(t, there, ".")
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := make([]byte, 1+rnd.IntN(20_000))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		from, to := here, there
		if rnd.IntN(2) == 0 {
			from, to = there, here
		}
		cut := rnd.IntN(len(b))
		if _, err := from.Writev([][]byte{b[:cut], nil, b[cut:]}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 0, len(b))
		for len(got) < len(b) {
			part := make([]byte, 1+rnd.IntN(2000))
			n, err := to.Read(part)
			if err != nil || n == 0 {
				t.Fatalf("after %d of %d: %d, %v", len(got), len(b), n, err)
			}
			got = append(got, part[:n]...)
		}
		if !bytes.Equal(got, b) {
			t.Fatal("other bytes")
		}
	}
}

// What is written goes out in datagrams that no path cuts; or as it is, where that is
// asked for. What comes is read as it came, but for a reader that has no room.
func TestUDPDatagrams(t *testing.T) {
	noLeaks(t)
	peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	peer.SetReadDeadline(time.Now().Add(20 * time.Second))
	sizes := func(ch Channel, bufs [][]byte) (got []int) {
		t.Helper()
		if _, err := ch.Writev(bufs); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<16)
		for left := int(SizeOf(bufs)); left > 0; {
			n, err := peer.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got, left = append(got, n), left-n
		}
		return got
	}
	many := make([][]byte, 3000)
	for i := range many {
		many[i] = []byte("xy")
	}
	to := "udp://" + peer.LocalAddr().String()
	cut, whole := dialFD(t, to), dialFD(t, to+"?whole=true")
	for _, c := range []struct {
		ch   Channel
		bufs [][]byte
		want []int
	}{
		{cut, [][]byte{make([]byte, 100), make([]byte, 200)}, []int{300}},
		{cut, [][]byte{make([]byte, 3000)}, []int{1232, 1232, 536}},
		{cut, many, []int{1232, 1232, 1232, 1232, 1072}},
		{whole, [][]byte{make([]byte, 3000), make([]byte, 10)}, []int{3010}},
		{whole, many, []int{6000}},
		{whole, [][]byte{make([]byte, 65507)}, []int{65507}},
	} {
		if got := sizes(c.ch, c.bufs); !equalInts(got, c.want) {
			t.Errorf("datagrams of %v, want %v", got, c.want)
		}
	}
	if _, err := whole.Write(make([]byte, 65508)); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("more than a datagram: %v", err)
	}
	back := cut.LocalAddr().(*net.UDPAddr)
	for _, b := range []string{"", "12345678", "", "9"} {
		if _, err := peer.WriteToUDP([]byte(b), back); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"12345", "678", "9"} {
		got := make([]byte, 5)
		if n, err := cut.Read(got); err != nil || string(got[:n]) != want {
			t.Errorf("read %q, %v; want %q", got[:n], err, want)
		}
	}
}

// Who has no channel yet, and sends without end, takes no more memory than a queue has; what is
// held is given to whoever sent it.
func TestUDPHoldsNoFlood(t *testing.T) {
	noLeaks(t)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	l, err := newUDPListener(new(Env), MustParseAddress("udp://127.0.0.1:0"), c)
	must(t, err)
	defer l.Close()
	first, second := netip.MustParseAddrPort("127.0.0.1:1001"), netip.MustParseAddrPort("127.0.0.1:1002")
	from := func(p netip.AddrPort) unix.Sockaddr {
		return &unix.SockaddrInet4{Addr: p.Addr().As4(), Port: int(p.Port())}
	}
	for range 2 * udpHeld / udpLeast {
		l.arrive(first, from(first), []byte("flood"))
		l.arrive(first, from(first), nil)
	}
	l.arrive(second, from(second), []byte("late"))
	if n := len(l.arrived[0].datagrams); n == 0 || n*(udpLeast+len("flood")) > udpHeld {
		t.Errorf("%d datagrams are held", n)
	}
	for range 2 {
		ch, err := l.Accept()
		must(t, err)
		must(t, ch.Close())
	}
	if l.held != 0 {
		t.Errorf("%d bytes are held of nobody", l.held)
	}
	l.arrive(second, from(second), []byte("again"))
	ch, err := l.Accept()
	must(t, err)
	defer ch.Close()
	want(t, ch, "again")
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Each address that sends is a channel of its own, with all that it has sent, and is
// another one when that was closed.
func TestUDPPeers(t *testing.T) {
	noLeaks(t)
	l, at := listenUDPOn(t, "")
	const peers = 5
	byText := map[string]Channel{}
	for i := range peers {
		ch := dialFD(t, at.String())
		name := string(rune('a' + i))
		send(t, ch, name)
		send(t, ch, "1")
		send(t, ch, "2")
		byText[name+"12"] = ch
	}
	for range peers {
		ch := acceptOn(t, l)
		var got string
		for len(got) < 3 {
			b := make([]byte, 9)
			n, err := ch.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got += string(b[:n])
		}
		peer := byText[got]
		if peer == nil {
			t.Fatalf("%q is nobody's", got)
		}
		if ch.RemoteAddr().String() != peer.LocalAddr().String() {
			t.Errorf("%s is at %v, not %v", got, ch.RemoteAddr(), peer.LocalAddr())
		}
		send(t, ch, "you are "+got)
		want(t, peer, "you are "+got)
		if got == "a12" {
			defer func() {
				ch.Close()
				send(t, peer, "again")
				want(t, acceptOn(t, l), "again")
			}()
		}
	}
}

// A peer that has left is told by its host when something is sent to it.
func TestUDPGone(t *testing.T) {
	noLeaks(t)
	l, at := listenUDPOn(t, "")
	peer := dialFD(t, at.String())
	send(t, peer, "x")
	ch := acceptOn(t, l)
	want(t, ch, "x")
	peer.Close()
	send(t, ch, "y")
	if _, err := ch.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("read: %v", err)
	}
}

// Who found nothing to read and then rests is woken by what a write was told in between.
func TestUDPGoneBeforeARest(t *testing.T) {
	noLeaks(t)
	l, at := listenUDPOn(t, "")
	ch := dialFD(t, at.String())
	l.Close()
	must(t, ch.SetReadDeadline(longAgo))
	var b [1]byte
	if _, err := ch.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	var told error
	for end := time.Now().Add(watchdog); told == nil && time.Now().Before(end); {
		_, told = ch.Write(b[:])
	}
	if !errors.Is(told, syscall.ECONNREFUSED) {
		t.Fatalf("write: %v", told)
	}
	awaitWake(t, resting(t, ch))
	if _, err := ch.Read(b[:]); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("read: %v", err)
	}
}

// The port is the listener's alone, and only networks that it lets in are heard.
func TestUDPAlone(t *testing.T) {
	noLeaks(t)
	l, at := listenUDPOn(t, "?from=192.0.2.0/24")
	if other, err := Listen(t.Context(), at); err == nil {
		other.Close()
		t.Error("somebody else listens there, too")
	}
	told := make(chan error, 1)
	l.(*listener).env.Refused = func(_ net.Addr, err error) { told <- err }
	l.Serve(func(ch Channel) { t.Error("let in"); ch.Close() }, func(error) {})
	send(t, dialFD(t, at.String()), "x")
	if err := <-told; err != errNotFrom {
		t.Errorf("refused: %v", err)
	}
	for _, wrong := range []string{"tls+udp://127.0.0.1:1", "ws+udp://127.0.0.1:1", "udp://127.0.0.1:1?local=x", "udp:127.0.0.1:1"} {
		if _, err := ParseAddress(wrong); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

// A listener and its peers go on in the hands of another program.
func TestUDPParks(t *testing.T) {
	noLeaks(t)
	l, at := listenUDPOn(t, "")
	a := MustParseAddress("udp://127.0.0.1:0")
	peer := dialFD(t, at.String())
	send(t, peer, "one")
	ch := acceptOn(t, l)
	parkedChannel, err := Park(ch)
	if err != nil {
		t.Fatal(err)
	}
	parked, err := l.(Parker).Park()
	if err != nil {
		t.Fatal(err)
	}
	l, _, err = new(Env).AdoptListener(a, parked)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ch, err = new(Env).Adopt(a, parkedChannel); err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	send(t, peer, " two")
	got := make([]byte, 0, 10)
	for len(got) < len("one two") {
		b := make([]byte, 10)
		n, err := ch.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if string(got) != "one two" {
		t.Errorf("read %q", got)
	}
	second := dialFD(t, at.String()+"?local=127.0.0.1:0")
	send(t, second, "new")
	want(t, acceptOn(t, l), "new")
	if !strings.HasPrefix(second.LocalAddr().String(), "127.0.0.1:") {
		t.Error(second.LocalAddr())
	}
}

// When a write is told that nobody is there, whoever reads is told too, now and later: the
// kernel says it once.
func TestUDPPeerIsGone(t *testing.T) {
	noLeaks(t)
	peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := peer.LocalAddr().String()
	peer.Close()
	ch := dialFD(t, "udp://"+at)
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		_, err = ch.Write([]byte("x"))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := ch.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("read: %v", err)
		}
		ch.SetReadDeadline(time.Time{})
	}
}
