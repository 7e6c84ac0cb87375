package chardev

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"chardevd/channel"
)

// silence is after how long a channel is busy no more.
const silence = channel.RestAfter

// errSilent is why a reading stops for the channel to rest.
var errSilent = errors.New("nothing to read")

// A reading reads a channel for its owner, who is a goroutine only while there is
// something to do. A channel that can rest does so from the beginning. When
// something comes it is read and rests again; only if it had not rested for long
// then it is busy, and waited for in Read until it is silent. Or it is attended to
// meanwhile: then its owner is called only for what is more than a moment's work.
type reading struct {
	// fixed
	ch       channel.Channel
	over     *latch    // before end is called
	owner    func()    // reads
	attended *attended // nil: it is not attended to

	// owned by who reads
	rests  channel.Rester // nil: it can not, and waits in Read
	woken  bool           // there is something to read
	busy   bool           // it is waited for
	shared bool           // it is busy, and attended to
	until  moment         // what is waited for comes until then
	rested moment         // when it began to rest, or was last read while attended to
	failed error          // of tryRead, for read
}

// crowdLeast is how many busy channels have a goroutine each, of those that are better off
// with one: see stays.
const crowdLeast = 8

// An attended is a channel that is attended to.
type attended struct {
	channel.Attended
	layers bool // it has some
	attend func() bool
	then   func()        // may be nil
	held   []byte        // given back, for read
	crowd  *atomic.Int32 // how many that could be attended to are waited for; nil: stays is not asked
}

func newReading(ch channel.Channel, over *latch, owner func()) reading {
	r := reading{ch: ch, over: over, owner: owner}
	r.rests, _ = channel.As[channel.Rester](ch)
	return r
}

// attendBy has the channel attended to while it rests, if that is possible. It may be called
// before the first read.
func (r *reading) attendBy(attend func() bool) {
	if a, ok := channel.AsAttended(r.ch); ok {
		r.attended = &attended{Attended: a, attend: attend}
	} else if a, ok := channel.AsAttendedLayers(r.ch); ok {
		r.attended = &attended{Attended: a, layers: true, attend: attend}
	}
}

// attendPlainBy is attendBy of a plain channel, of which stays may be asked. calm is to be
// called at the end.
func (r *reading) attendPlainBy(attend func() bool, then func(), crowd *atomic.Int32) {
	if a, ok := channel.AsAttended(r.ch); ok {
		r.attended = &attended{Attended: a, attend: attend, then: then, crowd: crowd}
	}
}

// enter notes that the channel is waited for. That is so before wake: of many that are due
// together each must see those before it.
func (r *reading) enter() {
	if !r.busy && r.attended.crowd != nil {
		r.attended.crowd.Add(1)
	}
	r.busy = true
}

// calm notes that the channel is waited for no longer.
func (r *reading) calm() {
	if r.busy && r.attended != nil && r.attended.crowd != nil {
		r.attended.crowd.Add(-1)
	}
	r.busy = false
}

// tryRead reads, for attend, what there is. After an error, which is for the owner's read,
// it returns false.
func (r *reading) tryRead(p []byte) (n int, ok bool) {
	n, r.failed = r.attended.TryRead(p)
	return n, r.failed == nil
}

// giveBack gives back what tryRead has read, for the owner's read.
func (r *reading) giveBack(p []byte) { r.attended.held = bytes.Clone(p) }

// stays says, to attend, whether a channel is still attended to that would be better off
// with a goroutine of its own: unless it is busy, or when so many are. Measured for a device
// whose client has a goroutine: a key costs a third more where the device alone is attended
// to, and a line of 200 guests that boot a fifth less.
func (r *reading) stays() bool {
	was := r.rested
	r.rested = thisMoment()
	if r.rested.since(was) >= silence {
		r.shared = false
		return true
	}
	if !r.shared {
		r.enter()
		if r.shared = r.attended.crowd.Load() > crowdLeast; r.shared {
			r.calm()
		}
	}
	return r.shared
}

// end ends a Read under way, or a rest.
func (r *reading) end() { r.ch.SetReadDeadline(longAgo) }

func (r *reading) isOver() bool { return r.over.isOver() }

// read is the channel's Read, but for errSilent when it is time to rest.
func (r *reading) read(p []byte) (int, error) {
	if a := r.attended; a != nil && a.held != nil {
		n := copy(p, a.held)
		if a.held = a.held[n:]; len(a.held) == 0 {
			a.held = nil
		}
		return n, nil
	}
	if err := r.failed; err != nil {
		r.failed = nil
		return 0, err
	}
	if r.rests == nil {
		return r.ch.Read(p)
	}
	if now := thisMoment(); !r.woken && !r.busy {
		if r.attended != nil && !r.attended.layers {
			return 0, errSilent
		}
		// Only what a layer holds already: who has that must not rest.
		r.ch.SetReadDeadline(longAgo)
	} else if r.until.since(now) < silence {
		r.until = now.add(2 * silence)
		r.ch.SetReadDeadline(r.until.time())
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
	r.calm()
	r.rested, r.until = thisMoment(), 0
	var ok bool
	if r.attended != nil {
		ok = r.attended.Attend(r.attended.attend, r.attended.then, r.wake)
	} else {
		ok = r.rests.Rest(r.wake)
	}
	if !ok {
		r.rests = nil
		r.ch.SetReadDeadline(time.Time{})
	}
	if r.isOver() { // end may have been before
		r.end()
	}
	return ok
}

// wake calls the owner, in a goroutine of its own.
func (r *reading) wake() {
	r.woken = true
	if r.attended != nil { // what attend has enough of is busy
		r.shared = false
		r.enter()
	} else {
		r.busy = thisMoment().since(r.rested) < silence
	}
	r.owner()
}
