package chardev

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// callCost is that of a system call, in plain bytes.
	callCost = 32 << 10

	// longRound is the cost from which on a second core pays for being woken, some
	// 300 µs: 128 clients who get a line of text, 20 who get a chunk of 186 KiB, or 4
	// who get one under TLS (measured).
	longRound = 4 << 20

	// helpersMost is how many goroutines help the device's. The readers need cores,
	// too.
	helpersMost = 3

	// atOnce is how many clients somebody takes at a time.
	atOnce = 4
)

// A round is the writing of what was published to many clients by several goroutines.
type round struct {
	hub *hub
	at  int64

	next atomic.Int64 // the first client whom nobody has begun with

	mu     sync.Mutex
	over   bool // nobody joins in any more
	joined sync.WaitGroup
}

// shareOut is writeAll with help. A helper who comes, or comes back from ceding his core,
// when all is begun has nothing to do, and nobody waits for him.
func (h *hub) shareOut(at int64, ced *ceder) {
	r := &round{hub: h, at: at}
	for range min(helpersMost, runtime.GOMAXPROCS(0)-1) {
		h.helpers.Go(r.help)
	}
	for r.work(ced) {
		ced.cede()
	}
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.joined.Wait()
}

func (r *round) help() {
	for ced := newCeder(); r.join(); ced.cede() {
		more := r.work(ced)
		r.joined.Done()
		if !more {
			return
		}
	}
}

// join returns false if it is too late.
func (r *round) join() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.joined.Add(1)
	}
	return !r.over
}

// work writes until it is time to cede, and then returns true; or until somebody has begun
// with every client.
func (r *round) work(ced *ceder) bool {
	all := r.hub.writing
	for {
		end := int(r.next.Add(atOnce))
		if end-atOnce >= len(all) {
			return false
		}
		some := all[end-atOnce : min(end, len(all))]
		n := 0
		for _, c := range some {
			n += r.hub.write(c, r.at)
		}
		if ced.wrote(n) {
			return true
		}
	}
}
