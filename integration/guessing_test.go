package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// guessTime is how long is guessed, at full speed.
const guessTime = 4 * time.Second

// asFrom is a client of HTTP at an address of this host, which is a source of its own.
func asFrom(t testing.TB, ip string) *http.Client {
	tr := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Timeout: patience, Transport: tr}
}

// Passwords and tokens are guessed from many addresses as fast as they are refused. Who
// types at a console notices nothing, who knows the password gets in, from a new
// address too; and afterwards descriptors are what they were, and memory nearly.
func TestGuessingAtFullSpeed(t *testing.T) {
	port, web := freePort(t), freePort(t)
	d := newDaemon(t, folder(t), `
[http]
listen = ["tcp://127.0.0.1:@web@"]
[[chardev]]
name = "vm"
device = "sim:echo"
frontends = ["tcp://127.0.0.1:@port@"]
`, map[string]any{"port": port, "web": web})
	d.makes("through the looking glass\n", "user", "add", "alice")
	d.serve()
	url := fmt.Sprintf("http://127.0.0.1:%d/api/v1/session", web)
	asks := func(c *http.Client, user, password string) int {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		if user == "" {
			r.Header.Set("Authorization", "Bearer "+password)
		} else {
			r.SetBasicAuth(user, password)
		}
		a, err := c.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		io.Copy(io.Discard, a.Body)
		a.Body.Close()
		return a.StatusCode
	}
	home := asFrom(t, "127.0.0.2")
	if status := asks(home, "alice", "through the looking glass"); status != 200 {
		t.Fatalf("alice gets %d", status)
	}
	typist := dial(t, "tcp", fmt.Sprint("127.0.0.1:", port))
	round := func() time.Duration {
		t0 := time.Now()
		typist.echoes(t, "x")
		return time.Since(t0)
	}
	p99 := func(rounds []time.Duration) time.Duration {
		slices.Sort(rounds)
		return rounds[len(rounds)*99/100]
	}
	var quiet []time.Duration
	for range 500 {
		quiet = append(quiet, round())
	}
	home.CloseIdleConnections()
	fds, memory := d.fds(), d.resident()

	ctx, cancel := context.WithTimeout(context.Background(), guessTime)
	defer cancel()
	var all sync.WaitGroup
	var refused, held atomic.Int64
	for n := range 16 {
		all.Go(func() {
			c := asFrom(t, fmt.Sprintf("127.0.1.%d", n+1))
			defer c.CloseIdleConnections()
			for i := 0; ctx.Err() == nil; i++ {
				user := []string{"", "alice", fmt.Sprint("nobody", i)}[n%3]
				switch status := asks(c, user, fmt.Sprint("cdt_guess", i)); status {
				case http.StatusUnauthorized:
					refused.Add(1)
				case http.StatusTooManyRequests, http.StatusServiceUnavailable:
					held.Add(1)
				default:
					t.Errorf("a guess gets %d", status)
					return
				}
			}
		})
	}
	var busy []time.Duration
	known, logins := 0, 0
	for i := 0; ctx.Err() == nil; i++ {
		busy = append(busy, round())
		if i%200 == 100 {
			logins++
			if asks(home, "alice", "through the looking glass") == 200 {
				known++
			}
		}
	}
	all.Wait()
	home.CloseIdleConnections()
	t.Logf("%d guesses refused, %d held up; p99 of a key %v, before %v; alice in %d of %d",
		refused.Load(), held.Load(), p99(busy), p99(quiet), known, logins)
	// 16 sources of 10 tries, and one more each in 10 s.
	if n := refused.Load(); n > 16*11 || held.Load() < 100 {
		t.Errorf("%d guesses were looked at, %d held up", n, held.Load())
	}
	if p := p99(busy); p > time.Second {
		t.Errorf("p99 of a key is %v", p)
	}
	if known == 0 || known < logins {
		t.Errorf("alice is let in %d times of %d where she was before", known, logins)
	}
	elsewhere := asFrom(t, "127.0.0.3")
	eventually(t, patience, func() error {
		if status := asks(elsewhere, "alice", "through the looking glass"); status != 200 {
			return fmt.Errorf("alice gets %d at a new address", status)
		}
		return nil
	})
	elsewhere.CloseIdleConnections()
	eventually(t, patience, func() error {
		if n := d.fds(); n > fds {
			return fmt.Errorf("%d descriptors, before %d", n, fds)
		}
		// The race detector gives nothing back of what it notes.
		if now := d.resident(); !raceEnabled && now > memory+8<<20 {
			return fmt.Errorf("%d KiB resident, before %d KiB", now>>10, memory>>10)
		}
		return nil
	})
	if strings.Contains(d.stderr.text(), "looking glass") {
		t.Error("the log has the password")
	}
}
