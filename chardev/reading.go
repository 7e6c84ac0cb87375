package chardev

import (
	"errors"
	"os"
	"time"

	"chardevd/channel"
)

// silence is how long a channel that is busy is waited for in Read, at least and
// up to twice as long, before it rests. A Read notices what comes some µs sooner,
// but a goroutine that waits keeps its stack.
const silence = 100 * time.Millisecond

// errSilent is why a reading stops for the channel to rest.
var errSilent = errors.New("nothing to read")

// A reading reads a channel for its owner, who is a goroutine only while there is
// something to do. A channel that can rest does so from the beginning. When
// something comes it is read and rests again; only if it had not rested for long
// then it is busy, and waited for in Read until it is silent. One that is attended to is
// only read by its owner when attend has enough of it.
type reading struct {
	// fixed
	ch       channel.Channel
	over     <-chan struct{}  // closed before end is called
	owner    func()           // reads
	attended channel.Attended // nil: it is not
	attend   func() bool      // see channel.Attended

	// owned by who reads
	rests  channel.Rester // nil: it can not, and waits in Read
	woken  bool           // there is something to read
	busy   bool           // it is waited for
	until  time.Time      // what is waited for comes until then
	rested time.Time      // when it began to rest
	failed error          // of tryRead, for read
}

func newReading(ch channel.Channel, over <-chan struct{}, owner func()) reading {
	r := reading{ch: ch, over: over, owner: owner}
	r.rests, _ = channel.As[channel.Rester](ch)
	return r
}

// attendBy has a plain channel attended to. It may be called before the first read.
func (r *reading) attendBy(attend func() bool) {
	if a, ok := channel.AsAttended(r.ch); ok {
		r.attended, r.attend = a, attend
	}
}

// tryRead reads, for attend, what there is. After an error, which is for the owner's read,
// it returns false.
func (r *reading) tryRead(p []byte) (n int, ok bool) {
	n, r.failed = r.attended.TryRead(p)
	return n, r.failed == nil
}

// end ends a Read under way, or a rest.
func (r *reading) end() { r.ch.SetReadDeadline(time.Unix(1, 0)) }

func (r *reading) isOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// read is the channel's Read, but for errSilent when it is time to rest.
func (r *reading) read(p []byte) (int, error) {
	if err := r.failed; err != nil {
		r.failed = nil
		return 0, err
	}
	if r.rests == nil {
		return r.ch.Read(p)
	}
	if now := time.Now(); !r.woken && !r.busy {
		if r.attended != nil {
			return 0, errSilent
		}
		// Only what a layer holds already: who has that must not rest.
		r.ch.SetReadDeadline(time.Unix(1, 0))
	} else if r.until.Sub(now) < silence {
		r.until = now.Add(2 * silence)
		r.ch.SetReadDeadline(r.until)
		if r.isOver() { // end may have been before that deadline
			return 0, os.ErrDeadlineExceeded
		}
	}
	r.woken = false
	n, err := r.ch.Read(p)
	if err != nil && !r.isOver() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSilent
	}
	return n, err
}

// rest lets the channel rest after errSilent; the owner is called when there is
// something again. If it can not rest it returns false, and Read will wait.
func (r *reading) rest() bool {
	r.rested, r.until = time.Now(), time.Time{}
	var ok bool
	if r.attended != nil {
		ok = r.attended.Attend(r.attend, r.wake)
	} else {
		ok = r.rests.Rest(r.wake)
	}
	if !ok {
		r.rests, r.attended = nil, nil
		r.ch.SetReadDeadline(time.Time{})
	}
	if r.isOver() { // end may have been before
		r.end()
	}
	return ok
}

// wake calls the owner, in a goroutine of its own.
func (r *reading) wake() {
	r.woken, r.busy = true, r.attended != nil || time.Since(r.rested) < silence
	r.owner()
}
