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
	watched atomic.Int32 // how many watch; changed under mu

	mu       sync.Mutex         // held for moments
	signs    map[*sign]struct{} // of all consoles
	number   int                // of the last one
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
	con    *console
	number int          // greater than those that were there before
	raised atomic.Int32 // a change that all watchers have marked, or a greater one

	gone bool // the console was removed; guarded by board.mu
}

// add makes the sign of one more console, which whoever watches is told of.
func (b *board) add(con *console) *sign {
	b.mu.Lock()
	if b.signs == nil {
		b.signs = map[*sign]struct{}{}
	}
	b.number++
	s := &sign{board: b, con: con, number: b.number}
	b.signs[s] = struct{}{}
	b.mu.Unlock()
	s.raise(happened)
	return s
}

// remove takes the sign off, which is the last that whoever watches is told of it.
func (s *sign) remove() {
	if s == nil {
		return
	}
	b := s.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s.gone = true
	delete(b.signs, s)
	for _, w := range b.watchers {
		w.mark(s, happened)
	}
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
	if s.gone {
		return
	}
	for _, w := range s.board.watchers {
		w.mark(s, what)
	}
}

// raiseAll marks all consoles.
func (b *board) raiseAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.watchers {
		w.markAll()
	}
}

// A watcher is somebody who is told of changes, one goroutine.
type watcher struct {
	board *board
	least change        // what is less is not marked
	wake  chan struct{} // has a value when there is a greater mark somewhere; capacity 1

	marks map[*sign]change // guarded by board.mu

	// owned by who watches
	told map[*sign]time.Time // when it was told of a console
}

// watch returns a new watcher of such changes and greater ones, for whom all consoles
// have changed. leave must be called at its end.
func (b *board) watch(least change) *watcher {
	w := &watcher{board: b, least: least, wake: make(chan struct{}, 1), marks: map[*sign]change{}, told: map[*sign]time.Time{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	w.markAll()
	b.watchers = append(b.watchers, w)
	b.watched.Add(1)
	return w
}

// clear takes all marks away: whoever looks at the consoles after that sees what was
// marked.
func (w *watcher) clear() {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	for s := range w.marks {
		s.raised.Store(int32(unchanged)) // before the mark is gone: see raise
	}
	clear(w.marks)
}

func (w *watcher) leave() {
	b := w.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers = slices.DeleteFunc(b.watchers, func(one *watcher) bool { return one == w })
	b.watched.Add(-1)
}

// markAll marks all consoles. Called with board.mu held.
func (w *watcher) markAll() {
	for s := range w.board.signs {
		w.mark(s, happened)
	}
}

// mark notes a change. Called with board.mu held.
func (w *watcher) mark(s *sign, what change) {
	if w.marks[s] >= what || what < w.least {
		return
	}
	w.marks[s] = what
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// A due is a console that a watcher is to be told of. gone: that it is no more.
type due struct {
	*sign
	gone bool
}

// take appends to list the consoles of which the watcher is to be told now, in the order
// of their coming, and takes their marks away: whoever looks at them after that sees what
// was marked. Of one that is gone it is told at once, so before another one of that name.
// wait is how long it is until it is to be told of others that are marked already, 0 if
// there are none.
func (w *watcher) take(list []due, now time.Time) (_ []due, wait time.Duration) {
	w.board.mu.Lock()
	for s, what := range w.marks {
		if left := pause[what] - now.Sub(w.told[s]); left > 0 && !s.gone {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		s.raised.Store(int32(unchanged)) // before the mark is gone: see raise
		delete(w.marks, s)
		if w.told[s] = now; s.gone {
			delete(w.told, s)
		}
		list = append(list, due{s, s.gone})
	}
	w.board.mu.Unlock() // devices wait for it
	slices.SortFunc(list, func(a, b due) int { return a.number - b.number })
	return list, wait
}
