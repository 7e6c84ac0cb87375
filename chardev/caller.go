package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// Who makes a request of the API: whom the connection tells, and whom what comes with
// the request shows.

type peerKey struct{}

// A peer is the other end of a connection to the API, or whoever is behind it if that is
// a proxy.
type peer struct {
	ch     channel.Channel
	who    access.Identity
	place  place
	prefix string // of the paths that he sees, before those of the API: "" or like "/consoles"
}

// withPeer keeps who is at the other end of the control socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	ch := c.(channel.Channel)
	takesFiles(ch)
	return context.WithValue(ctx, peerKey{}, peer{ch: ch, who: operatorIdentity(ch), place: placeOf(ch)})
}

// withVisitor is withPeer at [http], where nobody is the operator.
func withVisitor(ctx context.Context, c net.Conn) context.Context {
	ch := c.(channel.Channel)
	takesFiles(ch)
	who := identify(ch)
	who.Guest = len(who.Names) == 0
	return context.WithValue(ctx, peerKey{}, peer{ch: ch, who: who, place: placeOf(ch)})
}

type callerKey struct{}

// A caller is who made a request.
type caller struct {
	who     access.Identity
	shown   access.Identity // the part of it that came with the request
	session *webSession     // nil: it is of none
	peer    string          // who and where, for people
}

// callerOf tells who made a request.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// String is the caller in an event.
func (c caller) String() string {
	what := "a caller"
	if c.who.Operator {
		what = "the operator"
	}
	return strings.TrimSpace(what + " " + cmp.Or(c.peer, "of whom nothing is known"))
}

// isSafe says whether a request by this method only looks (RFC 9110 section 9.2.1).
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

var errUnknown = errors.New("to change something, show who you are: by a token or a session")

// identified serves who is who it says: a secret, session or ticket that is wrong is
// refused at once. And it has nothing changed by somebody of whom nothing is known.
func (c *control) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok {
			problem(w, http.StatusInternalServerError, "nothing is known of this connection")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		from := caller{}
		if !logsIn(r) {
			var refusal *channel.HandshakeError
			if from, refusal = c.shown(p.place, r); refusal != nil {
				refuse(w, refusal)
				return
			}
		}
		from.who = from.shown.And(p.who)
		from.peer = nameAt(from.who, p.place.name)
		if from.who.Guest && !isSafe(r.Method) && !logsIn(r) {
			c.server.audit.didNot(from, r.Method+" "+r.URL.Path, errUnknown)
			refuse(w, &channel.HandshakeError{Status: http.StatusUnauthorized, Reason: errUnknown.Error()})
			return
		}
		if !from.who.Guest && !logsIn(r) {
			c.strangers.remove(p.ch)
		}
		who := from.who.String()
		if !c.requests.take(who, c.atOnce) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			problem(w, http.StatusServiceUnavailable, fmt.Sprintf("%d requests of %s are being served already", c.atOnce, who))
			return
		}
		defer c.requests.give(who)
		ctx := context.WithValue(r.Context(), callerKey{}, from)
		if from.session != nil {
			defer from.session.hold()()
			var cancel context.CancelCauseFunc
			ctx, cancel = context.WithCancelCause(ctx)
			defer cancel(nil)
			defer context.AfterFunc(from.session.ctx, func() { cancel(context.Cause(from.session.ctx)) })()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// shown tells who what comes with a request shows its sender to be.
func (c *control) shown(at place, r *http.Request) (caller, *channel.HandshakeError) {
	var from caller
	who, refusal := c.server.authorized(r.Context(), at, r)
	if refusal != nil {
		return from, refusal
	}
	from.shown = who
	if ticket := r.URL.Query().Get("ticket"); ticket != "" {
		if from.session, who, refusal = c.server.sessions.redeem(ticket); refusal != nil {
			return from, refusal
		}
		from.shown = from.shown.And(who)
	}
	if cookie, err := r.Cookie(sessionCookie); err == nil && from.session == nil {
		if from.session, refusal = c.server.sessions.find(cookie.Value); refusal != nil {
			refusal.Header = http.Header{"Set-Cookie": {newCookie(r, "", -1).String()}}
			return from, refusal
		}
		from.shown = from.shown.And(from.session.who)
	}
	return from, nil
}

// refuse answers with why a request is not served for who makes it. A browser asks
// its user for no password then: the pages do.
func refuse(w http.ResponseWriter, why *channel.HandshakeError) {
	for k, v := range why.Header {
		w.Header()[k] = v
	}
	if why.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="chardevd"`)
	}
	problem(w, why.Status, why.Reason)
}
