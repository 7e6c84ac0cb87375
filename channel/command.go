package channel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command runs a command on two pipes: what is written to the channel is its standard
// input, what it prints is read. Its standard error is this process's.
var commandTransport = &transport{
	name: "command", what: "a command", raw: true,
	dial: dialCommand,

	adopt: adoptCommand,
}

// A command is a channel to the pipes of a command.
//
// The stream ends, with io.EOF after all that was written, when the command has ended
// or has closed its output; Exited may know of an end a moment later. What it leaves behind has lost the pipes by then. A half
// close is the end of the command's input.
type command struct {
	*duplex
	*child

	cancel context.CancelFunc // has run look after the command no longer
	wait   sync.WaitGroup     // for run

	over sideEnd // by the command's end: what is in the pipe is all there will be

	stop    sync.Once
	stopErr error
}

// dialCommand starts the command. ctx bounds only the start.
func dialCommand(ctx context.Context, e *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer stdout.Close()
	// The command's ends block, as every program expects of its own.
	cmd := shell(e.Dir, a.Where)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d, err := newDuplex(out, in, addr{"command", ""}, addr{"command", a.Where})
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		d.Close()
		return nil, err
	}
	return runCommand(d, cmd.Process), nil
}

// runCommand returns the channel of a command that runs.
func runCommand(d *duplex, proc *os.Process) *command {
	c := &command{duplex: d, child: newChild(proc), over: sideEnd{of: d}}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wait.Go(func() { c.run(ctx) })
	return c
}

// run is the goroutine that waits for the command. Close and Park wait for it.
func (c *command) run(ctx context.Context) {
	c.waitEnd(ctx)
	if ctx.Err() != nil {
		return
	}
	c.reap()
	c.over.end(io.EOF)
}

func (c *command) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.duplex.Read(p)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.over.reason() == nil {
		return n, err
	}
	n, err = c.readRest(p)
	return n, c.plain(err)
}

// readRest reads what the command has left in the pipe; processes that it left behind may
// hold that open.
func (c *command) readRest(p []byte) (int, error) {
	var n int
	var errno syscall.Errno
	if err := c.in.f.Control(func(fd uintptr) { n, errno = readFD(int(fd), p) }); err != nil {
		return 0, plain("read", err)
	}
	if n <= 0 || errno != 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Rest is the duplex's, but for the command's end.
func (c *command) Rest(wake func()) bool { return c.over.Rest(wake) }

func (c *command) SetReadDeadline(t time.Time) error { return c.over.SetReadDeadline(t) }

func (c *command) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close closes the pipes. A command that is still there after a while gets SIGTERM, then
// SIGKILL, with its process group. Close waits for its end, at most 1 s.
func (c *command) Close() error {
	c.stop.Do(func() {
		err := c.duplex.Close()
		c.stopErr = errors.Join(err, c.terminate())
		c.cancel()
		c.wait.Wait()
	})
	return c.stopErr
}

// Park makes a command a Parker. It stays; only its parent can adopt it.
func (c *command) Park() (parked *Parked, err error) {
	err = net.ErrClosed // unless this is what closes it
	c.stop.Do(func() {
		c.cancel()
		c.wait.Wait()
		parked, err = c.hand()
		c.stopErr = c.duplex.Close()
		if err != nil {
			c.stopErr = errors.Join(c.stopErr, c.abandon())
		}
	})
	return parked, err
}

// hand makes what Park returns, of a command that nobody waits for.
func (c *command) hand() (*Parked, error) {
	if c.over.reason() != nil {
		return nil, net.ErrClosed
	}
	in, err := dupIn(c.in.f)
	if err != nil {
		return nil, plain("park", err)
	}
	out, err := dupIn(c.out.f)
	if err != nil {
		unix.Close(in)
		return nil, plain("park", err)
	}
	c.proc.Release() // who adopts the command finds it by its number
	return &Parked{FDs: []int{in, out}, PID: c.pid}, nil
}

// abandon ends a command that cannot be parked.
func (c *command) abandon() error {
	if c.over.reason() == nil {
		c.wait.Go(func() { c.run(context.Background()) })
	}
	err := c.terminate()
	c.wait.Wait()
	return err
}

func adoptCommand(a Address, parked *Parked) (Channel, error) {
	if len(parked.FDs) != 2 {
		parked.Drop()
		return nil, errNotParked
	}
	proc, err := findChild(parked.PID)
	if err != nil {
		parked.Drop()
		return nil, err
	}
	in, out := os.NewFile(uintptr(parked.FDs[0]), "stdout"), os.NewFile(uintptr(parked.FDs[1]), "stdin")
	parked.FDs = nil
	d, err := newDuplex(in, out, addr{"command", ""}, addr{"command", a.Where})
	if err != nil {
		proc.Release()
		return nil, err
	}
	return runCommand(d, proc), nil
}
