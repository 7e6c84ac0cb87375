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

// A round is the writing of one chunk to many clients by several goroutines.
type round struct {
	hub   *hub
	chunk [][]byte
	at    int64

	next atomic.Int64 // the first client whom nobody has begun with

	mu     sync.Mutex
	over   bool // nobody joins in any more
	joined sync.WaitGroup
}

// shareOut is write for all who keep up, with help. A helper who comes when all
// is begun has nothing to do, and nobody waits for him.
func (h *hub) shareOut(chunk [][]byte, at int64) {
	r := &round{hub: h, chunk: chunk, at: at}
	for range min(helpersMost, runtime.GOMAXPROCS(0)-1) {
		h.helpers.Go(r.help)
	}
	r.work()
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.joined.Wait()
}

func (r *round) help() {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return
	}
	r.joined.Add(1)
	r.mu.Unlock()
	defer r.joined.Done()
	r.work()
}

// work writes until somebody has begun with every client.
func (r *round) work() {
	all := r.hub.writing
	for {
		end := int(r.next.Add(atOnce))
		if end-atOnce >= len(all) {
			return
		}
		r.hub.write(all[end-atOnce:min(end, len(all))], r.chunk, r.at)
	}
}
