package chardev

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Starting and shaking hands with many leaves garbage and stacks, which the
// collector would keep for what comes next. When there were lullAfter comings and
// goings, and then none for lullTime, they are given back to the system.
const (
	lullAfter = 64
	lullTime  = 400 * time.Millisecond
)

// A lull waits for that moment.
type lull struct {
	mu      sync.Mutex
	stirs   int // since memory was given back
	timer   *time.Timer
	stopped bool
	giving  sync.WaitGroup
}

// stir notes a coming or going.
func (l *lull) stir() { l.add(1) }

// heave notes what leaves as much garbage as lullAfter comings and goings.
func (l *lull) heave() { l.add(lullAfter) }

func (l *lull) add(stirs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stirs += stirs
	if l.stirs < lullAfter || l.stopped {
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(lullTime, l.give)
	} else {
		l.timer.Reset(lullTime)
	}
}

// give gives memory back.
func (l *lull) give() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.stirs = 0
	l.giving.Add(1)
	l.mu.Unlock()
	defer l.giving.Done()
	runtime.GC() // what lies in pools is garbage to the second one only
	debug.FreeOSMemory()
}

// stop waits until nothing more is given back.
func (l *lull) stop() {
	l.mu.Lock()
	l.stopped = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.giving.Wait()
}
