package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"chardevd/channel"
	"chardevd/chardev"
)

// A console is what a testDaemon does for attached clients: it says hello and
// echoes in capitals, until a line "bye" or its end.
func console(ws *channel.Websocket, r *http.Request, messages <-chan chardev.Message) {
	q := r.URL.Query()
	offset := int64(5000)
	if q.Get("epoch") != "" {
		fmt.Sscan(q.Get("since"), &offset)
	}
	tell(ws, chardev.Message{Type: "hello", Chardev: r.PathValue("name"), Epoch: "e1", Offset: offset, State: "up"})
	fmt.Fprintf(ws, "<since %s %s>\r\n", q.Get("since"), q.Get("epoch"))
	buf := make([]byte, 4096)
	for {
		n, err := ws.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("bye\r")) {
			tell(ws, chardev.Message{Type: "bye", Code: "kicked", Text: "kicked"})
			return
		}
		ws.Write(bytes.ToUpper(buf[:n]))
	}
}

// A seat is a terminal with chardevd attach on it, as a process of its own.
type seat struct {
	t            *testing.T
	master, tty  *os.File
	before       unix.Termios
	cmd          *exec.Cmd
	exited       chan error
	mu           sync.Mutex
	shown        bytes.Buffer
	more, reader chan struct{}
}

func termios(t *testing.T, f *os.File) (state unix.Termios) {
	t.Helper()
	rc, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(fd uintptr) {
		var p *unix.Termios
		if p, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
			state = *p
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// sit starts chardevd on a terminal. The terminal outlives the process.
func sit(t *testing.T, args ...string) *seat {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	s := &seat{t: t, master: master, tty: tty, exited: make(chan error, 1), more: make(chan struct{}, 1), reader: make(chan struct{})}
	s.before = termios(t, tty)
	s.cmd = exec.Command(os.Args[0], args...)
	s.cmd.Env = append(os.Environ(), asProgram+"=1")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	go s.read()
	t.Cleanup(func() {
		s.cmd.Process.Kill() // if it still is there
		s.tty.Close()
		s.master.Close()
		<-s.reader
	})
	return s
}

func (s *seat) read() {
	defer close(s.reader)
	buf := make([]byte, 4096)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		s.shown.Write(buf[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *seat) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

func (s *seat) expect(want string) {
	s.t.Helper()
	late := time.After(watchdog)
	for !strings.Contains(s.screen(), want) {
		select {
		case <-s.more:
		case <-late:
			s.t.Fatalf("the screen shows %q, and not %q", s.screen(), want)
		}
	}
}

func (s *seat) typed(keys string) { io.WriteString(s.master, keys) }

// end waits for the process and checks that the terminal is as it was.
func (s *seat) end(code int) {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(watchdog):
		s.t.Fatalf("it does not end; the screen shows %q", s.screen())
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("it exits with %d, want %d; the screen shows %q", got, code, s.screen())
	}
	if now := termios(s.t, s.tty); now != s.before {
		s.t.Errorf("the terminal is not restored:\n%+v, was\n%+v", now, s.before)
	}
	s.blocking()
}

// blocking checks that the file that shells and their children share is not
// left non-blocking.
func (s *seat) blocking() {
	s.t.Helper()
	rc, err := s.tty.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	rc.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			s.t.Errorf("the terminal's file is O_NONBLOCK: flags %#x, %v", flags, err)
		}
	})
}

func (s *seat) raw() {
	s.t.Helper()
	if now := termios(s.t, s.tty); now.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 || now.Oflag&unix.OPOST != 0 {
		s.t.Errorf("the terminal is not raw: %+v", now)
	}
	s.blocking()
}

func attachedSeat(t *testing.T, more ...string) (*testDaemon, *seat) {
	d := newTestDaemon(t, console)
	s := sit(t, append([]string{"attach", "demo", "--control", d.path}, more...)...)
	s.expect("attached to demo")
	s.raw()
	return d, s
}

func TestAttachLeavesTheTerminalAsItWas(t *testing.T) {
	_, s := attachedSeat(t)
	s.expect("<since -4KiB >\r\n")
	s.typed("hello\x03\x1a\x04\r") // ^C, ^Z, ^D go to the console
	s.expect("HELLO\x03\x1a\x04\r")
	s.typed("~?")
	s.expect("~. leaves, ~b sends a break")
	s.typed("~.")
	s.end(0)
}

func TestAttachOtherEscape(t *testing.T) {
	_, s := attachedSeat(t, "-e", "^]", "--since", "-64KiB")
	s.expect("^]. leaves")
	s.expect("<since -64KiB >")
	s.typed("~.\r")
	s.expect("~.\r")
	s.typed("\x1d.")
	s.end(0)
}

func TestAttachRestoresTheTerminalWhenKilled(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			_, s := attachedSeat(t)
			s.cmd.Process.Signal(sig)
			s.end(1)
			s.expect("chardevd: attach demo: ended by a signal: " + sig.String())
		})
	}
}

func TestAttachKicked(t *testing.T) {
	_, s := attachedSeat(t)
	s.typed("bye\r")
	s.end(1)
	s.expect("chardevd: attach demo: the daemon ended the session: kicked")
}

func TestAttachComesBackWhenTheDaemonDoes(t *testing.T) {
	d, s := attachedSeat(t)
	s.typed("abc\r")
	s.expect("ABC\r")
	d.stop()
	s.expect("connection to the daemon lost; trying again (~. leaves)]\r\n")
	s.typed("x")
	s.expect("\a")
	s.raw()
	d.start(t)
	s.expect("[chardevd: attached again]\r\n<since ") // where it was: 5000 and what it was given
	s.expect(fmt.Sprintf("<since %d e1>", 5000+len("<since -4KiB >\r\nABC\r")))
	d.stop()
	s.typed("\r~.")
	s.end(0)
	d.start(t)
}

func TestAttachUnknownNameTouchesNothing(t *testing.T) {
	d := newTestDaemon(t, nil)
	s := sit(t, "attach", "dmo", "--control", d.path)
	s.end(1)
	s.expect(`chardevd: attach dmo: no chardev "dmo"; did you mean "demo"?`)
}

// A script has pipes; only the console's bytes go to stdout.
func TestAttachOfAScript(t *testing.T) {
	d := newTestDaemon(t, func(ws *channel.Websocket, r *http.Request, messages <-chan chardev.Message) {
		go func() {
			if m := <-messages; m.Type == "eof" {
				tell(ws, chardev.Message{Type: "bye", Code: chardev.ByeEOF})
			}
			ws.Close()
		}()
		console(ws, r, messages)
	})
	cmd := exec.Command(os.Args[0], "attach", "demo", "--since", "0", "--control", d.path)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdin = strings.NewReader("~.\nuptime\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stdout.String() != "<since 0 >\r\n~.\nUPTIME\n" || stderr.Len() > 0 {
		t.Errorf("stdout %q, stderr %q, %v", &stdout, &stderr, err)
	}
}

// Nobody reads stdout any more: an end, and no failure.
func TestAttachIntoAPipeThatCloses(t *testing.T) {
	d := newTestDaemon(t, console)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "attach", "demo", "--read-only", "--control", d.path)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout = w
	r.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	killer := time.AfterFunc(watchdog, func() { cmd.Process.Kill() })
	defer killer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// The window's size is told at the start and when it changes.
func TestAttachTellsTheSizeOfTheWindow(t *testing.T) {
	d := newTestDaemon(t, func(ws *channel.Websocket, r *http.Request, messages <-chan chardev.Message) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for m := range messages {
				fmt.Fprintf(ws, "<%s %dx%d>", m.Type, m.Cols, m.Rows)
				if m.Cols == 132 {
					return
				}
			}
		}()
		console(ws, r, messages)
		<-done
	})
	s := sit(t, "attach", "demo", "--control", d.path)
	s.expect("<resize 80x24>")
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	s.expect("<resize 132x50>")
	s.typed("~.")
	s.end(0)
}

func TestAttachWaitsForTheDaemon(t *testing.T) {
	d := newTestDaemon(t, console)
	d.stop()
	s := sit(t, "attach", "demo", "--wait", "20s", "--control", d.path)
	d.start(t)
	s.expect("attached to demo")
	s.typed("~.")
	s.end(0)
}
