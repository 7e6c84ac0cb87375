package channel

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// relayed is a relay between two connections of the given kinds, of which the test has the
// far ends.
func relayed(t testing.TB, near, far string, prepare ...func(*Relay)) (user, server Channel, relay *Relay, ended chan error) {
	t.Helper()
	pair := func(kind string) (Channel, Channel) {
		if kind == "pipe" {
			a, b := Pipe(relaySize)
			return a, b
		}
		at := kind + "://127.0.0.1:0"
		if kind == "unix" {
			at = "unix:" + filepath.Join(t.TempDir(), "s")
		}
		a, err := ParseAddress(at)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if kind != "unix" {
			a.Where = l.Addr().String()
		}
		came := make(chan Channel, 1)
		go func() {
			ch, _ := l.Accept(t.Context())
			came <- ch
		}()
		out, err := Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		in := <-came
		if in == nil {
			t.Fatal("nobody came")
		}
		return out, in
	}
	user, a := pair(near)
	b, server := pair(far)
	relay, ended = NewRelay(a, b), make(chan error, 1)
	for _, do := range prepare {
		do(relay)
	}
	relay.Start(func(err error) { ended <- err })
	t.Cleanup(func() {
		user.Close()
		server.Close()
		relay.Break(errors.New("the test is over"))
	})
	return user, server, relay, ended
}

// rests says whether a channel rests; one that can not counts as one that does.
func rests(c Channel) bool {
	var r *rest
	if u, ok := As[*unixChannel](c); ok {
		r = &u.rest
	} else if s, ok := As[*socket](c); ok {
		r = &s.rest
	} else {
		return true
	}
	sleepers.mu.Lock()
	defer sleepers.mu.Unlock()
	return r.in != nil
}

var relayPairs = [][2]string{{"tcp", "unix"}, {"unix", "tcp"}, {"unix", "unix"}, {"tcp", "ws"}, {"ws", "unix"}, {"pipe", "tcp"}}

// Bytes of random sizes come whole and in order, both ways at once, with silences in
// which the relay rests, and the end of the one way leaves the other open.
func TestRelayCarriesAllBothWays(t *testing.T) {
	for _, kind := range relayPairs {
		t.Run(kind[0]+"-"+kind[1], func(t *testing.T) {
			t.Parallel()
			user, server, relay, ended := relayed(t, kind[0], kind[1])
			const size = 1 << 20
			send := func(to Channel, seed uint64) []byte {
				r := rand.New(rand.NewPCG(seed, 0))
				p := make([]byte, size)
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				go func() {
					for rest := p; len(rest) > 0; {
						n := min(len(rest), 1+r.IntN(100_000))
						if _, err := to.Write(rest[:n]); err != nil {
							t.Errorf("write: %v", err)
							return
						}
						rest = rest[n:]
					}
				}()
				return p
			}
			check := func(from Channel, want []byte) {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(from, got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("read: %v, equal: %v", err, bytes.Equal(got, want))
				}
			}
			there, back := send(user, 1), send(server, 2)
			check(server, there)
			check(user, back)

			for end := time.Now().Add(watchdog); !rests(relay.a) || !rests(relay.b); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("a silent relay does not rest")
				}
			}
			user.Write([]byte("after a silence"))
			check(server, []byte("after a silence"))

			if kind[0] == "ws" || kind[1] == "ws" { // which has no half close
				server.Close()
				if err := <-ended; err != nil {
					t.Fatalf("ended with %v", err)
				}
				return
			}
			user.CloseWrite()
			if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("the end came as %d, %v", n, err)
			}
			server.Write([]byte("behind the half close"))
			check(user, []byte("behind the half close"))
			server.Close()
			if n, err := user.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("the other end came as %d, %v", n, err)
			}
			if err := <-ended; err != nil {
				t.Fatalf("ended with %v", err)
			}
			if a, b := relay.Counts(); a != size+15 || b != size+21 {
				t.Fatalf("counted %d and %d", a, b)
			}
		})
	}
}

// A byte that is sent as urgent (MSG_OOB of tcp(7)) is one like others: it comes, and what
// stands behind it.
func TestRelayCarriesUrgentBytes(t *testing.T) {
	for _, kind := range []string{"tcp", "unix"} {
		t.Run(kind, func(t *testing.T) { carriesUrgentBytes(t, kind) })
	}
}

func carriesUrgentBytes(t *testing.T, kind string) {
	for _, end := range []bool{false, true} { // whether the end stands behind it at once
		user, server, _, _ := relayed(t, kind, kind)
		must(t, server.SetReadDeadline(time.Now().Add(watchdog)))
		must(t, plainSocket(user).handle.do(func(fd int) error { return unix.Send(fd, []byte("before!"), unix.MSG_OOB) }))
		_, err := user.Write([]byte("behind"))
		must(t, err)
		got := make([]byte, len("before!behind"))
		if end {
			must(t, user.CloseWrite())
		}
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "before!behind" {
			t.Errorf("there came %q, %v", got, err)
		}
		must(t, user.CloseWrite())
		if n, err := server.Read(got); n != 0 || err != io.EOF {
			t.Errorf("the end came as %d, %v", n, err)
		}
	}
}

// A stream that breaks off is not taken for one that has ended.
func TestRelayPassesOnABreak(t *testing.T) {
	user, server, _, ended := relayed(t, "tcp", "tcp")
	server.Write([]byte("some"))
	got := make([]byte, 4)
	if _, err := io.ReadFull(user, got); err != nil {
		t.Fatal(err)
	}
	Abort(server)
	if n, err := user.Read(got); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the break came as %d, %v", n, err)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("ended with %v", err)
	}
}

// Who looks at what comes sees it before the other side does, and may end it.
func TestRelayLook(t *testing.T) {
	a, user := Pipe(1 << 10)
	b, server := Pipe(1 << 10)
	no := errors.New("no")
	r, ended := NewRelay(a, b), make(chan error, 1)
	r.Look = func(p []byte) (bool, error) { return true, no }
	r.Start(func(err error) { ended <- err })
	user.Write([]byte("GET / "))
	if err := <-ended; err != no {
		t.Fatalf("ended with %v", err)
	}
	if n, err := server.Read(make([]byte, 9)); n != 0 || err == nil {
		t.Fatalf("%d bytes came through, %v", n, err)
	}
}

func BenchmarkRelay(b *testing.B) {
	for _, splice := range []bool{true, false} {
		b.Run(map[bool]string{true: "splice", false: "copy"}[splice], func(b *testing.B) {
			user, server, _, _ := relayed(b, "unix", "tcp", func(r *Relay) { r.there.noSplice = !splice })
			p := make([]byte, relaySize)
			b.SetBytes(int64(len(p)))
			go func() {
				for range b.N {
					user.Write(p)
				}
			}()
			got := make([]byte, relaySize)
			for range b.N {
				if _, err := io.ReadFull(server, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
