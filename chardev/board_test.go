package chardev

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Whatever changes while watchers come, look and go, each of them looks at every
// console after its last change.
func TestNoChangeIsMissed(t *testing.T) {
	const consoles, changes = 8, 20000
	var b board
	var values [consoles]atomic.Int64
	var signs [consoles]*sign
	at := map[*sign]int{}
	for i := range signs {
		signs[i] = b.add(nil)
		at[signs[i]] = i
	}
	var changing, watching sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		changing.Go(func() {
			for range changes {
				at := rand.IntN(consoles)
				values[at].Add(1)
				signs[at].raise(change(1 + rand.IntN(2)))
			}
		})
	}
	for range 3 {
		watching.Go(func() {
			now := time.Now() // runs ahead, so that a round costs no time
			for last := false; !last; {
				w := b.watch(printed)
				var seen [consoles]int64
				for more := true; more; more = !last && rand.IntN(1000) > 0 {
					select {
					case <-over:
						last = true
					default:
					}
					now = now.Add(2 * pause[printed])
					list, _ := w.take(nil, now)
					for _, d := range list {
						i := at[d.sign]
						seen[i] = values[i].Load()
					}
				}
				for at := range seen {
					if have := values[at].Load(); last && seen[at] != have {
						t.Errorf("of console %d it saw change %d, and not %d", at, seen[at], have)
					}
				}
				w.leave()
			}
		})
	}
	changing.Wait()
	close(over)
	watching.Wait()
	if n := b.watched.Load(); n != 0 || len(b.watchers) != 0 {
		t.Errorf("%d watchers are left, %v", n, b.watchers)
	}
	signs[0].raise(happened)
	var none *sign
	none.raise(happened)
}

// A watcher is told of what is printed once a second, and of what happens sooner.
func TestWatcherIsPaced(t *testing.T) {
	var b board
	one, two := b.add(nil), b.add(nil)
	w := b.watch(printed)
	defer w.leave()
	now := time.Now()
	takes := func(after time.Duration, wait time.Duration, want ...*sign) {
		t.Helper()
		now = now.Add(after)
		list, next := w.take(nil, now)
		if len(list) != len(want) || next != wait {
			t.Fatalf("due are %v, and others in %v; want %v, %v", list, next, want, wait)
		}
		for i, d := range list {
			if d.sign != want[i] || d.gone {
				t.Fatalf("due are %v, want %v", list, want)
			}
		}
	}
	takes(0, 0, one, two)
	takes(0, 0)
	<-w.wake
	one.raise(printed)
	<-w.wake
	one.raise(printed)
	if len(w.wake) > 0 {
		t.Error("it is woken for what is marked already")
	}
	takes(10*time.Millisecond, pause[printed]-10*time.Millisecond)
	two.raise(happened)
	<-w.wake
	takes(10*time.Millisecond, pause[happened]-20*time.Millisecond)
	takes(pause[happened], pause[printed]-pause[happened]-20*time.Millisecond, two)
	one.raise(happened) // more than printed
	<-w.wake
	takes(0, 0, one)
	b.raiseAll()
	takes(pause[happened], 0, one, two)
}

// Of a console that is removed a watcher is told at once, and before a new one in its
// place; after that nothing is kept of it.
func TestAConsoleIsRemoved(t *testing.T) {
	var b board
	old := b.add(nil)
	w := b.watch(printed)
	defer w.leave()
	now := time.Now()
	w.take(nil, now)
	<-w.wake
	old.remove()
	<-w.wake
	old.raise(happened)
	next := b.add(nil)
	list, wait := w.take(nil, now)
	if len(list) != 2 || list[0] != (due{old, true}) || list[1] != (due{next, false}) || wait != 0 {
		t.Errorf("%v, %v", list, wait)
	}
	old.raise(happened)
	if list, _ := w.take(nil, now.Add(time.Minute)); len(list) > 0 || len(w.marks) > 0 || len(w.told) != 1 || len(b.signs) != 1 {
		t.Errorf("%v, %v, %v, %v", list, w.marks, w.told, b.signs)
	}
	var none *sign
	none.remove()
}
