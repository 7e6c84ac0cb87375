package systemd

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// quiet throws a log away.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// manager is a socket that stands for the manager's, and says so in the environment.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return c
}

// hears is the next message.
func hears(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func service(t *testing.T) *Service {
	t.Helper()
	s, err := FromEnvironment(func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMessages(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "n"), "@chardevd-test-" + strconv.Itoa(os.Getpid())} {
		c := manager(t, name)
		s := service(t)
		for _, m := range []struct {
			tell func() error
			want string
		}{
			{func() error { return s.Ready("2 of 3 up") }, "READY=1\nSTATUS=2 of 3 up"},
			{func() error { return s.Status("3 of 3 up") }, "STATUS=3 of 3 up"},
			{s.Stopping, "STOPPING=1\nSTATUS=ending"},
		} {
			if err := m.tell(); err != nil {
				t.Fatal(err)
			}
			if have := hears(t, c); have != m.want {
				t.Errorf("%s: heard %q, want %q", name, have, m.want)
			}
		}
		var before, after unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &before)
		if err := s.Reloading(); err != nil {
			t.Fatal(err)
		}
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
		at, ok := strings.CutPrefix(hears(t, c), "RELOADING=1\nMONOTONIC_USEC=")
		if usec, err := strconv.ParseInt(at, 10, 64); !ok || err != nil || usec < before.Nano()/1000 || usec > after.Nano()/1000 {
			t.Errorf("%s: reloading at %q, %v: not from %d to %d µs", name, at, err, before.Nano()/1000, after.Nano()/1000)
		}
	}
}

func TestWithoutAManagerNothingIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := service(t).Ready("x"); err != nil {
		t.Error(err)
	}
	service(t).Watch(t.Context(), func() { t.Error("asked") }, quiet)

	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := service(t).Ready("x"); err == nil {
		t.Error("nobody was there, and it says nothing")
	}
}

func TestWhatTheEnvironmentSaysWrong(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, c := range []struct{ variable, value string }{
		{"NOTIFY_SOCKET", "relative"}, {"WATCHDOG_USEC", "soon"}, {"WATCHDOG_USEC", "0"}, {"WATCHDOG_USEC", "99999999999999999"},
		{"LISTEN_FDS", "-1"}, {"LISTEN_FDS", "many"},
	} {
		t.Run(c.variable+c.value, func(t *testing.T) {
			t.Setenv("LISTEN_PID", pid)
			t.Setenv(c.variable, c.value)
			if _, err := FromEnvironment(func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), c.variable+"="+c.value) {
				t.Errorf("error %v", err)
			}
		})
	}
	// Those of another process are none of ours.
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "5")
	t.Setenv("WATCHDOG_PID", "1")
	t.Setenv("WATCHDOG_USEC", "1000")
	if s := service(t); len(s.Sockets) != 0 || s.watchdog != 0 {
		t.Errorf("%+v", s)
	}
}

// As long as the service answers, it is told to be alive; when it does not, it is not.
func TestTheWatchdogAsks(t *testing.T) {
	c := manager(t, filepath.Join(t.TempDir(), "n"))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("WATCHDOG_USEC", "2000") // half of it is a tick: 1 ms
	s := service(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex // what the service is stuck on
	asked := make(chan struct{})
	late := make(chan struct{}, 1)
	log := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) {
		if strings.Contains(string(b), "gives no answer to itself") {
			select {
			case late <- struct{}{}:
			default:
			}
		}
	}), nil))
	var done sync.WaitGroup
	done.Go(func() {
		s.Watch(ctx, func() {
			select {
			case asked <- struct{}{}:
			default:
			}
			mu.Lock()
			defer mu.Unlock()
		}, log)
	})
	for range 3 {
		if have := hears(t, c); have != "WATCHDOG=1" {
			t.Fatalf("heard %q", have)
		}
	}
	mu.Lock()
	// Two questions begin after that at most: the second of them is not answered.
	<-asked
	for len(late) > 0 {
		<-late
	}
	<-late
	// All that was told before is heard without waiting; then there is nothing.
	b := make([]byte, 100)
	drained := 0
	for {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Read(b); err != nil {
			break
		}
		if drained++; drained > 10000 {
			t.Fatal("it is told to be alive and does not answer")
		}
	}
	mu.Unlock()
	if have := hears(t, c); have != "WATCHDOG=1" {
		t.Errorf("heard %q when it answers again", have)
	}
	cancel()
	done.Wait()
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
