package channel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exec runs a command on a terminal of its own.
var execTransport = &transport{
	name: "exec", what: "a command", raw: true,
	dial: dialExec,

	adopt: adoptExec,
}

// An Exiter runs a command. Exited says how it ended, as in "exit status 1" or
// "signal: killed", and false while it runs.
type Exiter interface {
	Exited() (status string, ok bool)
}

// The patience of Close with a command that does not end by a hang-up, then by
// SIGTERM, then by SIGKILL. Together they bound Close.
const (
	hangupGrace = 400 * time.Millisecond
	termGrace   = 400 * time.Millisecond
	killGrace   = 200 * time.Millisecond
)

// A process is a channel to the terminal of a command.
//
// The command leads a session whose controlling terminal is the slave of a pty.
// The terminal is as the kernel makes it (line editing, echo, ^C is a signal),
// because the command is what a terminal is for: a shell or an editor expects
// that and changes what it likes; one that wants a plain line says stty raw.
//
// The stream ends, with io.EOF after all that was written, when the command has
// ended; processes that it leaves behind have lost the terminal by then.
type process struct {
	*master

	proc   *os.Process
	pid    int           // of the command, its session and its process group
	exited chan struct{} // closed when it has ended and is reaped
	handed *Parked       // what Park returns; before over is closed

	reapMu sync.Mutex
	reaped bool             // guarded by reapMu
	state  *os.ProcessState // how it ended; before exited is closed

	stop    sync.Once
	stopErr error
}

// dialExec starts the command. ctx bounds only the start.
func dialExec(ctx context.Context, e *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pair, slave, err := openPty()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(pair, slave, e.Dir, a.Where)
	if err != nil {
		slave.Close()
		pair.close()
		return nil, err
	}
	return p, nil
}

// startProcess runs the command on slave. On success pair and slave belong to
// the process.
func startProcess(pair *ptyPair, slave *os.File, dir, command string) (*process, error) {
	m, err := newMaster(pair, addr{"exec", pair.name}, addr{"exec", command})
	if err != nil {
		return nil, err
	}
	// A new pty is 0 by 0, on which some programs draw nothing at all.
	if err := m.setSize(80, 24); err != nil {
		m.discard()
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = cmd.Environ()
	// A daemon has a TERM only if it was given one on purpose. The clients'
	// terminals are not known and differ; vt100 is what all of them can do.
	if os.Getenv("TERM") == "" {
		cmd.Env = append(cmd.Env, "TERM=vt100")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		m.discard()
		if dir != "" {
			return nil, fmt.Errorf("start /bin/sh in %s: %w", dir, err)
		}
		return nil, fmt.Errorf("start /bin/sh: %w", err)
	}
	return runProcess(m, cmd.Process, pair, slave), nil
}

// runProcess returns the channel of a command that runs.
func runProcess(m *master, proc *os.Process, pair *ptyPair, slave *os.File) *process {
	p := &process{master: m, proc: proc, pid: proc.Pid, exited: make(chan struct{})}
	go p.run(pair, slave)
	return p
}

// run is the goroutine that owns the terminal and waits for the command. Close
// waits for it. The slave is kept open meanwhile, because a program may close
// its terminal and open it again (login(1) does), which is not the end.
func (p *process) run(pair *ptyPair, slave *os.File) {
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		p.waitEnd(ctx)
		close(ended)
	}()
	select {
	case <-ended:
		p.stopReading()
		p.end(pair.drain())
		pair.close()
		slave.Close()
		p.reap() // before over: who reads io.EOF may ask Exited
		close(p.over)
	case <-p.closing:
		p.stopReading()
		p.end(nil)
		pair.close() // a hang-up: SIGHUP to the session
		slave.Close()
		close(p.over)
		<-ended
		p.kill(unix.SIGTERM) // those of the group that outlived the hang-up and their leader
		p.reap()
	case <-p.parked:
		cancel()
		<-ended // or not: whoever adopts the command looks anew
		p.stopReading()
		p.end(nil)
		if p.handed = p.hand(pair, slave); p.handed != nil {
			close(p.over)
			return
		}
		pair.close()
		slave.Close()
		close(p.over)
		p.waitEnd(context.Background())
		p.reap()
	}
}

// hand parks the terminal and the command; nil: there is no descriptor left for that.
func (p *process) hand(pair *ptyPair, slave *os.File) *Parked {
	own, err := dupOf(slave)
	if err != nil {
		return nil
	}
	slave.Close()
	p.proc.Release() // who adopts the command finds it by its number
	return &Parked{FDs: []int{pair.give(), own}, Name: pair.name, PID: p.pid}
}

// waitEnd waits until the command has ended, or ctx, and leaves it to be reaped.
func (p *process) waitEnd(ctx context.Context) {
	for {
		err := interruptible(ctx, func() error {
			return unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		})
		if err != unix.EINTR {
			return
		}
	}
}

// Close hangs up. A command that is still there after a while gets SIGTERM,
// then SIGKILL, with its process group. Close waits for its end, at most 1 s.
func (p *process) Close() error {
	p.stop.Do(func() {
		p.master.Close()
		p.stopErr = p.terminate()
	})
	return p.stopErr
}

// terminate makes the command end, which has lost its terminal.
func (p *process) terminate() error {
	if p.endedIn(hangupGrace) {
		return nil
	}
	p.kill(unix.SIGTERM)
	if p.endedIn(termGrace) {
		return nil
	}
	p.kill(unix.SIGKILL)
	if p.endedIn(killGrace) {
		return nil
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL", p.pid)
}

// kill sends a signal to the command's process group, as long as the number is
// still the group's.
func (p *process) kill(sig syscall.Signal) {
	p.reapMu.Lock()
	defer p.reapMu.Unlock()
	if !p.reaped {
		unix.Kill(-p.pid, sig)
	}
}

// reap takes the status of the command, which has ended, so this never waits.
func (p *process) reap() {
	p.reapMu.Lock()
	p.state, _ = p.proc.Wait()
	p.reaped = true
	p.reapMu.Unlock()
	close(p.exited)
}

func (p *process) endedIn(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// Exited says how the command ended, and false while it runs.
func (p *process) Exited() (string, bool) {
	select {
	case <-p.exited:
		return p.state.String(), true
	default:
		return "", false
	}
}

// Resize sets the size of the command's terminal.
func (p *process) Resize(cols, rows int) error { return p.setSize(cols, rows) }
