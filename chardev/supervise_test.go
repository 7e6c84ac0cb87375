package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"chardevd/channel"
)

// told is what a supervisor tells of a null endpoint whose sessions end at once,
// but for the lasting-th, which lives until the test ends.
func told(t *testing.T, lasting int) (news func() []string, stop func()) {
	s, news := telling(channel.MustParseAddress("null:"))
	s.begin(t.Context())
	n := 0
	s.work.Add(1)
	s.open(func(ch channel.Channel, ended func(error)) {
		if n++; n == lasting {
			<-s.Done()
		}
		ch.Close()
		ended(io.ErrUnexpectedEOF)
	}, s.work.Done)
	return news, func() { s.stop(nil) }
}

// telling is a supervisor of an address, and what it has told.
func telling(a channel.Address) (s *supervisor, news func() []string) {
	var mu sync.Mutex
	var lines []string
	s = &supervisor{
		env: &channel.Env{Log: slog.New(slog.DiscardHandler)}, ep: &Endpoint{Address: a},
		status: newStatus(),
		news: func(state string, err error) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, state+" "+reason(err))
		},
	}
	s.retry.limits.Store(&Reconnect{Min: time.Millisecond, Max: time.Millisecond})
	return s, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), lines...)
	}
}

// Who has something listened on does not wait for a name server, and the end of it neither.
func TestANameThatIsLookedUpIsNotWaitedFor(t *testing.T) {
	usual := net.DefaultResolver
	defer func() { net.DefaultResolver = usual }()
	asked, over := make(chan struct{}, 100), make(chan struct{}, 100)
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked <- struct{}{}
		<-ctx.Done()
		over <- struct{}{}
		return nil, ctx.Err()
	}}
	s, _ := telling(channel.MustParseAddress("tcp://slow.example:0"))
	s.begin(t.Context())
	s.work.Add(1)
	s.listen(func(channel.Channel) {}, s.work.Done)
	if len(over) > 0 {
		t.Error("it was waited for")
	}
	<-asked
	s.stop(nil)
}

// Where the daemon has no descriptor left each try fails in another call: that is told once.
func TestTooManyOpenFilesIsToldOnce(t *testing.T) {
	s, news := telling(channel.MustParseAddress("unix:/x"))
	for _, call := range []string{"connect", "fcntl", "listen", "connect"} {
		for _, err := range []error{syscall.EMFILE, syscall.ENFILE} {
			s.set(StateOpening, nil)
			s.set(StateDown, fmt.Errorf("unix:/x: %s: %w", call, err))
		}
	}
	if have := news(); len(have) != 1 || !strings.Contains(have[0], "LimitNOFILE=") {
		t.Errorf("told: %q", have)
	}
}

// A cable that is pulled out and put in again ends the session, and then there is
// nothing to open: both are told a few times.
func TestWhatIsGoneBetweenIsNotToldForEver(t *testing.T) {
	at := socketPath(t)
	s, news := telling(at)
	s.begin(t.Context())
	defer s.stop(nil)
	s.work.Add(1)
	for i := range 20 {
		l, err := net.Listen("unix", at.Where)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			s.open(func(ch channel.Channel, ended func(error)) {
				_, err := ch.Read(make([]byte, 1))
				ch.Close()
				ended(err)
			}, s.work.Done)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		await(t, "it to be up", func() bool { state, _, _ := s.status.get(); return state == StateUp })
		os.Remove(at.Where)
		l.Close()
		c.Close()
		await(t, "a try in vain", func() bool { _, err, _ := s.status.get(); return strings.Contains(err, "connect") })
	}
	n := news()
	tries := 0
	for _, line := range n {
		if strings.Contains(line, "connect: ") {
			tries++ // of a socket that is bound and not listened on yet, too
		}
	}
	if sessions := len(n) - tries; sessions != 2*shortTold || tries < shortTold-1 || tries > 2*shortTold {
		t.Errorf("of 20 short sessions were told:\n%s", strings.Join(n, "\n"))
	}
	await(t, "that it stays away to be told", func() bool { return len(news()) > len(n) })
}

// What comes and goes at once, again and again, is told a few times and then not
// until it stays.
func TestComingAndGoingIsNotToldForEver(t *testing.T) {
	news, stop := told(t, 200)
	defer stop()
	await(t, "the session that lasts to be told", func() bool {
		n := news()
		return len(n) > 2*shortTold && strings.HasPrefix(n[len(n)-1], StateUp)
	})
	if n := news(); len(n) != 2*shortTold+1 || !strings.Contains(n[2*shortTold-1], "it comes and goes") {
		t.Fatalf("of 199 short sessions and one that lasts were told:\n%s", strings.Join(n, "\n"))
	}
}

// How a command ended is told, not only that it did.
func TestTheEndOfACommandIsTold(t *testing.T) {
	a, err := channel.ParseAddress("exec:exit 3")
	if err != nil {
		t.Fatal(err)
	}
	env := &channel.Env{Below: func(c channel.Channel) channel.Channel { return channel.NewOutbox(c) }}
	dev, err := env.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, 64<<10, "shared")
	why := make(chan error, 1)
	b.hub.session(b.ctx, dev, func(err error) { why <- err })
	if err := <-why; !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("the session ended with %q", err)
	}
}

// An error that differs from the last one by a number only is not told again; it
// is what the list shows, all the same.
func TestNumbersAreNoNews(t *testing.T) {
	s := newStatus()
	for i, c := range []struct {
		err  string
		news bool
	}{
		{"read udp 127.0.0.1:40001: i/o timeout", true},
		{"read udp 127.0.0.1:51234: i/o timeout", false},
		{"connection refused", true},
		{"connection refused", false},
	} {
		s.set(StateOpening, nil)
		if news := s.set(StateDown, errors.New(c.err)); news != c.news {
			t.Errorf("try %d, %s: news %v", i+1, c.err, news)
		}
		if _, text, _ := s.get(); text != c.err {
			t.Errorf("try %d: the status is %q", i+1, text)
		}
	}
}

// A terminal that is named by its number is not opened again by itself when it has hung up:
// the number is the next program's.
func TestANumberedTerminalIsOpenedAgainByHand(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	name := tty.Name()
	tty.Close()
	s, news := telling(channel.MustParseAddress("pty:" + name))
	s.begin(t.Context())
	defer s.stop(nil)
	opened := make(chan struct{}, 9)
	s.work.Add(1)
	s.open(func(ch channel.Channel, ended func(error)) {
		opened <- struct{}{}
		go func() {
			stop := context.AfterFunc(&s.life, func() { ch.Close() })
			io.Copy(io.Discard, ch)
			stop()
			ch.Close()
			ended(io.EOF)
		}()
	}, s.work.Done)
	await(t, "the terminal to be open", func() bool { return len(opened) == 1 })
	master.Close()
	await(t, "it to be down", func() bool { return len(news()) == 2 })
	if said := news()[1]; !strings.Contains(said, "only when you have it so") {
		t.Errorf("told: %s", said)
	}
	await(t, "the number to be somebody's", func() bool {
		master, tty, err = pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if tty.Name() != name { // a program beside us was first
			master.Close()
			tty.Close()
		}
		return tty.Name() == name
	})
	defer master.Close()
	defer tty.Close()
	if len(opened) > 1 {
		t.Error("it was opened again")
	}
	s.retry.soon()
	await(t, "it to be open again", func() bool { return len(opened) == 2 })
}
