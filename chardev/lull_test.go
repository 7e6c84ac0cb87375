package chardev

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func forcedCollections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

// Memory is given back after many comings and goings, and not for a few.
func TestMemoryIsGivenBackInALull(t *testing.T) {
	var l lull
	before := forcedCollections()
	for range lullAfter - 1 {
		l.stir()
	}
	if l.timer != nil {
		t.Fatalf("%d comings begin it", lullAfter-1)
	}
	l.stir()
	l.awaitGiven(t, before)
	l.stop()
	if l.stirs != 0 {
		t.Errorf("%d comings count still", l.stirs)
	}
	for range lullAfter {
		l.stir()
	}
	if l.timer.Stop() {
		t.Error("it goes on when it was stopped")
	}
}

// While the process works memory is not given back, but for ever it is not put off.
func TestNoMemoryIsGivenBackWhileThereIsWork(t *testing.T) {
	var l lull
	defer l.stop()
	var idle atomic.Bool
	var works sync.WaitGroup
	defer works.Wait()
	defer idle.Store(true)
	works.Go(func() {
		for !idle.Load() {
		}
	})
	putOff := func(n int) func() bool {
		return func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.putOffs >= n
		}
	}
	before := forcedCollections()
	l.heave()
	await(t, "it to be put off", putOff(2))
	l.stir()
	if !putOff(2)() {
		t.Error("who comes begins the putting off anew")
	}
	if forcedCollections() != before {
		t.Error("memory was given back while there was work")
	}
	l.awaitGiven(t, before)
}

// awaitGiven waits until memory is given back once more, whatever work there is: to look
// for it is some.
func (l *lull) awaitGiven(t *testing.T, before uint32) {
	t.Helper()
	l.mu.Lock()
	l.putOffs = lullPutOffs
	l.mu.Unlock()
	await(t, "memory to be given back", func() bool { return forcedCollections() > before })
}
