package chardev

import (
	"errors"
	"os"
	"time"

	"chardevd/channel"
)

// silence is how long a channel that can rest is waited for in a Read, which is
// the quickest way to notice what comes. After it, and before it has passed
// twice, the channel rests.
const silence = 100 * time.Millisecond

// errSilent is why a reading stops for the channel to rest.
var errSilent = errors.New("nothing to read")

// A reading reads a channel for its owner, who is a goroutine only while there is
// something to do: a silent channel rests, if it can.
type reading struct {
	// fixed
	ch    channel.Channel
	over  <-chan struct{} // closed before end is called
	rests channel.Rester  // nil: it can not, and waits in Read

	until time.Time // the deadline that is set; zero: none
}

func newReading(ch channel.Channel, over <-chan struct{}) reading {
	r := reading{ch: ch, over: over}
	r.rests, _ = channel.As[channel.Rester](ch)
	return r
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

// read is the channel's Read, but for errSilent when nothing has come for a while.
func (r *reading) read(p []byte) (int, error) {
	if r.rests == nil {
		return r.ch.Read(p)
	}
	if now := time.Now(); r.until.Sub(now) < silence {
		r.until = now.Add(2 * silence)
		r.ch.SetReadDeadline(r.until)
		if r.isOver() { // end may have been before that deadline
			return 0, os.ErrDeadlineExceeded
		}
	}
	n, err := r.ch.Read(p)
	if err != nil && !r.isOver() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSilent
	}
	return n, err
}

// rest lets the channel rest after errSilent and has wake called when there is
// something again; it returns false if it can not.
func (r *reading) rest(wake func()) bool {
	if !r.rests.Rest(wake) {
		return false
	}
	if r.isOver() { // end may have been before the rest
		r.end()
	}
	return true
}
