package channel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An Exiter runs a command. Exited says how it ended, as in "exit status 1" or
// "signal: killed", and false while it runs.
type Exiter interface {
	Exited() (status string, ok bool)
}

// The patience of Close with a command that does not end by itself when it has lost
// its terminal or its pipes, then by SIGTERM, then by SIGKILL. Together they bound
// Close. Variables are for tests.
var (
	hangupGrace = 400 * time.Millisecond
	termGrace   = 400 * time.Millisecond
	killGrace   = 200 * time.Millisecond
)

// A child is a command that runs, the leader of a process group of its own.
type child struct {
	proc   *os.Process
	pid    int           // of the command and its process group
	exited chan struct{} // closed when it has ended and is reaped

	reapMu sync.Mutex
	reaped bool             // guarded by reapMu
	state  *os.ProcessState // how it ended; before exited is closed
}

func newChild(proc *os.Process) *child {
	return &child{proc: proc, pid: proc.Pid, exited: make(chan struct{})}
}

// shell is a command that the shell runs in dir; "" is the current folder.
func shell(dir, command string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir = dir
	return cmd
}

// start starts a command of shell.
func start(cmd *exec.Cmd) error {
	err := cmd.Start()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("start /bin/sh: %w: this daemon may not run programs (the hardened unit forbids it; chardevd-lab.service does not)", errors.Unwrap(err))
	case cmd.Dir != "":
		return fmt.Errorf("start /bin/sh in %s: %w", cmd.Dir, err)
	}
	return fmt.Errorf("start /bin/sh: %w", err)
}

// findChild is a command that an earlier program in this process has started.
func findChild(pid int) (*os.Process, error) {
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil); err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, errNoChild)
	}
	return os.FindProcess(pid)
}

var errNoChild = errors.New("the command is no child of this process")

// waitEnd waits until the command has ended, or ctx, and leaves it to be reaped.
func (c *child) waitEnd(ctx context.Context) {
	for {
		err := interruptible(ctx, func() error {
			return unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		})
		if err != unix.EINTR {
			return
		}
	}
}

// terminate makes the command end, which has lost what it was started for.
func (c *child) terminate() error {
	if c.endedIn(hangupGrace) {
		return nil
	}
	c.kill(unix.SIGTERM)
	if c.endedIn(termGrace) {
		return nil
	}
	c.kill(unix.SIGKILL)
	if c.endedIn(killGrace) {
		return nil
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL", c.pid)
}

// kill sends a signal to the command's process group, as long as the number is
// still the group's.
func (c *child) kill(sig syscall.Signal) {
	c.reapMu.Lock()
	defer c.reapMu.Unlock()
	if !c.reaped {
		unix.Kill(-c.pid, sig)
	}
}

// reap takes the status of the command, which has ended, so this never waits.
func (c *child) reap() {
	c.reapMu.Lock()
	c.state, _ = c.proc.Wait()
	c.reaped = true
	c.reapMu.Unlock()
	close(c.exited)
}

func (c *child) endedIn(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.exited:
		return true
	case <-t.C:
		return false
	}
}

// Exited says how the command ended, and false while it runs.
func (c *child) Exited() (string, bool) {
	select {
	case <-c.exited:
		return c.state.String(), true
	default:
		return "", false
	}
}
