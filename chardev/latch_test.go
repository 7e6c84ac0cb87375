package chardev

import (
	"sync"
	"sync/atomic"
	"testing"
)

// A latch is over for whoever asked before, asks later, or asks just now.
func TestALatchIsOverOnceAndForAll(t *testing.T) {
	var l latch
	before := l.done()
	select {
	case <-before:
		t.Fatal("it is over from the beginning")
	default:
	}
	if l.isOver() || !l.end() || l.end() || !l.isOver() {
		t.Error("it is not over by the first end, and only that")
	}
	<-before
	<-l.done()

	for range 200 {
		var l latch
		var firsts atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { <-l.done() })
			all.Go(func() {
				if l.end() {
					firsts.Add(1)
				}
			})
		}
		all.Wait()
		if n := firsts.Load(); n != 1 || !l.isOver() {
			t.Fatalf("%d were the first to end it", n)
		}
	}
}

// A bell that was rung is heard once: by who waits, and by who waits later.
func TestABellIsHeardOnce(t *testing.T) {
	heard := func(b *bell) bool {
		select {
		case <-b.rung():
			return true
		default:
			return false
		}
	}
	for _, used := range []bool{false, true} {
		var b bell
		if used && heard(&b) {
			t.Error("it is heard before it is rung")
		}
		b.ring()
		b.ring()
		if !heard(&b) || heard(&b) {
			t.Errorf("rung twice, it is not heard once (waited for before: %v)", used)
		}
		b.hush()
		b.ring()
		b.hush()
		if heard(&b) {
			t.Errorf("it is heard after it was hushed (waited for before: %v)", used)
		}
	}
	var fresh bell
	fresh.ring()
	fresh.hush()
	if heard(&fresh) {
		t.Error("one that nobody has waited for is heard after it was hushed")
	}

	for range 200 {
		var b bell
		var all sync.WaitGroup
		all.Go(b.ring)
		all.Go(b.ring)
		all.Go(func() { <-b.rung() })
		all.Wait()
	}
}
