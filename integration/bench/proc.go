package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is a target that runs, with all it started.
type process struct {
	cmd    *exec.Cmd
	done   chan struct{} // it ended
	output output
}

// output keeps the end of what a process prints.
type output struct {
	mu   sync.Mutex
	text []byte
}

const outputMax = 8 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	o.text = o.text[max(0, len(o.text)-outputMax):]
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(o.text, nil)))
}

// start starts a program in a process group of its own.
func start(dir, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the process and its group.
func (p *process) stop() {
	pid := p.cmd.Process.Pid
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-pid, syscall.SIGKILL)
	<-p.done
}

func (p *process) err() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended (%v): %s", filepath.Base(p.cmd.Path), p.cmd.ProcessState, p.output.String())
	default:
		return nil
	}
}

// A usage is what process trees cost so far.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
}

// use adds up what processes and their descendants use. The CPU time of a live
// process is exact (clock_getcpuclockid(3)); that of children that ended is in
// ticks.
func use(roots []*process) (u usage, err error) {
	list, err := processes()
	if err != nil {
		return u, err
	}
	for _, r := range roots {
		u.add(list, r.cmd.Process.Pid)
	}
	return u, nil
}

type procStat struct {
	children []int
	reaped   time.Duration
}

// rss is the memory of a process, exact to the page, where /proc/PID/stat is only
// roughly right (proc_pid_smaps(5)).
func rss(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0 // it ended
	}
	_, after, _ := bytes.Cut(text, []byte("\nRss:"))
	f := bytes.Fields(after)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(f[0]), 10, 64)
	return kib << 10
}

// tick is the unit of times in /proc/PID/stat, fixed for user space.
const tick = time.Second / 100

func (u *usage) add(list map[int]*procStat, pid int) {
	s := list[pid]
	if s == nil {
		return
	}
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil { // CPUCLOCK_SCHED of the whole process
		u.cpu += time.Duration(ts.Nano())
	}
	u.cpu += s.reaped
	u.rss += rss(pid)
	for _, c := range s.children {
		u.add(list, c)
	}
}

// processes reads /proc/*/stat (proc_pid_stat(5)).
func processes() (map[int]*procStat, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	list := map[int]*procStat{}
	at := func(pid int) *procStat {
		if list[pid] == nil {
			list[pid] = &procStat{}
		}
		return list[pid]
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from field 3 on
		if err1 != nil || len(f) < 15 {
			return nil, fmt.Errorf("%s: %q", name, text)
		}
		num := func(field int) int64 { n, _ := strconv.ParseInt(f[field-3], 10, 64); return n }
		s := at(pid)
		s.reaped = time.Duration(num(16)+num(17)) * tick
		parent := at(int(num(4)))
		parent.children = append(parent.children, pid)
	}
	return list, nil
}

// find finds a program, also where only root's PATH leads.
func find(name string) (string, error) {
	for _, n := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
}
