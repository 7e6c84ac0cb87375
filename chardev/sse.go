package chardev

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

// sseQuiet is how long nothing is sent at most, so that proxies, which cut what is
// idle for a minute, keep the connection; a comment is sent then.
const sseQuiet = 15 * time.Second

// sseRetry is how long an EventSource waits before it comes again.
const sseRetry = time.Second

// beginSSE begins an answer of events, which is nothing that anybody may keep or
// gather.
func beginSSE(w http.ResponseWriter, r *http.Request, stuck time.Duration) (*tail, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx gathers answers otherwise
	h.Set("X-Content-Type-Options", "nosniff")
	t, err := newTail(w, r, stuck)
	if err != nil {
		return nil, err
	}
	begin := append(strconv.AppendInt([]byte("retry: "), sseRetry.Milliseconds(), 10), "\n\n"...)
	if _, err = t.Write(begin); err == nil {
		err = t.Flush()
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// appendSSE appends an event whose data is v as JSON.
func appendSSE(dst []byte, name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // a type of ours that is none of JSON
	}
	dst = append(append(dst, "event: "...), name...)
	dst = append(append(dst, "\ndata: "...), data...)
	return append(dst, "\n\n"...)
}

// comment sends what an EventSource passes over.
func (t *tail) comment() error {
	if _, err := t.Write([]byte(":\n\n")); err != nil {
		return err
	}
	return t.Flush()
}

// keptAlive is wait with a comment whenever it takes long.
func (t *tail) keptAlive(wait func(context.Context) error) error {
	for {
		soon, cancel := context.WithTimeout(t.ctx, t.quiet)
		err := wait(soon)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || t.ctx.Err() != nil {
			return err
		}
		if err := t.comment(); err != nil {
			return err
		}
	}
}
