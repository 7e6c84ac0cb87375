package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"chardevd/chardev/internal/transcript"
)

// What a console printed, over the API.

// The header fields of GET …/log. The first two come before what was printed, the
// others behind it, as trailers (RFC 9110 section 6.5).
const (
	HeaderOffset = "Chardevd-Offset" // of the first byte that is looked at
	HeaderEpoch  = "Chardevd-Epoch"  // whose offsets these are
	TrailerNext  = "Chardevd-Next"   // the offset at which to go on
	TrailerLost  = "Chardevd-Lost"   // how many bytes stood in gaps
	TrailerFound = "Chardevd-Found"  // how many lines and events match, where lines are looked at
	TrailerError = "Chardevd-Error"  // why it ends before its end; else empty
)

// contentTypes are those of the formats. That of raw is no text: a browser must not
// take for a page what a console prints.
var contentTypes = map[transcript.Format]string{
	transcript.Text:      "text/plain; charset=utf-8",
	transcript.Raw:       "application/octet-stream",
	transcript.JSON:      "application/x-ndjson",
	transcript.Asciicast: "application/x-asciicast",
}

// log answers with what a console printed. It takes as long as whoever asks takes to
// read it, unless that one reads nothing for long: nobody waits for that, and a client
// that is gone, or the daemon's end, ends it.
func (c *control) log(w http.ResponseWriter, r *http.Request, con *console) {
	left := c.comes(w, callerOf(r).who)
	if left == nil {
		return
	}
	defer left()
	ctx := r.Context()
	q, err := parseLog(r.URL.Query())
	sse := acceptsSSE(r)
	if err == nil && sse {
		err = q.asSSE(r, con)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if q.epoch != "" && q.epoch != con.epoch {
		problem(w, http.StatusConflict, wrongEpoch(con.name, con.epoch, q.epoch).Error())
		return
	}
	if stir := con.hub.stir; stir != nil {
		defer stir() // an answer leaves garbage as a client does
	}
	src := con.hub.past()
	defer src.Close()
	q.Name, q.Wait = con.name, src.Wait
	from, to, err := q.Range(ctx, src, time.Now())
	if err != nil {
		status := http.StatusInternalServerError
		if _, ok := errors.AsType[*transcript.Backwards](err); ok {
			status = http.StatusBadRequest
		}
		problem(w, status, err.Error())
		return
	}
	h := w.Header()
	h.Set(HeaderOffset, strconv.FormatInt(from, 10))
	h.Set(HeaderEpoch, con.epoch)
	for _, name := range []string{TrailerNext, TrailerLost, TrailerFound, TrailerError} {
		h.Add("Trailer", name)
	}
	var out *tail
	if sse {
		out, err = beginSSE(w, r, c.stuck)
	} else {
		h.Set("Content-Type", contentTypes[q.Format])
		h.Set("X-Content-Type-Options", "nosniff")
		out, err = newTail(w, r, c.stuck)
	}
	if err != nil {
		con.hub.log.Debug("log", "error", err)
		return
	}
	defer out.end()
	if sse {
		q.Wait = func(_ context.Context, beyond int64) error {
			return out.keptAlive(func(ctx context.Context) error { return src.Wait(ctx, beyond) })
		}
	}
	result, err := q.Write(ctx, src, from, to, out)
	h.Set(TrailerNext, strconv.FormatInt(result.Next, 10))
	h.Set(TrailerLost, strconv.FormatInt(result.Lost, 10))
	h.Set(TrailerFound, strconv.FormatInt(result.Found, 10))
	switch cause := context.Cause(ctx); {
	case c.ctx.Err() != nil && err != nil:
		h.Set(TrailerError, errShutdown.Error())
	case cause != nil && !errors.Is(cause, context.Canceled): // the rules have changed, the session is over
		h.Set(TrailerError, cause.Error())
	case err != nil && ctx.Err() == nil:
		h.Set(TrailerError, err.Error())
		con.hub.log.Warn("log", "error", err)
	}
}

// acceptsSSE says whether a request is that of an EventSource.
func acceptsSSE(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(line, ",") {
			if kind, _, err := mime.ParseMediaType(one); err == nil && kind == "text/event-stream" {
				return true
			}
		}
	}
	return false
}

// asSSE makes the request one for server-sent events: of the bytes, or of lines with
// format=json or format=text. Who comes again with the ID of the last event goes on behind that.
func (q *logRequest) asSSE(r *http.Request, con *console) error {
	switch r.URL.Query().Get("format") {
	case "", "raw":
		q.Format = transcript.SSE
	case "json":
		q.Format = transcript.SSELines
	case "text":
		q.Format = transcript.SSEText
	default:
		return fmt.Errorf("format: server-sent events are raw, as without it, json or text: have %q", q.Format)
	}
	if con.hub.scribe == nil { // the offsets end with the daemon
		q.Epoch = con.epoch
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		p, err := transcript.ParsePlace(id)
		if err != nil {
			return fmt.Errorf("Last-Event-ID: %w", err)
		}
		q.Resume(p)
		q.epoch = cmp.Or(p.Epoch, r.URL.Query().Get("epoch"))
	}
	return q.Check()
}
