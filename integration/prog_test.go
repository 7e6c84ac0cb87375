package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// patience is how long a test waits for what should come at once: a watchdog,
// generous because the machine is shared.
const patience = 20 * time.Second

// An output keeps what a program or a connection has said so far and lets
// somebody wait for something in it.
type output struct {
	mu    sync.Mutex
	data  []byte
	at    int // where the next sees begins to look
	grown chan struct{}
	ended bool
	err   error // how it ended
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data = append(o.data, p...)
	close(o.grown)
	o.grown = make(chan struct{})
	return len(p), nil
}

// end says that no more comes, and why.
func (o *output) end(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended, o.err = true, err
	close(o.grown)
	o.grown = make(chan struct{})
}

// text is all of it.
func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.data)
}

// until waits until is, called with all of the output, says true. It says false
// when the time has passed or nothing more comes.
func (o *output) until(within time.Duration, is func(data []byte) bool) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		o.mu.Lock()
		yes, ended, grown := is(o.data), o.ended, o.grown
		o.mu.Unlock()
		if yes || ended {
			return yes
		}
		select {
		case <-grown:
		case <-timer.C:
			return false
		}
	}
}

// sees waits for want behind what was seen before.
func (o *output) sees(within time.Duration, want string) error {
	ok := o.until(within, func(data []byte) bool {
		i := bytes.Index(data[o.at:], []byte(want))
		if i >= 0 {
			o.at += i + len(want)
		}
		return i >= 0
	})
	if ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	how := fmt.Sprintf("did not come in %v", within)
	if o.ended {
		how = fmt.Sprintf("did not come before the end (%v)", o.err)
	}
	return fmt.Errorf("%q %s; since the last: %q", want, how, last(o.data[o.at:], 2000))
}

// ends waits for the end and returns what it was: io.EOF or an error.
func (o *output) ends(within time.Duration) (error, bool) {
	o.until(within, func([]byte) bool { return false })
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err, o.ended
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// A user is somebody at a console: what he types goes in, what he sees is kept.
type user struct {
	name string
	out  *output
	in   io.Writer
}

// types sends text as it is.
func (u *user) types(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(u.in, text); err != nil {
		t.Fatalf("%s: typing %q: %v", u.name, text, err)
	}
}

// sees waits for text, behind what was seen before.
func (u *user) sees(t testing.TB, text string) {
	t.Helper()
	if err := u.out.sees(patience, text); err != nil {
		t.Fatalf("%s: %v", u.name, err)
	}
}

// echoes types text at the echo guest and waits to see it.
func (u *user) echoes(t testing.TB, text string) {
	t.Helper()
	u.types(t, text)
	u.sees(t, text)
}

// A prog is a program that runs until it ends by itself or the test does.
type prog struct {
	user
	cmd    *exec.Cmd
	stderr *output // with a pty: the same as out
	tty    *os.File
	done   chan struct{}
	err    error // of Wait; after done
	stdin  io.WriteCloser
}

// start runs a program with pipes; stdout is what it sees.
func start(t testing.TB, name string, args ...string) *prog {
	t.Helper()
	return startCmd(t, exec.Command(name, args...))
}

func startCmd(t testing.TB, cmd *exec.Cmd) *prog {
	t.Helper()
	p := newProg(cmd)
	p.stderr = newOutput()
	cmd.Stdout, cmd.Stderr = p.out, p.stderr
	cmd.WaitDelay = 5 * time.Second // for a pipe that an orphan holds
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.stdin = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		p.out.end(p.err)
		p.stderr.end(p.err)
	}()
	p.cleanup(t)
	return p
}

// startTTY runs a program on a terminal of 80 × 24 of its own.
func startTTY(t testing.TB, name string, args ...string) *prog {
	t.Helper()
	cmd := exec.Command(name, args...)
	p := newProg(cmd)
	p.stderr = p.out
	cmd.Env = append(os.Environ(), "TERM=vt100")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in, p.tty = master, slave
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(p.out, master) // until EIO, when the last slave is closed
	}()
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	// The test keeps the slave, so that it can look at the terminal's modes after
	// the program has ended.
	t.Cleanup(func() {
		slave.Close()
		<-read
		master.Close()
	})
	p.cleanup(t)
	return p
}

func newProg(cmd *exec.Cmd) *prog {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A test binary that is killed must not leave guests behind.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &prog{cmd: cmd, done: make(chan struct{})}
	p.name = filepath.Base(cmd.Path)
	p.out = newOutput()
	return p
}

func (p *prog) cleanup(t testing.TB) {
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %s\nsaid: %q\nlogged: %s", p.name, strings.Join(p.cmd.Args[1:], " "), last([]byte(p.out.text()), 1500), last([]byte(p.stderr.text()), 6000))
		}
	})
}

// kill ends it as kill -9 does and waits for it.
func (p *prog) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

func (p *prog) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: signal %v: %v", p.name, s, err)
	}
}

// running says whether it still runs.
func (p *prog) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// exits waits for its end and returns the exit code (-1: by a signal).
func (p *prog) exits(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s: still running after %v", p.name, within)
	}
	if exit := (*exec.ExitError)(nil); p.err != nil && !errors.As(p.err, &exit) {
		t.Fatalf("%s: %v", p.name, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}
