package channel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func runOnPipes(t *testing.T, dir, text string) Channel {
	t.Helper()
	ch, err := (&Env{Dir: dir}).Dial(t.Context(), MustParseAddress("command:"+text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Close() })
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	return ch
}

// A command has two pipes and no terminal, runs where the config file is, and tells by
// its end how it ended.
func TestCommand(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	ch := runOnPipes(t, dir, `pwd; tty; read x; echo got "$x" '?' %3F; exit 3`)
	want(t, ch, dir+"\nnot a tty\n")
	if status, ok := mustAs[Exiter](t, ch).Exited(); ok {
		t.Errorf("it runs, but %q", status)
	}
	send(t, ch, "hello\n")
	if got := readAll(t, ch); got != "got hello ? %3F\n" {
		t.Errorf("read %q", got)
	}
	wantEOF(t, ch)
	<-mustAs[*command](t, ch).exited
	if status, ok := mustAs[Exiter](t, ch).Exited(); !ok || status != "exit status 3" {
		t.Errorf("Exited: %q, %v; want exit status 3", status, ok)
	}
	if _, err := ch.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after the end: %v", err)
	}
}

// The input of a command can end before its output: it prints what it has made of it.
func TestCommandHalfClose(t *testing.T) {
	noLeaks(t)
	ch := runOnPipes(t, "", "sort -n")
	send(t, ch, "10\n9\n100\n")
	if err := ch.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, ch); got != "9\n10\n100\n" {
		t.Errorf("read %q", got)
	}
	wantEOF(t, ch)
}

// A slow reader has all that a command wrote before it ended, also when that has left
// behind somebody who holds its output open.
func TestCommandAllOutput(t *testing.T) {
	noLeaks(t)
	ch := runOnPipes(t, "", "sleep 100 & echo $!; seq 1 10000; exit 0")
	<-mustAs[*command](t, ch).exited // 49 KB fit into the pipe
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
	first, rest, _ := strings.Cut(got.String(), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatalf("read %q", first)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("the process left behind: %v", err)
	}
	if strings.Count(rest, "\n") != 10000 || !strings.HasSuffix(rest, "\n10000\n") {
		t.Errorf("%d lines", strings.Count(rest, "\n"))
	}
}

// Who found nothing to read and then rests is woken by the end that came in between, also
// when somebody who was left behind holds the output open.
func TestCommandEndsBeforeARest(t *testing.T) {
	noLeaks(t)
	ch := runOnPipes(t, "", "sleep 100 & echo $!; read x")
	var line [16]byte
	n, err := ch.Read(line[:])
	must(t, err)
	left, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	must(t, err)
	defer unix.Kill(left, unix.SIGKILL)
	must(t, ch.SetReadDeadline(longAgo))
	if _, err := ch.Read(line[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %v", err)
	}
	send(t, ch, "\n")
	mustAs[*command](t, ch).wait.Wait()
	awaitWake(t, resting(t, ch))
	wantEOF(t, ch)
}

// Close closes the pipes; what does not listen to that is told by SIGTERM and then by
// SIGKILL, with all of its group, and is waited for.
func TestCommandClose(t *testing.T) {
	for _, c := range []struct {
		command string
		until   patience
		status  string
	}{
		{`echo; exec cat`, untilHangup, "exit status 0"},
		{`echo; exec sleep 100`, untilTerm, "signal: terminated"},
		{`trap "" TERM; echo; sleep 100; exec sleep 100`, untilKill, "signal: killed"},
		{`trap "exit 7" TERM; echo; while :; do sleep 0.05; done`, untilTerm, "exit status 7"},
	} {
		t.Run(c.command, func(t *testing.T) {
			noLeaks(t)
			ch := runOnPipes(t, "", c.command)
			want(t, ch, "\n")
			ch.SetReadDeadline(time.Time{})
			read := make(chan error, 1)
			go func() { _, err := ch.Read(make([]byte, 1)); read <- err }()
			closePatiently(t, ch, mustAs[*command](t, ch).pid, c.until, c.status)
			if err := <-read; err != net.ErrClosed {
				t.Errorf("%v; want net.ErrClosed", err)
			}
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
				t.Errorf("wait4: %d, %v; want no child", pid, err)
			}
		})
	}
}

// A parked command goes on, with what it was saying.
func TestCommandParks(t *testing.T) {
	noLeaks(t)
	a := MustParseAddress("command:exec cat")
	ch := runOnPipes(t, "", a.Where)
	send(t, ch, "before")
	parked, err := Park(ch)
	if err != nil {
		t.Fatal(err)
	}
	again, err := new(Env).Adopt(a, parked)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	send(t, again, ", after")
	want(t, again, "before, after")
	if err := again.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, again)
	<-mustAs[*command](t, again).exited
	if status, _ := mustAs[Exiter](t, again).Exited(); status != "exit status 0" {
		t.Errorf("Exited: %q", status)
	}
	if _, err := Park(again); err == nil {
		t.Error("a command that has ended was parked")
	}
}

// Where programs may not be run, the error says so.
func TestCommandForbidden(t *testing.T) {
	noLeaks(t)
	_, err := (&Env{Dir: t.TempDir() + "/none"}).Dial(t.Context(), MustParseAddress("command:true"))
	if err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("no folder: %v", err)
	}
	cmd := shell("", "true")
	cmd.Path = t.TempDir() + "/not-executable"
	if err := os.WriteFile(cmd.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start(cmd); err == nil || !strings.Contains(err.Error(), "may not run programs") {
		t.Errorf("not executable: %v", err)
	}
}
