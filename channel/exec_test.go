package channel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func run(t *testing.T, dir, command string) Channel {
	t.Helper()
	ch, err := (&Env{Dir: dir}).Dial(t.Context(), MustParseAddress("exec:"+command))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Close() })
	if err := ch.SetDeadline(time.Now().Add(watchdog)); err != nil {
		t.Fatal(err)
	}
	return ch
}

// readAll reads to the end and gives lines back as the command wrote them.
func readAll(t *testing.T, ch Channel) string {
	t.Helper()
	b, err := io.ReadAll(ch)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// The command has a terminal of its own that a shell can work on, in the folder
// and of the size that it is told.
func TestExecTerminal(t *testing.T) {
	noLeaks(t)
	t.Setenv("TERM", "")
	dir := t.TempDir()
	ch := run(t, dir, `tty -s && echo tty; test -e /dev/tty && : </dev/tty && echo controlling; stty size; echo $TERM; pwd; read line; stty size; echo "got $line"; exit 3`)
	want(t, ch, "tty\r\ncontrolling\r\n24 80\r\nvt100\r\n"+dir+"\r\n")
	if err := mustAs[Resizer](t, ch).Resize(132, 50); err != nil {
		t.Fatal(err)
	}
	if err := mustAs[Resizer](t, ch).Resize(0, 70000); err == nil {
		t.Error("a window of 0 by 70000 was taken")
	}
	if status, ok := mustAs[Exiter](t, ch).Exited(); ok {
		t.Errorf("it runs, but %q", status)
	}
	send(t, ch, "x\x7fhello\r") // line editing and echo
	got := readAll(t, ch)
	if !strings.HasSuffix(got, "\n50 132\ngot hello\n") {
		t.Errorf("read %q", got)
	}
	wantEOF(t, ch)
	if status, ok := mustAs[Exiter](t, ch).Exited(); !ok || status != "exit status 3" {
		t.Errorf("Exited: %q, %v; want exit status 3", status, ok)
	}
	if _, err := ch.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after the end: %v", err)
	}
	if err := ch.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
}

// A slow reader has all that a command wrote before it ended.
func TestExecAllOutput(t *testing.T) {
	noLeaks(t)
	ch := run(t, "", "seq 1 20000")
	var got bytes.Buffer
	small := make([]byte, 3000)
	for {
		n, err := ch.Read(small)
		got.Write(small[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	line := 0
	for l := range strings.Lines(got.String()) {
		if line++; l != strconv.Itoa(line)+"\r\n" {
			t.Fatalf("line %d is %q", line, l)
		}
	}
	if line != 20000 {
		t.Errorf("%d lines", line)
	}

	ch = run(t, "", "seq 1 2000") // fits into the pty
	<-mustAs[*process](t, ch).exited
	if got := readAll(t, ch); strings.Count(got, "\n") != 2000 || !strings.HasSuffix(got, "\n2000\n") {
		t.Errorf("after its end there are %d bytes to read", len(got))
	}
}

// A program that closes its terminal and opens it again is not at its end, and
// one that leaves a process behind is.
func TestExecEnd(t *testing.T) {
	noLeaks(t)
	ch := run(t, "", `exec </dev/null >/dev/null 2>&1; exec </dev/tty >/dev/tty 2>&1; echo again; read x; nohup sleep 100 >/dev/null 2>&1 & echo $!`)
	want(t, ch, "again\r\n")
	send(t, ch, "\n")
	lines := strings.Fields(readAll(t, ch))
	if len(lines) == 0 {
		t.Fatal("nothing read")
	}
	pid, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("the process left behind: %v", err)
	}
}

// A patience is that of Close with a command, which is long with what is to end it: a busy
// machine may take its time.
type patience struct{ hangup, term, kill time.Duration }

const soon = time.Millisecond

var (
	untilHangup = patience{hangup: watchdog}
	untilTerm   = patience{hangup: soon, term: watchdog}
	untilKill   = patience{hangup: soon, term: soon, kill: watchdog}
)

// closePatiently closes a command, which is to end with the status and be gone.
func closePatiently(t *testing.T, ch Channel, pid int, until patience, status string) {
	t.Helper()
	usual := patience{hangupGrace, termGrace, killGrace}
	hangupGrace, termGrace, killGrace = until.hangup, until.term, until.kill
	defer func() { hangupGrace, termGrace, killGrace = usual.hangup, usual.term, usual.kill }()
	if err := ch.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got, ok := mustAs[Exiter](t, ch).Exited(); !ok || got != status {
		t.Errorf("Exited: %q, %v; want %q", got, ok, status)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the process is still there: %v", err)
	}
	ch.Close()
}

// Close hangs up; what does not listen to that is told more clearly, and it is
// waited for.
func TestExecClose(t *testing.T) {
	for _, c := range []struct {
		command string
		until   patience
		status  string
	}{
		{`echo; exec sleep 100`, untilHangup, "signal: hangup"},
		{`trap "" HUP; echo; exec sleep 100`, untilTerm, "signal: terminated"},
		{`trap "" HUP TERM INT; echo; exec sleep 100`, untilKill, "signal: killed"},
		{`trap "exit 7" HUP; echo; while read x; do :; done; while :; do sleep 0.05; done`, untilHangup, "exit status 7"},
	} {
		t.Run(c.command, func(t *testing.T) {
			noLeaks(t)
			ch := run(t, "", c.command)
			want(t, ch, "\r\n")
			ended := make(chan error, 2)
			go func() { // what it is given comes back, as the terminal echoes
				var err error
				for b := make([]byte, 1<<10); err == nil; {
					_, err = ch.Read(b)
				}
				ended <- err
			}()
			go func() {
				var err error
				for b := bytes.Repeat([]byte("\n"), 1<<10); err == nil; {
					_, err = ch.Write(b)
				}
				ended <- err
			}()
			closePatiently(t, ch, mustAs[*process](t, ch).pid, c.until, c.status)
			for range 2 {
				if err := <-ended; err != net.ErrClosed {
					t.Errorf("%v; want net.ErrClosed", err)
				}
			}
		})
	}
}

func TestExecErrors(t *testing.T) {
	noLeaks(t)
	_, err := (&Env{Dir: t.TempDir() + "/none"}).Dial(t.Context(), MustParseAddress("exec:true"))
	if err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("no folder: %v", err)
	}
	ch := run(t, "", "no-such-program")
	if got := readAll(t, ch); !strings.Contains(got, "not found") {
		t.Errorf("read %q", got)
	}
	if status, _ := mustAs[Exiter](t, ch).Exited(); status != "exit status 127" {
		t.Errorf("Exited: %q", status)
	}
}

// A zombie would be a child of ours that nobody has waited for.
func TestExecCycles(t *testing.T) {
	noLeaks(t)
	for range 30 {
		ch := run(t, "", "read x; echo $x")
		send(t, ch, "x\n")
		readAll(t, ch)
		ch.Close()
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("wait4: %d, %v; want no child", pid, err)
	}
}
