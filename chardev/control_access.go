package chardev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// A route of the API. Who may not do what it needs is not served by it.
type route struct {
	pattern string
	needs   access.Permissions // of the chardev; none at all: nobody is served

	// One of these. one is for the chardev that the pattern names, of whoever may do
	// that there; all is for every chardev where the caller may; own is about the caller,
	// and needs nothing; set changes the config, see forSet.
	one func(http.ResponseWriter, *http.Request, *console)
	all func(http.ResponseWriter, *http.Request, []*console)
	own func(http.ResponseWriter, *http.Request, caller)
	set func(caller, ChardevRequest) (Changes, error)

	// A fifth is set of a descriptor that comes with the request, which it owns.
	pass func(caller, ChardevRequest, *os.File) (Changes, error)

	about about
}

// routes are all there are: nothing else of the API is served.
func (c *control) routes() []route {
	const chardev = " /api/v1/chardevs/{name}"
	line := jsonOf(LineInfo{})
	return append(append(c.setRoutes(), c.streamRoutes()...), []route{
		{pattern: "GET /api/v1/chardevs", needs: access.Read, all: c.list, about: about{does: "How all consoles are", gives: jsonOf([]Info{})}},
		{pattern: "GET /api/v1/events", needs: access.Read, all: c.events, about: about{does: "How all consoles are, and then each that changes: events snapshot ([]Summary), chardev (Summary) and gone (Gone)", gives: contentOf("text/event-stream")}},
		{pattern: "GET" + chardev, needs: access.Read, one: c.show, about: about{does: "How a console is, with its last events", gives: jsonOf(Info{})}},
		{pattern: "GET" + chardev + "/clients", needs: access.Read, one: c.clients, about: about{does: "Who is attached", gives: jsonOf([]ClientInfo{})}},
		{pattern: "DELETE" + chardev + "/clients/{id}", needs: access.Control, one: c.kick, about: about{does: "Cut a client"}},
		{pattern: "POST" + chardev + "/input", needs: access.Write, one: c.input, about: about{does: "Type: nothing if not all comes, at most 1 MiB", takes: contentOf("application/octet-stream")}},
		{pattern: "POST" + chardev + "/reconnect", needs: access.Control, one: c.reconnect, about: about{does: "Have the device opened anew", status: http.StatusAccepted}},
		{pattern: "POST" + chardev + "/break", needs: access.Control, one: c.sendBreak, about: about{does: "Send a break", takes: jsonOf(BreakRequest{})}},
		{pattern: "GET" + chardev + "/line", needs: access.Read, one: c.line, about: about{does: "How the serial line is", gives: line}},
		{pattern: "PATCH" + chardev + "/line", needs: access.Control, one: c.setLine, about: about{does: "Set the serial line", takes: jsonOf(LineSettings{}), gives: line}},
		{pattern: "GET" + chardev + "/writer", needs: access.Read, one: c.writer, about: about{does: "Who has the input", gives: jsonOf(WriterInfo{})}},
		{pattern: "POST" + chardev + "/writer", needs: access.Control, one: c.setWriter, about: about{does: "Give the input to a client, or take it away", takes: jsonOf(WriterChange{}), gives: jsonOf(WriterInfo{})}},
		{pattern: "GET" + chardev + "/log", needs: access.Read, one: c.log, about: about{
			does: "What a console printed", query: logParameters, gives: contentOf(logMedia()...),
			header: []parameter{{"Last-Event-ID", "string", "of server-sent events: the ID of the last one that came, behind which to go on"}},
		}},
		// to write what it takes besides, see mayType
		{pattern: "GET" + chardev + "/ws", needs: access.Read, one: c.attach, about: about{
			does: "Attach, by websocket: subprotocol " + AttachProtocol + " with messages (Message) beside the bytes, " + StreamProtocol + " without", query: attachParameters, status: http.StatusSwitchingProtocols,
		}},
		// which waits for whoever changes the set of chardevs, so it is not counted by its own
		{pattern: "POST" + chardev + "/open", own: c.open, about: about{
			does: "A descriptor of a client, which comes with the answer (SCM_RIGHTS)", query: openParameters, gives: jsonOf(OpenInfo{}),
		}},
		{pattern: "POST /api/v1/upgrade", own: c.upgrade, about: about{does: "Have the daemon replaced by its program as that is now", status: http.StatusAccepted}},
		{pattern: "GET /api/v1/upgrade", own: c.upgraded, about: about{does: "Which daemon answers", gives: jsonOf(UpgradeInfo{})}},
		{pattern: "GET " + sessionPath, own: c.whoAmI, about: about{does: "Who the caller is", gives: jsonOf(SessionInfo{})}},
		{pattern: "POST " + sessionPath, own: c.logIn, about: about{does: "Log in", takes: jsonOf(SessionRequest{}), gives: jsonOf(SessionInfo{})}},
		{pattern: "DELETE " + sessionPath, own: c.logOut, about: about{does: "Log out"}},
		{pattern: "POST /api/v1/ticket", own: c.issueTicket, about: about{does: "A ticket to attach with, once", gives: jsonOf(TicketInfo{})}},
		{pattern: "GET " + metricsPath, needs: access.Read, all: c.metrics, about: about{does: "Metrics, for Prometheus", gives: contentOf("text/plain")}},
		{pattern: "GET " + healthPath, own: c.health, about: about{does: "200 while the daemon serves", gives: contentOf("text/plain")}},
		{pattern: "GET " + readyPath, own: c.ready, about: about{does: "200 when all that could be opened was open once, 503 before; and what is not open now", gives: jsonOf(Readiness{})}},
		{pattern: "GET " + openAPIPath, own: c.openAPI, about: about{does: "This description", gives: contentOf("application/json")}},
	}...)
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range c.routes() {
		switch {
		case rt.all != nil:
			mux.HandleFunc(rt.pattern, c.forAll(rt))
		case rt.set != nil, rt.pass != nil:
			mux.HandleFunc(rt.pattern, c.forSet(rt))
		case rt.own != nil:
			mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { rt.own(w, r, callerOf(r)) })
		default:
			mux.HandleFunc(rt.pattern, c.forOne(rt))
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "no such thing: "+r.Method+" "+r.URL.Path)
	})
	return c.identified(mux)
}

// forAll serves a route for the chardevs where the caller may do what it needs.
func (c *control) forAll(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := callerOf(r).who
		rt.all(w, r, c.where(who, rt.needs))
	}
}

// where are the chardevs where somebody may do something.
func (c *control) where(who access.Identity, what access.Permissions) []*console {
	var cons []*console
	for _, con := range c.server.all() {
		if con.hub.gate.decide(who, con.name).May.Has(what) {
			cons = append(cons, con)
		}
	}
	return cons
}

// forOne serves a route for the chardev that the path names, until the caller may do
// no longer what it needs. To who may not read it a chardev is not there.
func (c *control) forOne(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, name := callerOf(r), r.PathValue("name")
		con := c.server.console(name)
		if con == nil {
			c.notThere(w, caller.who, name)
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		v := &request{who: caller.who, needs: rt.needs, end: cancel}
		err := con.hub.enter(v)
		if errors.Is(err, errAway) {
			c.notThere(w, caller.who, name)
			return
		}
		if err, ok := errors.AsType[*notPermitted](err); ok {
			con.hub.noteSome(&con.hub.denied, "refused", caller.String()+": "+r.Method+" "+r.URL.Path+": "+err.because())
			con.hub.audit.didNot(caller, r.Method+" "+r.URL.Path, err)
			if err.decision.May.Has(access.Read) {
				problem(w, http.StatusForbidden, err.Error())
			} else {
				c.notThere(w, caller.who, name)
			}
			return
		}
		defer con.hub.exit(v)
		if rt.audited() {
			con.hub.audit.did(caller, audit.API, r.Method+" "+r.URL.Path)
		}
		rt.one(w, r.WithContext(ctx), con)
	}
}

// notThere answers that there is no such chardev, for all that the caller may know.
func (c *control) notThere(w http.ResponseWriter, who access.Identity, name string) {
	var names []string
	for _, con := range c.where(who, access.Read) {
		names = append(names, con.name)
	}
	problem(w, http.StatusNotFound, unknownChardev(name, names).Error())
}

// unknownChardev is the error for a name that is none of those there are.
func unknownChardev(name string, names []string) error {
	if near := channel.Nearest(name, names); near != "" {
		return fmt.Errorf("no chardev %q; did you mean %q?", name, near)
	}
	switch n := len(names); {
	case n == 0:
		return fmt.Errorf("no chardev %q", name)
	case n > namesMost:
		return fmt.Errorf("no chardev %q; \"chardevd list\" shows all %d", name, n)
	}
	return fmt.Errorf("no chardev %q; there is %s", name, strings.Join(names, ", "))
}

// namesMost is how many chardevs an error names.
const namesMost = 10

// A request is one of the API that is being served.
type request struct {
	who   access.Identity
	needs access.Permissions
	end   context.CancelCauseFunc
}

var errAway = errors.New("the chardev is going away")

// enter lets somebody in who may do what the request needs, until exit. Who may not gets a
// *notPermitted, and nobody comes in to a chardev that goes away (errAway). The rules are asked with
// the list held, so that no change of them passes it by.
func (h *hub) enter(v *request) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.retired != nil {
		return errAway
	}
	if d := h.gate.decide(v.who, h.name); !d.May.Has(v.needs) {
		return &notPermitted{v.needs, d}
	}
	if h.requests == nil {
		h.requests = map[*request]struct{}{}
	}
	h.requests[v] = struct{}{}
	h.here.Add(1)
	return nil
}

func (h *hub) exit(v *request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.requests, v)
	h.here.Done()
}
