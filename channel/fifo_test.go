package channel

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenFirst listens, and returns the first channel.
func listenFirst(t *testing.T, address string) (Listener, Channel) {
	t.Helper()
	l, err := Listen(t.Context(), MustParseAddress(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, acceptOn(t, l)
}

func acceptOn(t *testing.T, l Listener) Channel {
	t.Helper()
	ch, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Close() })
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	return ch
}

// Who listens makes the FIFOs, is there whoever comes and goes, and takes them with him.
func TestPipeListens(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/p"
	l, ch := listenFirst(t, "pipe:"+path+"?mode=0640")
	for _, suffix := range []string{".in", ".out"} {
		if fi, err := os.Stat(path + suffix); err != nil || fi.Mode() != os.ModeNamedPipe|0o640 {
			t.Errorf("%s: %v, %v", suffix, fi.Mode(), err)
		}
	}
	send(t, ch, "before anybody read; ")
	for range 2 { // as echo does, each of whom closes it
		add(t, path+".in", "typed\n")
		want(t, ch, "typed\n")
	}
	reader := exec.Command("head", "-c", "30", path+".out")
	send(t, ch, "and after")
	if out, err := reader.Output(); err != nil || string(out) != "before anybody read; and after" {
		t.Errorf("head: %q, %v", out, err)
	}
	ch.Close()
	ch = acceptOn(t, l)
	add(t, path+".in", "again")
	want(t, ch, "again")
	l.Close()
	if left, _ := os.ReadDir(path[:len(path)-2]); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := l.Accept(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

// What somebody else has made stays, and what is no FIFO is left alone.
func TestPipeFound(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	mkfifo(t, dir+"/p.in")
	mkfifo(t, dir+"/p.out")
	l, _ := listenFirst(t, "pipe:"+dir+"/p")
	l.Close()
	for _, suffix := range []string{".in", ".out"} {
		if _, err := os.Stat(dir + "/p" + suffix); err != nil {
			t.Error(err)
		}
	}
	add(t, dir+"/f.in", "precious")
	for _, open := range []func() error{
		func() error { _, err := Dial(t.Context(), MustParseAddress("pipe:"+dir+"/f")); return err },
		func() error { _, err := Listen(t.Context(), MustParseAddress("pipe:"+dir+"/f")); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), "no FIFO") {
			t.Errorf("a file: %v", err)
		}
	}
	wantFile(t, dir+"/f.in", "precious")
}

// A peer that is not there is an error at once; one that goes is an end.
func TestPipeDials(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/p"
	a := MustParseAddress("pipe:" + path)
	if _, err := Dial(t.Context(), a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no FIFO: %v", err)
	}
	mkfifo(t, path+".in")
	mkfifo(t, path+".out")
	if _, err := Dial(t.Context(), a); !errors.Is(err, unix.ENXIO) {
		t.Errorf("nobody reads: %v", err)
	}
	in, err := os.OpenFile(path+".in", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ch, err := Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	ch.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := ch.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("before there is a writer: %d, %v", n, err)
	}
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	send(t, ch, "typed")
	want(t, in, "typed")
	add(t, path+".out", "printed")
	want(t, ch, "printed")
	wantEOF(t, ch)
	add(t, path+".out", "too late")
	wantEOF(t, ch)
	in.Close()
	if _, err := ch.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to nobody: %v", err)
	}
}

// One FIFO has one direction: who dials reads it, and it has no end; who listens writes it.
func TestPipeSingle(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/fifo"
	mkfifo(t, path)
	a := MustParseAddress("pipe:" + path)
	ch, err := Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	for range 2 {
		add(t, path, "said\n")
		want(t, ch, "said\n")
	}
	send(t, ch, "for nobody")
	l, writer := listenFirst(t, a.String())
	send(t, writer, "written")
	want(t, ch, "written")
	read := make(chan error, 1)
	go func() { _, err := writer.Read(make([]byte, 1)); read <- err }()
	if err := errors.Join(writer.Close(), l.Close(), ch.Close()); err != nil {
		t.Error(err)
	}
	if err := <-read; err != net.ErrClosed {
		t.Errorf("read of a closed one: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A FIFO that nobody reads takes what it holds, and then no write waits for it that does
// not want to.
func TestPipeUnread(t *testing.T) {
	noLeaks(t)
	_, ch := listenFirst(t, "pipe:"+t.TempDir()+"/p")
	try := mustAs[TryWriter](t, ch)
	chunk := make([]byte, 4096)
	took := int64(0)
	for {
		n, err := try.TryWritev([][]byte{chunk})
		if err != nil {
			t.Fatal(err)
		}
		if took += n; n < int64(len(chunk)) {
			break
		}
	}
	if took == 0 || took > 1<<20 {
		t.Errorf("it took %d bytes", took)
	}
}

// The FIFOs of a pipe are what its watch tells of.
func TestPipeWatch(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/p"
	w, err := MustParseAddress("pipe:" + path).Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	mkfifo(t, path+".in")
	<-w.C
}
