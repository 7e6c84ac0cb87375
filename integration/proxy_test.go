package integration

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// nginxConfig has the daemon below two paths: one that is passed on as it is, to its
// base, and one that is stripped and told.
const nginxConfig = `
daemon off;
master_process off;
pid @dir@/nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path @dir@/nginx-body;
  proxy_temp_path @dir@/nginx-proxy;
  fastcgi_temp_path @dir@/nginx-fastcgi;
  uwsgi_temp_path @dir@/nginx-uwsgi;
  scgi_temp_path @dir@/nginx-scgi;

  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Prefix $prefix;

  server {
    listen 127.0.0.1:@proxy@;
    listen 127.0.0.1:@proxys@ ssl;
    ssl_certificate @ca@/server-cert.pem;
    ssl_certificate_key @ca@/server-key.pem;

    location /consoles { set $prefix ""; proxy_pass http://127.0.0.1:@web@; }
    location /stripped/ { set $prefix /stripped; proxy_pass http://unix:@dir@/web:/; }
  }
}
`

// A proxied is a daemon with nginx before it. The visitor's address is none of a
// proxy's.
type proxied struct {
	*daemon
	web, proxy, proxys string // host:port of the daemon's own address, of nginx, and of nginx with TLS
}

const visitor = "127.0.0.9"

func newProxied(t *testing.T) *proxied {
	t.Helper()
	ca := newAuthority(t)
	v := map[string]any{"ca": ca.dir, "web": freePort(t), "proxy": freePort(t), "proxys": freePort(t)}
	d := newDaemon(t, folder(t), `
[http]
listen = ["tcp://127.0.0.1:@web@", "unix:web"]
base = "/consoles"
proxies = ["127.0.0.1", "unix"]
host = ["ops.example"]
[[access]]
who = "user:alice"
may = ["read", "write", "control"]
on = "*"
[[chardev]]
name = "vm"
device = "exec:echo the guest is there; cat"
`, v)
	d.makes(alicesPassword+"\n", "user", "add", "alice")
	d.serve()
	v["dir"] = d.dir
	write(t, d.path("nginx.conf"), expand(nginxConfig, v))
	startCmd(t, exec.Command(program(t, "nginx"), "-e", "stderr", "-p", d.dir, "-c", d.path("nginx.conf")))
	at := func(name string) string { return fmt.Sprint("127.0.0.1:", v[name]) }
	p := &proxied{d, at("web"), at("proxy"), at("proxys")}
	eventually(t, patience, func() error {
		c, err := net.Dial("tcp", p.proxys)
		if err == nil {
			c.Close()
		}
		return err
	})
	return p
}

// asks makes a request as the visitor.
func (p *proxied) asks(method, url, body string, header map[string]string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	r.Host = cmp.Or(r.Header.Get("Host"), r.Host)
	c := asFrom(p.t, visitor)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	a, err := c.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { a.Body.Close() })
	return a
}

// logIn logs alice in at a site, which is a URL up to the API's path, and returns the
// cookie.
func (p *proxied) logIn(site string, header map[string]string) *http.Cookie {
	p.t.Helper()
	a := p.asks("POST", site+"/api/v1/session", fmt.Sprintf(`{"user": "alice", "password": %q}`, alicesPassword), header)
	if len(a.Cookies()) != 1 {
		text, _ := io.ReadAll(a.Body)
		p.t.Fatalf("login at %s: %s %s", site, a.Status, text)
	}
	return a.Cookies()[0]
}

// attach attaches as the visitor, and returns how the daemon lists him.
func (p *proxied) attach(site string, header map[string]string) clientInfo {
	p.t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(visitor)}, Timeout: patience}).Dial("tcp", strings.Split(site, "/")[2])
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	_, path, _ := strings.Cut(site[len("http://"):], "/")
	answer, br := upgrade(p.t, c, "http://"+cmp.Or(header["Host"], strings.Split(site, "/")[2])+strings.TrimSuffix("/"+path, "/")+"/api/v1/chardevs/vm/ws", header)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(answer.Body)
		p.t.Fatalf("attach at %s: %s %s", site, answer.Status, text)
	}
	w := newWire(p.t, c, site)
	u := framed(w, br)
	u.types(p.t, "through the proxy\r")
	u.sees(p.t, "through the proxy")
	p.has("vm", 1)
	who := p.clients("vm")[0]
	c.Close()
	p.has("vm", 0)
	return who
}

// Through nginx one logs in, attaches, and sees what happens as it does; and one is whom
// the proxy says, at whatever path it serves the pages, and by whatever way it passes
// them on.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	for _, c := range []struct {
		site, host string
		header     map[string]string
		path, via  string
		secure     bool
	}{
		{"http://" + p.proxy + "/consoles", "", nil, "/consoles/", " via 127.0.0.1:", false},
		{"http://" + p.proxy + "/stripped", "", nil, "/stripped/", " via pid=", false},
		{"https://" + p.proxys + "/consoles", "", nil, "/consoles/", "", true},
		{"http://" + p.proxy + "/consoles", "ops.example", map[string]string{"Origin": "http://ops.example"}, "/consoles/", " via 127.0.0.1:", false},
		// What is forged through it, nginx adds to; and around it nobody believes it.
		{"http://" + p.proxy + "/consoles", "", map[string]string{"X-Forwarded-For": "198.51.100.7, 127.0.0.1", "Forwarded": "for=198.51.100.7"}, "/consoles/", " via 127.0.0.1:", false},
		{"http://" + p.web, "", map[string]string{"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/x"}, "/", ":", false},
	} {
		header := map[string]string{}
		for k, v := range c.header {
			header[k] = v
		}
		if c.host != "" {
			header["Host"] = c.host
		}
		cookie := p.logIn(c.site, header)
		if cookie.Path != c.path || cookie.Secure != c.secure {
			t.Errorf("%s %v: the cookie is %v", c.site, c.header, cookie)
		}
		header["Cookie"] = cookie.Name + "=" + cookie.Value
		if !c.secure {
			if who := p.attach(c.site, header); !strings.HasPrefix(who.Peer, "user:alice "+visitor+c.via) {
				t.Errorf("%s %v: attached is %q", c.site, c.header, who.Peer)
			}
		}
		events := bufio.NewReader(p.asks("GET", c.site+"/api/v1/events", "", header).Body)
		sees := func(what string) {
			t.Helper()
			for {
				line, err := events.ReadString('\n')
				if err != nil {
					t.Fatalf("%s: the events end before %q: %v", c.site, what, err)
				}
				if strings.Contains(line, what) {
					return
				}
			}
		}
		sees(`"name":"vm"`)
		if a := p.asks("POST", c.site+"/api/v1/chardevs/vm/reconnect", "", header); a.StatusCode != 202 {
			t.Errorf("%s: a reconnect: %s", c.site, a.Status)
		}
		sees("event: chardev")
	}

	for _, c := range []struct {
		why, method, url string
		header           map[string]string
		status           int
	}{
		{"a page that was led to the proxy", "GET", "http://" + p.proxy + "/consoles/api/v1/session", map[string]string{"Host": "evil.example", "X-Forwarded-Host": "localhost"}, 403},
		{"a page of another site", "POST", "http://" + p.proxy + "/consoles/api/v1/session", map[string]string{"Origin": "http://evil.example"}, 403},
		{"a page that came without TLS", "POST", "https://" + p.proxys + "/consoles/api/v1/session", map[string]string{"Origin": "http://" + p.proxys}, 403},
		{"the proxy itself is nobody", "GET", "http://" + p.proxy + "/stripped/api/v1/chardevs/vm", nil, 404},
		{"the base without its slash", "GET", "http://" + p.proxy + "/consoles", nil, 308},
	} {
		if a := p.asks(c.method, c.url, "", c.header); a.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.why, a.Status, c.status)
		}
	}
}

// The pages do below a proxy's path what they do without: the login, the list, a console.
func TestBrowserBehindNginx(t *testing.T) {
	p := newProxied(t)
	b := startBrowser(t)
	for _, base := range []string{"consoles", "stripped"} {
		site := "http://" + p.proxy + "/" + base
		b.do(chromedp.Navigate(site+"/login"),
			chromedp.SendKeys("#user", "alice"), chromedp.SendKeys("#password", alicesPassword+"\r"))
		b.until(fmt.Sprintf("location.pathname === %q", "/"+base+"/"))
		b.until(`document.querySelector(".groups a")?.textContent.includes("vm")`)
		b.do(chromedp.Click(".groups a"))
		b.until(fmt.Sprintf("location.pathname === %q", "/"+base+"/c/vm"))
		b.shows("the guest is there")
		b.types("below " + base)
		b.do(chromedp.KeyEvent(kb.Enter))
		b.shows("below " + base)
	}
}
