package chardev

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A board tells those who watch all consoles which of them have changed. It keeps no
// changes, only that there were some: a watcher who looks seldom finds no more than
// one mark a console, and looks at how the console is then. While nobody watches,
// nothing is marked.
type board struct {
	signs   []*sign      // of all consoles, in order; fixed before anybody watches
	watched atomic.Int32 // how many watch; changed under mu

	mu       sync.Mutex // held for moments
	watchers []*watcher
}

// A change is what is new about a console.
type change int32

const (
	unchanged change = iota
	printed          // the device has printed
	happened         // anything else
)

// pause is how far apart a watcher is told of a console at least: what it prints is
// no news for long, and of what happens there may be very much.
var pause = [...]time.Duration{printed: time.Second, happened: watchPause}

// watchPause is how far apart a watcher is told of anything.
const watchPause = 100 * time.Millisecond

// A sign is a console's place on the board. nil: it has none.
type sign struct {
	board  *board
	at     int
	raised atomic.Int32 // a change that all watchers have marked, or a greater one
}

// add makes the sign of one more console.
func (b *board) add() *sign {
	s := &sign{board: b, at: len(b.signs)}
	b.signs = append(b.signs, s)
	return s
}

// raise tells that the console has changed. It never waits for a watcher, and costs
// next to nothing if that is marked already.
func (s *sign) raise(what change) {
	if s == nil || s.board.watched.Load() == 0 {
		return
	}
	for {
		raised := s.raised.Load()
		if raised >= int32(what) {
			return
		}
		if s.raised.CompareAndSwap(raised, int32(what)) {
			break
		}
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	for _, w := range s.board.watchers {
		w.mark(s.at, what)
	}
}

// raiseAll marks all consoles.
func (b *board) raiseAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.watchers {
		for at := range w.marks {
			w.mark(at, happened)
		}
	}
}

// A watcher is somebody who is told of changes, one goroutine.
type watcher struct {
	board *board
	wake  chan struct{} // has a value when there is a greater mark somewhere; capacity 1

	marks []change // guarded by board.mu

	// owned by who watches
	told []time.Time // when it was told of a console
}

// watch returns a new watcher, for whom all consoles have changed. leave must be
// called at its end.
func (b *board) watch() *watcher {
	w := &watcher{board: b, wake: make(chan struct{}, 1), marks: make([]change, len(b.signs)), told: make([]time.Time, len(b.signs))}
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := range w.marks {
		w.mark(at, happened)
	}
	b.watchers = append(b.watchers, w)
	b.watched.Add(1)
	return w
}

func (w *watcher) leave() {
	b := w.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers = slices.DeleteFunc(b.watchers, func(one *watcher) bool { return one == w })
	b.watched.Add(-1)
}

// mark notes a change. Called with board.mu held.
func (w *watcher) mark(at int, what change) {
	if w.marks[at] >= what {
		return
	}
	w.marks[at] = what
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take appends to due the consoles of which the watcher is to be told now, and takes
// their marks away: whoever looks at them after that sees what was marked. wait is
// how long it is until it is to be told of others that are marked already, 0 if
// there are none.
func (w *watcher) take(due []int, now time.Time) (_ []int, wait time.Duration) {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	for at, what := range w.marks {
		if what == unchanged {
			continue
		}
		if left := pause[what] - now.Sub(w.told[at]); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		w.board.signs[at].raised.Store(int32(unchanged)) // before the mark is gone: see raise
		w.marks[at], w.told[at] = unchanged, now
		due = append(due, at)
	}
	return due, wait
}
