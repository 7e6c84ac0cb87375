package chardev

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// A followed is a folder of accounts that is followed as in a daemon, and what it logs.
type followed struct {
	Accounts
	store *accounts.Store
	log   linesLog
	t     *testing.T
}

// followAccounts follows a folder until the test ends.
func followAccounts(t *testing.T, dir string, review func() int) *followed {
	t.Helper()
	f := &followed{Accounts{Dir: dir}, accounts.NewStore(dir, nil), make(linesLog, 100), t}
	k := &accountKeeper{store: f.store, review: review, log: slog.New(slog.NewTextHandler(f.log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	k.start(ctx, &wg)
	t.Cleanup(func() { cancel(); wg.Wait() })
	return f
}

// token makes one and waits until it is in force.
func (f *followed) token(name string, expires time.Time, groups ...string) string {
	f.t.Helper()
	secret, err := f.AddToken(name, groups, expires)
	if err != nil {
		f.t.Fatal(err)
	}
	f.log.says(f.t, "new=token:"+name)
	return secret
}

// shows is who shows a token.
func (f *followed) shows(secret string) access.Identity {
	f.t.Helper()
	who, err := f.store.Token(context.Background(), secret, accounts.Source{})
	if err != nil {
		f.t.Fatal(err)
	}
	return who
}

// Who is attached by an account is cut when that is gone, whatever the rules say, and
// may do nothing any more; who is there by another one stays.
func TestAnAccountThatIsGone(t *testing.T) {
	for name, rules := range map[string]*access.Rules{
		"no rules": access.New(nil),
		"rules":    rulesOf(t, "[[access]]\nwho = ['token:*', 'anyone']\nmay = ['read', 'write', 'control']\non = 'vm1'\n"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 64<<10, "shared")
			b.hub.name = "vm1"
			b.hub.gate.rules.Store(rules)
			b.plug()
			f := followAccounts(t, filepath.Join(t.TempDir(), "state"), b.hub.review)
			ci, other := f.shows(f.token("ci", time.Time{})), f.shows(f.token("other", time.Time{}))
			told := make(chan Message, 8)
			one, _, gone := b.come(ci, func(c *client) { c.person = func(m Message) error { told <- m; return nil } })
			two, c2, _ := b.come(other.And(unixUser("1")), nil)
			ended := make(chan error, 1)
			q := &request{who: ci, needs: access.Read, end: func(why error) { ended <- why }}
			if err := b.hub.enter(q); err != nil {
				t.Fatal(err)
			}
			defer b.hub.exit(q)
			b.print(800)
			readNumbers(t, one, 0, 800)
			readNumbers(t, two, 0, 800)

			if err := f.RevokeToken("ci"); err != nil {
				t.Fatal(err)
			}
			f.log.says(t, "gone=token:ci", "cut=1")
			<-gone
			b.print(800)
			if p, _ := io.ReadAll(one); len(p) > 0 {
				t.Errorf("it was given %d bytes more", len(p))
			}
			if m := <-told; m.Type != "bye" || m.Text != "token:ci was revoked" {
				t.Errorf("it was told %+v", m)
			}
			if why := <-ended; !errors.Is(why, errRulesChanged) {
				t.Errorf("the request ended because %v", why)
			}
			readNumbers(t, two, 800, 800)

			// Whoever kept the identity comes no more.
			again, _, gone := b.come(ci, nil)
			if p, _ := io.ReadAll(again); len(p) > 0 {
				t.Errorf("who comes back is given %d bytes", len(p))
			}
			<-gone
			err, ok := errors.AsType[*notPermitted](b.hub.enter(&request{who: ci, needs: access.Read}))
			if !ok || err.because() != "token:ci was revoked" {
				t.Errorf("its next request: %v", err)
			}
			// With one of two accounts all goes.
			if err := f.RevokeToken("other"); err != nil {
				t.Fatal(err)
			}
			f.log.says(t, "gone=token:other", "cut=1")
			<-c2.going.done()
		})
	}
}

// A token that expires ends by itself, at its time.
func TestATokenExpires(t *testing.T) {
	f := followAccounts(t, t.TempDir(), func() int { return 7 })
	who := f.shows(f.token("short", time.Now().Add(2*time.Second)))
	f.log.says(t, "gone=token:short", "cut=7")
	if who.Ended() != "token:short has expired" {
		t.Errorf("it ended: %q", who.Ended())
	}
}

// A file that is wrong is told of, once, and leaves what it said in force; one that is
// mended is taken.
func TestAWrongFileOfAccounts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, accounts.TokensFile)
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("{}") // wrong from the start
	f := followAccounts(t, dir, func() int { return 0 })
	f.log.says(t, "ERROR", path, "of version 0")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	secret := f.token("ci", time.Time{})
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(string(right[:20]))
	f.log.says(t, "ERROR", path, "unexpected end")
	put(string(right[:20])) // the same again
	if f.shows(secret).Ended() != "" {
		t.Error("it is in force no longer")
	}
	put(strings.ReplaceAll(string(right), `"ci"`, `"cj"`))
	f.log.says(t, "INFO", "new=token:cj", "gone=token:ci")
}

// What is wrong is told at the second look, as somebody may be writing it, and once.
func TestWhenAWrongFileIsTold(t *testing.T) {
	var log strings.Builder
	dir := t.TempDir()
	k := &accountKeeper{store: accounts.NewStore(dir, nil), log: slog.New(slog.NewTextHandler(&log, nil))}
	path := filepath.Join(dir, accounts.UsersFile)
	for i, step := range []struct {
		text        string
		tell        bool
		wrong, told bool
	}{
		{"{", false, true, false},
		{"{", true, false, true},
		{"{", false, false, false},
		{"{", true, false, false},
		{"x", false, true, false}, // wrong in another way
		{"x", true, false, true},
		{`{"version":1,"accounts":[]}`, false, false, false},
		{"{", true, false, true}, // wrong again
	} {
		if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		_, wrong := k.reload(step.tell)
		if told := strings.Contains(log.String(), "ERROR"); wrong != step.wrong || told != step.told {
			t.Errorf("step %d: to be told %v, told %q", i, wrong, &log)
		}
	}
}

// Where somebody shows a secret from is the user or the address, never the port.
func TestSourceOf(t *testing.T) {
	_, end := channel.Pipe(1)
	at := func(a net.Addr) channel.Channel { return addressed{end, a} }
	for _, c := range []struct {
		ch   channel.Channel
		want string
	}{
		{procPeer{end, channel.PeerCred{PID: 5, UID: 7}}, "uid 7"},
		{at(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}), "192.0.2.1"},
		{at(&net.TCPAddr{IP: net.ParseIP("2001:db8::5"), Port: 5}), "2001:db8::/64"},
		{at(&net.TCPAddr{IP: net.ParseIP("fe80::5"), Zone: "eth0", Port: 5}), "fe80::/64"},
		{at(&net.UnixAddr{Net: "unix"}), "unix"},
		{at(vsockPeer("3:1025")), "3"},
	} {
		if have := sourceOf(c.ch).String(); have != c.want {
			t.Errorf("have %q, want %q", have, c.want)
		}
	}
}

// A vsockPeer is the address of a vsock.
type vsockPeer string

func (vsockPeer) Network() string  { return "vsock" }
func (p vsockPeer) String() string { return string(p) }

// An addressed is a channel from a given address.
type addressed struct {
	channel.Channel
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

func TestChangedAccounts(t *testing.T) {
	for want, c := range map[string]struct{ begun, ended []string }{
		"new: token:ci":                                    {begun: []string{"token:ci"}},
		"gone: user:al; 2 clients were cut":                {ended: []string{"user:al"}},
		"new: token:ci; gone: user:al; 2 clients were cut": {begun: []string{"token:ci"}, ended: []string{"user:al"}},
	} {
		if have := changedAccounts(c.begun, c.ended, 2); have != want {
			t.Errorf("%q, want %q", have, want)
		}
	}
}
