package chardev

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"
)

// stuckTime is how long who reads an answer that goes on may take none of it. It is
// long for the sake of people: a pager reads no further while its user looks at a
// page.
const stuckTime = 10 * time.Minute

// A tail is an answer that goes on for as long as somebody reads it. The server's
// deadlines, which are for requests that are answered at once, do not hold for it: it
// ends when its reader has taken nothing for some time, and soon after its context.
type tail struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	ctx     context.Context
	stuck   time.Duration // how long its reader may take nothing
	quiet   time.Duration // of keptAlive
	until   time.Time     // the deadline that is set
	unwatch func() bool   // keeps the end of ctx from setting another
	ended   chan struct{} // closed when that was done
}

// newTail begins an answer, whose header must be complete. stuck is how long its reader
// may take nothing; 0: stuckTime. end must be called before
// the handler returns.
func newTail(w http.ResponseWriter, r *http.Request, stuck time.Duration) (*tail, error) {
	t := &tail{w: w, rc: http.NewResponseController(w), ctx: r.Context(), stuck: cmp.Or(stuck, stuckTime), quiet: sseQuiet, ended: make(chan struct{})}
	t.unwatch = context.AfterFunc(t.ctx, func() {
		defer close(t.ended)
		t.rc.SetWriteDeadline(time.Now().Add(finishTime))
	})
	if err := errors.Join(t.rc.SetReadDeadline(time.Time{}), t.extend()); err != nil {
		t.end()
		return nil, err
	}
	if err := t.Flush(); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// end leaves the connection to the server.
func (t *tail) end() {
	if !t.unwatch() {
		<-t.ended
	}
}

// extend gives the reader its time, unless the end has come.
func (t *tail) extend() error {
	now := time.Now()
	if t.until.Sub(now) > t.stuck*9/10 {
		return nil
	}
	t.until = now.Add(t.stuck)
	err := t.rc.SetWriteDeadline(t.until)
	if t.ctx.Err() != nil { // its own deadline may have been before
		t.rc.SetWriteDeadline(now.Add(finishTime))
	}
	return err
}

// tailPiece is how much the reader must take in its time, in bytes: what the server
// and the kernel gather apart.
const tailPiece = 16 << 10

// Write writes p in pieces, each of which has its time.
func (t *tail) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if err = t.extend(); err != nil {
			break
		}
		var m int
		m, err = t.w.Write(p[n:min(len(p), n+tailPiece)])
		n += m
	}
	return n, err
}

// Flush sends what the server has gathered.
func (t *tail) Flush() error {
	if err := t.extend(); err != nil {
		return err
	}
	return t.rc.Flush()
}
