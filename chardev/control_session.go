package chardev

import (
	"net/http"
	"strings"
	"time"

	"chardevd/chardev/internal/accounts"
)

// To log in over HTTP, for browsers: they have a session, in a cookie that no script
// can read and no other site's page can send.

const (
	sessionPath   = "/api/v1/session"
	sessionCookie = "chardevd"
)

// logsIn says whether a request is to log in. It shows a secret in its body, so that
// it needs no other, and one that is over does not matter.
func logsIn(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == sessionPath }

// newCookie is the session's cookie. It goes to what is served here and, if that came
// over TLS, or a page did so through a proxy, only so.
func newCookie(r *http.Request, secret string, maxAge int) *http.Cookie {
	p, _ := r.Context().Value(peerKey{}).(peer)
	return &http.Cookie{
		Name: sessionCookie, Value: secret, Path: p.prefix + "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	}
}

// logIn begins a session.
func (c *control) logIn(w http.ResponseWriter, r *http.Request, from caller) {
	var want SessionRequest
	if !readBody(w, r, &want) {
		return
	}
	user, password := want.User, want.Password
	if want.Token != "" {
		if user != "" || password != "" {
			problem(w, http.StatusBadRequest, "give a user and a password, or a token, and not both")
			return
		}
		user, password = accounts.TokenUser, want.Token
	}
	p, _ := r.Context().Value(peerKey{}).(peer)
	c.strangers.remove(p.ch) // of those who wait to be looked at there are few (accounts.Store)
	who, err := c.server.vouch(r.Context(), p.place, user, password)
	if err != nil {
		refuse(w, secretRefusal(err))
		return
	}
	if old, err := r.Cookie(sessionCookie); err == nil {
		if s, refusal := c.server.sessions.find(old.Value); refusal == nil {
			c.server.sessions.logOut(s)
		}
	}
	secret, s := c.server.sessions.begin(who)
	http.SetCookie(w, newCookie(r, secret, int(sessionLasts.Seconds())))
	from.shown, from.who, from.session = who, who.And(from.who), s
	c.server.log.Info("logged in", "who", who.String(), "peer", p.place.name)
	answer(w, from.info())
}

// info is the caller as the API shows it.
func (c caller) info() SessionInfo {
	i := SessionInfo{Who: c.who.String(), Names: []string{}, Operator: c.who.Operator}
	for _, n := range c.who.Names {
		i.Names = append(i.Names, n.String())
	}
	if c.session != nil {
		ends := c.session.ends.Truncate(time.Second)
		i.Ends = &ends
	}
	return i
}

// whoAmI tells the caller who it is.
func (c *control) whoAmI(w http.ResponseWriter, _ *http.Request, from caller) {
	answer(w, from.info())
}

// logOut ends the caller's session, if there is one, and cuts who is attached with it.
func (c *control) logOut(w http.ResponseWriter, r *http.Request, from caller) {
	if from.session != nil {
		select { // so that nothing brings it back
		case <-c.server.sessions.logOut(from.session):
		case <-time.After(keepTime):
			c.server.log.Error("somebody has logged out, and the file of the sessions does not say so yet: its disk takes nothing", "who", from.session.who.String())
		}
	}
	http.SetCookie(w, newCookie(r, "", -1))
	w.WriteHeader(http.StatusNoContent)
}

// issueTicket gives the caller a ticket, for who can send no header and no cookie with
// a websocket's request.
func (c *control) issueTicket(w http.ResponseWriter, _ *http.Request, from caller) {
	secret, until := c.server.sessions.issue(from.shown, from.session)
	answer(w, TicketInfo{secret, until.Truncate(time.Millisecond)})
}
