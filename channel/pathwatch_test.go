package channel

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func watchPath(t *testing.T, path string) *PathWatch {
	t.Helper()
	w, err := WatchPath(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// told waits until try says true, looking only when the watch says so.
func told(t *testing.T, w *PathWatch, what string, try func() bool) {
	t.Helper()
	dog := time.After(watchdog)
	for !try() {
		select {
		case <-w.C:
		case <-dog:
			t.Fatalf("not told: %s", what)
		}
	}
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// quiet says that nothing was told, after an event that must have been read.
func quiet(t *testing.T, w *PathWatch, dir string) {
	t.Helper()
	// The instance reads events in order, so a later one that is told to
	// another watch shows that the earlier ones were seen.
	mark := filepath.Join(dir, "mark")
	m := watchPath(t, mark)
	must(t, os.Mkdir(mark, 0o700))
	told(t, m, "mark", exists(mark))
	select {
	case <-m.C:
	case <-time.After(watchdog):
		t.Fatal("not told of the mark")
	}
	must(t, os.Remove(mark))
	m.Close()
	select {
	case <-w.C:
		t.Fatal("told of what is another's")
	default:
	}
}

func TestWatchPath(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "sock")
	w := watchPath(t, path)
	must(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600))
	quiet(t, w, dir)
	go func() {
		os.Mkdir(dir+"/a", 0o700)
		os.Mkdir(dir+"/a/b", 0o700)
		os.WriteFile(path, nil, 0o600)
	}()
	told(t, w, "a path that appears folder by folder", exists(path))

	// All at once, and gone and there again.
	must(t, os.RemoveAll(dir+"/a"), os.MkdirAll(dir+"/new/b", 0o700), os.WriteFile(dir+"/new/b/sock", nil, 0o600))
	told(t, w, "a path that vanishes", func() bool { return !exists(path)() })
	go os.Rename(dir+"/new", dir+"/a")
	told(t, w, "a folder that is moved into place", exists(path))

	mode := func() bool { fi, err := os.Stat(path); return err == nil && fi.Mode().Perm() == 0o640 }
	go os.Chmod(path, 0o640)
	told(t, w, "other rights", mode)
}

// Links count where they stand and where they lead to.
func TestWatchPathLinks(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/run", 0o700), os.Symlink("run", dir+"/link"), os.Symlink("../node", dir+"/run/tty"))
	path := dir + "/link/tty"
	w := watchPath(t, path)
	go os.WriteFile(dir+"/node", nil, 0o600)
	told(t, w, "the target of a link", exists(path))

	must(t, os.Remove(dir+"/node"))
	must(t, os.WriteFile(dir+"/node2", nil, 0o600), os.Symlink("../node2", dir+"/run/new"))
	go os.Rename(dir+"/run/new", dir+"/run/tty")
	told(t, w, "a link that is replaced", exists(path))

	must(t, os.Mkdir(dir+"/run2", 0o700), os.WriteFile(dir+"/run2/tty", nil, 0o600), os.RemoveAll(dir+"/run"))
	told(t, w, "a path that vanishes", func() bool { return !exists(path)() })
	must(t, os.Symlink("run2", dir+"/link2"))
	go os.Rename(dir+"/link2", dir+"/link")
	told(t, w, "a folder's link that is replaced", exists(path))

	must(t, os.Symlink("loop", dir+"/loop"))
	watchPath(t, dir+"/loop/x").Close()
}

// Two watches on one folder are told each of its own, and one that goes leaves
// the other; a loss of events is told to all.
func TestInotifyShared(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	a, b := make(chan struct{}, 1), make(chan struct{}, 1)
	wa, err := watchInode(dir, unix.IN_CREATE, "a", a)
	must(t, err)
	wb, err := watchInode(dir, unix.IN_DELETE, "b", b)
	must(t, err)
	if wa.in != wb.in || wa.wd != wb.wd {
		t.Error("two instances or two watches")
	}
	must(t, os.WriteFile(dir+"/a", nil, 0o600))
	<-a
	must(t, os.WriteFile(dir+"/b", nil, 0o600))
	wa.Close()
	wa.Close()
	must(t, os.Remove(dir+"/a"), os.WriteFile(dir+"/a", nil, 0o600), os.Remove(dir+"/b"))
	<-b
	if len(a) != 0 {
		t.Error("a closed watch, or one for another name, was told")
	}
	wb.in.dispatch([]byte{ // struct inotify_event
		0xff, 0xff, 0xff, 0xff, // wd -1
		0, 0x40, 0, 0, // IN_Q_OVERFLOW
		0, 0, 0, 0, 0, 0, 0, 0,
	})
	<-b
	must(t, os.RemoveAll(dir)) // IN_DELETE_SELF, IN_IGNORED
	<-b
	wb.Close()
	if inotifier.running != nil {
		t.Error("the instance outlives its watches")
	}
}

// Many come and go at once, and the instance with them.
func TestInotifyStorm(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				w, err := WatchPath(dir + "/x/y")
				if err != nil {
					t.Error(err)
					return
				}
				w.Close()
			}
		}()
	}
	for range 20 {
		os.MkdirAll(dir+"/x/y", 0o700)
		os.RemoveAll(dir + "/x")
	}
	for range 8 {
		<-done
	}
}
