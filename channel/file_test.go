package channel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openFile(t *testing.T, address string) Channel {
	t.Helper()
	ch, err := Dial(t.Context(), MustParseAddress(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Close() })
	ch.SetReadDeadline(time.Now().Add(20 * time.Second))
	return ch
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

// add appends to a file as a program does, which makes it if it is not there.
func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file is appended to, or begun anew, and what is made is for its owner.
func TestFileWrites(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/log"
	ch := openFile(t, "file:"+path)
	send(t, ch, "one ")
	if _, err := ch.Writev([][]byte{[]byte("two "), nil, []byte("three")}); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "one two three")
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("it is %v, %v", fi.Mode(), err)
	}
	if _, try := ch.(TryWriter); try {
		t.Error("it says that it never waits")
	}
	ch.Close()
	ch = openFile(t, "file:"+path+"?mode=append")
	send(t, ch, "!")
	wantFile(t, path, "one two three!")
	ch.Close()
	ch = openFile(t, "file:"+path+"?mode=truncate")
	wantFile(t, path, "")
	a := MustParseAddress("file:" + path + "?mode=truncate")
	send(t, ch, "anew")
	parked, err := Park(ch)
	if err != nil {
		t.Fatal(err)
	}
	if ch, err = new(Env).Adopt(a, parked); err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	send(t, ch, ", and on")
	wantFile(t, path, "anew, and on")
}

// What is no regular file is refused without waiting for it.
func TestFileKinds(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	fifo := dir + "/fifo"
	mkfifo(t, fifo)
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, path := range []string{fifo, dir + "/socket", dir, "/dev/null"} {
		for _, mode := range []string{"append", "follow"} {
			ch, err := Dial(t.Context(), MustParseAddress("file:"+path+"?mode="+mode))
			if err == nil {
				ch.Close()
				t.Errorf("%s of %s was opened", mode, path)
			}
		}
	}
	for _, wrong := range []string{"file:", "file:/x?mode=0600", "file:/x?begin=start", "file:/x?mode=follow&begin=2"} {
		if _, err := ParseAddress(wrong); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

// What comes to a file is read, from its end on, or from its start; one that is not
// there yet is waited for.
func TestFileFollow(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	path := dir + "/log"
	add(t, path, "old\n")
	live := openFile(t, "file:"+path+"?mode=follow")
	whole := openFile(t, "file:"+path+"?mode=follow&begin=start")
	later := openFile(t, "file:"+dir+"/sub/later?mode=follow")
	want(t, whole, "old\n")
	send(t, whole, "typed for nobody")
	add(t, path, "new\n")
	want(t, whole, "new\n")
	want(t, live, "new\n")
	if err := os.Mkdir(dir+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	add(t, dir+"/sub/later", "it came\n")
	want(t, later, "it came\n")
	wantFile(t, path, "old\nnew\n")
}

// A rotated file is read to its end, and the new one from its start: by renaming,
// where the program goes on with the old one for a while, and by truncation.
func TestFileRotates(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/log"
	add(t, path, "")
	ch := openFile(t, "file:"+path+"?mode=follow")
	add(t, path, "1")
	want(t, ch, "1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add(t, path+".1", "2")
	want(t, ch, "2")
	add(t, path, "") // as logrotate's create
	add(t, path+".1", "3")
	want(t, ch, "3")
	add(t, path, "4")
	want(t, ch, "4")
	add(t, path+".2", "5")
	if err := os.Rename(path+".2", path); err != nil {
		t.Fatal(err)
	}
	want(t, ch, "5")
	for _, text := range []string{"6", "7"} { // as logrotate's copytruncate
		add(t, path, "much more")
		want(t, ch, "much more")
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		add(t, path, text)
		want(t, ch, text)
	}
}

// All bytes of a file that is rotated again and again arrive, once and in order: those
// too that go to the old one after it was renamed.
func TestFileRotatesOften(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/log"
	add(t, path, "")
	ch := openFile(t, "file:"+path+"?mode=follow")
	for i := range 100 {
		part := func(kind string) string {
			return strings.Repeat(fmt.Sprintf("%s %d\n", kind, i), rand.IntN(3000))
		}
		before, late, first := part("before"), part("late"), part("first")+"."
		add(t, path, before)
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		add(t, path+".1", late)
		add(t, path, first)
		want(t, ch, before+late+first)
	}
}

// A follower that is parked goes on where it was, with what nobody has read.
func TestFileFollowParks(t *testing.T) {
	noLeaks(t)
	path := t.TempDir() + "/log"
	a := MustParseAddress("file:" + path + "?mode=follow")
	ch := openFile(t, a.String())
	park := func() {
		t.Helper()
		parked, err := Park(ch)
		if err != nil {
			t.Fatal(err)
		}
		if ch, err = new(Env).Adopt(a, parked); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ch.Close() })
	}
	park() // there is no file yet
	text := strings.Repeat("0123456789", followBuffer)
	add(t, path, text)
	want(t, ch, text[:10])
	park()
	want(t, ch, text[10:20])
	park()
	want(t, ch, text[20:])
	add(t, path, "new")
	want(t, ch, "new")
}

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
