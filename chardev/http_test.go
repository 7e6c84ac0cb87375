package chardev

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// A webRig is an address of [http] with one chardev, a token "ci" and a user "alice".
type webRig struct {
	*bench
	door  *httpDoor
	token string
	ch    channel.Channel // of who comes, unless a request says otherwise
}

// behind has base and proxies of [http] be others.
func (r *webRig) behind(base string, proxies ...string) {
	now := *r.door.control.sites.Load()
	now.base, now.proxies = base, parseProxies(proxies)
	r.door.control.sites.Store(&now)
}

const alicesPassword = "through the looking glass"

func newWebRig(t *testing.T, rules string) *webRig {
	r := &webRig{bench: newBench(t, 64<<10, "shared")}
	r.hub.name = "vm1"
	r.hub.gate.rules.Store(access.New(nil))
	if rules != "" {
		r.hub.gate.rules.Store(rulesOf(t, rules))
	}
	folder := accounts.Folder{Dir: t.TempDir()}
	var err error
	if r.token, err = folder.AddToken("ci", nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := folder.AddUser("alice", alicesPassword, []string{"staff"}); err != nil {
		t.Fatal(err)
	}
	con := consoleOf(r.hub, "vm1", &Endpoint{Address: channel.MustParseAddress("null:")})
	s := serverOf(con)
	s.accounts.store = accounts.NewStore(folder.Dir, nil)
	if _, err := s.accounts.store.Reload(time.Now()); err != nil {
		t.Fatal(err)
	}
	s.sessions.ctx = r.ctx
	t.Cleanup(s.sessions.endAll)
	_, r.ch = channel.Pipe(1)
	ep := &Endpoint{Address: channel.MustParseAddress("tcp://127.0.0.1:7681"), Listen: true}
	s.sites.Store(&sites{origins: []string{"https://ops.example"}, hosts: []string{"chardevd.example"}})
	r.door = &httpDoor{supervisor: supervisor{ep: ep}, control: &control{server: s, sites: &s.sites, ctx: r.ctx}}
	return r
}

// ask makes a request; of its headers, Body is the body.
func (r *webRig) ask(what string, header map[string]string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(what, " ")
	q := httptest.NewRequest(method, path, strings.NewReader(header["Body"]))
	q.Host = cmp.Or(header["Host"], "127.0.0.1:7681")
	for k, v := range header {
		if k != "Host" && k != "Body" {
			q.Header.Set(k, v)
		}
	}
	ctx, cancel := context.WithCancel(withVisitor(q.Context(), r.ch))
	defer cancel()
	w := httptest.NewRecorder()
	r.door.handler().ServeHTTP(&passerby{w, cancel}, q.WithContext(ctx))
	return w
}

// What a web page of somebody else can have a browser send is refused, before it is
// looked at who asks; and so is a change by somebody of whom nothing is known.
func TestWebGuards(t *testing.T) {
	r := newWebRig(t, "")
	bearer := "Bearer " + r.token
	const list, kick = "GET /api/v1/chardevs", "DELETE /api/v1/chardevs/vm1/clients/7"
	for _, c := range []struct {
		why, what string
		header    map[string]string
		status    int
	}{
		{"a look", list, nil, 200},
		{"by another address", list, map[string]string{"Host": "[::1]"}, 200},
		{"by a name that is given", list, map[string]string{"Host": "Chardevd.example:80"}, 200},
		{"by any name", list, map[string]string{"Host": "evil.example"}, 403},
		{"by any name, of a page", "GET /", map[string]string{"Host": "evil.example"}, 403},
		{"a page of its own", list, map[string]string{"Origin": "http://127.0.0.1:7681"}, 200},
		{"a page that is given", list, map[string]string{"Origin": "https://ops.example"}, 200},
		{"any page", list, map[string]string{"Origin": "https://evil.example"}, 403},
		{"a page of another port", list, map[string]string{"Origin": "http://127.0.0.1:80"}, 403},
		{"a page of no origin", list, map[string]string{"Origin": "null"}, 403},
		{"what is not there", "GET /api/v2", nil, 404},
		{"pages where there are none", "GET /", nil, 404},

		{"a change by nobody", kick, nil, 401},
		{"a change by nobody, of a page of its own", kick, map[string]string{"Origin": "http://127.0.0.1:7681"}, 401},
		{"a change", kick, map[string]string{"Authorization": bearer}, 404}, // there is no such client
		{"a change of a page of its own", kick, map[string]string{"Authorization": bearer, "Origin": "http://127.0.0.1:7681", "Sec-Fetch-Site": "same-origin"}, 404},
		{"a change of any page", kick, map[string]string{"Authorization": bearer, "Origin": "http://evil.example"}, 403},
		{"a change of any page without an origin", kick, map[string]string{"Authorization": bearer, "Sec-Fetch-Site": "cross-site"}, 403},
		{"a change of a neighbour's page", kick, map[string]string{"Authorization": bearer, "Sec-Fetch-Site": "same-site"}, 403},
		{"a change of a page that is given", kick, map[string]string{"Authorization": bearer, "Origin": "https://ops.example", "Sec-Fetch-Site": "cross-site"}, 404},
		{"a login of any page", "POST /api/v1/session", map[string]string{"Origin": "http://evil.example", "Body": `{"token":"` + r.token + `"}`}, 403},
		{"a ticket for nobody", "POST /api/v1/ticket", nil, 401},

		{"a token", list, map[string]string{"Authorization": bearer}, 200},
		{"by a scheme in other letters", list, map[string]string{"Authorization": "beARer " + r.token}, 200},
		{"a token that is wrong", list, map[string]string{"Authorization": bearer + "x"}, 401},
		{"no token", list, map[string]string{"Authorization": "Bearer"}, 401},
		{"a scheme that is none", list, map[string]string{"Authorization": "Digest x"}, 401},
		{"a cookie that is wrong", list, map[string]string{"Cookie": "chardevd=x"}, 401},
		{"somebody else's cookie", list, map[string]string{"Cookie": "other=x"}, 200},
		{"a ticket that is wrong", list + "?ticket=x", nil, 401},
		{"a login that is wrong", "POST /api/v1/session", map[string]string{"Body": `{"user":"alice","password":"x"}`}, 401},
		{"a login of both kinds", "POST /api/v1/session", map[string]string{"Body": `{"user":"alice","token":"x"}`}, 400},
		{"a login that is none", "POST /api/v1/session", map[string]string{"Body": "user=alice"}, 400},
		{"a login that is long", "POST /api/v1/session", map[string]string{"Body": `{"user":"` + strings.Repeat("x", bodyMax) + `"}`}, 400},
	} {
		w := r.ask(c.what, c.header)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.why, w.Code, w.Body, c.status)
		}
		if kind := w.Header().Get("Content-Type"); w.Code >= 400 && kind != "application/problem+json" {
			t.Errorf("%s: the problem is %s", c.why, kind)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d with WWW-Authenticate %q", c.why, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// Two secrets in one place are one too many.
func TestTwoSecrets(t *testing.T) {
	r := newWebRig(t, "")
	q := httptest.NewRequest("GET", "/", nil)
	q.Header["Authorization"] = []string{"Bearer " + r.token, "Bearer " + r.token}
	if _, refusal := r.door.control.server.authorized(t.Context(), placeOf(r.ch), q); refusal == nil || refusal.Status != 401 {
		t.Errorf("refused with %v", refusal)
	}
}

// who is who the API says that the caller is.
func (r *webRig) who(header map[string]string) string {
	r.t.Helper()
	w := r.ask("GET /api/v1/session", header)
	var i SessionInfo
	if err := json.Unmarshal(w.Body.Bytes(), &i); err != nil || w.Code != 200 {
		r.t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if i.Operator || i.Who != "anonymous" && i.Who != i.Names[0] {
		r.t.Errorf("it is %+v", i)
	}
	return fmt.Sprint(i.Names)
}

// The caller is all that the connection and the request show, in this order: header,
// ticket, session, connection. The daemon's own user is nobody special here.
func TestCallers(t *testing.T) {
	r := newWebRig(t, "")
	login := r.ask("POST /api/v1/session", map[string]string{"Body": `{"user":"alice","password":"` + alicesPassword + `"}`, "Cookie": "chardevd=stale"})
	set := login.Result().Cookies()
	if login.Code != 200 || len(set) != 1 || !strings.Contains(login.Body.String(), `"who":"user:alice","names":["user:alice","group:staff"]`) || !strings.Contains(login.Body.String(), `"ends":`) {
		t.Fatalf("%d %s, %v", login.Code, login.Body, set)
	}
	if c := set[0]; c.Name != "chardevd" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure || c.MaxAge <= 0 || len(c.Value) < 32 {
		t.Errorf("the cookie is %v", c)
	}
	cookie := "chardevd=" + set[0].Value
	basic := func(user, password string) string {
		q := httptest.NewRequest("GET", "/", nil)
		q.SetBasicAuth(user, password)
		return q.Header.Get("Authorization")
	}
	for _, c := range []struct {
		header map[string]string
		want   string
	}{
		{nil, "[]"},
		{map[string]string{"Authorization": "Bearer " + r.token}, "[token:ci]"},
		{map[string]string{"Authorization": basic("token", r.token)}, "[token:ci]"},
		{map[string]string{"Authorization": basic("alice", alicesPassword)}, "[user:alice group:staff]"},
		{map[string]string{"Cookie": cookie}, "[user:alice group:staff]"},
		{map[string]string{"Cookie": cookie, "Authorization": "Bearer " + r.token}, "[token:ci user:alice group:staff]"},
	} {
		if have := r.who(c.header); have != c.want {
			t.Errorf("%v: it is %s, want %s", c.header, have, c.want)
		}
	}
	anonymous := r.ch
	r.ch = &procPeer{r.ch, channel.PeerCred{UID: uint32(os.Geteuid()), GID: 987654322}}
	if have := r.who(map[string]string{"Cookie": cookie}); !strings.HasPrefix(have, "[user:alice group:staff unix:") || !strings.HasSuffix(have, " group:987654322]") {
		t.Errorf("over a UNIX socket it is %s", have)
	}
	if w := r.ask("DELETE /api/v1/chardevs/vm1/clients/7", nil); w.Code != 404 {
		t.Errorf("a process changes nothing: %d %s", w.Code, w.Body)
	}
	r.ch = &secured{Channel: anonymous}
	if w := r.ask("POST /api/v1/session", map[string]string{"Body": `{"token":"` + r.token + `"}`}); w.Code != 200 || !w.Result().Cookies()[0].Secure {
		t.Errorf("over TLS: %d, %v", w.Code, w.Result().Cookies())
	}
	r.ch = anonymous
	if w := r.ask("POST /api/v1/session", map[string]string{"Body": `{"token":"` + r.token + `"}`, "Host": "ops.example", "Origin": "https://ops.example"}); w.Code != 403 {
		t.Errorf("by a name that is not given: %d", w.Code)
	}

	var ticket TicketInfo
	if w := r.ask("POST /api/v1/ticket", map[string]string{"Cookie": cookie}); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &ticket) != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := r.ask("GET /api/v1/session?ticket="+ticket.Ticket, nil); !strings.Contains(w.Body.String(), `"user:alice"`) {
		t.Errorf("with a ticket: %d %s", w.Code, w.Body)
	}
	if w := r.ask("GET /api/v1/session?ticket="+ticket.Ticket, nil); w.Code != 401 {
		t.Errorf("with a used ticket: %d %s", w.Code, w.Body)
	}
	w := r.ask("DELETE /api/v1/session", map[string]string{"Cookie": cookie})
	if set := w.Result().Cookies(); w.Code != 204 || len(set) != 1 || set[0].MaxAge >= 0 || set[0].Value != "" {
		t.Errorf("logged out: %d, %v", w.Code, set)
	}
	w = r.ask("GET /api/v1/session", map[string]string{"Cookie": cookie})
	if set := w.Result().Cookies(); w.Code != 401 || len(set) != 1 || set[0].MaxAge >= 0 {
		t.Errorf("after that: %d, %v", w.Code, set)
	}
}

// Over TLS a page that came without is a foreign one, whatever its host and port.
func TestAPageWithoutTLS(t *testing.T) {
	r := newWebRig(t, "")
	page := map[string]string{"Origin": "http://127.0.0.1:7681"}
	if w := r.ask("GET /api/v1/chardevs", page); w.Code != 200 {
		t.Errorf("without TLS: %d", w.Code)
	}
	r.ch = &secured{Channel: r.ch}
	if w := r.ask("GET /api/v1/chardevs", page); w.Code != 403 {
		t.Errorf("with TLS: %d", w.Code)
	}
	page["Origin"] = "https://127.0.0.1:7681"
	if w := r.ask("GET /api/v1/chardevs", page); w.Code != 200 {
		t.Errorf("of a page with TLS: %d", w.Code)
	}
}

// Who guesses is held up, and told for how long.
func TestGuessing(t *testing.T) {
	r := newWebRig(t, "")
	for range 100 {
		w := r.ask("GET /api/v1/session", map[string]string{"Authorization": "Bearer cdt_guess"})
		if w.Code == 429 {
			if after := w.Header().Get("Retry-After"); after == "" || after == "0" {
				t.Errorf("Retry-After is %q", after)
			}
			return
		}
		if w.Code != 401 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	t.Error("nothing holds up who guesses")
}

// Without rules somebody of whom nothing is known may look, and who shows a secret may
// what the config lets him; with rules it is what they say.
func TestGuests(t *testing.T) {
	for rules, want := range map[string][2]access.Permissions{
		"": {access.Read, access.Read | access.Write | access.Control},
		"[[access]]\nwho = 'anyone'\nmay = ['read', 'write']\non = '*'\n":     {access.Read | access.Write, access.Read | access.Write},
		"[[access]]\nwho = 'token:ci'\nmay = ['read', 'control']\non = '*'\n": {access.None, access.Read | access.Control},
	} {
		r := newWebRig(t, rules)
		guest := access.Identity{Guest: true}
		known := guest.And(access.Identity{Names: []access.Name{{Kind: access.Token, Text: "ci"}}})
		for i, who := range []access.Identity{guest, known} {
			if d := r.hub.gate.decide(who, "vm1"); d.May != want[i] {
				t.Errorf("%q: %s may %s: %s", rules, who, d.May, d.Why())
			}
		}
		w := r.ask("GET /api/v1/chardevs/vm1", nil)
		if permitted := want[0].Has(access.Read); (w.Code == 200) != permitted {
			t.Errorf("%q: a guest's look is answered with %d", rules, w.Code)
		}
	}
}

// Each route of the API serves at [http], too, those whom the rules permit what it needs,
// and nobody else; and of whom nothing is known nobody changes anything, whatever they
// permit.
func TestRoutesOverHTTP(t *testing.T) {
	r := newWebRig(t, "")
	path := strings.NewReplacer("{name}", "vm1", "{id}", "1")
	missing := r.askAs("GET /api/v1/chardevs/vm1", access.None, "", r.token)
	for _, rt := range r.door.control.routes() {
		if rt.own != nil {
			continue
		}
		what := path.Replace(rt.pattern)
		safe := isSafe(rt.pattern[:strings.IndexByte(rt.pattern, ' ')])
		for may := access.None; may <= access.All; may++ {
			if w := r.askAs(what, may, "anyone", ""); !safe && w.Code != 401 || safe && may == access.None && rt.one != nil && w.Code != 404 {
				t.Errorf("%s, anybody, who may %s: %d %s", what, may, w.Code, w.Body)
			}
			w := r.askAs(what, may, "token:ci", r.token)
			body := w.Body.String()
			switch permitted := may.Has(rt.needs) && what != "POST /api/v1/reload"; { // which is of all chardevs
			case rt.set != nil || rt.pass != nil: // whether it is there or not
				if (w.Code == 403) == permitted {
					t.Errorf("%s, who may %s: %d %s", what, may, w.Code, body)
				}
			case rt.all != nil:
				if w.Code != 200 && (permitted || w.Code != 403) || strings.Contains(body, "vm1") != permitted {
					t.Errorf("%s, who may %s: %d %s", what, may, w.Code, body)
				}
			case permitted && (w.Code == 401 || w.Code == 403 || body == missing.Body.String()):
				t.Errorf("%s, who may %s: %d %s", what, may, w.Code, body)
			case !permitted && may.Has(access.Read) && w.Code != 403, !permitted && !may.Has(access.Read) && body != missing.Body.String():
				t.Errorf("%s, who may %s: %d %s", what, may, w.Code, body)
			}
			if w := r.askAs(what, may, "token:ci", r.token+"x"); w.Code != 401 && w.Code != 429 {
				t.Errorf("%s, with a wrong token: %d %s", what, w.Code, w.Body)
			}
		}
	}
}

// askAs is ask under a rule that who may something, with a token unless it is "".
func (r *webRig) askAs(what string, may access.Permissions, who, token string) *httptest.ResponseRecorder {
	r.hub.gate.rules.Store(access.Nobody("of a test"))
	if who != "" {
		r.hub.gate.rules.Store(rulesOf(r.t, strings.Replace(permit("", may), "unix:", who, 1)))
	}
	header := map[string]string{}
	if token != "" {
		header["Authorization"] = "Bearer " + token
	}
	if what == "POST /api/v1/chardevs" {
		header["Body"] = `{"name": "vm1"}`
	}
	return r.ask(what, header)
}

// What is not the API is the pages'.
func TestPages(t *testing.T) {
	r := newWebRig(t, "")
	r.door.control.server.Pages = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, "page ", q.URL.Path) })
	for what, want := range map[string]string{"GET /": "page /", "GET /c/vm1": "page /c/vm1", "GET /api/v1/chardevs": "[", "GET /api/": "problem"} {
		if w := r.ask(what, nil); !strings.Contains(w.Body.String(), want) && !strings.Contains(w.Header().Get("Content-Type"), want) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	if w := r.ask("GET /", map[string]string{"Host": "evil.example"}); w.Code != 403 {
		t.Errorf("a page by any name: %d %s", w.Code, w.Body)
	}
}

// Who has as many requests served, or is there as often, as one may keeps out himself and
// nobody else.
func TestOneTooMany(t *testing.T) {
	r := newWebRig(t, "")
	c := r.door.control
	c.most, c.atOnce = 2, 5
	known := map[string]string{"Authorization": "Bearer " + r.token}
	for _, who := range []struct {
		name           string
		header, others map[string]string
	}{{"anonymous", nil, known}, {"token:ci", known, nil}} {
		for _, one := range []struct {
			what string
			of   *shares
			most int
		}{{"GET /api/v1/chardevs", &c.requests, c.atOnce}, {"GET /api/v1/chardevs/vm1/log", &c.here, c.most}} {
			for range one.most {
				if w := r.ask(one.what, who.header); w.Code != 200 {
					t.Errorf("%s of %s: %d %s", one.what, who.name, w.Code, w.Body)
				}
				one.of.take(who.name, one.most)
			}
			if w := r.ask(one.what, who.header); w.Code != 503 {
				t.Errorf("%s of %s, one more: %d %s", one.what, who.name, w.Code, w.Body)
			}
			if w := r.ask(one.what, who.others); w.Code != 200 {
				t.Errorf("%s of another one than %s: %d %s", one.what, who.name, w.Code, w.Body)
			}
			for range one.most {
				one.of.give(who.name)
			}
		}
	}
}

func TestDoorsURL(t *testing.T) {
	var said atomic.Pointer[sites]
	said.Store(new(sites))
	for a, want := range map[string]string{
		"tcp://127.0.0.1:80": "http://127.0.0.1:80/", "tls://:443": "https://localhost:443/", "tcp://[::]:1": "http://localhost:1/",
		"unix:x": "", "tls+unix:x": "",
	} {
		d := &httpDoor{supervisor: supervisor{ep: &Endpoint{Address: channel.MustParseAddress(a)}}, control: &control{sites: &said}}
		if have := d.url(); have != want {
			t.Errorf("%s: %q, want %q", a, have, want)
		}
	}
}
