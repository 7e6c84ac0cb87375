package integration

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"
)

// newCounter is a daemon with a counter guest at full rate. Further lines go
// into its [[chardev]].
func newCounter(t testing.TB, more string, values map[string]any) (*daemon, *guest) {
	t.Helper()
	dir := folder(t)
	g := unixGuest(t, counterImage(t), dir+"/guest")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
`+more, values)
	d.serve()
	d.is("vm", "up")
	return d, g
}

// One healthy reader beside one that never reads and one that comes and is
// aborted 30 times: not a byte is missing or comes twice, and the guest is not
// slowed.
func TestIsolation(t *testing.T) {
	rounds, length := 2, time.Second
	if long {
		rounds, length = 5, 5*time.Second
	}
	tcp := freePort(t)
	d, g := newCounter(t, `frontends = ["unix:front", "tcp://127.0.0.1:@tcp@"]`, map[string]any{"tcp": tcp})
	healthy := check(t, dialSilent(t, "unix", d.path("front")).Conn)
	d.has("vm", 1)
	g.cont()

	var ratios []float64
	for range rounds {
		alone := healthy.rate(t, length)
		stuck := dialSilent(t, "tcp", port(tcp))
		stuckToo := dialSilent(t, "unix", d.path("front"))
		aborting := make(chan error, 1)
		go func() { aborting <- abortAll(port(tcp), 30, length) }()
		beside := healthy.rate(t, length)
		if err := <-aborting; err != nil {
			t.Fatal(err)
		}
		stuck.Close()
		stuckToo.Close()
		d.has("vm", 1)
		ratios = append(ratios, beside/alone)
		t.Logf("%.0f lines a second alone, %.0f beside the others: %.3f", alone, beside, beside/alone)
	}
	healthy.whole(t)
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	t.Logf("median %.3f", median)
	if long && !raceEnabled && median < 0.95 {
		t.Errorf("the guest runs at %.3f of its rate alone, want at least 0.95", median)
	}
}

// abortAll connects n times during d, reads a little and aborts.
func abortAll(address string, n int, d time.Duration) error {
	pace := time.NewTicker(d / time.Duration(n+1))
	defer pace.Stop()
	buf := make([]byte, 1000)
	for range n {
		<-pace.C
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(buf); err != nil {
			return fmt.Errorf("before the abort: %w", err)
		}
		if err := c.(*net.TCPConn).SetLinger(0); err != nil { // RST, socket(7)
			return err
		}
		c.Close()
	}
	return nil
}

// Many readers on every kind of frontend at the guest's full rate: each stream is
// whole, from the guest's first byte on.
func TestCrowdAtFullRate(t *testing.T) {
	ca := newAuthority(t)
	tcp, tls, ws := freePort(t), freePort(t), freePort(t)
	dir := folder(t)
	g := unixGuest(t, counterImage(t), dir+"/guest")
	d := newDaemon(t, dir, ca.credentials()+`
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = ["unix:front", "pty:tty", "tcp://127.0.0.1:@tcp@", "tls://127.0.0.1:@tls@?credentials=test", "ws://127.0.0.1:@ws@"]
`, map[string]any{"tcp": tcp, "tls": tls, "ws": ws})
	d.serve()
	d.is("vm", "up")
	var readers []*reader
	for range 3 {
		readers = append(readers,
			check(t, dialSilent(t, "unix", d.path("front")).Conn),
			check(t, dialSilent(t, "tcp", port(tcp)).Conn),
			checkTLS(t, port(tls), ca),
			checkWS(t, port(ws)),
		)
	}
	socat := start(t, program(t, "socat"), "-u", "UNIX-CONNECT:"+d.path("front"), "STDIO")
	tty := start(t, program(t, "socat"), "-u", "OPEN:"+d.path("tty")+",rawer", "STDIO")
	d.has("vm", len(readers)+2)
	g.cont()
	for _, r := range readers {
		r.until(t, 2*patience, func(c *Checker) bool { return c.Bytes >= 1<<18 })
	}
	for _, r := range readers {
		r.whole(t)
		if c := r.checker(); c.First != 0 {
			t.Errorf("a reader that was there from the start sees %08x first", c.First)
		}
	}
	for _, p := range []*prog{socat, tty} {
		var c Checker
		p.out.until(patience, func(data []byte) bool { return len(data) >= 1<<16 })
		c.Write([]byte(p.out.text()))
		if err := c.Err(); err != nil || c.Bytes < 1<<16 || c.First != 0 {
			t.Errorf("%v: %d bytes, first line %08x: %v", p.cmd, c.Bytes, c.First, err)
		}
	}
}

// Nothing of the daemon grows with clients that come and go in every way: its
// descriptors and threads are as before.
func TestNothingLeft(t *testing.T) {
	ca := newAuthority(t)
	v := map[string]any{"tcp": freePort(t), "tls": freePort(t), "ws": freePort(t)}
	dir := folder(t)
	g := unixGuest(t, echoImage(t), dir+"/guest")
	d := newDaemon(t, dir, ca.credentials()+`
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = ["unix:front", "tcp://127.0.0.1:@tcp@", "tls://127.0.0.1:@tls@?credentials=test", "ws://127.0.0.1:@ws@"]
`, v)
	d.serve()
	d.is("vm", "up")
	g.cont()
	address := func(key string) string { return fmt.Sprint("127.0.0.1:", v[key]) }
	wave := func() {
		for range 50 {
			a, b := dialSilent(t, "tcp", address("tcp")), dialSilent(t, "unix", d.path("front"))
			half, _ := dialWS(t, address("ws"))
			hello := dialSilent(t, "tcp", address("tls")) // gone within the handshake
			a.types(t, "x")
			abort(t, a.Conn)
			abort(t, hello.Conn)
			abort(t, half)
			b.Close()
		}
		dialTLS(t, address("tls"), ca.client()).Close()
		d.has("vm", 0)
	}
	wave() // what is made once is made now
	fds, threads := d.fds(), d.threads()
	for range 3 {
		wave()
	}
	eventually(t, patience, func() error {
		if n := d.fds(); n > fds {
			return fmt.Errorf("%d descriptors, %d before", n, fds)
		}
		return nil
	})
	// The runtime keeps a thread that it had to make; a leak would make hundreds.
	if n := d.threads(); n > threads+10 {
		t.Errorf("%d threads, %d before", n, threads)
	}
}
