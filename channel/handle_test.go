package channel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// handleOf is the handle of a channel over a socket.
func handleOf(t *testing.T, c Channel) *handle {
	t.Helper()
	u, ok := c.(*unixChannel)
	if !ok {
		t.Fatalf("a %T is no socket", c)
	}
	return u.handle
}

// hasGate says whether somebody waits in the direction, or has lately.
func (w *way) hasGate() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate != nil
}

// awaitGate waits until somebody waits.
func awaitGate(t *testing.T, w *way) {
	t.Helper()
	for end := time.Now().Add(watchdog); !w.hasGate(); {
		if time.Now().After(end) {
			t.Fatal("nobody waits")
		}
	}
}

// Go's poller knows of a socket only while somebody waits for it, and for some
// reads or writes more.
func TestAGateIsThereWhileSomebodyWaits(t *testing.T) {
	near, far := connected(t)
	h := handleOf(t, near)
	defer near.Close()
	one := make([]byte, 1)
	send := func() {
		_, err := far.Write(one)
		must(t, err)
	}
	read := func() {
		_, err := near.Read(one)
		must(t, err)
	}
	send()
	read()
	if h.in.hasGate() {
		t.Error("a gate, and nobody has waited")
	}
	done := make(chan struct{})
	go func() { defer close(done); near.Read(make([]byte, 1)) }()
	awaitGate(t, &h.in)
	send()
	<-done
	for i := range readGate - 1 { // the first may have come before the goroutine waited
		if !h.in.hasGate() {
			t.Fatalf("no gate after %d reads that did not wait, which is soon", i)
		}
		send()
		read()
	}
	send()
	read()
	if h.in.hasGate() {
		t.Errorf("a gate yet after %d reads that did not wait", readGate)
	}

	done = make(chan struct{})
	go func() { defer close(done); near.Read(make([]byte, 1)) }()
	awaitGate(t, &h.in)
	must(t, near.SetReadDeadline(time.Unix(1, 0)))
	<-done
	resting(t, near)
	if h.in.hasGate() || h.out.hasGate() {
		t.Error("a gate while it rests")
	}
}

// Who had to wait to write keeps no descriptor for that, when he writes no more; who
// waits yet does.
func TestAGateForWritingGoes(t *testing.T) {
	near, far := connected(t)
	defer near.Close()
	out := &handleOf(t, near).out
	size := 0
	fill := func() {
		n, err := near.(TryWriter).TryWritev([][]byte{make([]byte, 4<<20)})
		must(t, err)
		size += int(n)
	}
	wait := func(during func()) {
		wrote := make(chan error, 1)
		go func() {
			_, err := near.Write(make([]byte, 1))
			wrote <- err
		}()
		size++
		awaitGate(t, out)
		during()
		_, err := io.CopyN(io.Discard, far, int64(size))
		must(t, err)
		must(t, <-wrote)
		size = 0
	}
	fill()
	wait(func() {})
	if !out.hasGate() {
		t.Fatal("no gate just after somebody waited")
	}
	fill()
	wait(func() {
		for end := time.Now().Add(watchdog); out.turn.TryLock(); { // else the writer is not there yet
			out.turn.Unlock()
			if time.Now().After(end) {
				t.Fatal("nobody waits")
			}
		}
		out.leave(out.gate)
		if !out.hasGate() {
			t.Fatal("the gate of somebody who waits was removed")
		}
	})
	for end := time.Now().Add(watchdog); out.hasGate(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a gate, and nobody has waited for long")
		}
	}
}

// Who waits is freed by what comes, by a deadline that was set before or is set
// then, and by Close, also where there is no descriptor for a gate.
func TestWhatEndsWaiting(t *testing.T) {
	for _, short := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			before func(near Channel)
			by     func(near, far Channel) // while it waits; nil: time, which awaits nobody
			want   error
		}{
			{"bytes", func(Channel) {}, func(_, far Channel) { io.WriteString(far, "x") }, nil},
			{"the end", func(Channel) {}, func(_, far Channel) { far.CloseWrite() }, io.EOF},
			{"a deadline that passes", func(near Channel) { near.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) }, nil, os.ErrDeadlineExceeded},
			{"a deadline", func(Channel) {}, func(near, _ Channel) { near.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
			{"close", func(Channel) {}, func(near, _ Channel) { near.Close() }, net.ErrClosed},
		} {
			t.Run(fmt.Sprintf("%s, no descriptors: %v", c.name, short), func(t *testing.T) {
				near, far := connected(t)
				defer near.Close()
				if short {
					noMoreDescriptors(t)
				}
				c.before(near)
				read := make(chan error, 1)
				go func() {
					_, err := near.Read(make([]byte, 1))
					read <- err
				}()
				if c.by != nil {
					if !short {
						awaitGate(t, &handleOf(t, near).in)
					}
					c.by(near, far)
				}
				select {
				case err := <-read:
					if !errors.Is(err, c.want) {
						t.Errorf("%v, want %v", err, c.want)
					}
				case <-time.After(watchdog):
					t.Fatal("it waits on")
				}
			})
		}
	}
}

// noMoreDescriptors lets the process have none but those it has, for the test.
func noMoreDescriptors(t *testing.T) {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}))
	t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) })
	if _, err := newGate(newHandle(0), false); !errors.Is(err, unix.EMFILE) {
		t.Fatalf("a gate is still to be had: %v", err)
	}
}

// A peer at full rate is waited for on the thread, also after a few short reads, and no
// more once that was in vain.
func TestWhoIsFastIsWaitedFor(t *testing.T) {
	near, far := connected(t)
	c := &near.(*unixChannel).fdChannel
	p := make([]byte, 2*fastRead)
	read := func(n int) {
		t.Helper()
		_, err := far.Write(make([]byte, n))
		must(t, err)
		got, err := near.Read(p)
		if must(t, err); got != n {
			t.Fatalf("read %d of %d bytes", got, n)
		}
	}
	read(fastRead - 1)
	if n := c.fast.Load(); n != 0 {
		t.Errorf("%d waits for one that said little", n)
	}
	read(fastRead)
	read(1)
	if n := c.fast.Load(); n != fastWaits {
		t.Errorf("%d waits for one that is fast, want %d", n, fastWaits)
	}
	ended := make(chan error, 1)
	go func() { _, err := near.Read(p); ended <- err }()
	awaitGate(t, &handleOf(t, near).in)
	near.SetReadDeadline(time.Unix(1, 0))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read of nothing: %v", err)
	}
	if n := c.fast.Load(); n != 0 {
		t.Errorf("%d waits for one that was waited for in vain", n)
	}
	near.Close()
}

// What is closed is closed, also when a deadline had passed before.
func TestClosedBehindADeadline(t *testing.T) {
	near, _ := connected(t)
	must(t, near.SetDeadline(longAgo))
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read behind its deadline: %v", err)
	}
	must(t, near.Close())
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of what is closed: %v", err)
	}
	if _, err := near.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write to what is closed: %v", err)
	}
}
