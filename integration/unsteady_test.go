package integration

import (
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// A stutter reads from a connection as somebody does who is busy with other
// things now and then: it stops for some milliseconds at random.
type stutter struct {
	net.Conn
	random *rand.Rand
}

func (s stutter) Read(p []byte) (int, error) {
	if s.random.IntN(20) == 0 {
		<-time.After(time.Duration(s.random.IntN(20)) * time.Millisecond)
	}
	return s.Conn.Read(p[:1+s.random.IntN(len(p))])
}

// A counter that prints megabytes a second, and readers that stop and go, so
// that each falls behind and catches up all the time; newcomers come with a
// replay meanwhile. All have a say (block): nobody misses a byte or gets one
// twice, whatever the order in which they fell behind and came back.
func TestUnsteadyReaders(t *testing.T) {
	rounds := 10
	if long {
		rounds = 400
	}
	tcp, ws := freePort(t), freePort(t)
	dir := folder(t)
	// It waits for a line, so that all are there for its first byte; the terminal
	// that exec gives it makes \r\n of \n.
	d := newDaemon(t, dir, `
[defaults]
on_lag = "block"
replay = "16KiB"
history = "64KiB"
[[chardev]]
name = "vm"
device = "exec:stty -echo; read go; exec awk 'BEGIN { for (i = 0; ; i++) printf \"%08x\\n\", i }'"
frontends = ["unix:front", "pty:tty", "tcp://127.0.0.1:@tcp@", "ws://127.0.0.1:@ws@"]
`, map[string]any{"tcp": tcp, "ws": ws})
	d.serve()
	d.is("vm", "up")
	random := func() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), 1)) }
	unsteady := func(network, address string) *reader {
		return check(t, stutter{dialSilent(t, network, address).Conn, random()})
	}
	tty, err := os.OpenFile(d.path("tty"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	stay := []*reader{
		unsteady("unix", d.path("front")), unsteady("unix", d.path("front")),
		unsteady("tcp", port(tcp)), unsteady("tcp", port(tcp)),
		checkWS(t, port(ws)),
		check(t, stutter{ttyConn{tty}, random()}),
	}
	d.has("vm", len(stay))
	starter := dial(t, "unix", d.path("front"))
	starter.types(t, "\n")
	starter.Close()
	for range rounds {
		late := unsteady("tcp", port(tcp))
		late.gets(t, 128<<10)
		late.whole(t)
		late.conn.Close()
	}
	for _, r := range stay {
		r.until(t, patience, func(c *Checker) bool { return c.Bytes >= 1<<19 })
		c := r.checker()
		if err := c.Err(); err != nil || c.First != 0 {
			t.Errorf("the first line is %08x: %v", c.First, err)
		}
	}
}

// A ttyConn is a terminal in the place of a connection; only Read and Close are
// of use.
type ttyConn struct{ *os.File }

func (ttyConn) LocalAddr() net.Addr  { return nil }
func (ttyConn) RemoteAddr() net.Addr { return nil }
