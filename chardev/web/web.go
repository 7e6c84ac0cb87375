// Package web serves the pages: a list of the consoles, a terminal for each, and the
// login. They are one small program in the browser, written in TypeScript in src/ and
// bundled into dist/, which is committed and embedded: "go build" needs no node. To
// change them:
//
//	cd chardev/web && npm ci && npm run check && npm run build
//
// The pages know nothing that the API under api/v1 does not tell them, and ask nobody
// else: what they may load and whom they may ask is said to the browser in a policy
// that names this host only, without inline scripts and styles.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"chardevd/chardev/internal/coding"
)

//go:embed dist
var dist embed.FS

// policy is what the pages may do (Content Security Policy Level 3). It is theirs and
// not a wish: nothing inline runs, no other host is asked, no page of others frames
// them, no form goes elsewhere, and no string becomes a script (Trusted Types).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'self'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the pages: "/", "/login", "/c/NAME" and what they load from
// "/assets/". They may be shown to anybody, who then has to say to the API who he is.
// At any other path a browser gets a page that says so and leads on.
// Links in them are relative, so that they also work below a path of a proxy that
// strips it.
func Handler() http.Handler {
	mux := http.NewServeMux()
	top := page("./")
	mux.Handle("GET /{$}", top)
	mux.Handle("GET /login", top)
	mux.Handle("GET /c/{name}", page("../"))
	mux.Handle("GET /favicon.ico", asset("icon.svg"))
	mux.HandleFunc("GET /", missing)
	files, err := fs.ReadDir(dist, "dist")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, f := range files {
		mux.Handle("GET /assets/"+f.Name(), asset(f.Name()))
	}
	return mux
}

// asset serves a file of dist.
func asset(name string) http.Handler {
	data, err := dist.ReadFile(path.Join("dist", name))
	if err != nil {
		panic(err) // it is embedded
	}
	return newContent(kinds[path.Ext(name)], data)
}

// kinds are the media types of what is in dist, whatever this host calls them.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// page serves the one document, whose links are relative to root.
func page(root string) http.Handler { return newContent(kinds[".html"], document(root)) }

func document(root string) []byte {
	data, err := dist.ReadFile("dist/index.html")
	if err != nil {
		panic(err) // it is embedded
	}
	return bytes.Replace(data, []byte(`<base href="./">`), []byte(`<base href="`+root+`">`), 1)
}

// missing answers that nothing is at a path: with the one document, which says it in
// the pages' own look, to whoever wants one, and with a line of text to others.
func missing(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.NotFound(w, r)
		return
	}
	root := strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)
	if root == "" {
		root = "./"
	}
	h.Set("Content-Type", kinds[".html"])
	guard(h)
	w.WriteHeader(http.StatusNotFound)
	w.Write(document(root)) // a HEAD's is dropped by the server
}

// guard says what a browser may do with an answer.
func guard(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // it is asked each time whether it is still this one
}

// A content is something that is served as it is.
type content struct {
	kind   string
	data   []byte
	etag   string
	zipped func() []byte // of data, made when somebody asks first: most daemons are never asked
}

func newContent(kind string, data []byte) *content {
	sum := sha256.Sum256(data)
	return &content{
		kind: kind, data: data,
		etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		zipped: sync.OnceValue(func() []byte {
			var b bytes.Buffer
			w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
			if err != nil {
				panic(err) // there is such a level
			}
			w.Write(data) // into memory
			w.Close()
			return b.Bytes()
		}),
	}
}

func (c *content) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", c.kind)
	guard(h)
	h.Set("Vary", "Accept-Encoding")
	body, etag := c.data, c.etag
	if coding.AcceptsGzip(r) {
		body, etag = c.zipped(), strings.TrimSuffix(etag, `"`)+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // a HEAD's is dropped by the server
}

// matches reads If-None-Match (RFC 9110 section 13.1.2), which compares weakly.
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
