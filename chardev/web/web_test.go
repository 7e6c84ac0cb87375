package web

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// get asks for a path, as a browser or a program without gzip does.
func get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		base   string // in the document
	}{
		{"/", 200, "./"},
		{"/login", 200, "./"},
		{"/c/vm1", 200, "../"},
		{"/c/", 404, ""},
		{"/c/vm1/more", 404, ""},
		{"/index.html", 404, ""},
		{"/assets/", 404, ""},
		{"/assets/../web.go", 307, ""},
		{"/assets/app.js", 200, ""},
		{"/favicon.ico", 200, ""},
	} {
		a := get(t, c.path)
		body, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != c.status {
			t.Errorf("%s: %s, %v; want %d", c.path, a.Status, err, c.status)
		}
		if c.base != "" && !strings.Contains(string(body), `<base href="`+c.base+`">`) {
			t.Errorf("%s has not the base %s: %s", c.path, c.base, body)
		}
	}
}

// Where nothing is, a browser gets a page whose links lead to where something is, and
// others get a line.
func TestMissing(t *testing.T) {
	for path, base := range map[string]string{"/nope": "./", "/c/": "../", "/c/vm1/more": "../../", "/a%2Fb": "./", "/assets/nope": "../"} {
		a := get(t, path, "Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
		body, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != 404 || !strings.Contains(string(body), `<base href="`+base+`">`) {
			t.Errorf("%s: %s, %v, has not the base %s: %s", path, a.Status, err, base, body)
		}
		if got := a.Header.Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: the policy is %q", path, got)
		}
		a = get(t, path, "Accept", "*/*")
		if body, err := io.ReadAll(a.Body); err != nil || a.StatusCode != 404 || string(body) != "404 page not found\n" {
			t.Errorf("%s, asked by no browser: %s, %v, %q", path, a.Status, err, body)
		}
	}
}

// Whatever is served says what a browser may do with it, and nothing may run or be
// drawn that is not a file of this host.
func TestPolicy(t *testing.T) {
	for _, path := range []string{"/", "/c/vm1", "/assets/app.js", "/assets/style.css"} {
		h := get(t, path).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Security-Policy": policy,
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
	for _, word := range []string{"unsafe", "data:", "http:", "https:", "*"} {
		if strings.Contains(policy, word) {
			t.Errorf("the policy has %s: %s", word, policy)
		}
	}
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy has no %s: %s", want, policy)
		}
	}
	page, err := dist.ReadFile("dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\son\w+=|style=|https?:`).Find(page); found != nil {
		t.Errorf("the document has %q, which its policy refuses", found)
	}
}

func TestNotModified(t *testing.T) {
	for _, coding := range []string{"", "gzip, br"} {
		first := get(t, "/assets/app.js", "Accept-Encoding", coding)
		etag := first.Header.Get("ETag")
		for header, status := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
			a := get(t, "/assets/app.js", "Accept-Encoding", coding, "If-None-Match", header)
			if body, _ := io.ReadAll(a.Body); a.StatusCode != status || (status == 304) != (len(body) == 0) {
				t.Errorf("If-None-Match: %s: %s with %d bytes, want %d", header, a.Status, len(body), status)
			}
		}
	}
	if get(t, "/assets/app.js").Header.Get("ETag") == get(t, "/assets/app.js", "Accept-Encoding", "gzip").Header.Get("ETag") {
		t.Error("two encodings have one ETag")
	}
}

// weightMax is what the whole of the pages may weigh on a wire, in bytes.
const weightMax = 200_000

func TestZipped(t *testing.T) {
	for header, want := range map[string]string{"gzip": "gzip", "br, gzip;q=0.5": "gzip", "gzip;q=0": "", "gzip; q=0.0": "", "br": "", "xgzip": ""} {
		if got := get(t, "/assets/app.js", "Accept-Encoding", header).Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding: %s: answered with %q", header, got)
		}
	}
	files, err := fs.Glob(dist, "dist/*")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	weight := 0
	for _, file := range files {
		name := strings.TrimPrefix(file, "dist/")
		if name == "index.html" {
			name = "../"
		}
		path := strings.Replace("/assets/"+name, "/assets/../", "/", 1)
		a := get(t, path, "Accept-Encoding", "gzip")
		zipped, err := io.ReadAll(a.Body)
		if err != nil || a.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: %v, %v", path, a.Header, err)
		}
		weight += len(zipped)
		z, err := gzip.NewReader(strings.NewReader(string(zipped)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(z)
		plain, _ := io.ReadAll(get(t, path).Body)
		if err != nil || string(body) != string(plain) || len(plain) == 0 {
			t.Errorf("%s: zipped it is another: %v", path, err)
		}
	}
	t.Logf("all files weigh %d bytes", weight)
	if weight > weightMax {
		t.Errorf("all files weigh %d bytes, more than %d", weight, weightMax)
	}
}
