package channel

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	ossignal "os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A rawTerminal is a terminal that gets its settings back whatever becomes of this process:
// a panic or SIGKILL, too, of which no program can hear. So another process waits for its
// end, at a pipe. A nil one is none.
type rawTerminal struct {
	fd    int // of the process's, which stays open
	guard *os.Process
	pipe  *os.File // its other end is the guard's standard input

	signals bool // keys send signals
	conts   chan os.Signal
	done    chan struct{}
	wait    sync.WaitGroup
}

// guardScript has the terminal at descriptor 3. It is told when that is raw, and a second
// time when it is to be restored. If this process ends without a word it is restored
// unless somebody else has changed it meanwhile: a shell that has it again already. (Ignoring
// SIGTTOU, it may do that from the background.)
const guardScript = `trap '' HUP INT QUIT TERM TSTP TTIN TTOU
saved=$(stty -g <&3) || exit
echo saved
read -r word
raw=$(stty -g <&3)
if read -r word || [ "$(stty -g <&3)" = "$raw" ]; then stty "$saved" <&3; fi`

// guardGrace bounds how long the guard may take to restore a terminal.
const guardGrace = time.Second

// takeTerminal makes the terminal raw that a descriptor is open to.
func takeTerminal(fd int, a Address) (*rawTerminal, error) {
	if !inForeground(fd) {
		return nil, errors.New("this process is in the background of its terminal: bring it to the foreground (fg)")
	}
	r := &rawTerminal{fd: fd, signals: a.Get("signal") != "false"}
	if err := r.startGuard(); err != nil {
		return nil, fmt.Errorf("restoring the terminal wants sh and stty: %w", err)
	}
	err := r.raw()
	if err == nil {
		_, err = r.pipe.WriteString("\n")
	}
	if err != nil {
		return nil, errors.Join(err, r.restore())
	}
	r.follow()
	return r, nil
}

// startGuard starts the process that restores the terminal, which has its settings then.
func (r *rawTerminal) startGuard() error {
	terminal, err := dup(r.fd)
	if err != nil {
		return err
	}
	third := os.NewFile(uintptr(terminal), "terminal")
	defer third.Close()
	stdin, pipe, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	cmd.Stdin, cmd.ExtraFiles = stdin, []*os.File{third}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // no key ends it
	said, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		pipe.Close()
		return err
	}
	defer said.Close()
	r.pipe, r.guard = pipe, cmd.Process
	if line, _ := bufio.NewReader(said).ReadString('\n'); line != "saved\n" {
		pipe.Close()
		return cmd.Wait()
	}
	return nil
}

// raw makes the terminal raw as QEMU does (chardev/char-stdio.c): its output stays as it is.
func (r *rawTerminal) raw() error {
	t, err := unix.IoctlGetTermios(r.fd, unix.TCGETS)
	if err != nil {
		return os.NewSyscallError("tcgetattr", err)
	}
	rawInput(t)
	if r.signals {
		t.Lflag |= unix.ISIG
	}
	return os.NewSyscallError("tcsetattr", unix.IoctlSetTermios(r.fd, unix.TCSETS, t))
}

// follow makes it raw again when the process goes on that was stopped: meanwhile it was the
// shell's.
func (r *rawTerminal) follow() {
	r.conts, r.done = make(chan os.Signal, 1), make(chan struct{})
	ossignal.Notify(r.conts, unix.SIGCONT)
	r.wait.Go(func() {
		for {
			select {
			case <-r.conts:
				if inForeground(r.fd) {
					r.raw() // fails for one that is gone, which the next read tells
				}
			case <-r.done:
				return
			}
		}
	})
}

func (r *rawTerminal) unfollow() {
	if r.done != nil {
		ossignal.Stop(r.conts)
		close(r.done)
		r.wait.Wait()
	}
}

// restore gives the terminal its settings back, unless the process is in its background:
// then they are somebody else's.
func (r *rawTerminal) restore() error {
	if r == nil {
		return nil
	}
	r.unfollow()
	if inForeground(r.fd) {
		r.pipe.WriteString("\n") // fails if the guard is gone, which Wait tells
	}
	r.pipe.Close()
	defer time.AfterFunc(guardGrace, func() { r.guard.Kill() }).Stop()
	state, err := r.guard.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("the terminal was not restored: %s", state)
	}
	return err
}

// release leaves the guard, which is a child of the process, to who adopts it by its number.
func (r *rawTerminal) release() {
	if r == nil {
		return
	}
	r.unfollow()
	r.guard.Release()
	r.pipe.Close()
}

// adoptRaw goes on with a terminal that is raw, the descriptors of which are parked.
func adoptRaw(a Address, p *Parked) (*rawTerminal, error) {
	guard, err := findChild(p.PID)
	if err != nil {
		return nil, err
	}
	r := &rawTerminal{fd: unix.Stdin, signals: a.Get("signal") != "false", guard: guard, pipe: os.NewFile(uintptr(p.FDs[2]), "guard")}
	p.FDs = p.FDs[:2]
	r.follow()
	return r, nil
}

// inForeground says whether a terminal is this process's to set: it is in the foreground of
// it, or it is not the terminal that controls it.
func inForeground(fd int) bool {
	pgrp, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || pgrp == unix.Getpgrp()
}
