package chardev

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	urlpath "path"
	"strconv"
	"strings"

	"chardevd/channel"
)

// [http]: the API, and the pages, for whoever comes over a network or from a browser.

// A httpDoor is one address of [http].
type httpDoor struct {
	supervisor
	control *control
	shut    chan struct{} // closed when it listens no more
	conns   chan net.Conn // to the HTTP server
}

// requestsMost is how many requests of one person an address of [http] serves at once,
// besides those that are attached. One more is told to come again. Those of whom nothing is
// known have waitingMost connections, so there is room for who logs in besides what they do.
const requestsMost = waitingMost + 1024

func (s *Server) newHTTPDoor(ep *Endpoint) *httpDoor {
	env := s.newEnv(s.log.With("http", ep.Address.String()))
	d := &httpDoor{
		control: &control{server: s, sites: &s.sites, most: int(min(mostClients(ep.Address), math.MaxInt32)), atOnce: requestsMost},
		shut:    make(chan struct{}),
		conns:   make(chan net.Conn),
	}
	d.init(s.audit.refusals(env, ep, s.lull.stir), ep, usualReconnect(ep), func(state string, err error) {
		if err != nil {
			env.Log.Warn("http is "+state, "error", err)
			return
		}
		env.Log.Info("http is " + state)
	})
	return d
}

// sites are what [http] says of who comes, wherever it listens.
type sites struct {
	origins []string // from which pages may come, besides the daemon's own
	hosts   []string // by which they may call
	base    string   // of all paths, from who does not strip it; "" or like "/consoles"
	proxies Proxies  // who are believed about for whom they ask
}

func sitesOf(h HTTPConfig) *sites { return &sites{h.Origins, h.Hosts, h.Base, h.Proxies} }

// origins are those sites whose pages may use the API too.
func (c *control) origins() []string {
	if c.sites == nil {
		return nil
	}
	return c.sites.Load().origins
}

// start keeps the address served until run ends, or stop is called. What it starts is
// counted by run: who is served may be the one who asks for its end.
func (d *httpDoor) start(run *running) {
	d.begin(run.api)
	wg := &run.work
	d.control.ctx = &d.life
	d.listen(func(ch channel.Channel) {
		select {
		case d.conns <- ch:
		case <-d.Done():
			ch.Close()
		}
	}, func() { close(d.shut) })
	wg.Go(func() {
		strangers := &d.control.strangers
		hs := &http.Server{Handler: d.handler(), ConnContext: withVisitor, ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew: // whoever accepts must not wait for a Close
				if cut := strangers.add(c); cut != nil {
					wg.Go(func() { cut.Close() })
				}
			case http.StateIdle:
				if cut := strangers.add(c); cut != nil {
					cut.Close()
				}
			case http.StateHijacked, http.StateClosed:
				strangers.remove(c)
			}
		}}
		if err := d.control.serve(httpConns{d}, hs); err != nil {
			d.env.Log.Error("http is served no longer: restart chardevd", "error", err)
		}
	})
}

// stop closes the address. Who is attached there is told why; requests have a second to
// end, and are not waited for.
func (d *httpDoor) stop(why error) {
	d.ask(why)
	<-d.shut
}

// httpConns are the connections of a door as net/http wants them.
type httpConns struct{ door *httpDoor }

func (h httpConns) Accept() (net.Conn, error) {
	select {
	case c := <-h.door.conns:
		return c, nil
	case <-h.door.Done():
		return nil, net.ErrClosed
	}
}

// Close does nothing: the door's supervisor closes the listener.
func (h httpConns) Close() error { return nil }

// Addr is not known while nothing listens; it is for messages.
func (h httpConns) Addr() net.Addr { return httpAddr{h.door.ep.Address} }

type httpAddr struct{ channel.Address }

func (a httpAddr) Network() string { return a.Transport }

// besideAPI are the paths of routes that are not below /api/.
var besideAPI = []string{openAPIPath, metricsPath, healthPath, readyPath}

// handler is the API, and the pages.
func (d *httpDoor) handler() http.Handler {
	mux := http.NewServeMux()
	api := d.control.handler()
	mux.Handle("/api", api) // and not led to /api/
	mux.Handle("/api/", api)
	for _, path := range besideAPI {
		mux.Handle(path, api)
	}
	if pages := d.control.server.Pages; pages != nil {
		mux.Handle("/", pages)
	} else {
		mux.Handle("/", api)
	}
	return d.guarded(d.below(mux))
}

// guarded refuses what a web page of somebody else can have a browser send: to a name of
// its own that leads here, or from a site that is not this one (RFC 6454, and
// Sec-Fetch-Site of the W3C's Fetch Metadata where a browser sends no Origin).
func (d *httpDoor) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		listed := len(r.Header.Values("Origin")) > 0
		sites := d.control.sites.Load()
		p, known := r.Context().Value(peerKey{}).(peer)
		if known {
			r.TLS = channel.TLSOf(p.ch)
			asked := r.Host
			if p, r = sites.proxies.forwarded(p, r); !channel.HostAllowed(asked, sites.hosts) {
				r.Host = asked // a proxy that does not look at it may send a page's own X-Forwarded-Host along
			}
		}
		why := ""
		switch {
		case !channel.HostAllowed(r.Host, sites.hosts):
			why = fmt.Sprintf("host %q is not one of this server's names: [http] host = names them", r.Host)
		case !channel.OriginAllowed(r, sites.origins):
			why = fmt.Sprintf("origin %q may not use this server: [http] origin = names those that may", r.Header.Get("Origin"))
		case !isSafe(r.Method) && !listed && site != "" && site != "same-origin" && site != "none":
			why = "a page of another site may not have this changed"
		default:
			next.ServeHTTP(w, r)
			return
		}
		if known {
			d.control.server.audit.didNot(comer{frontend: d.ep.Address.String(), peer: p.place.name}, r.Method+" "+r.URL.Path, errors.New(why))
		}
		problem(w, http.StatusForbidden, why)
	})
}

// below serves what is below the base, as it would be served without one; and what
// is not, as a proxy may have stripped it.
func (d *httpDoor) below(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := d.control.sites.Load().base
		rest, under := strings.CutPrefix(r.URL.Path, base)
		p, _ := r.Context().Value(peerKey{}).(peer)
		switch {
		case base == "" || !under || rest != "" && rest[0] != '/':
			next.ServeHTTP(w, r)
			return
		case rest == "":
			to := url.URL{Path: p.prefix + base + "/", RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, to.String(), http.StatusPermanentRedirect)
			return
		case urlpath.Clean(rest) != strings.TrimSuffix(rest, "/") && rest != "/": // ServeMux would lead to the clean one, without the base
			problem(w, http.StatusNotFound, "no such thing: "+r.Method+" "+r.URL.Path)
			return
		}
		p.prefix += base
		r = r.WithContext(context.WithValue(r.Context(), peerKey{}, p))
		r.URL = new(*r.URL)
		r.URL.Path, r.URL.RawPath = rest, strings.TrimPrefix(r.URL.RawPath, base)
		next.ServeHTTP(w, r)
	})
}

// mostClients is how many may be attached over a listening address at once.
func mostClients(a channel.Address) int64 {
	if n, err := strconv.ParseInt(a.Get("max_clients"), 10, 64); err == nil {
		return n
	}
	return defaultMaxClients
}

// url is how a browser reaches the door from this host, "" where it can not.
func (d *httpDoor) url() string {
	a := d.ep.Address
	host := a.Host()
	if a.AllHosts() {
		host = "localhost"
	}
	scheme := map[string]string{"tcp": "http", "tls+tcp": "https"}[strings.Join(append(a.Layers[:len(a.Layers):len(a.Layers)], a.Transport), "+")]
	if scheme == "" {
		return ""
	}
	return scheme + "://" + net.JoinHostPort(host, a.Port()) + d.control.sites.Load().base + "/"
}
