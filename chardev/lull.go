package chardev

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Starting and shaking hands with many leaves garbage and stacks, which the
// collector would keep for what comes next. When there were lullAfter comings and
// goings, and then none for lullTime, they are given back to the system. That takes the
// cores for some ms, which who boots meanwhile feels (measured for 200 guests: a third of the
// lines that are late), so while the process works it is put off, lullPutOffs times at most:
// some 10 s. Who comes meanwhile does not begin them anew: there may be always some who do.
const (
	lullAfter   = 64
	lullTime    = 400 * time.Millisecond
	lullWork    = lullTime / 20 // CPU time
	lullPutOffs = 25
)

// A lull waits for that moment.
type lull struct {
	mu      sync.Mutex
	stirs   int           // since memory was given back
	worked  time.Duration // CPU time when the wait began
	putOffs int           // since memory was given back
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
	l.await()
}

// await has give called in a while. Called with mu held.
func (l *lull) await() {
	l.worked = cpuTime()
	if l.timer == nil {
		l.timer = time.AfterFunc(lullTime, l.give)
	} else {
		l.timer.Reset(lullTime)
	}
}

// cpuTime is how long the process has worked.
func cpuTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) // there is always one
	return time.Duration(t.Nano())
}

// give gives memory back.
func (l *lull) give() {
	l.mu.Lock()
	if l.stopped || l.stirs < lullAfter { // given back already: the timer was set again as it ran out
		l.mu.Unlock()
		return
	}
	if l.putOffs < lullPutOffs && cpuTime()-l.worked > lullWork {
		l.putOffs++
		l.await()
		l.mu.Unlock()
		return
	}
	l.stirs, l.putOffs = 0, 0
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
