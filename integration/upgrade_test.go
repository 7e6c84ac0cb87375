package integration

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// upgradesAtOnce is how often the daemon is upgraded under load.
func upgradesAtOnce() int {
	if long {
		return 20
	}
	return 3
}

// An upgraded is a console through upgrades: a guest that prints the page, and what was
// typed at it.
type upgraded struct {
	name  string
	guest io.ReadWriteCloser
	since time.Time // it is up

	out   atomic.Int64 // bytes that it printed
	typed checkedInput
}

// inputSize is how long what a typist types at a time is.
const inputSize = 8

// A checkedInput is what came from typists: each of them numbers what he types.
type checkedInput struct {
	mu   sync.Mutex
	next map[int]int // by typist
	rest []byte
	err  error
}

func (c *checkedInput) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, p...)
	for ; len(c.rest) >= inputSize; c.rest = c.rest[inputSize:] {
		var who, n int
		if _, err := fmt.Sscanf(string(c.rest[:inputSize]), "%2x:%4x\n", &who, &n); err != nil || n != c.next[who] {
			c.err = errors.Join(c.err, fmt.Errorf("typist %d: %q came and number %d was typed", who, c.rest[:inputSize], c.next[who]))
		}
		c.next[who] = n + 1
	}
	return len(p), nil
}

// got is how much of one typist came.
func (c *checkedInput) got(who int) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next[who], c.err
}

// prints prints the page, a piece each 5 ms, until stop is closed.
func (u *upgraded) prints(stop <-chan struct{}) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 500)
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		if err := u.print(buf); err != nil {
			return err
		}
	}
}

// print prints the next piece of the page.
func (u *upgraded) print(buf []byte) error {
	fill(buf, u.out.Load())
	n, err := u.guest.Write(buf)
	u.out.Add(int64(n))
	if err != nil {
		return fmt.Errorf("guest of %s: %w", u.name, err)
	}
	return nil
}

// A typist is a raw client who reads all the time, and types.
type typist struct {
	id      int
	console *upgraded
	conn    io.ReadWriteCloser
	seen    pageChecker
	longest time.Duration // from one read to the next
	typed   int
}

// reads reads up to what the guest has printed when stop is closed.
func (y *typist) reads(stop <-chan struct{}) error {
	buf := make([]byte, 8<<10)
	last := time.Now()
	for {
		select {
		case <-stop:
			if y.seen.at >= y.console.out.Load() {
				return nil
			}
		default:
		}
		n, err := y.conn.Read(buf)
		now := time.Now()
		y.longest = max(y.longest, now.Sub(last))
		last = now
		if _, bad := y.seen.Write(buf[:n]); bad != nil {
			err = bad
		}
		if err != nil {
			return fmt.Errorf("client %d of %s: %w", y.id, y.console.name, err)
		}
	}
}

// types types until stop is closed.
func (y *typist) types(stop <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		if _, err := fmt.Fprintf(y.conn, "%02x:%04x\n", y.id, y.typed); err != nil {
			return fmt.Errorf("client %d of %s types: %w", y.id, y.console.name, err)
		}
		y.typed++
	}
}

// resumes is a websocket client that comes back at its offset, until it has what the
// guest has printed when stop is closed. It returns how often it came back.
func (u *upgraded) resumes(d *daemon, stop <-chan struct{}) (back int, err error) {
	a := d.attachAt(u.name, url.Values{})
	seen := pageChecker{at: a.at}
	for {
		select {
		case <-stop:
			if seen.at >= u.out.Load() {
				a.conn.Close()
				return back, nil
			}
		default:
		}
		a.conn.SetReadDeadline(time.Now().Add(patience))
		data, err := a.next()
		if _, bad := seen.Write(data); bad != nil {
			return back, fmt.Errorf("attached to %s: %w", u.name, bad)
		}
		if len(a.gaps) > 0 {
			return back, fmt.Errorf("attached to %s: gaps %v", u.name, a.gaps)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return back, fmt.Errorf("attached to %s: nothing came behind %d", u.name, seen.at)
		}
		if err == nil {
			continue
		}
		epoch := a.hello.Epoch
		a.conn.Close()
		a = d.attachAt(u.name, url.Values{"since": {strconv.FormatInt(seen.at, 10)}, "epoch": {epoch}})
		if a.at != seen.at || a.hello.Epoch != epoch {
			return back, fmt.Errorf("attached to %s: it came back at %d of %s, and had got up to %d of %s", u.name, a.at, a.hello.Epoch, seen.at, epoch)
		}
		back++
	}
}

// upgradeConfig has a device of each kind that lives on, with a journal and without.
const upgradeConfig = `
[[chardev]]
name = "guest"
device = { listen = "unix:guest.sock" }
frontends = ["tcp://127.0.0.1:@p0@", "unix:guest.u", "pty:guest.p"]

[[chardev]]
name = "unix"
device = "unix:unix.sock"
log = false
frontends = ["tcp://127.0.0.1:@p1@", "unix:unix.u", "pty:unix.p"]

[[chardev]]
name = "tcp"
device = "tcp://127.0.0.1:@board@"
frontends = ["tcp://127.0.0.1:@p2@", "unix:tcp.u", "pty:tcp.p"]

[[chardev]]
name = "serial"
device = "serial:serial.tty?baud=9600"
log = false
frontends = ["tcp://127.0.0.1:@p3@", "unix:serial.u", "pty:serial.p"]

[[chardev]]
name = "pty"
device = "pty:pty.tty"
frontends = ["tcp://127.0.0.1:@p4@", "unix:pty.u", "pty:pty.p"]
`

// execConfig has one more, that lives on in the same process only.
const execConfig = `
[[chardev]]
name = "exec"
device = "exec:stty raw -echo; cat exec.out & exec cat >exec.in"
log = false
frontends = ["tcp://127.0.0.1:@p5@", "unix:exec.u", "pty:exec.p"]
`

// bothPipes are two named pipes as one thing.
type bothPipes struct{ in, out *os.File }

func (b bothPipes) Read(p []byte) (int, error)  { return b.in.Read(p) }
func (b bothPipes) Write(p []byte) (int, error) { return b.out.Write(p) }
func (b bothPipes) Close() error                { return errors.Join(b.in.Close(), b.out.Close()) }

// The daemon is upgraded again and again while consoles of every kind print, and 50
// clients read and type: nobody is disconnected, no byte is missing or twice, in either
// direction, and those by websocket resume where they were.
func TestUpgradeUnderLoad(t *testing.T) {
	values := map[string]any{}
	for i := range 6 {
		values[fmt.Sprintf("p%d", i)] = freePort(t)
	}
	board := listenOnce(t, "tcp", "127.0.0.1:0")
	values["board"] = portOf(board.Addr())
	d := newDaemon(t, folder(t), upgradeConfig+execConfig, values)
	side := listenOnce(t, "unix", d.path("unix.sock"))
	serial, pty := ptyMaster(t, d.path("serial.tty")), ptyMaster(t, d.path("pty.tty"))
	pipes := bothPipes{namedPipe(t, d.path("exec.in")), namedPipe(t, d.path("exec.out"))}
	d.serve()
	guest := dialSilent(t, "unix", d.path("guest.sock"))
	consoles := []*upgraded{
		{name: "guest", guest: guest.Conn}, {name: "unix", guest: acceptOne(t, side)}, {name: "tcp", guest: acceptOne(t, board)},
		{name: "serial", guest: serial}, {name: "pty", guest: pty}, {name: "exec", guest: pipes},
	}
	pid := d.cmd.Process.Pid
	d.replacedUnderLoad(consoles, values, func(i int) {
		out, stderr, code := d.cli("upgrade")
		if code != 0 || !strings.HasPrefix(out, fmt.Sprintf("upgraded: process %d is chardevd", pid)) {
			t.Errorf("upgrade %d: code %d, %q, %s", i, code, out, stderr)
		}
	})
}

// The same by a service manager, who ends the daemon and starts another one, with what that
// has left in the descriptor store.
func TestRestartByAManagerUnderLoad(t *testing.T) {
	values := map[string]any{}
	for i := range 5 {
		values[fmt.Sprintf("p%d", i)] = freePort(t)
	}
	board := listenOnce(t, "tcp", "127.0.0.1:0")
	values["board"] = portOf(board.Addr())
	d := newDaemon(t, folder(t), upgradeConfig, values)
	side := listenOnce(t, "unix", d.path("unix.sock"))
	serial, pty := ptyMaster(t, d.path("serial.tty")), ptyMaster(t, d.path("pty.tty"))
	kept := newKeeper(d, 1000)
	d.serve()
	guest := dialSilent(t, "unix", d.path("guest.sock"))
	consoles := []*upgraded{
		{name: "guest", guest: guest.Conn}, {name: "unix", guest: acceptOne(t, side)}, {name: "tcp", guest: acceptOne(t, board)},
		{name: "serial", guest: serial}, {name: "pty", guest: pty},
	}
	d.replacedUnderLoad(consoles, values, func(i int) {
		kept.restart()
		eventually(t, patience, func() error {
			if n := kept.size(); n != 0 {
				return fmt.Errorf("%d descriptors are still in the store", n)
			}
			return nil
		})
	})
}

// replacedUnderLoad has the daemon replaced again and again, while its consoles, whose ports
// are among the values, print and are typed at.
func (d *daemon) replacedUnderLoad(consoles []*upgraded, values map[string]any, replace func(i int)) {
	t := d.t
	t.Helper()
	var typists []*typist
	for i, u := range consoles {
		u.typed.next = map[int]int{}
		d.is(u.name, "up")
		u.since = d.info(u.name).Since
		n := 50/len(consoles) - 4
		if i < 50%len(consoles) {
			n++ // 50 in all
		}
		here := 0
		join := func(c io.ReadWriteCloser) {
			typists = append(typists, &typist{id: len(typists), console: u, conn: c})
			here++
		}
		for range n {
			join(dialSilent(t, "tcp", fmt.Sprintf("127.0.0.1:%d", values[fmt.Sprintf("p%d", i)])).Conn)
		}
		for range 3 {
			join(dialSilent(t, "unix", d.path(u.name+".u")).Conn)
		}
		tty, err := os.OpenFile(d.path(u.name+".p"), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tty.Close() })
		join(tty)
		d.has(u.name, here)
	}

	stopped, typedAll, all := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var printing, typing, reading sync.WaitGroup
	failed := make(chan error, 200)
	begin := func(wg *sync.WaitGroup, what func() error) {
		wg.Go(func() {
			if err := what(); err != nil {
				failed <- err
			}
		})
	}
	for _, y := range typists {
		begin(&reading, func() error { return y.reads(all) })
		begin(&typing, func() error { return y.types(typedAll) })
	}
	var back atomic.Int64
	for i := range 20 {
		u := consoles[i%len(consoles)]
		begin(&reading, func() error {
			n, err := u.resumes(d, all)
			back.Add(int64(n))
			return err
		})
	}
	for _, u := range consoles {
		go io.Copy(&u.typed, u.guest) // until the guest is closed
		begin(&printing, func() error { return u.prints(stopped) })
	}
	for i := range upgradesAtOnce() {
		before := consoles[0].out.Load()
		eventually(t, patience, func() error {
			if now := consoles[0].out.Load(); now < before+20_000 {
				return fmt.Errorf("the guest printed %d bytes", now-before)
			}
			return nil
		})
		replace(i)
	}
	close(typedAll)
	typing.Wait()
	close(stopped)
	printing.Wait()
	close(all)
	for _, u := range consoles { // whoever has all already looks again
		if err := u.print(make([]byte, 500)); err != nil {
			t.Error(err)
		}
	}
	done := make(chan struct{})
	go func() { reading.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * patience):
		t.Error("not everybody has all")
	}
	for len(failed) > 0 {
		t.Error(<-failed)
	}
	var longest time.Duration
	for _, y := range typists {
		longest = max(longest, y.longest)
		eventually(t, patience, func() error {
			n, err := y.console.typed.got(y.id)
			if n != y.typed && err == nil {
				err = fmt.Errorf("client %d of %s typed %d times, and %d came", y.id, y.console.name, y.typed, n)
			}
			return err
		})
	}
	if back.Load() < int64(20*upgradesAtOnce()) {
		t.Errorf("the websocket clients came back %d times", back.Load())
	}
	t.Logf("%d upgrades: the longest pause of %d raw clients was %v; %d times a websocket client came back", upgradesAtOnce(), len(typists), longest.Round(time.Millisecond), back.Load())
	if longest > patience {
		t.Errorf("a pause of %v", longest)
	}
	for _, u := range consoles {
		i := d.info(u.name)
		for _, e := range i.Events {
			if e.Kind == "gap" || e.Kind == "down" {
				t.Errorf("%s: %s %s", u.name, e.Kind, e.Text)
			}
		}
		if printed := u.out.Load(); !i.Since.Equal(u.since) || i.BytesOut != printed {
			t.Errorf("%s: up since %v with %d bytes; it is %v, and %d were printed", u.name, i.Since, i.BytesOut, u.since, printed)
		}
	}
}

// namedPipe makes a pipe with a name and opens both its ends.
func namedPipe(t testing.TB, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
