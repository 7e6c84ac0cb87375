package channel

import (
	"sync"
	"time"
)

// A sideEnd is of a reading that may end for a reason that its descriptor does not tell:
// a command's end while its output is held open, or what a write was told. Who reads asks
// for the reason when a deadline has ended a Read.
type sideEnd struct {
	of interface { // fixed
		Rester
		SetReadDeadline(time.Time) error
	}

	mu  sync.Mutex
	why error // nil: it has not ended
}

// end ends the reading, unless that was done: it frees who reads, and wakes what rests.
func (e *sideEnd) end(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why == nil {
		e.why = why
		e.of.SetReadDeadline(longAgo) // fails for a closed one only
	}
}

// reason is why the reading has ended; nil: it has not.
func (e *sideEnd) reason() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// SetReadDeadline changes no deadline after the end: no read waits.
func (e *sideEnd) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != nil {
		t = longAgo
	}
	return e.of.SetReadDeadline(t)
}

// Rest looks for the end when the rest has begun: one between the last Read and that has
// found nothing to wake, and the descriptor tells nobody.
func (e *sideEnd) Rest(wake func()) bool {
	rests := e.of.Rest(wake)
	if rests && e.reason() != nil {
		e.of.SetReadDeadline(longAgo)
	}
	return rests
}
