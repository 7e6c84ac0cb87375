package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What is typed over the API, by who need not be attached, and how a device is opened
// anew.

// inputBodyMax is how long the body of POST …/input may be, in bytes.
const inputBodyMax = 1 << 20

// inputBodyTime is how long it may take to come.
const inputBodyTime = 30 * time.Second

// postsMost is how many requests of one person may type on one console at the same time,
// and keep nobody else out; each holds its body until the device has taken it.
const postsMost = 16

// answerTime is how long who made a request that took long may take to read the
// answer.
const answerTime = 10 * time.Second

// input gives the device what a request has as its body, as if a client typed it and
// went: nothing if not all of the body came, and as much as is permitted and taken.
// With an exclusive input the request has it until its end, if it was free.
func (c *control) input(w http.ResponseWriter, r *http.Request, con *console) {
	h, who := con.hub, callerOf(r).who.String()
	if !c.server.posts.take(con.name+" "+who, postsMost) {
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("%s: %d requests of %s type already: try again when the device has taken what they have", con.name, postsMost, who))
		return
	}
	defer c.server.posts.give(con.name + " " + who)
	// The server's deadlines are for requests that are short and answered at once.
	rc := http.NewResponseController(w)
	if err := errors.Join(rc.SetReadDeadline(time.Now().Add(inputBodyTime)), rc.SetWriteDeadline(time.Time{})); err != nil {
		problem(w, http.StatusInternalServerError, "nothing was typed: "+err.Error())
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, inputBodyMax))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("nothing was typed: the body is longer than %d bytes: send it in parts", inputBodyMax))
		return
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "nothing was typed: the body did not come whole: "+err.Error())
		return
	}
	rc.SetReadDeadline(time.Time{}) // it tells when the caller goes away
	cl, why, ok := h.typed(r.Context(), callerOf(r), body)
	rc.SetWriteDeadline(time.Now().Add(answerTime))
	if ok {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p := Problem{Status: http.StatusConflict, Reason: reasons[why], Taken: cl.typed.Load()}
	p.Detail = fmt.Sprintf("%s: the device was given %d of %d bytes: %s", con.name, p.Taken, len(body), inWords[why])
	if end := context.Cause(r.Context()); why == refusedAccess || errors.Is(end, errRulesChanged) {
		p.Status, p.Reason = http.StatusForbidden, reasons[refusedAccess]
	} else if c.ctx.Err() != nil {
		p.Status, p.Detail = http.StatusServiceUnavailable, p.Detail+": "+errShutdown.Error()
	}
	p.answer(w)
}

// typed gives the device bytes as a client that is not attached, until something is
// not taken, or ctx ends. If ok is false why tells the reason; the client has counted
// what was taken.
func (h *hub) typed(ctx context.Context, by caller, p []byte) (c *client, why int, ok bool) {
	c = &client{hub: h, frontend: "input", who: by.who, peer: by.peer, since: time.Now()}
	c.rights.Store(uint32(h.gate.decide(by.who, h.name).May))
	h.mu.Lock()
	h.nextID++
	c.id = h.nextID
	h.mu.Unlock()
	defer h.endWriter(c)
	stop := context.AfterFunc(ctx, func() { c.going.end() })
	defer stop()
	for ok = true; len(p) > 0 && ok; {
		if ctx.Err() != nil { // who is waited for is told by going
			h.refuse(c, refusedBusy, len(p))
			return c, refusedBusy, false
		}
		n := min(len(p), inputMax)
		why, ok = h.take(c, p[:n])
		p = p[n:]
	}
	return c, why, ok
}

// reconnect has the device opened anew.
func (c *control) reconnect(w http.ResponseWriter, r *http.Request, con *console) {
	who := callerOf(r).String()
	con.hub.noteSome(&con.hub.reopens, "reconnect", who)
	if !con.device.Load().reopen(fmt.Errorf("it is opened anew, as %s wants", who)) {
		problem(w, http.StatusConflict, fmt.Sprintf("%s: no guest is there: it has to connect to %s by itself", con.name, con.device.Load().ep.Address))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
