package control

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"chardevd/channel"
	"chardevd/cmd/chardevd/internal/attach"
)

// Only where nobody listens there is no daemon.
func TestWhatIsUnreachable(t *testing.T) {
	p := Place{Address: channel.MustParseAddress("unix:/run/x"), From: "y.toml"}
	for err, c := range map[error]struct {
		absent bool
		words  string
	}{
		syscall.ENOENT:       {true, "no daemon on unix:/run/x (from y.toml): "},
		syscall.ECONNREFUSED: {true, "no daemon on unix:/run/x (from y.toml): "},
		syscall.EACCES:       {false, "unix:/run/x (from y.toml) is not open to you: permission denied; run this as "},
		errors.New("tls"):    {false, "daemon on unix:/run/x (from y.toml): tls"},
	} {
		u := &Unreachable{p, err}
		if u.Absent() != c.absent || !strings.HasPrefix(u.Error(), c.words) {
			t.Errorf("%v: absent %v, %q", err, u.Absent(), u)
		}
	}
}

// Who names the URL of pages behind a proxy asks that by its own name, below the path; else
// the daemon is asked by a name that it always has.
func TestBehindAProxy(t *testing.T) {
	t.Setenv(EnvToken, "")
	asked := make(chan string, 8)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host + r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `[{"name": "vm"}]`)
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	for named, root := range map[string]string{
		s.URL:                      "localhost",
		s.URL + "/":                "localhost",
		s.URL + "/consoles":        host + "/consoles",
		s.URL + "/lab/consoles/":   host + "/lab/consoles",
		"tcp://" + host:            "localhost",
		s.URL + "/c?insecure=true": host + "/c",
	} {
		p, err := Find(named, "")
		if err != nil {
			t.Fatalf("%s: %v", named, err)
		}
		c := New(p)
		if _, err := c.call(t.Context(), http.MethodGet, "chardevs", "a b"); err != nil {
			t.Fatal(err)
		}
		if got := <-asked; got != root+"/api/v1/chardevs/a b" {
			t.Errorf("%s: %q is asked", named, got)
		}
		c.Attach(t.Context(), "vm", false, attach.At{}, nil) // that is no websocket there
		if got := <-asked; got != root+"/api/v1/chardevs" {
			t.Errorf("%s: attach asks %q first", named, got)
		}
		if got := <-asked; got != root+"/api/v1/chardevs/vm/ws" {
			t.Errorf("%s: attach asks %q", named, got)
		}
	}
}

// Who is led to what is no chardevd is told that it may be a console's frontend, or that the
// path is wrong, and by the name that he gave it. Of a config file's socket nobody doubts
// what it is.
func TestWhatIsNoDaemon(t *testing.T) {
	t.Setenv(EnvToken, "")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/page/") {
			io.WriteString(w, "<html>")
			return
		}
		if strings.HasPrefix(r.URL.Path, "/ws/") {
			http.Error(w, "this is a websocket", http.StatusBadRequest)
			return
		}
		http.NotFound(w, r)
	}))
	defer page.Close()
	console, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	prints := make(chan string, 2)
	go func() {
		for {
			c, err := console.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, <-prints)
			c.Read(make([]byte, 4096))
			c.Close()
		}
	}()
	const frontend = "; is that a console's frontend? "
	for _, c := range []struct{ named, prints, want string }{
		{page.URL + "/wrong", "", "daemon on " + page.URL + "/wrong (from --control): the answer is 404 Not Found; chardevd is not at this path"},
		{page.URL + "/page", "", "an answer that is not of this API: invalid character '<' looking for beginning of value" + frontend},
		{page.URL + "/ws", "", "the answer is 400 Bad Request" + frontend},
		{"tcp://" + console.Addr().String(), "HTTP/1.1 no\r\n", frontend},
		{"tcp://" + console.Addr().String(), "", frontend},
	} {
		p, err := Find(c.named, "")
		if err != nil {
			t.Fatal(err)
		}
		prints <- c.prints
		_, _, err = New(p).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.named, err, c.want)
		}
		if p.file = true; strings.HasPrefix(c.named, "tcp:") {
			prints <- c.prints
			if _, _, err = New(p).List(t.Context()); err == nil || strings.Contains(err.Error(), "frontend") {
				t.Errorf("%s of a config file: %v", c.named, err)
			}
		} else {
			<-prints
		}
	}
}

// Who is not known is told where the token comes from, and who sees no console that there is
// none for him.
func TestNobodyIsTold(t *testing.T) {
	for _, c := range []struct{ token, list, want string }{
		{"", "[]", `no chardev "vm"; there is none at all that you may read; a token in $CHARDEVD_TOKEN would be shown`},
		{"cdt_x", "[]", `no chardev "vm"; there is none at all that you may read; the token in $CHARDEVD_TOKEN was shown`},
		{"", "", "who are you?; a token in $CHARDEVD_TOKEN would be shown"},
		{"cdt_wrong", "", "who are you?; the token in $CHARDEVD_TOKEN was shown"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.list == "" {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w, `{"status": 401, "detail": "who are you?"}`)
				return
			}
			io.WriteString(w, c.list)
		}))
		defer s.Close()
		t.Setenv(EnvToken, c.token)
		p, err := Find(s.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := New(p).Known(t.Context(), "vm"); err == nil || err.Error() != c.want {
			t.Errorf("%q and token %q: %v, want %q", c.list, c.token, err, c.want)
		}
	}
}
