package integration

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A guest as fast as a line of 115200 Bd beside 300 clients, of which 100 never
// read: it is as fast as with one, and everybody who reads gets all that it prints.
// (A guest at full rate wants a processor for itself, and what 200 clients are given
// in small pieces costs another one: that would measure the machine.)
func TestManyClientsDoNotSlowTheGuest(t *testing.T) {
	const reading, stalled = 199, 100 // and the one that is always there
	rounds, length := 1, time.Second
	if long {
		rounds, length = 5, 4*time.Second
	}
	dir := folder(t)
	g := unixGuest(t, pacedImage(t), dir+"/guest")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = ["unix:front?max_clients=300"]
`, nil)
	d.serve()
	d.is("vm", "up")
	one := check(t, dialSilent(t, "unix", d.path("front")).Conn)
	d.has("vm", 1)
	g.cont()

	var ratios []float64
	for range rounds {
		alone := one.rate(t, length)
		var silent []*wire
		for range stalled {
			silent = append(silent, dialSilent(t, "unix", d.path("front")))
		}
		others := glance(t, d.path("front"), reading)
		d.has("vm", 1+reading+stalled)
		beside := one.rate(t, length)
		ratios = append(ratios, beside/alone)
		t.Logf("%.0f lines a second with one client, %.0f with %d: %.3f", alone, beside, 1+reading+stalled, beside/alone)
		others.see(t, one.checker().Last)
		for _, w := range silent {
			w.Close()
		}
		d.has("vm", 1)
	}
	one.whole(t)
	slices.Sort(ratios)
	if median := ratios[len(ratios)/2]; long && !raceEnabled && median < 0.97 {
		t.Errorf("the guest runs at %.3f of its rate with one client, want at least 0.97", median)
	}
}

// Glancers are clients that look every 100 ms what there is, one after the other:
// they are many, and must not take the processor from the guest.
type glancers struct {
	fds  []int
	seen []Checker
	last []atomic.Uint32 // the last line that each has seen
	done chan struct{}
	gone sync.WaitGroup
}

func glance(t testing.TB, path string, n int) *glancers {
	t.Helper()
	g := &glancers{seen: make([]Checker, n), last: make([]atomic.Uint32, n), done: make(chan struct{})}
	t.Cleanup(g.close)
	for range n {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		g.fds = append(g.fds, fd)
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
	}
	g.gone.Go(g.look)
	return g
}

// look looks at a tenth of the clients each time.
func (g *glancers) look() {
	buf := make([]byte, 64<<10)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-g.done:
			return
		case <-tick.C:
		}
		for i := turn % 10; i < len(g.fds); i += 10 {
			if n, _, err := syscall.Recvfrom(g.fds[i], buf, syscall.MSG_DONTWAIT); err == nil {
				g.seen[i].Write(buf[:n])
				g.last[i].Store(g.seen[i].Last)
			}
		}
	}
}

// see waits until all have seen a line, ends them, and checks that they have seen
// every line before it.
func (g *glancers) see(t testing.TB, line uint32) {
	t.Helper()
	eventually(t, patience, func() error {
		for i := range g.last {
			if at := g.last[i].Load(); at < line {
				return fmt.Errorf("client %d of %d is at line %08x, not at %08x", i+1, len(g.last), at, line)
			}
		}
		return nil
	})
	g.close()
	for i := range g.seen {
		if err := g.seen[i].Err(); err != nil {
			t.Errorf("client %d of %d: %v", i+1, len(g.seen), err)
		}
	}
}

func (g *glancers) close() {
	select {
	case <-g.done:
		return
	default:
	}
	close(g.done)
	g.gone.Wait()
	for _, fd := range g.fds {
		syscall.Close(fd)
	}
}
