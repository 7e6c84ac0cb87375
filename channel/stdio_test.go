package channel

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// StdioOver is what stdio is in a process whose standard input and output these are.
func StdioOver(t testing.TB, in, out *os.File) Channel {
	t.Helper()
	ch, err := openStdio(int(in.Fd()), int(out.Fd()), Address{Transport: "stdio"}, func(bool) {})
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestStdioAddresses(t *testing.T) {
	for text, says := range map[string]string{"stdio:1": "nothing stands behind", "stdio:?signal=no": "option signal"} {
		if _, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if a := MustParseAddress("tls+stdio:"); a.Network() || a.CanListen() || !a.CanDial() {
		t.Error("it can not be dialled, or listens")
	}
}

// A process has it once at a time, and its input ends once.
func TestStdioIsOne(t *testing.T) {
	noLeaks(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	was, err := dup(unix.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(was)
	unix.Dup2(int(null.Fd()), unix.Stdin)
	defer unix.Dup2(was, unix.Stdin)
	defer stdinEnded.Store(false)
	a := MustParseAddress("stdio:")
	ch, err := Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), a); !errors.Is(err, errStdioTaken) {
		t.Errorf("a second one: %v", err)
	}
	ch.Close()
	if ch, err = Dial(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	ch.SetReadDeadline(time.Unix(1, 0))
	if _, err := ch.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	ch.SetReadDeadline(time.Time{})
	wantEOF(t, ch)
	ch.Close()
	if _, err := Dial(t.Context(), a); !errors.Is(err, errStdinEnded) {
		t.Errorf("after its end: %v", err)
	}
}

// A file is read from where it is, and written where it is.
func TestStdioOfFiles(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	add(t, dir+"/in", "head body")
	in, err := os.Open(dir + "/in")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	want(t, in, "head ")
	out, err := os.Create(dir + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	send(t, out, "before ")
	ch := StdioOver(t, in, out)
	want(t, ch, "body")
	wantEOF(t, ch)
	send(t, ch, "after")
	if err := ch.Close(); err != nil {
		t.Error(err)
	}
	wantFile(t, dir+"/out", "before after")
}

// A terminal is raw while the channel is open, and what it was before afterwards.
func TestStdioTerminal(t *testing.T) {
	noLeaks(t)
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	settings := func() unix.Termios {
		t.Helper()
		s, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *s
	}
	before := settings()
	for _, signals := range []string{"true", "false"} {
		a := MustParseAddress("stdio:?signal=" + signals)
		ch, err := openStdio(int(slave.Fd()), int(slave.Fd()), a, func(bool) {})
		if err != nil {
			t.Fatal(err)
		}
		now := settings()
		if now.Lflag&(unix.ICANON|unix.ECHO) != 0 || now.Lflag&unix.ISIG != 0 != (signals == "true") || now.Oflag != before.Oflag {
			t.Errorf("signal=%s: %+v", signals, now)
		}
		send(t, master, "\r\x04")
		want(t, ch, "\r\x04")
		send(t, ch, "hi\n")
		want(t, master, "hi\r\n")
		if err := ch.Close(); err != nil {
			t.Error(err)
		}
		if now := settings(); now != before {
			t.Errorf("signal=%s: it was %+v, and is %+v", signals, before, now)
		}
	}
}
