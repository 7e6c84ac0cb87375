package chardev

import (
	"cmp"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// loginOf is a frontend that asks for alice's password, which is éa.
func loginOf(b *bench, address string) *frontend {
	f := newFrontend(b.hub, outboxes, &FrontendConfig{Endpoint: Endpoint{Address: channel.MustParseAddress(address), Listen: true}, Login: true})
	f.vouch = func(_ context.Context, _ place, user, password string) (access.Identity, error) {
		switch {
		case user == "late":
			return access.Identity{}, errSecretLate
		case user != "alice" || password != "éa":
			return access.Identity{}, accounts.ErrWrong
		}
		return alice, nil
	}
	return f
}

// What is typed at a login, and what comes of it: who that is, or why nobody; what is
// shown; and what is left to be typed at the console.
func TestLogin(t *testing.T) {
	const asked = "login: password: "
	for _, c := range []struct {
		address, typed string
		shown, left    string
		fails          string // "": it is alice
	}{
		{"tcp://127.0.0.1:1", "alice\néa\n", asked, "", ""},
		{"tcp://127.0.0.1:1", "alice\r\néa\r\nuptime\r\n", asked, "uptime\r\n", ""},
		{"tcp://127.0.0.1:1", "alice\r\x00éa\r\x00x", asked, "x", ""},
		{"tcp://127.0.0.1:1", "alice\réa\rx\n", asked, "x\n", ""},
		{"tcp://127.0.0.1:1", "alice\néa\n\nx", asked, "\nx", ""},
		{"telnet://127.0.0.1:1", "alice\réa\r", "login: alice\r\npassword: \r\n", "", ""},
		{"telnet://127.0.0.1:1", "x\x15bx\b\x7falé\bice\rno\x15éab\x7f\r", "login: x\b \bbx\b \b\b \bal\xc3\xa9\b \bice\r\npassword: \r\n", "", ""},
		{"ws://127.0.0.1:1", "bob\réa\ralice\réa\r", "login: bob\r\npassword: \r\nlogin incorrect\r\nlogin: alice\r\npassword: \r\n", "", ""},
		{"tcp://127.0.0.1:1", strings.Repeat("x\ny\n", 3), strings.Repeat(asked+"login incorrect\r\n", 3), "", "wrong 3 times"},
		{"tcp://127.0.0.1:1", "alice\n" + strings.Repeat("x", 257), asked, "", "256 bytes"},
		{"tcp://127.0.0.1:1", strings.Repeat("\x00", loginMost+1) + "alice\néa\n", "login: ", "", "bytes came"},
		{"tcp://127.0.0.1:1", strings.Repeat("x\x15", loginMost/2) + "alice\néa\n", "login: ", "", "bytes came"},
		{"tcp://127.0.0.1:1", "late\n\n", asked, "", "too many"},
		{"tcp://127.0.0.1:1", "ali\x03", "login: ", "", "given up"},
		{"tcp://127.0.0.1:1", "\x04", "login: ", "", "given up"},
		{"tcp://127.0.0.1:1", "a\x04", "login: ", "", "end of input"},
		{"tcp://127.0.0.1:1", "GET / HTTP/1.1\n", "login: ", "", "HTTP request"},
		{"tcp://127.0.0.1:1", "", "login: ", "", "end of input"},
	} {
		b := newBench(t, 64<<10, "shared")
		far, near := channel.Pipe(64 << 10)
		io.WriteString(far, c.typed)
		far.CloseWrite()
		a := &arrival{ch: channel.NewOutbox(near)}
		if strings.HasPrefix(c.address, "tcp") {
			a.guard = new(requestGuard)
		}
		ok := loginOf(b, c.address).logIn(b.ctx, a)
		left := ""
		if ok {
			p, err := io.ReadAll(a.ch)
			if err != nil {
				t.Errorf("%q: %v", c.typed, err)
			}
			if a.lineEnd {
				p = afterLine(p)
			}
			left = string(p)
			a.ch.Close()
		}
		shown, _ := io.ReadAll(far)
		text, ended := strings.TrimSuffix(string(shown), "logged in\r\n"), ""
		if told := text != string(shown); told != ok {
			t.Errorf("%.60q on %s: %v, and the last words are that: %v", c.typed, c.address, ok, told)
		}
		if !ok {
			text, ended, _ = strings.Cut(text, "\r\n"+cmp.Or(lastLine(text), "?")+"\r\n")
			ended = lastLine(string(shown)) + ended
		}
		if ok != (c.fails == "") || ok && a.shown.String() != "user:alice" || left != c.left || text != c.shown || !strings.Contains(ended, c.fails) {
			t.Errorf("%.60q on %s: %v, %q, left %q, shown %q", c.typed, c.address, ok, ended, left, text)
		}
	}
}

// lastLine is the last line of a text whose lines end in CR and LF.
func lastLine(text string) string {
	text = strings.TrimSuffix(text, "\r\n")
	return text[strings.LastIndex(text, "\n")+1:]
}

// Who says nothing is cut after a while, and so is the first when too many do; and at
// the daemon's end.
func TestALoginWaitsOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 64<<10, "shared")
		f := loginOf(b, "tcp://127.0.0.1:1")
		var all sync.WaitGroup
		begin := func(ctx context.Context) (far *channel.PipeEnd) {
			far, near := channel.Pipe(4 << 10)
			all.Go(func() {
				if f.logIn(ctx, &arrival{ch: channel.NewOutbox(near)}) {
					t.Error("somebody is logged in")
				}
			})
			return far
		}
		told := func(why string, far io.Reader, want string) {
			if p, _ := io.ReadAll(far); !strings.Contains(string(p), want) {
				t.Errorf("%s: told %q", why, p)
			}
		}
		told("late", begin(b.ctx), errLoginLate.Error())
		ctx, stop := context.WithCancel(b.ctx)
		far := begin(ctx)
		synctest.Wait()
		stop()
		told("the daemon's end", far, errShutdown.Error())
		crowd := []*channel.PipeEnd{begin(b.ctx)}
		synctest.Wait()
		for range waitingMost {
			crowd = append(crowd, begin(b.ctx))
		}
		synctest.Wait()
		if n := f.logins.count(); n != waitingMost {
			t.Errorf("%d logins are under way", n)
		}
		now := time.Now()
		if p, _ := io.ReadAll(crowd[0]); string(p) != "login: " || !time.Now().Equal(now) {
			t.Errorf("the first is not cut at once, or told %q", p)
		}
		all.Wait()
		if n := f.logins.count(); n != 0 {
			t.Errorf("%d logins are still under way", n)
		}
	})
}

func (w *waitingConns) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.oldest == nil {
		return 0
	}
	return max(w.oldest.Len(), len(w.where))
}
