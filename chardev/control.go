package chardev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
	"chardevd/chardev/internal/transcript"
)

// The control socket: the API of api.go over HTTP.

// A control serves the API on a listener.
type control struct {
	server   *Server
	sites    *atomic.Pointer[sites] // of [http]; nil: of the control socket, which has none
	most     int                    // how often one person may be attached, or read what goes on, at once; 0: as often as he likes
	here     shares                 // who does
	atOnce   int                    // how many requests of one person are served at once; 0: any number
	requests shares                 // of whom they are
	attached sync.WaitGroup
	ctx      context.Context // ends attached clients
	stuck    time.Duration   // how long who reads an answer that goes on may take nothing; 0: stuckTime

	strangers waitingConns // connections of which it is not known who is there
}

// comes counts one more who is served for as long as he likes; left must be called when
// he is gone. If he is there too often already, or the daemon is going down, it answers
// so and returns nil.
func (c *control) comes(w http.ResponseWriter, by access.Identity) (left func()) {
	who := by.String()
	if !c.here.take(who, c.most) {
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("%s is here %d times already: max_clients", who, c.most))
		return nil
	}
	c.attached.Add(1)
	left = func() {
		c.here.give(who)
		c.attached.Done()
	}
	if c.ctx.Err() != nil {
		left()
		problem(w, http.StatusServiceUnavailable, errShutdown.Error())
		return nil
	}
	return left
}

// problem answers with an error.
func problem(w http.ResponseWriter, status int, detail string) {
	Problem{Status: status, Detail: detail}.answer(w)
}

func (p Problem) answer(w http.ResponseWriter) {
	p.Title = http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (c *control) list(w http.ResponseWriter, r *http.Request, cons []*console) {
	page, err := c.server.listPage(r.Context(), cons)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	c.server.listing.send(w, r, page)
}

// listsMost is how many lists are being sent at once. Programs ask for many at a time.
const listsMost = 64

// listPage is what list answers. It waits for its turn, or for the end of ctx.
func (s *Server) listPage(ctx context.Context, cons []*console) (*bytes.Buffer, error) {
	if err := s.listing.turn.enter(ctx); err != nil {
		return nil, err
	}
	defer s.listing.turn.leave()
	all := []Info{}
	for _, con := range cons {
		all = append(all, con.info(false))
	}
	page := new(bytes.Buffer)
	return page, json.NewEncoder(page).Encode(all)
}

func (c *control) show(w http.ResponseWriter, r *http.Request, con *console) {
	answer(w, con.info(true))
}

func (c *control) clients(w http.ResponseWriter, r *http.Request, con *console) {
	answer(w, con.hub.clientInfos())
}

func (c *control) kick(w http.ResponseWriter, r *http.Request, con *console) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !con.hub.kick(id) {
		problem(w, http.StatusNotFound, fmt.Sprintf("chardev %s has no client %s", con.name, r.PathValue("id")))
		return
	}
	con.hub.audit.did(callerOf(r), audit.Kick, "client "+r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

// A start is where an attach begins.
type start struct {
	replay int    // so many bytes before the head,
	from   int64  // or at this offset if it is not negative
	note   string // why it is not where it was asked for
}

// startAt reads since=, which is a place in the stream or nothing, the head. An offset
// of another epoch than the present one names other bytes, so all that is held is
// given instead, and that is told.
func (c *console) startAt(since, epoch string) (start, *channel.HandshakeError) {
	if since == "" {
		return start{from: -1}, nil
	}
	place, err := transcript.ParseSince(since)
	if err != nil {
		return start{}, &channel.HandshakeError{Status: http.StatusBadRequest, Reason: fmt.Sprintf("since=%s: %v", since, err)}
	}
	if n, ok := place.Size(); ok { // before what the head is when the client joins
		return start{replay: int(min(n, math.MaxInt32)), from: -1}, nil
	}
	var s start
	if place.IsOffset() && epoch != "" && epoch != c.epoch {
		s.note, place = "chardevd was started anew and has not what was printed before; this is what it has", transcript.Since{}
	}
	src := c.hub.past()
	defer src.Close()
	if s.from, err = place.Resolve(src, time.Now()); err != nil {
		return start{}, &channel.HandshakeError{Status: http.StatusInternalServerError, Reason: fmt.Sprintf("since=%s: %v", since, err)}
	}
	return s, nil
}

// serveControl serves the API on l until ctx ends.
func (s *Server) serveControl(ctx context.Context, l channel.Listener) error {
	c := &control{server: s, ctx: ctx}
	return c.serve(netListener{ctx, l}, &http.Server{Handler: c.handler(), ConnContext: withPeer})
}

// headMax is how long the head of a request may be, in bytes, with all its cookies.
const headMax = 32 << 10

// serve serves hs on l until the control's context ends.
func (c *control) serve(l net.Listener, hs *http.Server) error {
	ctx := c.ctx
	hs.ReadTimeout = 10 * time.Second // neither of the two holds for what is attached
	hs.WriteTimeout = 30 * time.Second
	hs.IdleTimeout = time.Minute
	hs.MaxHeaderBytes = headMax - 4<<10 // to which net/http adds as much
	hs.ErrorLog = slog.NewLogLogger(c.server.log.Handler(), slog.LevelWarn)
	hs.BaseContext = func(net.Listener) context.Context { return ctx }
	err := hs.Serve(l)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if hs.Shutdown(bounded) != nil {
		hs.Close()
	}
	c.attached.Wait()
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) { // a parked listener is closed before the context ends
		return nil
	}
	return err
}

// A netListener is a channel.Listener as net/http wants it.
type netListener struct {
	ctx context.Context
	channel.Listener
}

func (l netListener) Accept() (net.Conn, error) { return l.Listener.Accept(l.ctx) }
