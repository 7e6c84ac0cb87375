package channel

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unixPair are two ends of a UNIX socket.
func unixPair(t *testing.T) (a, b Channel) {
	t.Helper()
	at := Address{Transport: "unix", Where: filepath.Join(t.TempDir(), "s")}
	l, err := Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = Dial(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = l.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	b.SetReadDeadline(time.Now().Add(20 * time.Second))
	return a, b
}

func passer(t *testing.T, ch Channel) FDPasser {
	t.Helper()
	p, ok := As[FDPasser](ch)
	if !ok {
		t.Fatalf("%T passes no files", ch)
	}
	return p
}

// pipes are n pipes' writing ends, and the reading ends; closed at the end.
func pipes(t *testing.T, n int) (r, w []*os.File) {
	t.Helper()
	for range n {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); out.Close() })
		r, w = append(r, in), append(w, out)
	}
	return r, w
}

// alone says that nobody has the other end of a pipe any more, whose own writer is closed.
func alone(t *testing.T, r, w *os.File) {
	t.Helper()
	w.Close()
	r.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("somebody still has what was passed: %d, %v", n, err)
	}
}

// A file that is passed can be used by who takes it, is nobody's else (close-on-exec),
// and comes with the byte it was sent with: not before, and once.
func TestFilesPassed(t *testing.T) {
	noLeaks(t)
	a, b := unixPair(t)
	from, to := passer(t, a), passer(t, b)
	if err := to.ReceiveFiles(MaxFiles); err != nil {
		t.Fatal(err)
	}
	send(t, a, "before ")
	r, w := pipes(t, MaxFiles)
	if n, err := from.SendFiles([]byte("with them"), w...); n != 9 || err != nil {
		t.Fatal(n, err)
	}
	var p [7]byte
	if _, err := io.ReadFull(b, p[:]); err != nil {
		t.Fatal(err)
	}
	if files, err := to.TakeFiles(); files != nil || err != nil {
		t.Fatalf("%d files, %v, with what was sent before them", len(files), err)
	}
	want(t, b, "with them")
	files, err := to.TakeFiles()
	if err != nil || len(files) != MaxFiles {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, f := range files {
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("file %d is not close-on-exec: %v", i, err)
		}
		w[i].Close()
		if _, err := f.Write([]byte{byte(i)}); err != nil {
			t.Error(err)
		}
		f.Close()
		if all, err := io.ReadAll(r[i]); err != nil || !bytes.Equal(all, []byte{byte(i)}) {
			t.Errorf("%x came through file %d, %v", all, i, err)
		}
	}
	if files, err := to.TakeFiles(); files != nil || err != nil {
		t.Errorf("once more: %d files, %v", len(files), err)
	}
}

// Too many are not sent, nor any of the bytes; and not those without a byte.
func TestFilesRefused(t *testing.T) {
	noLeaks(t)
	a, b := unixPair(t)
	from := passer(t, a)
	_, w := pipes(t, MaxFiles+1)
	if n, err := from.SendFiles([]byte("x"), w...); n != 0 || !errors.Is(err, ErrTooManyFiles) {
		t.Errorf("17 files: %d, %v", n, err)
	}
	if n, err := from.SendFiles(nil, w[0]); n != 0 || err == nil {
		t.Errorf("a file without a byte: %d, %v", n, err)
	}
	w[0].Close()
	if n, err := from.SendFiles([]byte("x"), w[0]); n != 0 || err == nil {
		t.Errorf("a closed file: %d, %v", n, err)
	}
	if err := from.ReceiveFiles(MaxFiles + 1); !errors.Is(err, ErrTooManyFiles) {
		t.Errorf("ReceiveFiles(17): %v", err)
	}
	send(t, a, "y")
	want(t, b, "y")
	if _, err := from.SendFiles([]byte("z")); err != nil { // as Write
		t.Error(err)
	}
	want(t, b, "z")
}

// More than the receiver has room for are all closed, and told; the bytes are there.
func TestFilesTruncated(t *testing.T) {
	noLeaks(t)
	for _, most := range []int{1, 3, 15} {
		a, b := unixPair(t)
		to := passer(t, b)
		if err := to.ReceiveFiles(most); err != nil {
			t.Fatal(err)
		}
		r, w := pipes(t, most+1)
		if _, err := passer(t, a).SendFiles([]byte("x"), w...); err != nil {
			t.Fatal(err)
		}
		want(t, b, "x")
		if files, err := to.TakeFiles(); len(files) != 0 || !errors.Is(err, ErrTooManyFiles) {
			t.Errorf("%d files and room for %d: %d taken, %v", most+1, most, len(files), err)
		}
		if files, err := to.TakeFiles(); len(files) != 0 || err != nil {
			t.Errorf("and once more: %d, %v", len(files), err)
		}
		for i := range r {
			alone(t, r[i], w[i])
		}
	}
}

// Files that nobody takes are closed: when others come, with the channel, and when it is
// parked.
func TestFilesUnclaimed(t *testing.T) {
	noLeaks(t)
	for name, end := range map[string]func(t *testing.T, from FDPasser, b Channel){
		"others come": func(t *testing.T, from FDPasser, b Channel) {
			_, w := pipes(t, 1)
			if _, err := from.SendFiles([]byte("y"), w[0]); err != nil {
				t.Fatal(err)
			}
			want(t, b, "y")
		},
		"closed": func(_ *testing.T, _ FDPasser, b Channel) { b.Close() },
		"parked": func(t *testing.T, _ FDPasser, b Channel) {
			p, err := Park(b)
			if err != nil {
				t.Fatal(err)
			}
			p.Drop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := unixPair(t)
			if err := passer(t, b).ReceiveFiles(2); err != nil {
				t.Fatal(err)
			}
			r, w := pipes(t, 2)
			if _, err := passer(t, a).SendFiles([]byte("x"), w...); err != nil {
				t.Fatal(err)
			}
			want(t, b, "x")
			end(t, passer(t, a), b)
			alone(t, r[0], w[0])
			alone(t, r[1], w[1])
		})
	}
}

// A channel that is not to receive files has none, whatever its peer sends.
func TestFilesUnwanted(t *testing.T) {
	noLeaks(t)
	a, b := unixPair(t)
	before := openFiles(t)
	for range 100 {
		r, w := pipes(t, 1)
		if _, err := passer(t, a).SendFiles([]byte("x"), w[0], w[0], w[0]); err != nil {
			t.Fatal(err)
		}
		want(t, b, "x")
		alone(t, r[0], w[0])
		r[0].Close()
	}
	if now := openFiles(t); now > before { // fewer, if what the listener waited with went in between
		t.Errorf("%d descriptors before, %d now", before, now)
	}
	if files, err := passer(t, b).TakeFiles(); files != nil || err != nil {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// A write that the socket does not take at once sends its files once, with the first
// of it. (io_channel_send_full of QEMU sends them with each part.)
func TestFilesOfAShortWrite(t *testing.T) {
	noLeaks(t)
	a, b := unixPair(t)
	to := passer(t, b)
	if err := to.ReceiveFiles(1); err != nil {
		t.Fatal(err)
	}
	_, w := pipes(t, 1)
	data := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
	var sending sync.WaitGroup
	sending.Go(func() {
		if n, err := passer(t, a).SendFiles(data, w[0]); n != len(data) || err != nil {
			t.Error(n, err)
		}
		a.Close()
	})
	got, came := 0, 0
	buf := make([]byte, 64<<10)
	for {
		n, err := b.Read(buf)
		if !bytes.Equal(buf[:n], data[got:got+n]) {
			t.Fatal("other bytes came")
		}
		files, lost := to.TakeFiles()
		if lost != nil {
			t.Error(lost)
		}
		if came += len(files); len(files) > 0 && got > 0 {
			t.Errorf("%d files behind %d bytes", len(files), got)
		}
		closeFiles(files)
		if got += n; err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	sending.Wait()
	if got != len(data) || came != 1 {
		t.Errorf("%d bytes and %d files came", got, came)
	}
}

// Of 10 000 files that were passed, taken or not, none is left.
func TestTenThousandFiles(t *testing.T) {
	noLeaks(t)
	a, b := unixPair(t)
	from, to := passer(t, a), passer(t, b)
	if err := to.ReceiveFiles(MaxFiles); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := openFiles(t)
	for i := range 10_000 {
		if _, err := from.SendFiles([]byte("x"), null); err != nil {
			t.Fatal(err)
		}
		want(t, b, "x")
		if i%3 == 0 {
			continue
		}
		files, err := to.TakeFiles()
		if len(files) != 1 || err != nil {
			t.Fatal(i, len(files), err)
		}
		files[0].Close()
	}
	files, err := to.TakeFiles()
	closeFiles(files)
	if err != nil {
		t.Error(err)
	}
	if now := openFiles(t); now > before {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}

// An outbox passes no files, as they would overtake what it keeps, and what is no UNIX
// socket has no way to.
func TestFilesElsewhere(t *testing.T) {
	noLeaks(t)
	a, _ := unixPair(t)
	o := NewOutbox(a)
	defer o.Close()
	if _, err := passer(t, o).SendFiles([]byte("x"), os.Stdin); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an outbox: %v", err)
	}
	p, q := Pipe(1)
	defer p.Close()
	defer q.Close()
	if _, ok := As[FDPasser](p); ok {
		t.Error("a pipe in memory passes files")
	}
}
