package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a chunk of a device at full rate costs in system calls, as strace sees
// them: it is read once and written once, alone or with the next, to each client that keeps
// up, and nobody is woken for it. (Go's scheduler has futex calls of its own, some in the time of
// a hundred chunks: when the device's goroutine lets others have their turn, and
// when strace, which slows every call, makes one look stuck.)
func TestSystemCallsOfAChunk(t *testing.T) {
	for _, clients := range []int{1, 8} {
		t.Run(fmt.Sprintf("%d clients", clients), func(t *testing.T) {
			dir := folder(t)
			l, err := net.Listen("unix", dir+"/guest")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = ["unix:front"]
log = false
`, nil)
			d.serve()
			dev, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			for range clients {
				swallow(t, dialSilent(t, "unix", d.path("front")).Conn)
			}
			d.has("vm", clients)

			// Where others take the processor away a client stalls, and Go's poller comes into
			// it; the way of the bytes is to blame only if that is so each time.
			const tries = 3
			for n := 1; ; n++ {
				woken := chunkCosts(t, traced(t, d, func() { flood(t, dev, time.Second) }), clients)
				if woken == nil {
					break
				}
				if n == tries {
					t.Fatalf("in %d of %d times: %v", n, tries, woken)
				}
				t.Log(woken)
			}
		})
	}
}

// chunkCosts fails the test for reads and writes that need not be; an error is of what was
// woken.
func chunkCosts(t *testing.T, c *calls, clients int) error {
	t.Helper()
	if c.chunks < 100 {
		t.Fatalf("only %d chunks were read: %+v", c.chunks, c)
	}
	per := func(n int) float64 { return float64(n) / float64(c.chunks) }
	t.Logf("%d chunks of %d bytes; calls a chunk: %.3f reads, %.3f writes a client, %.3f futex, %.3f epoll_pwait",
		c.chunks, c.bytes/c.chunks, per(c.reads), per(c.writes)/float64(clients), per(c.calls["futex"]), per(c.calls["epoll_pwait"]))
	if r := per(c.reads); r > 2 {
		t.Errorf("%.2f reads a chunk, want at most 2: one that gives it, one that finds nothing more", r)
	}
	// Two reads that follow each other may be written as one (session.readOn), and of the last
	// ones strace may not see the writes any more.
	if w := per(c.writes) / float64(clients); w < 0.45 || w > 1.05 {
		t.Errorf("%.2f writes a chunk and client, want 1, or one for two chunks", w)
	}
	if f := per(c.calls["futex"]) / float64(clients); f > 0.5 {
		return fmt.Errorf("%.2f futex calls a chunk and client, want hardly any", f)
	}
	if e := per(c.calls["epoll_pwait"]) / float64(clients); e > 0.5 {
		return fmt.Errorf("%.2f times a chunk and client Go's poller woke, want hardly ever", e)
	}
	return nil
}

// What goes through a stream between two plain sockets never comes into the daemon: it
// is spliced, both ways.
func TestSystemCallsOfAStream(t *testing.T) {
	dir := folder(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDaemon(t, dir, `
[[stream]]
name = "pass"
listen = "unix:front"
connect = "tcp://@server@"
`, map[string]any{"server": l.Addr()})
	d.serve()
	client := dialSilent(t, "unix", d.path("front")).Conn
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	exchange(t, client, server, 4<<10) // who it is for was found out
	const size = 8 << 20
	c := traced(t, d, func() { exchange(t, client, server, size) })
	t.Logf("%d bytes each way: %d bytes by splice, %d by a read, in %v", size, c.spliced, c.bytes, c.calls)
	if want := 2 * 2 * size; c.spliced != want { // into a pipe and out of it
		t.Errorf("%d bytes were spliced, want %d", c.spliced, want)
	}
	if c.bytes > 4<<10 || c.writes > c.calls["splice"]/10 { // Go's scheduler wakes its poller
		t.Errorf("%d bytes were read, and there were %d writes beside %d splices", c.bytes, c.writes, c.calls["splice"])
	}
}

// swallow reads all that comes, and waits for it to end with the test.
func swallow(t testing.TB, c net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 256<<10); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
}

// flood writes as much as is taken for a time.
func flood(t testing.TB, w io.Writer, d time.Duration) {
	t.Helper()
	piece := make([]byte, 256<<10)
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
}

// calls are the system calls of a daemon, by name; those that move bytes also by
// what they are for: all that is read comes from the device.
type calls struct {
	calls  map[string]int
	chunks int // reads that gave something
	bytes  int // in them
	reads  int // all reads
	writes int

	spliced int // bytes, into a pipe and out of one
}

// traced follows the daemon with strace while it does something.
func traced(t testing.TB, d *daemon, do func()) *calls {
	t.Helper()
	file := d.path("trace")
	s := start(t, program(t, "strace"), "-f", "-s", "0", "-e", "signal=none", "-e", "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,splice,futex,epoll_pwait",
		"-o", file, "-p", strconv.Itoa(d.cmd.Process.Pid))
	if err := s.stderr.sees(patience, "attached"); err != nil {
		t.Fatalf("strace cannot follow the daemon (in a container it needs the capability SYS_PTRACE): %v", err)
	}
	do()
	s.signal(t, syscall.SIGINT) // it lets go of the daemon
	s.exits(t, patience)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &calls{calls: map[string]int{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		c.line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

// callLine is the line of a call that began, resultLine that of one that ended:
// both, unless another thread's came between.
var (
	callLine   = regexp.MustCompile(`^\d+ +(\w+)\(`)
	resultLine = regexp.MustCompile(`^\d+ +(?:<\.\.\. )?(\w+)(?: resumed>|\().* = (-?\d+)`)
)

func (c *calls) line(s string) {
	reading := func(name string) bool { return strings.HasPrefix(name, "read") || strings.HasPrefix(name, "recv") }
	if m := callLine.FindStringSubmatch(s); m != nil {
		c.calls[m[1]]++
		switch {
		case reading(m[1]):
			c.reads++
		case strings.HasPrefix(m[1], "write") || strings.HasPrefix(m[1], "send"):
			c.writes++
		}
	}
	if m := resultLine.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[2])
		switch {
		case err != nil || n <= 0:
		case m[1] == "splice":
			c.spliced += n
		case reading(m[1]):
			c.chunks++
			c.bytes += n
		}
	}
}
