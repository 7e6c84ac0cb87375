package chardev

import (
	"context"
	"errors"
	"net/http"
	"strconv"
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
// read it: nobody waits for that, and a client that is gone, or the daemon's end,
// ends it.
func (c *control) log(w http.ResponseWriter, r *http.Request, con *console) {
	c.attached.Add(1)
	defer c.attached.Done()
	ctx := r.Context()
	if c.ctx.Err() != nil {
		problem(w, http.StatusServiceUnavailable, errShutdown.Error())
		return
	}
	q, err := parseLog(r.URL.Query())
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
	h.Set("Content-Type", contentTypes[q.Format])
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(HeaderOffset, strconv.FormatInt(from, 10))
	h.Set(HeaderEpoch, con.epoch)
	for _, name := range []string{TrailerNext, TrailerLost, TrailerFound, TrailerError} {
		h.Add("Trailer", name)
	}
	out := &logWriter{w, http.NewResponseController(w)}
	// The server's deadlines are for requests that are answered at once. This one
	// lasts as long as somebody pages through it.
	if err := errors.Join(out.SetReadDeadline(time.Time{}), out.SetWriteDeadline(time.Time{}), out.Flush()); err != nil {
		con.hub.log.Warn("log", "error", err)
		return
	}
	result, err := q.Write(ctx, src, from, to, out)
	h.Set(TrailerNext, strconv.FormatInt(result.Next, 10))
	h.Set(TrailerLost, strconv.FormatInt(result.Lost, 10))
	h.Set(TrailerFound, strconv.FormatInt(result.Found, 10))
	switch {
	case err == nil:
	case c.ctx.Err() != nil:
		h.Set(TrailerError, errShutdown.Error())
	case errors.Is(context.Cause(ctx), errRulesChanged):
		h.Set(TrailerError, errRulesChanged.Error())
	case ctx.Err() == nil:
		h.Set(TrailerError, err.Error())
		con.hub.log.Warn("log", "error", err)
	}
}

// A logWriter writes an answer, as far as the client if it is flushed.
type logWriter struct {
	http.ResponseWriter
	*http.ResponseController
}
