package channel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A PathWatch tells when paths may have appeared or changed, without polling:
// when to try again to open them.
type PathWatch struct {
	// C has a value when a path, or what it points to, may have appeared,
	// been replaced or got other rights since the last receive. It may be told
	// for nothing; several changes are one value. It is never closed.
	C <-chan struct{}

	paths []string      // absolute
	mask  uint32        // the events of their entries
	c     chan struct{} // C, capacity 1
	raw   chan struct{} // what the watches tell, capacity 1
	stop  func()
	wg    sync.WaitGroup
}

// appearMask are the events of a name that comes or may be opened now.
const appearMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB

// WatchPath watches for path, which need not exist, nor the folders above it.
// The watches stand when it returns, so that nothing is missed by watching
// first, then trying, then waiting for C to try again.
//
// It watches the folder where the lookup of path ends (the nearest one that
// exists, and it moves down as folders appear) and those that hold a symbolic
// link on the way. A folder further up that is renamed away is not noticed, nor
// is what happens on another host of a network file system, so wait for C with
// a timeout. It is an error when such a folder may not be read, or when the
// system has no more watches.
func WatchPath(path string) (*PathWatch, error) { return newPathWatch(appearMask, path) }

// WatchFiles is WatchPath for files whose content matters: C has a value, too, when
// one of them was written (and closed) or is gone. A file that is reached by way of a
// symbolic link to its folder (the ..data of a volume of Kubernetes) has changed when
// the link has.
func WatchFiles(paths ...string) (*PathWatch, error) {
	return newPathWatch(appearMask|unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVED_FROM, paths...)
}

func newPathWatch(mask uint32, paths ...string) (*PathWatch, error) {
	c, done := make(chan struct{}, 1), make(chan struct{})
	w := &PathWatch{C: c, mask: mask, c: c, raw: make(chan struct{}, 1)}
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		w.paths = append(w.paths, abs)
	}
	w.stop = sync.OnceFunc(func() { close(done) })
	watches, err := w.arm()
	if err != nil {
		return nil, err
	}
	w.wg.Go(func() { w.follow(watches, done) })
	return w, nil
}

// Close ends the watch. It may be called more than once.
func (w *PathWatch) Close() {
	w.stop()
	w.wg.Wait()
}

// follow passes signals on and arms anew at each: the lookup may go another way
// now. WatchPath starts it, Close ends it and waits.
func (w *PathWatch) follow(watches []*inodeWatch, done <-chan struct{}) {
	for {
		select {
		case <-done:
			closeAll(watches)
			return
		case <-w.raw:
		}
		// The new ones first, so that the shared instance stays. If there are
		// none to be had, the old ones are better than nothing.
		if next, err := w.arm(); err == nil {
			closeAll(watches)
			watches = next
		}
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}

func closeAll(ws []*inodeWatch) {
	for _, w := range ws {
		w.Close()
	}
}

// arm watches every step of the lookup that matters.
func (w *PathWatch) arm() ([]*inodeWatch, error) {
	var ws []*inodeWatch
	var armed []step
	for {
		// What appeared or vanished while the watches were set was not told:
		// look again until nothing has changed.
		var steps []step
		for _, path := range w.paths {
			for _, s := range lookup(path) {
				if !slices.Contains(steps, s) {
					steps = append(steps, s)
				}
			}
		}
		if slices.Equal(steps, armed) {
			return ws, nil
		}
		closeAll(ws)
		ws, armed = nil, nil
		for _, s := range steps {
			i, err := watchInode(s.dir, w.mask|unix.IN_ONLYDIR, s.name, w.raw)
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
				break
			}
			if err != nil {
				closeAll(ws)
				return nil, err
			}
			ws, armed = append(ws, i), append(armed, s)
		}
	}
}

// A step is one lookup of a name in a folder; dir has no symbolic links in it.
type step struct{ dir, name string }

// maxLinks is how many symbolic links the kernel follows (path_resolution(7)).
const maxLinks = 40

// lookup resolves an absolute path as path_resolution(7) does and returns the
// steps on which the result hangs: each that met a symbolic link, and the one
// that was the last, either because all names are used up or because the name
// was not there. There is at least one.
func lookup(path string) []step { return lookupIn("/", path) }

// lookupIn is lookup of a path in a folder, whose own path has no symbolic links in it or
// is looked up already.
func lookupIn(dir, path string) []step {
	var steps []step
	rest, links := path, 0
	for {
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		last := strings.Trim(rest, "/") == ""
		if name == ".." {
			dir = filepath.Dir(dir)
		}
		if name == "" || name == "." || name == ".." {
			if last {
				return append(steps, step{dir, ""})
			}
			continue
		}
		full := filepath.Join(dir, name)
		fi, err := os.Lstat(full)
		if err == nil && fi.Mode()&fs.ModeSymlink != 0 && links < maxLinks {
			if target, err := os.Readlink(full); err == nil {
				links++
				steps = append(steps, step{dir, name})
				rest = target + "/" + rest
				if filepath.IsAbs(target) {
					dir = "/"
				}
				continue
			}
		}
		if err != nil || last || !fi.IsDir() {
			return append(steps, step{dir, name})
		}
		dir = full
	}
}
