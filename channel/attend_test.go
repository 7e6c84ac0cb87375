package channel

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// attended has a channel attended to by what reads it and tells how much that was.
func attended(t *testing.T, ch Channel, try func(read func() int) bool) <-chan struct{} {
	t.Helper()
	a, ok := AsAttended(ch)
	if !ok {
		t.Fatal("a plain socket is not attended to")
	}
	woken := make(chan struct{}, 2)
	read := func() int {
		n, err := a.TryRead(make([]byte, 64))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if !a.Attend(func() bool { return try(read) }, nil, func() { woken <- struct{}{} }) {
		t.Fatal("it can not be attended to")
	}
	return woken
}

// What comes while a channel is attended to is read by try, as often as there is
// something, and nobody is woken; when try has enough, its owner is, once, and reads on.
func TestTryReadsUntilItHasEnough(t *testing.T) {
	near, far := connected(t)
	read := make(chan int, 1)
	woken := attended(t, near, func(take func() int) bool {
		n := take()
		read <- n
		return n != 3
	})
	for _, want := range []int{1, 64, 36, 3} { // of 100 bytes 64 at first
		if want != 36 {
			size := want
			if want == 64 {
				size = 100
			}
			_, err := far.Write(make([]byte, size))
			must(t, err)
		}
		select {
		case n := <-read:
			if n != want {
				t.Fatalf("read %d bytes, want %d", n, want)
			}
		case <-time.After(watchdog):
			t.Fatalf("nobody reads what came; want %d bytes", want)
		}
		if want != 3 && len(woken) > 0 {
			t.Fatal("its owner is woken")
		}
	}
	awaitWake(t, woken)
	_, err := io.WriteString(far, "more")
	must(t, err)
	if n, err := io.ReadFull(near, make([]byte, 4)); n != 4 || err != nil {
		t.Fatalf("its owner reads %d, %v", n, err)
	}
	near.Close()
	if len(woken)+len(read) > 0 {
		t.Error("it is woken, or read, after the end")
	}
}

// TryRead waits for nothing.
func TestTryReadOfNothing(t *testing.T) {
	near, far := connected(t)
	a, _ := AsAttended(near)
	if n, err := a.TryRead(make([]byte, 8)); n != 0 || err != nil {
		t.Errorf("of nothing it read %d, %v", n, err)
	}
	must(t, far.Close())
	if n, err := a.TryRead(make([]byte, 8)); n != 0 || err != io.EOF {
		t.Errorf("at the end it read %d, %v", n, err)
	}
}

// A deadline, or Close, wakes the owner of what is attended to; while try runs, it does
// when that is over, as both read.
func TestWhatEndsAttendance(t *testing.T) {
	for _, end := range []struct {
		name string
		by   func(Channel) error
	}{
		{"a deadline", func(c Channel) error { return c.SetReadDeadline(time.Unix(1, 0)) }},
		{"close", Channel.Close},
	} {
		t.Run(end.name, func(t *testing.T) {
			near, _ := connected(t)
			woken := attended(t, near, func(func() int) bool { t.Error("there is nothing to try"); return false })
			must(t, end.by(near))
			awaitWake(t, woken)
		})
		for _, more := range []bool{true, false} {
			t.Run(end.name+" while try runs", func(t *testing.T) {
				near, far := connected(t)
				begun, goOn := make(chan struct{}), make(chan struct{})
				woken := attended(t, near, func(func() int) bool {
					close(begun)
					<-goOn
					return more
				})
				_, err := io.WriteString(far, "x")
				must(t, err)
				<-begun
				must(t, end.by(near))
				if len(woken) > 0 {
					t.Error("its owner is woken while try runs")
				}
				close(goOn)
				awaitWake(t, woken)
				near.Close()
				if len(woken) > 0 {
					t.Error("woken twice")
				}
			})
		}
	}
}

// What rests on an instance that can not be waited at any more is woken, and rests on
// another one then.
func TestRestsOutliveTheirInstance(t *testing.T) {
	first, far := connected(t)
	second, far2 := connected(t)
	woken, woken2 := resting(t, first), resting(t, second)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	sleepers.mu.Lock()
	err = unix.Dup3(null, sleepers.running.fd, unix.O_CLOEXEC)
	sleepers.mu.Unlock()
	must(t, err, unix.Close(null))
	_, err = io.WriteString(far, "x") // the instance waits yet, for the last time
	must(t, err)
	awaitWake(t, woken)
	awaitWake(t, woken2)
	woken2 = resting(t, second)
	_, err = io.WriteString(far2, "x")
	must(t, err)
	awaitWake(t, woken2)
	first.Close()
	second.Close()
}

// Only what is plain is attended to: what a layer, or the line of a serial port, has to do
// with what comes would be passed over.
func TestOnlyPlainOnesAreAttendedTo(t *testing.T) {
	near, _ := connected(t)
	if _, ok := AsAttended(NewOutbox(near)); !ok {
		t.Error("an outbox makes a difference")
	}
	if _, ok := AsAttended(NewWebsocket(near, nil, WebsocketOptions{PingInterval: -1})); ok {
		t.Error("a websocket is attended to")
	}
	must(t, passer(t, near).ReceiveFiles(1))
	if _, ok := AsAttended(near); ok {
		t.Error("what takes files is attended to, by reads that lose them")
	}
	udp, err := Dial(inTime(t), MustParseAddress("udp://127.0.0.1:9"))
	must(t, err)
	defer udp.Close()
	if _, ok := AsAttended(udp); ok {
		t.Error("datagrams are attended to")
	}
}

// attendedLayers is the server's side of a stack over a UNIX socket, and the other end of
// that.
func attendedLayers(t *testing.T, o WebsocketOptions) (near *Websocket, far Channel) {
	t.Helper()
	a, far := connected(t)
	o.PingInterval = -1
	near = NewWebsocket(NewOutbox(a), nil, o)
	t.Cleanup(func() { near.Close() })
	return near, far
}

// A channel with layers is attended to as a plain one is: TryRead returns what is there,
// and that there is nothing, also in the middle of a frame; whatever its deadline says.
func TestTryReadOfLayers(t *testing.T) {
	near, far := attendedLayers(t, WebsocketOptions{})
	a, ok := AsAttendedLayers(near)
	if !ok {
		t.Fatal("it is not attended to")
	}
	must(t, near.SetReadDeadline(time.Unix(1, 0)))
	try := func(want string) {
		t.Helper()
		var p [64]byte
		if n, err := a.TryRead(p[:]); string(p[:n]) != want || err != nil {
			t.Fatalf("read %q, %v, want %q", p[:n], err, want)
		}
	}
	frame := masked(ws.OpBinary, true, "hello")
	for range 3 {
		try("")
		_, err := far.Write(frame[:7])
		must(t, err)
		try("h")
		try("")
		_, err = far.Write(frame[7:])
		must(t, err)
		try("ello")
	}
	try("")
	far.Close()
	if n, err := a.TryRead(make([]byte, 64)); n != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("after the end %d, %v", n, err)
	}
}

// After a read that was cut short the medium is not asked again at once: that there is more
// is told to who attends.
func TestTryReadAsksOnce(t *testing.T) {
	near, far := attendedLayers(t, WebsocketOptions{})
	a, _ := AsAttendedLayers(near)
	say := func(frames ...string) {
		t.Helper()
		var all []byte
		for _, f := range frames {
			all = append(all, masked(ws.OpBinary, true, f)...)
		}
		_, err := far.Write(all)
		must(t, err)
	}
	said := []string{}
	try := func() {
		t.Helper()
		var p [64]byte
		n, err := a.TryRead(p[:])
		must(t, err)
		said = append(said, string(p[:n]))
	}
	say("a", "b")
	try()
	say("c")
	for range 4 {
		try()
	}
	if want := []string{"ab", "", "c", "", ""}; !slices.Equal(said, want) {
		t.Errorf("read %q, want %q", said, want)
	}
}

// Who sends pings without end does not keep the one that attends to all: a TryRead has so
// many reads, and the rest is there for the next.
func TestTryReadOfPingsEnds(t *testing.T) {
	near, far := attendedLayers(t, WebsocketOptions{})
	a, _ := AsAttendedLayers(near)
	ping := masked(ws.OpPing, true, "")
	pings := bytes.Repeat(ping, 100*64/len(ping))
	_, err := far.Write(append(pings, masked(ws.OpBinary, true, "at last")...))
	must(t, err)
	var p [64]byte
	tries := 1
	n, err := a.TryRead(p[:])
	for ; n == 0 && err == nil && tries < 1000; tries++ {
		n, err = a.TryRead(p[:])
	}
	if string(p[:n]) != "at last" || err != nil || tries < 10 {
		t.Errorf("%q after %d tries, %v; want at least 10", p[:n], tries, err)
	}
}

// What takes its time with what comes beside the stream is not attended to.
func TestOnTextIsNotAttendedTo(t *testing.T) {
	near, _ := attendedLayers(t, WebsocketOptions{OnText: func([]byte) {}})
	if _, ok := AsAttendedLayers(near); ok {
		t.Error("a websocket with OnText is attended to")
	}
	plain, _ := connected(t)
	if _, ok := AsAttendedLayers(plain); ok {
		t.Error("a plain socket has layers")
	}
}

// A guest's pty is attended to as its socket is, until nobody holds the other side.
func TestAPtyIsAttendedTo(t *testing.T) {
	master, tty, err := pty.Open()
	must(t, err)
	defer master.Close()
	near, err := Dial(inTime(t), Address{Transport: "pty", Where: tty.Name()})
	must(t, err)
	defer near.Close()
	tty.Close()
	got, ends := make(chan string, 1), make(chan error, 1)
	a, ok := AsAttended(NewOutbox(near))
	if !ok {
		t.Fatal("it is not attended to")
	}
	try := func() bool {
		var p [64]byte
		n, err := a.TryRead(p[:])
		if n > 0 {
			got <- string(p[:n])
		}
		if err != nil {
			ends <- err
		}
		return err == nil
	}
	woken := make(chan struct{})
	if !a.Attend(try, nil, func() { close(woken) }) {
		t.Fatal("it can not be attended to")
	}
	for range 3 {
		_, err := master.WriteString("a line")
		must(t, err)
		select {
		case said := <-got:
			if said != "a line" {
				t.Errorf("it said %q", said)
			}
		case <-time.After(watchdog):
			t.Fatal("nobody reads what came")
		}
	}
	master.Close()
	if err := <-ends; err != io.EOF {
		t.Errorf("its end is %v", err)
	}
	<-woken
}

// Of what has something at the same moment all is read before the first of it is written.
func TestAllAreReadBeforeOneIsWritten(t *testing.T) {
	gate, opener := connected(t)
	reached, open := make(chan struct{}), make(chan struct{})
	attended(t, gate, func(take func() int) bool {
		if take() > 0 {
			reached <- struct{}{}
			<-open
		}
		return true
	})
	const n = 3
	done := make(chan string, 3*n)
	var fars []Channel
	for range n {
		near, far := connected(t)
		fars = append(fars, far)
		a, _ := AsAttended(near)
		try := func() bool {
			_, err := a.TryRead(make([]byte, 8))
			done <- "read"
			return err == nil
		}
		if !a.Attend(try, func() { done <- "written" }, func() {}) {
			t.Fatal("it can not be attended to")
		}
	}
	_, err := opener.Write([]byte("x"))
	must(t, err)
	<-reached // nothing else is looked at
	for _, far := range fars {
		_, err := far.Write([]byte("x"))
		must(t, err)
	}
	close(open)
	for i := range 2 * n {
		want := "read"
		if i >= n {
			want = "written"
		}
		if what := <-done; what != want {
			t.Fatalf("thing %d of %d that was done is %q, want %q", i+1, 2*n, what, want)
		}
	}
}

// What was read is written before the owner is called, be it that try has enough or that
// the channel is closed meanwhile.
func TestWhatWasReadIsWrittenBeforeTheWake(t *testing.T) {
	for _, c := range []struct {
		name  string
		stays bool
	}{{"enough", false}, {"closed", true}} {
		near, far := connected(t)
		a, _ := AsAttended(near)
		done := make(chan string, 3)
		try := func() bool {
			a.TryRead(make([]byte, 8))
			if c.stays {
				near.Close()
			}
			done <- "read"
			return c.stays
		}
		if !a.Attend(try, func() { done <- "written" }, func() { done <- "woken" }) {
			t.Fatal("it can not be attended to")
		}
		_, err := far.Write([]byte("x"))
		must(t, err)
		for _, want := range []string{"read", "written", "woken"} {
			if what := <-done; what != want {
				t.Fatalf("%s: %q, want %q", c.name, what, want)
			}
		}
	}
}
