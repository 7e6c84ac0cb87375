package chardev

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"chardevd/channel"
)

// from has requests of the rig come from an address, and over a UNIX socket of pid 5 and
// uid 7 without one.
func (r *webRig) from(at string) {
	_, end := channel.Pipe(1)
	r.ch = &procPeer{addressed{end, &net.UnixAddr{Net: "unix"}}, channel.PeerCred{PID: 5, UID: 7}}
	if at != "" {
		r.ch = addressed{end, &net.TCPAddr{IP: net.ParseIP(at), Port: 4711}}
	}
}

// What a proxy says of for whom it asks counts from one that is trusted, up to the first
// who is not; from anybody else it changes nothing.
func TestForwardedFor(t *testing.T) {
	proxies := parseProxies([]string{"127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"})
	r := newWebRig(t, "")
	for _, c := range []struct {
		from string
		says []string
		want string
	}{
		{"127.0.0.1", []string{"192.0.2.1"}, "192.0.2.1 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"192.0.2.1:80"}, "192.0.2.1 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"[2001:db9::5]:80"}, "2001:db9::5 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"[2001:db9::5]"}, "2001:db9::5 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"::ffff:192.0.2.1"}, "192.0.2.1 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"198.51.100.7, 192.0.2.1"}, "192.0.2.1 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"198.51.100.7, 192.0.2.1, 10.1.2.3"}, "192.0.2.1 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"198.51.100.7,192.0.2.1", " 10.1.2.3 ", "2001:db8::1"}, "192.0.2.1 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"10.0.0.5, 10.1.2.3"}, "10.0.0.5 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"192.0.2.1, unknown, 10.1.2.3"}, "10.1.2.3 via 127.0.0.1:4711"},
		{"127.0.0.1", []string{"192.0.2.1, "}, "127.0.0.1:4711"},
		{"127.0.0.1", nil, "127.0.0.1:4711"},
		{"10.9.9.9", []string{"192.0.2.1"}, "192.0.2.1 via 10.9.9.9:4711"},
		{"", []string{"192.0.2.1"}, "192.0.2.1 via pid=5"},
		{"127.0.0.2", []string{"192.0.2.1"}, "127.0.0.2:4711"},
		{"192.0.2.9", []string{"127.0.0.1"}, "192.0.2.9:4711"},
	} {
		r.from(c.from)
		q, err := http.NewRequestWithContext(withVisitor(t.Context(), r.ch), "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header["X-Forwarded-For"] = c.says
		p, q := proxies.forwarded(q.Context().Value(peerKey{}).(peer), q)
		if p.place.name != c.want {
			t.Errorf("%s says %q: have %q, want %q", cmp.Or(c.from, "unix"), c.says, p.place.name, c.want)
		}
		if at, via, is := strings.Cut(c.want, " via "); is && p.place.source.String() != cmp.Or(map[string]string{"2001:db9::5": "2001:db9::/64"}[at], at) {
			t.Errorf("%s via %s: the source is %q", at, via, p.place.source)
		}
		if kept, _ := q.Context().Value(peerKey{}).(peer); kept.place != p.place {
			t.Errorf("the request is of %q, and not of %q", kept.place.name, p.place.name)
		}
	}
}

// Behind a trusted proxy the guards and the cookie go by what a browser sees, and else by
// what comes here.
func TestForwardedHost(t *testing.T) {
	r := newWebRig(t, "")
	r.behind("/consoles", "127.0.0.1", "unix")
	login := `{"user":"alice","password":"` + alicesPassword + `"}`
	for _, c := range []struct {
		from, path string
		header     map[string]string // Forwarded-X is X-Forwarded-X
		status     int
		cookie     string
	}{
		{"127.0.0.1", "", nil, 200, "/"},
		{"127.0.0.1", "/consoles", nil, 200, "/consoles/"},
		{"127.0.0.1", "", map[string]string{"Prefix": "/consoles"}, 200, "/consoles/"},
		{"127.0.0.1", "/consoles", map[string]string{"Prefix": "/ops/"}, 200, "/ops/consoles/"},
		{"127.0.0.1", "", map[string]string{"Prefix": "//evil.example"}, 200, "/"},
		{"127.0.0.1", "", map[string]string{"Prefix": "/a; Domain=evil"}, 200, "/"},
		{"127.0.0.1", "", map[string]string{"Prefix": "/forged, /told"}, 200, "/told/"},
		{"192.0.2.9", "", map[string]string{"Prefix": "/consoles"}, 200, "/"},
		{"127.0.0.1", "", map[string]string{"Proto": "https"}, 200, "/ secure"},
		{"", "", map[string]string{"Proto": "https"}, 200, "/ secure"},
		{"127.0.0.1", "", map[string]string{"Proto": "http"}, 200, "/"},
		{"192.0.2.9", "", map[string]string{"Proto": "https"}, 200, "/"},
		{"127.0.0.1", "", map[string]string{"Host": "chardevd.example", "Origin": "https://chardevd.example", "Proto": "https"}, 200, "/ secure"},
		{"127.0.0.1", "", map[string]string{"Host": "chardevd.example", "Origin": "http://chardevd.example", "Proto": "https"}, 403, ""},
		{"127.0.0.1", "", map[string]string{"Host": "chardevd.example", "Origin": "http://chardevd.example", "Proto": "http"}, 200, "/"},
		{"127.0.0.1", "", map[string]string{"Host": "evil.example"}, 403, ""},
		{"127.0.0.1", "", map[string]string{"Host": "localhost", "asked": "evil.example"}, 403, ""}, // a page that was led here says so
		{"192.0.2.9", "", map[string]string{"Host": "chardevd.example", "Origin": "http://chardevd.example"}, 403, ""},
		{"192.0.2.9", "", map[string]string{"Host": "evil.example"}, 200, "/"},
	} {
		r.from(c.from)
		header := map[string]string{"Body": login, "Host": c.header["asked"]}
		for k, v := range c.header {
			switch k {
			case "Origin":
				header[k] = v
			case "asked":
			default:
				header["X-Forwarded-"+k] = v
			}
		}
		w := r.ask("POST "+c.path+"/api/v1/session", header)
		cookie := ""
		for _, one := range w.Result().Cookies() {
			if cookie = one.Path; one.Secure {
				cookie += " secure"
			}
		}
		if w.Code != c.status || cookie != c.cookie {
			t.Errorf("from %s, %s %v: %d, cookie %q; want %d, %q", cmp.Or(c.from, "unix"), c.path, c.header, w.Code, cookie, c.status, c.cookie)
		}
	}
}

// Whoever comes through a proxy is not the proxy, and has its own share of tries.
func TestForwardedIsNobody(t *testing.T) {
	r := newWebRig(t, "")
	r.from("")
	const me = "GET /api/v1/session"
	if w := r.ask(me, map[string]string{"X-Forwarded-For": "192.0.2.1"}); !strings.Contains(w.Body.String(), "unix:7") {
		t.Errorf("a process of this host: %s", w.Body)
	}
	r.behind("", "unix")
	for _, header := range []map[string]string{{"X-Forwarded-For": "192.0.2.1"}, nil} {
		if w := r.ask(me, header); !strings.Contains(w.Body.String(), `"who":"anonymous"`) {
			t.Errorf("behind a proxy, with %v: %s", header, w.Body)
		}
		if w := r.ask("POST /api/v1/chardevs/vm1/break", header); w.Code != 401 {
			t.Errorf("a change by nobody, with %v: %d %s", header, w.Code, w.Body)
		}
	}
	guess := func(at string) int {
		return r.ask(me, map[string]string{"Authorization": "Bearer cdt_x", "X-Forwarded-For": at}).Code
	}
	for n := 0; guess("192.0.2.1") != 429; n++ {
		if n == 100 {
			t.Fatal("nothing holds up who guesses")
		}
	}
	if c := guess("192.0.2.2"); c != 401 {
		t.Errorf("somebody else behind the proxy is answered with %d", c)
	}
	if c := guess("192.0.2.2, 192.0.2.1"); c != 429 {
		t.Errorf("who says to be somebody else is answered with %d", c)
	}
}

// All that is served is served below the base too, and nothing else is.
func TestBelowABase(t *testing.T) {
	r := newWebRig(t, "")
	r.behind("/consoles")
	r.door.control.server.Pages = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, "page "+q.URL.Path) })
	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{"/consoles/api/v1/chardevs", 200, `"name":"vm1"`},
		{"/api/v1/chardevs", 200, `"name":"vm1"`},
		{"/consoles/", 200, "page /"},
		{"/consoles/c/vm1", 200, "page /c/vm1"},
		{"/c/vm1", 200, "page /c/vm1"},
		{"/consolesx", 200, "page /consolesx"},
		{"/consoles?a=b", 308, "/consoles/?a=b"},
		{"/consoles/api", 404, "no such thing"},
		{"/consoles//evil.example/", 404, "no such thing"},
		{"/consoles/c/../api/v1/chardevs", 404, "no such thing"},
		{"/consoles/openapi.json", 200, `"servers":[{"url":"/consoles"}]`},
	} {
		w := r.ask("GET "+c.path, nil)
		says := w.Body.String() + w.Header().Get("Location")
		if w.Code != c.status || !strings.Contains(says, c.says) {
			t.Errorf("%s: %d %q, want %d %q", c.path, w.Code, says, c.status, c.says)
		}
	}
	if w := r.ask("GET /openapi.json", nil); strings.Contains(w.Body.String(), `"servers"`) {
		t.Errorf("the description tells servers: %.300s", w.Body)
	}
	if r.door.url() != "http://127.0.0.1:7681/consoles/" {
		t.Errorf("it is reached at %s", r.door.url())
	}
}
