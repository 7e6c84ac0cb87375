package chardev

import (
	"runtime"
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
	await(t, "memory to be given back", func() bool { return forcedCollections() > before })
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
