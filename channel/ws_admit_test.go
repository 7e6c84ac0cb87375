package channel

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A server asks Admit about a request in which all else is right, and tells what that
// found out; what it refuses gets its answer and is closed.
func TestWebsocketAdmits(t *testing.T) {
	for _, c := range []struct {
		why     string
		request []string
		status  int
		asked   bool
	}{
		{"a secret that is right", []string{"Authorization: Bearer right"}, 101, true},
		{"one that is wrong", []string{"Authorization: Bearer wrong"}, 401, true},
		{"what is refused anyway", []string{"Authorization: Bearer right", "Origin: http://evil.example"}, 403, false},
		{"another name", []string{"Authorization: Bearer right", "Host: evil.example"}, 403, false},
	} {
		asked := false
		o := WebsocketOptions{Admit: func(_ context.Context, under Channel, r *http.Request) (any, *HandshakeError) {
			asked = true
			if r.Header.Get("Authorization") != "Bearer right" {
				return nil, &HandshakeError{Status: 401, Reason: "wrong", Header: http.Header{"Www-Authenticate": {"Bearer"}}}
			}
			return under.RemoteAddr(), nil
		}}
		a, b := Pipe(64 << 10)
		a.SetReadDeadline(time.Now().Add(limit))
		io.WriteString(a, wsRequest("GET / HTTP/1.1", c.request...))
		a.CloseWrite()
		ws, err := WebsocketServer(testCtx(t), b, o)
		answer, answerErr := http.ReadResponse(bufio.NewReader(a), nil)
		if answerErr != nil {
			t.Fatalf("%s: %v", c.why, answerErr)
		}
		if answer.StatusCode != c.status || asked != c.asked {
			t.Errorf("%s: answered with %s, asked %v", c.why, answer.Status, asked)
		}
		switch {
		case c.status == 101:
			who, ok := As[Admitted](Channel(ws))
			if err != nil || !ok || who.Admitted() != b.RemoteAddr() {
				t.Errorf("%s: %v, admitted %v", c.why, err, ok)
			}
			a.Close() // who reads nothing need not be waited for
			ws.Close()
		case err == nil || !strings.Contains(err.Error(), answer.Status[:3]):
			t.Errorf("%s: error %v", c.why, err)
		case c.status == 401 && answer.Header.Get("WWW-Authenticate") != "Bearer":
			t.Errorf("%s: the header is %v", c.why, answer.Header)
		}
		a.Close()
	}
}

// A tlsPipe passes for a channel with TLS.
type tlsPipe struct{ Channel }

func (tlsPipe) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

// By TLS no page may connect that itself came without, as whoever is in the way can have
// written it; by a plain channel one may that came by TLS, which can have ended at a proxy.
func TestWebsocketOfAPageWithoutTLS(t *testing.T) {
	for _, c := range []struct {
		page   string
		status int
		secure bool
	}{
		{"http://localhost:7001", 403, true},
		{"https://localhost:7001", 101, true},
		{"http://localhost:7001", 101, false},
		{"https://localhost:7001", 101, false},
	} {
		a, b := Pipe(64 << 10)
		under := Channel(b)
		if c.secure {
			under = tlsPipe{b}
		}
		a.SetReadDeadline(time.Now().Add(limit))
		io.WriteString(a, wsRequest("GET / HTTP/1.1", "Origin: "+c.page))
		a.CloseWrite()
		ws, _ := WebsocketServer(testCtx(t), under, WebsocketOptions{})
		answer, err := http.ReadResponse(bufio.NewReader(a), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != c.status {
			t.Errorf("a page of %s, TLS %v: %s", c.page, c.secure, answer.Status)
		}
		a.Close()
		if ws != nil {
			ws.Close()
		}
	}
}

// A client sends what it is told to besides.
func TestWebsocketClientSendsAHeader(t *testing.T) {
	o := WebsocketOptions{Header: http.Header{"Authorization": {"Bearer x"}}}
	_, r, _, err := answered(t, "", &o, func(accept string) string { return switching(accept) })
	if err != nil || r.Header.Get("Authorization") != "Bearer x" {
		t.Errorf("%v: the header is %v", err, r.Header)
	}
}
