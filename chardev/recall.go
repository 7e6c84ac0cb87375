package chardev

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"chardevd/chardev/internal/journal"
)

// recallHold is how long the files (and what decompresses them) are kept open when
// nothing is read: the reader may be stalled, or follow what comes.
const recallHold = time.Second

// What can not be read is tried again after so long, doubling.
const recallRetry, recallRetryMost = 100 * time.Millisecond, 100 * time.Millisecond << 5

// A recall reads what memory no longer has, for one goroutine at a time.
type recall struct {
	hub *hub

	mu   sync.Mutex      // held while r is used; only letGo comes from elsewhere, and does not wait
	r    *journal.Reader // nil: nothing is open
	idle *time.Timer     // calls letGo; nil: nothing was opened yet

	// of what can not be read
	wait  time.Duration // before the next try; 0: it could be read
	waits bool          // the next try is to come
	hasty bool          // who reads has no time for any
}

// read reads what the journal has at an offset of which memory lacks so many bytes,
// or returns how many are in neither. With an error that is how many can not be read.
func (o *recall) read(at int64, buf []byte, lacks int64) (n int, missing int64, err error) {
	if o.hub.scribe == nil {
		return 0, lacks, nil
	}
	var lost int64
	o.use(func(r *journal.Reader) { n, lost, err = r.Read(at, buf[:min(int64(len(buf)), lacks)]) })
	switch {
	case n > 0:
		return n, 0, nil
	case lost > 0:
		lacks = min(lost, lacks)
	}
	return 0, lacks, err
}

// use calls f with a reader of the hub's journal, which must have one.
func (o *recall) use(f func(*journal.Reader)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.r == nil {
		o.r = o.hub.scribe.j.Reader()
	}
	f(o.r)
	if o.idle == nil {
		o.idle = time.AfterFunc(recallHold, o.letGo)
	} else {
		o.idle.Reset(recallHold)
	}
}

// letGo gives back what reading took, unless it goes on.
func (o *recall) letGo() {
	if o.mu.TryLock() {
		defer o.mu.Unlock()
		o.close()
	}
}

// end gives back what reading took.
func (o *recall) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle != nil {
		o.idle.Stop()
	}
	o.close()
}

// close is end. Called with mu held.
func (o *recall) close() {
	if o.r != nil {
		o.r.Close()
		o.r = nil
	}
}

// failed takes note of an error of read, nil too, and says whether to try again after
// a pause. A disk is tried a few times, for 6 s in all, and then no more until
// something can be read. What others hold they give back: for that there is no end.
func (o *recall) failed(err error) (again bool) {
	short := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
	switch {
	case err == nil:
		o.wait = 0
		return false
	case o.hasty, o.wait == recallRetryMost && !short:
		return false
	}
	o.wait = min(max(2*o.wait, recallRetry), recallRetryMost)
	o.waits = true
	return true
}

// pause waits until what failed is to be tried again. When either latch is over
// that is at once, and for the last time.
func (o *recall) pause(going, mute *latch) {
	if !o.waits {
		return
	}
	o.waits = false
	t := time.NewTimer(o.wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-going.done():
		o.hasty = true
	case <-mute.done():
		o.hasty = true
	}
}
