package channel

import (
	"context"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// exec runs a command on a terminal of its own.
var execTransport = &transport{
	name: "exec", what: "a command", raw: true,
	dial: dialExec,

	adopt: adoptExec,
}

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
	*child // leads its session, too

	handed *Parked // what Park returns; before over is closed

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
	cmd := shell(dir, command)
	cmd.Env = cmd.Environ()
	// A daemon has a TERM only if it was given one on purpose. The clients'
	// terminals are not known and differ; vt100 is what all of them can do.
	if os.Getenv("TERM") == "" {
		cmd.Env = append(cmd.Env, "TERM=vt100")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := start(cmd); err != nil {
		m.discard()
		return nil, err
	}
	return runProcess(m, cmd.Process, pair, slave), nil
}

// runProcess returns the channel of a command that runs.
func runProcess(m *master, proc *os.Process, pair *ptyPair, slave *os.File) *process {
	p := &process{master: m, child: newChild(proc)}
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

// Close hangs up. A command that is still there after a while gets SIGTERM,
// then SIGKILL, with its process group. Close waits for its end, at most 1 s.
func (p *process) Close() error {
	p.stop.Do(func() {
		p.master.Close()
		p.stopErr = p.terminate()
	})
	return p.stopErr
}

// Resize sets the size of the command's terminal.
func (p *process) Resize(cols, rows int) error { return p.setSize(cols, rows) }
