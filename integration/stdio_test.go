package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A seated is a daemon in the foreground of somebody's terminal, which is a console. Its log
// is in a file.
type seated struct {
	*daemon
	pid    int
	before unix.Termios // the terminal's settings when the daemon was not there
}

const seatConfig = `
[[chardev]]
name = "vm"
device = "sim:echo"
frontends = ["@stdio@"]
`

// seat starts a daemon as a shell does that is not interactive: it is in the foreground
// with the shell, which goes on when it has ended.
func seat(t *testing.T, stdio string) *seated {
	t.Helper()
	s := &seated{daemon: newDaemon(t, folder(t), seatConfig, map[string]any{"stdio": stdio})}
	run := s.command("serve", "-c", s.config)
	s.prog = startTTY(t, "/bin/sh", append([]string{"-c", `trap : INT; read -r go; log=$1; shift; "$@" 2>"$log"; echo ended $?; exec cat`, "sh", s.path("log")}, run.Args...)...)
	s.before = s.settings()
	s.types(t, "\n")
	eventually(t, patience, func() error {
		if log, _ := os.ReadFile(s.path("log")); !strings.Contains("\n"+string(log), "\nready\n") {
			return fmt.Errorf("the log: %s", log)
		}
		return nil
	})
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(s.cmd.Process.Pid)).Output()
	if err == nil {
		s.pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
	}
	if err != nil {
		t.Fatalf("the shell's child: %q, %v", out, err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		log, _ := os.ReadFile(s.path("log"))
		t.Logf("log: %s", last(log, 6000))
	})
	s.has("vm", 1)
	return s
}

func (s *seated) settings() unix.Termios {
	s.t.Helper()
	now, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *now
}

// becomes waits for the terminal to be as it was, or raw.
func (s *seated) becomes(raw bool) {
	s.t.Helper()
	eventually(s.t, patience, func() error {
		now := s.settings()
		if raw && now.Lflag&(unix.ICANON|unix.ECHO) != 0 || !raw && now != s.before {
			return fmt.Errorf("the terminal was %+v, and is %+v; raw: %v", s.before, now, raw)
		}
		return nil
	})
}

func (s *seated) send(sig syscall.Signal) {
	s.t.Helper()
	if err := unix.Kill(s.pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

// However a daemon ends that has a terminal as a console, the terminal is then what it was.
func TestTerminalIsRestored(t *testing.T) {
	for _, end := range []struct {
		name, stdio string
		by          func(s *seated)
		code        int
	}{
		{"SIGTERM", "stdio:", func(s *seated) { s.send(unix.SIGTERM) }, 0},
		{"^C", "stdio:", func(s *seated) { s.types(s.t, "\x03") }, 0},
		{"two signals", "stdio:?signal=false", func(s *seated) { s.send(unix.SIGTERM); s.send(unix.SIGINT) }, -1},
		{"a crash", "stdio:", func(s *seated) { s.send(unix.SIGQUIT) }, 2},
		{"SIGKILL", "stdio:", func(s *seated) { s.send(unix.SIGKILL) }, 128 + 9},
	} {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			s := seat(t, end.stdio)
			s.becomes(true)
			s.types(t, "uptime\r")
			s.sees(t, "uptime\r")
			end.by(s)
			s.sees(t, "ended ")
			s.becomes(false)
			eventually(t, patience, func() error {
				if text := s.out.text(); end.code >= 0 && !strings.Contains(text, fmt.Sprintf("ended %d\r\n", end.code)) {
					return fmt.Errorf("it said %q, want code %d", last([]byte(text), 200), end.code)
				}
				return nil
			})
		})
	}
}

// While it runs, a terminal stays with the daemon over an upgrade and over being stopped, and
// leaves it by a reload.
func TestTerminalOfADaemonThatRuns(t *testing.T) {
	s := seat(t, "stdio:?signal=false")
	s.types(t, "one\x03\x1a")
	s.sees(t, "one\x03\x1a")
	for i := range 3 {
		if out, stderr, code := s.cli("upgrade"); code != 0 || !strings.Contains(out, fmt.Sprintf("process %d ", s.pid)) {
			t.Fatalf("upgrade: %d, %s%s", code, out, stderr)
		}
		s.becomes(true)
		s.types(t, fmt.Sprintf("upgraded %d", i))
		s.sees(t, fmt.Sprintf("upgraded %d", i))
	}
	s.hasNo("vm", "detach")
	s.send(unix.SIGSTOP)
	eventually(t, patience, func() error {
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid)); !strings.Contains(string(stat), ") T ") {
			return fmt.Errorf("it is not stopped: %s", stat)
		}
		return nil
	})
	if err := unix.IoctlSetTermios(int(s.tty.Fd()), unix.TCSETS, &s.before); err != nil { // as a shell does
		t.Fatal(err)
	}
	s.send(unix.SIGCONT)
	s.becomes(true)
	s.types(t, "again")
	s.sees(t, "again")
	config, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, strings.ReplaceAll(string(config), `"stdio:?signal=false"`, ""))
	if _, stderr, code := s.cli("reload"); code != 0 {
		t.Fatal(stderr)
	}
	s.becomes(false)
	s.has("vm", 0)
	s.send(unix.SIGTERM)
	s.sees(t, "ended 0")
}

// hasNo fails if something has happened to a console.
func (d *daemon) hasNo(name, kind string) {
	d.t.Helper()
	for _, e := range d.info(name).Events {
		if e.Kind == kind {
			d.t.Errorf("%s: %s %s", name, e.Kind, e.Text)
		}
	}
}

// In a pipeline the input ends, and with half_close the output goes on; and stdio is a device
// whose guest is whoever has the other ends.
func TestStdioInAPipeline(t *testing.T) {
	begin := func(config string) *daemon {
		d := newDaemon(t, folder(t), config, nil)
		d.run()
		if err := d.stderr.sees(patience, "\nready\n"); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := begin(`
[[chardev]]
name = "vm"
device = "sim:echo"
frontends = ["unix:front"]
  [[chardev.frontend]]
  connect = "stdio:"
  half_close = true
`)
	u := dial(t, "unix", d.path("front"))
	d.has("vm", 2)
	d.types(t, "by a pipe")
	d.sees(t, "by a pipe")
	u.sees(t, "by a pipe")
	d.stdin.Close()
	u.echoes(t, "and on")
	d.sees(t, "and on")
	d.stops()
	if text := d.out.text(); strings.Contains(text, "ready") {
		t.Errorf("the console has what is for whoever started the daemon: %q", text)
	}

	d = begin(`
[[chardev]]
name = "vm"
device = "stdio:"
frontends = ["unix:front"]
`)
	u = dial(t, "unix", d.path("front"))
	d.has("vm", 1)
	d.types(t, "printed")
	u.sees(t, "printed")
	u.types(t, "typed")
	d.sees(t, "typed")
	d.stdin.Close()
	eventually(t, patience, func() error {
		if out, _, _ := d.cli("list"); !strings.Contains(out, "standard input has ended") {
			return errors.New(out)
		}
		return nil
	})
}
