package channel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// connected is the two ends of a UNIX socket.
func connected(t *testing.T) (near, far Channel) {
	t.Helper()
	at := MustParseAddress("unix:" + filepath.Join(t.TempDir(), "s"))
	l, err := Listen(inTime(t), at)
	must(t, err)
	defer l.Close()
	far, err = Dial(inTime(t), at)
	must(t, err)
	t.Cleanup(func() { far.Close() })
	return accept(t, l), far
}

// resting lets a channel rest and returns what is told when it wakes.
func resting(t *testing.T, ch Channel) <-chan struct{} {
	t.Helper()
	woken := make(chan struct{}, 2)
	if !mustAs[Rester](t, ch).Rest(func() { woken <- struct{}{} }) {
		t.Fatal("it can not rest")
	}
	return woken
}

func awaitWake(t *testing.T, woken <-chan struct{}) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(watchdog):
		t.Fatal("nobody woke it")
	}
}

// What rests is woken once by each of the things that end a Read, and by nothing
// before.
func TestWhatEndsARest(t *testing.T) {
	for _, c := range []struct {
		name string
		by   func(near, far Channel) error
		read error // of the Read after it
	}{
		{"bytes", func(_, far Channel) error { _, err := io.WriteString(far, "x"); return err }, nil},
		{"the peer's half close", func(_, far Channel) error { return far.CloseWrite() }, io.EOF},
		{"the peer's close", func(_, far Channel) error { return far.Close() }, io.EOF},
		{"a read deadline", func(near, _ Channel) error { return near.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"both deadlines", func(near, _ Channel) error { return near.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"close", func(near, _ Channel) error { return near.Close() }, net.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := connected(t)
			woken := resting(t, near)
			_, err := io.WriteString(near, "out") // which is no reason to wake
			must(t, err)
			_, err = io.ReadFull(far, make([]byte, 3)) // else its close is a reset
			must(t, err)
			if len(woken) > 0 {
				t.Fatal("woken by nothing")
			}
			must(t, c.by(near, far))
			awaitWake(t, woken)
			if _, err := near.Read(make([]byte, 8)); !errors.Is(err, c.read) {
				t.Errorf("the Read after it says %v, want %v", err, c.read)
			}
			near.Close()
			if len(woken) > 0 {
				t.Error("woken twice")
			}
		})
	}
}

// What came before the rest ends it at once, each time until it is read.
func TestARestWithSomethingToReadIsShort(t *testing.T) {
	near, far := connected(t)
	_, err := io.WriteString(far, "x")
	must(t, err)
	for range 3 {
		awaitWake(t, resting(t, near))
	}
}

func TestWhatIsClosedCannotRest(t *testing.T) {
	near, _ := connected(t)
	near.Close()
	if mustAs[Rester](t, near).Rest(func() { t.Error("woken") }) {
		t.Error("a closed channel rests")
	}
}

// A listener rests when nobody waits to be accepted.
func TestAListenerRestsWhenAllAreAccepted(t *testing.T) {
	l, err := Listen(inTime(t), MustParseAddress("tcp://127.0.0.1:0"))
	must(t, err)
	defer l.Close()
	a := l.(*listener).accepter
	for range 2 {
		far, err := Dial(inTime(t), MustParseAddress("tcp://"+l.Addr().String()))
		must(t, err)
		defer far.Close()
	}
	for range 2 {
		if a.(Rester).Rest(func() {}) {
			t.Fatal("it rests, and somebody waits to be accepted")
		}
		near, err := a.Accept()
		must(t, err)
		near.Close()
	}
	woken := make(chan struct{})
	if !a.(Rester).Rest(func() { close(woken) }) {
		t.Fatal("it does not rest, and nobody waits")
	}
	l.Close()
	awaitWake(t, woken)
}

// Many rest with one goroutine for all of them, which ends with the last rest.
func TestAllRestWithOneGoroutine(t *testing.T) {
	var all []Channel
	for range 50 {
		near, _ := connected(t)
		all = append(all, near)
	}
	awaitSleepers(t, 0) // those of the tests before
	var woken []<-chan struct{}
	for _, ch := range all {
		woken = append(woken, resting(t, ch))
	}
	awaitSleepers(t, 1)
	for i, ch := range all {
		ch.Close()
		awaitWake(t, woken[i])
	}
	awaitSleepers(t, 0)
}

// awaitSleepers waits until so many goroutines wait for all that rest.
func awaitSleepers(t *testing.T, want int) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(watchdog); ; runtime.Gosched() {
		n := bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("channel.(*sleep).run("))
		if n == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines wait for those that rest, want %d", n, want)
		}
	}
}

// A listener serves everybody who comes, also between a rest and the next, and
// ends what it does at its Close; its failure is told.
func TestServe(t *testing.T) {
	at := MustParseAddress("unix:" + filepath.Join(t.TempDir(), "s"))
	l, err := Listen(inTime(t), at)
	must(t, err)
	came := make(chan Channel)
	l.Serve(func(ch Channel) { came <- ch }, func(err error) { t.Errorf("it failed: %v", err) })
	for range 3 {
		var far [5]Channel
		for i := range far {
			far[i], err = Dial(inTime(t), at)
			must(t, err)
		}
		for _, f := range far {
			select {
			case ch := <-came:
				ch.Close()
			case <-time.After(watchdog):
				t.Fatal("one was not served")
			}
			f.Close()
		}
	}
	must(t, l.Close())
}

func TestServeTellsThatItFailed(t *testing.T) {
	failed := make(chan error, 1)
	s := new(Env).serve(&shortListener{closed: make(chan struct{})}, nil)
	s.Serve(func(Channel) { t.Error("somebody came") }, func(err error) { failed <- err })
	s.accepter.Close() // not the Close of s
	if err := <-failed; err != net.ErrClosed {
		t.Errorf("it failed with %v", err)
	}
	s.end(net.ErrClosed)
}

// Whoever accepts for the first time while the listener closes is told so, and
// nothing goes on that the Close did not wait for.
func TestTheFirstAcceptMeetsTheClose(t *testing.T) {
	for range 100 {
		l, err := Listen(inTime(t), MustParseAddress("unix:"+filepath.Join(t.TempDir(), "s")))
		must(t, err)
		told := make(chan error, 1)
		go func() {
			_, err := l.Accept(context.Background())
			told <- err
		}()
		must(t, l.Close())
		if err := <-told; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("it was told %v", err)
		}
	}
}
