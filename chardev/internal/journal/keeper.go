package journal

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Keeper does for all journals of a daemon what takes time, in one goroutine: it
// syncs, removes and compresses. It sleeps while there is nothing to do.
type Keeper struct {
	// fixed
	world *world
	log   *slog.Logger
	wake  chan struct{} // holds one: there is something to do
	quit  chan struct{}
	stop  sync.Once // closes quit
	done  chan struct{}

	maxTotal atomic.Int64 // bytes
	interval atomic.Int64 // ns
	total    atomic.Int64 // bytes on disk of all journals

	packer packer // of the goroutine

	mu       sync.Mutex
	released sync.Cond // some job ended
	journals set
	reserves set       // whose index is to be synced at once
	trims    set       // which may hold too much
	syncs    set       // to be synced now
	dirty    set       // to be synced when due
	packs    set       // which may have something to compress
	due      time.Time // zero: nothing is dirty
	aged     time.Time // when the next segment gets too old; zero: none does
}

type set map[*Journal]struct{}

func (s set) add(j *Journal) { s[j] = struct{}{} }

// take takes one out; nil if there is none.
func (s set) take() *Journal {
	for j := range s {
		delete(s, j)
		return j
	}
	return nil
}

// NewKeeper starts a keeper. maxTotal is how many bytes all journals together may
// take on disk: beyond it the oldest sealed segment of any goes; 0 is no limit. sync
// is how long what is written may stay unsynced; with 0 only what is sealed is
// synced (and reserves, always, at once).
func NewKeeper(maxTotal int64, sync time.Duration, log *slog.Logger) *Keeper {
	return newKeeper(realWorld(), maxTotal, sync, log)
}

func newKeeper(w *world, maxTotal int64, interval time.Duration, log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{
		world: w, log: log,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		journals: set{}, reserves: set{}, trims: set{}, syncs: set{}, dirty: set{}, packs: set{},
	}
	k.released.L = &k.mu
	k.maxTotal.Store(maxTotal)
	k.interval.Store(int64(interval))
	go k.run()
	return k
}

// SetLimits changes what NewKeeper was given. It holds from now on, for what is there
// already as well.
func (k *Keeper) SetLimits(maxTotal int64, sync time.Duration) {
	k.maxTotal.Store(maxTotal)
	k.interval.Store(int64(sync))
	k.mu.Lock()
	defer k.mu.Unlock()
	for j := range k.journals {
		k.trims.add(j)
		k.syncs.add(j) // what waits for another interval, or for none
	}
	k.poke()
}

// Limits are those that are in force.
func (k *Keeper) Limits() (maxTotal int64, sync time.Duration) {
	return k.maxTotal.Load(), time.Duration(k.interval.Load())
}

// closing is how long Close waits for a disk that does not answer.
const closing = 10 * time.Second

// Close ends the keeper, after all its journals were closed. A compression under
// way is given up, and done anew another time. An error is a disk that does not
// answer: its system call is left behind.
func (k *Keeper) Close() error {
	k.stop.Do(func() { close(k.quit) })
	select {
	case <-k.done:
		return nil
	case <-time.After(closing):
		return errors.New("journal: the disk does not answer: what was written last may be lost")
	}
}

func (k *Keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		j, job := k.pick(true)
		if job != nil {
			k.do(j, job)
			continue
		}
		k.packer.rest()
		var after <-chan time.Time
		if next := k.next(); !next.IsZero() {
			timer.Reset(next.Sub(k.world.now()))
			after = timer.C
		}
		select {
		case <-k.wake:
		case <-after:
		case <-k.quit:
			return
		}
	}
}

// stopping says whether Close was called.
func (k *Keeper) stopping() bool {
	select {
	case <-k.quit:
		return true
	default:
		return false
	}
}

// A job is something to do for a journal.
type job func(*Keeper, *Journal)

// pick returns what is to be done next; compressing, which takes long, is the last
// and only on request. The journal is held until do has ended.
func (k *Keeper) pick(pack bool) (*Journal, job) {
	if k.stopping() {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.world.now()
	if !k.due.IsZero() && !now.Before(k.due) {
		for j := range k.dirty {
			k.syncs.add(j)
		}
		clear(k.dirty)
		k.due = time.Time{}
	}
	if !k.aged.IsZero() && !now.Before(k.aged) {
		k.aged = time.Time{} // and trim finds the next
		for j := range k.journals {
			if j.Options().MaxAge > 0 {
				k.trims.add(j)
			}
		}
	}
	for _, todo := range [...]struct {
		set set
		job job
	}{{k.reserves, (*Keeper).syncReserve}, {k.trims, (*Keeper).trim}, {k.syncs, (*Keeper).syncAll}} {
		if j := todo.set.take(); j != nil {
			j.held++
			return j, todo.job
		}
	}
	if !pack {
		return nil, nil
	}
	if j := k.packs.take(); j != nil {
		j.held++
		return j, (*Keeper).pack
	}
	return nil, nil
}

// do does a job and lets go of its journal.
func (k *Keeper) do(j *Journal, job job) {
	job(k, j)
	k.mu.Lock()
	defer k.mu.Unlock()
	j.held--
	k.released.Broadcast()
}

// next returns when there is something to do by time; zero: never.
func (k *Keeper) next() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.due.IsZero() || !k.aged.IsZero() && k.aged.Before(k.due) {
		return k.aged
	}
	return k.due
}

// poke wakes the goroutine. mu is held.
func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// adopt begins to look after a journal.
func (k *Keeper) adopt(j *Journal) {
	k.total.Add(j.bytes.Load())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.journals.add(j)
	o := j.Options()
	if len(j.segments) > o.Keep || k.maxTotal.Load() > 0 || o.MaxTotal > 0 || o.MaxAge > 0 || o.Compress { // nobody else has it yet
		k.trims.add(j)
		k.poke()
	}
}

// sealed is told that a journal went on to a new segment.
func (k *Keeper) sealed(j *Journal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.interval.Load() == 0 {
		k.syncs.add(j)
	}
	k.trims.add(j)
	k.poke()
}

// syncLater is told that a journal has something to sync.
func (k *Keeper) syncLater(j *Journal) {
	if k.interval.Load() == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dirty.add(j)
	if k.due.IsZero() {
		k.due = k.world.now().Add(time.Duration(k.interval.Load()))
		k.poke()
	}
}

// syncSoon is told that a journal has a new reserve.
func (k *Keeper) syncSoon(j *Journal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reserves.add(j)
	k.poke()
}

// forget lets go of a journal; what was to be done for it is left. It waits for
// what is being done.
func (k *Keeper) forget(j *Journal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		for _, s := range []set{k.journals, k.reserves, k.trims, k.syncs, k.dirty, k.packs} {
			delete(s, j)
		}
		if j.held == 0 {
			break
		}
		k.released.Wait() // and what is done may have found more to do
	}
	k.total.Add(-j.bytes.Load())
}

// keeps says whether a journal was not forgotten.
func (k *Keeper) keeps(j *Journal) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.journals[j]
	return ok
}
