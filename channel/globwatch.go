package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A GlobMatch is a path that a glob matches.
type GlobMatch struct {
	Glob int // which one
	Path string
	Type fs.FileMode // of what it leads to; 0 is a regular file
}

// LookGlobs returns what is there now of what globs match, in the order of the globs and
// of the names. A symbolic link is what it leads to; one that leads to nothing is not there. An
// error is of folders that may not be read, and the rest is returned all the same.
func LookGlobs(globs []*Glob) ([]GlobMatch, error) {
	var l globLook
	l.all(globs)
	return l.matches, errors.Join(l.failed...)
}

// A GlobWatch tells when what globs match may be another, without polling. It watches the
// folders in which wildcards are looked up, and where the lookup of what is written ends, as
// WatchPath does; so neither the folders nor those above them need be there. It belongs to one
// goroutine.
type GlobWatch struct {
	// C has a value when Look may find something else than the last time. It may be told
	// for nothing; several changes are one value. It is never closed.
	C <-chan struct{}

	globs   []*Glob
	c       chan struct{} // C, capacity 1
	watches map[globStep]*inodeWatch
}

// A globStep is what is watched: a name in a folder, "" is all of them. Another folder of
// the same path is another one.
type globStep struct {
	step
	dev, ino uint64
}

// WatchGlobs makes a watch, which begins with the first Look.
func WatchGlobs(globs ...*Glob) *GlobWatch {
	c := make(chan struct{}, 1)
	return &GlobWatch{C: c, c: c, globs: globs, watches: map[globStep]*inodeWatch{}}
}

// globMask are the events of a name that matter: it comes, goes or may be looked at now.
const globMask = appearMask | unix.IN_DELETE | unix.IN_MOVED_FROM

// globRounds is how often Look looks again at once because something came meanwhile.
const globRounds = 5

// Look is LookGlobs; what is another from then on is told by C. An error may also be of
// folders that cannot be watched; then C does not tell all.
func (w *GlobWatch) Look() ([]GlobMatch, error) {
	for round := 1; ; round++ {
		var l globLook
		l.all(w.globs)
		again, err := w.arm(l.steps)
		switch {
		case !again || err != nil:
		case round < globRounds:
			continue
		default: // folders come and go all the time: let others run
			select {
			case w.c <- struct{}{}:
			default:
			}
		}
		return l.matches, errors.Join(append(l.failed, err)...)
	}
}

// Close ends the watch.
func (w *GlobWatch) Close() {
	for _, i := range w.watches {
		i.Close()
	}
	clear(w.watches)
}

// arm watches these steps and no others. again says that one was not watched yet, so that
// something may have come there before.
func (w *GlobWatch) arm(steps []step) (again bool, err error) {
	old := w.watches
	w.watches = make(map[globStep]*inodeWatch, len(steps))
	defer func() { // behind the new ones, so that the shared instance stays
		for _, i := range old {
			i.Close()
		}
	}()
	lost := lostOf(old)
	for _, s := range steps {
		var st unix.Stat_t
		if unix.Stat(s.dir, &st) != nil {
			again = true // it has just gone
			continue
		}
		key := globStep{s, uint64(st.Dev), st.Ino}
		if i := old[key]; i != nil && !lost[i] {
			w.watches[key] = i
			delete(old, key)
			continue
		}
		i, failed := watchInode(s.dir, globMask|unix.IN_ONLYDIR, s.name, w.c)
		if errors.Is(failed, unix.ENOENT) || errors.Is(failed, unix.ENOTDIR) {
			again = true
			continue
		}
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		w.watches[key], again = i, true
	}
	return again, err
}

// lostOf are those of the watches that may never tell anything again.
func lostOf(watches map[globStep]*inodeWatch) map[*inodeWatch]bool {
	lost := map[*inodeWatch]bool{}
	inotifier.mu.Lock()
	defer inotifier.mu.Unlock()
	for _, i := range watches {
		if i.lost {
			lost[i] = true
		}
	}
	return lost
}

// A globLook is one look at what globs match.
type globLook struct {
	glob    int
	matches []GlobMatch
	steps   []step // on which that hangs
	known   map[step]bool
	failed  []error
}

func (l *globLook) all(globs []*Glob) {
	l.known = map[step]bool{}
	for i, g := range globs {
		l.glob = i
		l.below("/", "", g.elems)
	}
}

// hangs notes steps of a lookup.
func (l *globLook) hangs(steps ...step) {
	for _, s := range steps {
		if !l.known[s] && !l.known[step{s.dir, ""}] {
			l.known[s] = true
			l.steps = append(l.steps, s)
		}
	}
}

// below looks for elems below a path, of which dir was looked up already.
func (l *globLook) below(dir, path string, elems []globElem) {
	for len(elems) > 0 && elems[0].re == nil {
		path = filepath.Join(path, elems[0].name)
		elems = elems[1:]
	}
	l.hangs(lookupIn(dir, path)...)
	dir = filepath.Join(dir, path)
	if len(elems) == 0 {
		l.found(dir, fs.ModeIrregular)
		return
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return
	}
	if err != nil {
		l.failed = append(l.failed, fmt.Errorf("cannot look for what matches: %w: may this user read the folder?", err))
	}
	l.hangs(step{dir, ""})
	for _, e := range entries {
		switch link := e.Type()&fs.ModeSymlink != 0; {
		case !elems[0].matches(e.Name()):
		case len(elems) > 1 && (link || e.IsDir()):
			l.below(dir, e.Name(), elems[1:])
		case len(elems) > 1:
		case link:
			l.hangs(lookupIn(dir, e.Name())...)
			l.found(filepath.Join(dir, e.Name()), fs.ModeIrregular)
		default:
			l.found(filepath.Join(dir, e.Name()), e.Type())
		}
	}
}

// found notes a path, if something is there. Its type is still to find out if it is said
// to be irregular.
func (l *globLook) found(path string, kind fs.FileMode) {
	if kind&fs.ModeIrregular != 0 {
		info, err := os.Stat(path)
		if err != nil {
			return
		}
		kind = info.Mode().Type()
	}
	l.matches = append(l.matches, GlobMatch{l.glob, path, kind})
}
