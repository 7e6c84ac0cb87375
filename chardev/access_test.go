package chardev

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// unixUser is somebody of this host of whom nothing but the number is known.
func unixUser(number string) access.Identity {
	return access.Identity{Names: []access.Name{{Kind: access.Unix, Text: number}}}
}

// rulesOf reads rules as a config has them.
func rulesOf(t testing.TB, text string) *access.Rules {
	t.Helper()
	r, _, err := loadAccess(write(t, text, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// permit is the rule that a user may something on vm1.
func permit(user string, may access.Permissions) string {
	words := []string{}
	for i, w := range access.Words {
		if may.Has(1 << i) {
			words = append(words, fmt.Sprintf("%q", w))
		}
	}
	return fmt.Sprintf("[[access]]\nwho = 'unix:%s'\nmay = [%s]\non = 'vm1'\n", user, strings.Join(words, ", "))
}

// come tries to be a client and returns the far end; attached says whether it is one.
func (b *bench) come(who access.Identity, change func(*client)) (far *channel.PipeEnd, c *client, gone chan struct{}) {
	far, near := channel.Pipe(64 << 10)
	gone = make(chan struct{})
	c = &client{hub: b.hub, ch: channel.NewOutbox(near), frontend: "test", who: who, peer: who.String(), onLag: "catch-up"}
	if change != nil {
		change(c)
	}
	b.wg.Add(1)
	go c.serve(b.ctx, 1<<20, -1, func(error) { close(gone); b.wg.Done() })
	return far, c, gone
}

// Whatever somebody may, who may not read is given nothing, and what he types goes
// nowhere; and who may not write is read, and what he types counted.
func TestNobodyDoesWhatTheRulesDoNotSay(t *testing.T) {
	for may := access.None; may <= access.All; may++ {
		t.Run(may.String(), func(t *testing.T) {
			b := newBench(t, 64<<10, "shared")
			b.hub.name = "vm1"
			b.hub.gate.rules.Store(rulesOf(t, permit("7", may)))
			b.plug()
			b.print(800)
			await(t, "the bytes", func() bool { return b.hub.hist.Head() == 800 })
			far, c, gone := b.come(unixUser("7"), nil)
			far.Write([]byte("typed"))
			if !may.Has(access.Read) {
				b.print(800)
				if p, _ := io.ReadAll(far); len(p) > 0 {
					t.Errorf("it was given %q", p)
				}
				<-gone
				if n := b.hub.bytesIn.Load(); n != 0 || c.id != 0 {
					t.Errorf("%d bytes typed by client %d", n, c.id)
				}
				return
			}
			readNumbers(t, far, 0, 800)
			if !may.Has(access.Write) {
				await(t, "the refusal", func() bool { return b.hub.refused[refusedAccess].Load() == 5 })
			} else {
				await(t, "the input", func() bool { return b.hub.bytesIn.Load() == 5 })
			}
			want := "no break was sent: the access rules do not permit it"
			if may.Has(access.Write | access.Control) {
				want = "no break was sent: this kind of device has none"
			}
			if err := b.hub.sendBreak(c, 0); err == nil || err.Error() != want {
				t.Errorf("a break: %v, want %s", err, want)
			}
			if err := (clientPort{c}).MaySet(); (err == nil) != may.Has(access.Write|access.Control) {
				t.Errorf("a change of the line: %v", err)
			}
			far.Close()
			<-gone
		})
	}
}

// Rules that change hold for those who are here: who may not read any more gets no
// byte and is told why, who may not write any more reads on and has the input no more.
func TestNewRulesHoldForThoseAttached(t *testing.T) {
	b := newBench(t, 64<<10, "exclusive")
	b.hub.name = "vm1"
	b.hub.gate.rules.Store(rulesOf(t, permit("1", access.Read|access.Write)+permit("2", access.Read|access.Write)+permit("3", access.Read)))
	b.plug()
	told := make(chan Message, 8)
	toldOf := func(c *client) {
		c.person = func(m Message) error {
			if m.Type != "writer" {
				told <- m
			}
			return nil
		}
	}
	one, c1, gone := b.come(unixUser("1"), toldOf)
	two, c2, _ := b.come(unixUser("2"), nil)
	three, _, _ := b.come(unixUser("3"), nil)
	await(t, "all to be attached", func() bool { return len(b.hub.clientInfos()) == 3 })
	two.Write([]byte("mine"))
	await(t, "the second to have the input", func() bool { return c2.typed.Load() == 4 })
	b.print(800)
	for _, far := range []io.Reader{one, two, three} {
		readNumbers(t, far, 0, 800)
	}

	b.hub.gate.rules.Store(rulesOf(t, permit("2", access.Read)+permit("3", access.Read|access.Write)))
	if cut := b.hub.review(); cut != 1 {
		t.Errorf("%d were cut", cut)
	}
	b.print(800)
	if p, _ := io.ReadAll(one); len(p) > 0 {
		t.Errorf("who may not read any more was given %d bytes", len(p))
	}
	<-gone
	if m := <-told; m.Type != "bye" || m.Code != "ended" || m.Text != "unix:1 may not read vm1" {
		t.Errorf("it was told %+v", m)
	}
	readNumbers(t, two, 800, 800)
	readNumbers(t, three, 800, 800)
	two.Write([]byte("x"))
	await(t, "the second to be refused", func() bool { return c2.refused.Load() == 1 })
	three.Write([]byte("now mine"))
	await(t, "the third to have the input", func() bool { return b.hub.bytesIn.Load() == 4+8 })
	if c1.mode() != "read-only" || c2.mode() != "read-only" {
		t.Errorf("the modes are %s and %s", c1.mode(), c2.mode())
	}
}

// A procPeer is a connection of a process.
type procPeer struct {
	channel.Channel
	cred channel.PeerCred
}

func (p procPeer) PeerCred() (channel.PeerCred, error) { return p.cred, nil }

// A passerby records an answer, and goes as soon as anything of it is sent while it is
// under way.
type passerby struct {
	*httptest.ResponseRecorder
	leave func()
}

func (l *passerby) SetReadDeadline(time.Time) error  { return nil }
func (l *passerby) SetWriteDeadline(time.Time) error { return nil }
func (l *passerby) Flush() {
	l.ResponseRecorder.Flush()
	l.leave()
}

// serverOf is a server for the API's handlers.
func serverOf(cons ...*console) *Server {
	s := &Server{
		log: slog.New(slog.DiscardHandler), sessions: newWebSessions(), scraping: newScraping(), listing: newBulk(listsMost), keyring: newKeyring(nil, nil),
		accounts: &accountKeeper{store: accounts.NewStore("", nil)},
	}
	for _, con := range cons {
		s.put(con)
	}
	return s
}

// put adds a console, whose rules are the server's from now on.
func (s *Server) put(con *console) {
	s.gate.rules.Store(con.hub.gate.rules.Load())
	con.hub.gate = &s.gate
	con.hub.sign = s.board.add(con)
	s.consoles.Store(new(append(slices.Clone(s.all()), con)))
}

// consoleOf is a console with a device, which nobody starts.
func consoleOf(h *hub, name string, device *Endpoint) *console {
	con := &console{name: name, hub: h, epoch: "E"}
	con.device.Store(newDevice(h, outboxes, device))
	return con
}

// fromProcess is a request over the control socket of a user of this host.
func fromProcess(uid uint32, r *http.Request) *http.Request {
	_, end := channel.Pipe(1)
	return r.WithContext(withPeer(r.Context(), &procPeer{end, channel.PeerCred{PID: 1, UID: uid}}))
}

// Every route serves those who may do what it needs and nobody else, and to who may
// not read it the chardev is not there. All that is served is one of these.
func TestRoutes(t *testing.T) {
	const uid = 987654321
	b := newBench(t, 64<<10, "shared")
	b.hub.name = "vm1"
	con := consoleOf(b.hub, "vm1", &Endpoint{Address: channel.MustParseAddress("null:")})
	c := &control{server: serverOf(con), ctx: b.ctx}
	ask := func(uid uint32, pattern string) (int, string) {
		method, path, _ := strings.Cut(pattern, " ")
		var body io.Reader
		if path == "/api/v1/chardevs" && method == "POST" {
			body = strings.NewReader(`{"name": "vm1"}`)
		}
		r := httptest.NewRequest(method, strings.NewReplacer("{name}", "vm1", "{id}", "1").Replace(path), body)
		r = fromProcess(uid, r)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		w := &passerby{httptest.NewRecorder(), cancel}
		c.handler().ServeHTTP(w, r.WithContext(ctx))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	b.hub.gate.rules.Store(access.Nobody("of a test"))
	_, missing := ask(uid, "GET /api/v1/chardevs/{name}")
	for _, rt := range c.routes() {
		if rt.own != nil && rt.one == nil && rt.all == nil && rt.needs == access.None {
			continue // of the caller alone
		}
		handlers := 0
		for _, is := range []bool{rt.one != nil, rt.all != nil, rt.set != nil || rt.pass != nil} {
			if is {
				handlers++
			}
		}
		if rt.needs == access.None || handlers != 1 || rt.own != nil {
			t.Fatalf("%s: it needs no permission, or has not one handler", rt.pattern)
		}
		if !strings.HasPrefix(rt.pattern, "GET ") && rt.needs&(access.Write|access.Control|access.Admin) == 0 {
			t.Errorf("%s: it changes something, for who may %s", rt.pattern, rt.needs)
		}
		for may := access.None; may <= access.All; may++ {
			b.hub.gate.rules.Store(rulesOf(t, permit(fmt.Sprint(uid), may)))
			status, body := ask(uid, rt.pattern)
			switch permitted := may.Has(rt.needs) && rt.pattern != "POST /api/v1/reload"; { // which is of all chardevs
			case rt.set != nil || rt.pass != nil: // whether it is there or not
				if (status == 403) == permitted {
					t.Errorf("%s, who may %s: %d %s", rt.pattern, may, status, body)
				}
			case rt.all != nil:
				if status != 200 && (permitted || status != 403) || strings.Contains(body, "vm1") != permitted {
					t.Errorf("%s, who may %s: %d %s", rt.pattern, may, status, body)
				}
			case permitted && (status == 403 || body == missing):
				t.Errorf("%s, who may %s: %d %s", rt.pattern, may, status, body)
			case !permitted && may.Has(access.Read) && (status != 403 || !strings.Contains(body, "may not "+rt.needs.String())):
				t.Errorf("%s, who may %s: %d %s, want 403", rt.pattern, may, status, body)
			case !permitted && !may.Has(access.Read) && (status != 404 || body != missing):
				t.Errorf("%s, who may %s: %d %s, want 404 %s", rt.pattern, may, status, body, missing)
			}
		}
		// the operator, whatever the rules are
		for _, operator := range []uint32{0, uint32(os.Geteuid())} {
			b.hub.gate.rules.Store(access.Nobody("of a test"))
			if status, body := ask(operator, rt.pattern); status == 403 || body == missing || rt.all != nil && !strings.Contains(body, "vm1") {
				t.Errorf("%s, the operator: %d %s", rt.pattern, status, body)
			}
		}
	}
}

// A request under way ends when it is permitted no longer.
func TestNewRulesEndRequests(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.hub.name = "vm1"
	b.hub.gate.rules.Store(rulesOf(t, permit("1", access.Read)))
	ended := make(chan error, 1)
	q := &request{who: unixUser("1"), needs: access.Read, end: func(why error) { ended <- why }}
	if err := b.hub.enter(q); err != nil {
		t.Fatal(err)
	}
	defer b.hub.exit(q)
	b.hub.review()
	if len(ended) > 0 {
		t.Error("it ended though nothing has changed")
	}
	b.hub.gate.rules.Store(rulesOf(t, permit("2", access.Read)))
	b.hub.review()
	if why := <-ended; why != errRulesChanged {
		t.Errorf("it ended because %v", why)
	}
}

// Rules are read again as they are in the file; those that are broken, or gone, let
// in nobody but the operator.
func TestReloadAccess(t *testing.T) {
	clearEnvironment(t)
	files := map[string]string{"in/a.toml": permit("2", access.Write)}
	path := write(t, "include = ['in/*.toml']\n"+good+permit("1", access.Read), files)
	s := serves(t, path)
	operator := access.Identity{Operator: true}
	for _, step := range []struct {
		why, main, included string
		one, two            access.Permissions
		says                string // "": it is right
	}{
		{"as it was", good + permit("1", access.Read), permit("2", access.Write), access.Read, access.Write, ""},
		{"the main file goes first", good + permit("2", access.Control), permit("2", access.Write), access.None, access.Control, ""},
		{"another mistake changes nothing", "[[chardev]]\nnmae = 5\n" + permit("1", access.Read), "", access.None, access.Control, "nmae"},
		{"no TOML", "[[access]\n" + permit("1", access.Read), "", access.None, access.None, "chardev.toml:2:"},
		{"mended", good + permit("1", access.Read), "", access.Read, access.None, ""},
		{"a mistake in a rule", permit("1", access.Read) + "[[access]]\nwho = 'unix:2'\nmay = 'raed'\non = '*'\n", "", access.None, access.None, `"read"`},
		{"a mistake in an included one", permit("1", access.Read), "[[access]]\n", access.None, access.None, "a.toml:1:1"},
		{"none any more", "", "", access.None, access.None, "restart"},
		{"some again", good + permit("1", access.All), "", access.All, access.None, ""},
	} {
		dir := filepath.Dir(path)
		for name, text := range map[string]string{path: "include = ['in/*.toml']\n" + step.main, filepath.Join(dir, "in/a.toml"): step.included} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := reloaded(s)
		if (err == nil) != (step.says == "") || err != nil && !strings.Contains(err.Error(), step.says) {
			t.Errorf("%s: error %v, want %q", step.why, err, step.says)
		}
		one, two := s.gate.decide(unixUser("1"), "vm1").May, s.gate.decide(unixUser("2"), "vm1").May
		if one != step.one || two != step.two {
			t.Errorf("%s: the first may %s, the second %s", step.why, one, two)
		}
		if s.gate.decide(operator, "vm1").May != access.All {
			t.Errorf("%s: the operator is out", step.why)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := reloaded(s); err == nil || s.gate.decide(unixUser("1"), "vm1").May != access.None {
		t.Errorf("without a file: %v", err)
	}
}

func reloaded(s *Server) error {
	_, err := s.reload(theDaemon{})
	return err
}

// serves runs a server of a config file until the test ends; it returns when all is open.
func serves(t testing.TB, path string) *Server {
	t.Helper()
	s := readyServer(t, path)
	runs(t, s)
	return s
}

// readyServer is a server of a config file, ready to run.
func readyServer(t testing.TB, path string) *Server {
	t.Helper()
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runs runs a server until the test ends; it returns when all is open.
func runs(t testing.TB, s *Server) {
	t.Helper()
	t.Cleanup(begun(t, s))
}

// begun runs a server until end is called; it returns when all is open.
func begun(t interface {
	Error(...any)
	Fatal(...any)
}, s *Server) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	ready, over := make(chan struct{}), make(chan error, 1)
	go func() { over <- s.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-over:
		stop()
		t.Fatal(err)
	}
	return func() {
		stop()
		if err := errors.Join(<-over, s.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A secured is a channel with TLS.
type secured struct {
	channel.Channel
	state tls.ConnectionState
}

func (s secured) ConnectionState() tls.ConnectionState { return s.state }

func TestIdentities(t *testing.T) {
	subject, err := asn1.Marshal(pkix.RDNSequence{
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "a, b"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "first"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "second"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		RawSubject: subject, DNSNames: []string{"A.example.org", "mail@example.org", "spiffe://x/y"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "x", Path: "/Z"}}, EmailAddresses: []string{"B@example.org"},
	}
	_, end := channel.Pipe(1)
	shown := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	verified := shown
	verified.VerifiedChains = [][]*x509.Certificate{{cert}}
	process := procPeer{end, channel.PeerCred{PID: 5, UID: 987654321, GID: 987654322, Groups: []uint32{987654323, 987654322}}}
	for _, c := range []struct {
		ch   channel.Channel
		want string
	}{
		{end, "[]"},
		{secured{end, shown}, "[]"}, // not verified: anybody's
		{secured{end, verified}, `[cert:CN=second,CN=first,O=a\, b san:a.example.org san:spiffe://x/Z san:B@example.org]`},
		{process, "[unix:987654321 group:987654322 group:987654323]"},
	} {
		if who := identify(c.ch); fmt.Sprint(who.Names) != c.want || who.Operator {
			t.Errorf("it is %v, want %s", who, c.want)
		}
	}
	for path, want := range map[string]struct {
		mode os.FileMode
		who  string
	}{"owner": {0o600, "unix:"}, "group": {0o660, "group:"}, "all": {0o666, "anonymous"}, "read by all": {0o604, "anonymous"}} {
		path := filepath.Join(t.TempDir(), path)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, want.mode)); err != nil {
			t.Fatal(err)
		}
		if who := ttyIdentity(path); !strings.HasPrefix(who.String(), want.who) {
			t.Errorf("%s: it is %s, want %s", path, who, want.who)
		}
	}
	if who := ttyIdentity("/no/such/tty"); who.String() != "anonymous" {
		t.Errorf("of no tty: %s", who)
	}
}

func TestExplain(t *testing.T) {
	clearEnvironment(t)
	path := write(t, good+"[[access]]\nwho = 'group:root'\nmay = ['read', 'control']\non = 'goo?'\n", nil)
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	folder := Accounts{Dir: cfg.State}
	if _, err := folder.AddToken("ci", []string{"build", "root"}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := folder.AddUser("alice", "correct horse", []string{"office"}); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string][]string{
		"token:ci":       {"token:ci on good", "may      read, control", "is also  group:build, group:root"},
		"user:alice":     {"user:alice on good", "no rule", "group:office"},
		"token:alice":    {"token:alice on good", "no rule"},
		"unix:root":      {"unix:root on good", "may      read, control", "may not  write, admin", "the rule at " + path + ":5:1 ", "group:root"},
		"unix:no-such":   {"unix:no-such on good", "may not  read, write, control, admin", "no rule is for unix:no-such on good"},
		"anyone":         {"anonymous on good", "no rule"},
		"san:A.EXAMPLE":  {"san:a.example on good"},
		"cert:CN=x,O=#y": {"cert:CN=x,O=#y on good"},
	} {
		lines, err := cfg.Explain([]string{who}, "good")
		if err != nil {
			t.Errorf("%s: %v", who, err)
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(lines, "\n"), w) {
				t.Errorf("%s: no %q in %q", who, w, lines)
			}
		}
	}
	for _, c := range []struct{ who, on, want string }{{"unix:root", "god", `"good"`}, {"bob", "good", "bob"}} {
		if lines, err := cfg.Explain([]string{c.who}, c.on); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s on %s: %q, %v", c.who, c.on, lines, err)
		}
	}
}

func TestAccessWarnings(t *testing.T) {
	clearEnvironment(t)
	cfg, err := Load(write(t, good+`[[access]]
who = 'anyone'
may = 'write'
on = ['good', 'god', 'x*', 'elsewhere']
[[access]]
who = ['user:bob', 'anyone']
may = []
on = '*'
[[access]]
who = 'user:alice'
may = 'read'
on = 'good'
`, nil))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{":7:", `:8:15: on: there is no chardev "god"; did you mean "good"?`, `"elsewhere"`, ":13:1: [[access]] decides nothing: the rule at "} {
		if i >= len(cfg.Warnings) || !strings.Contains(cfg.Warnings[i], want) {
			t.Errorf("warning %d: want %q in %q", i, want, cfg.Warnings)
		}
	}
	if len(cfg.Warnings) != 4 {
		t.Errorf("warned is %q", cfg.Warnings)
	}
}

// A shell that whoever gets into [http] has is warned of, until a rule limits it.
func TestCommandsBehindHTTP(t *testing.T) {
	clearEnvironment(t)
	const shell = "[[chardev]]\nname = 'shell'\ndevice = 'exec:sh'\n[[chardev]]\nname = 'other'\ndevice = 'null:'\n"
	const over = "[http]\nlisten = ['tcp://127.0.0.1:1']\n"
	const mine = "[[access]]\nwho = 'user:alice'\nmay = ['read', 'write']\non = '*'\n"
	for _, c := range []struct {
		why, text, says string
	}{
		{"nothing leads there", shell, ""},
		{"a socket of [http] is its owner's", "[http]\nlisten = ['unix:web']\n" + shell, ""},
		{"[http] does", over + shell, "chardev.toml:5:10: device: "},
		{"a command on pipes", over + strings.Replace(shell, "exec:", "command:", 1), "chardev.toml:5:10: device: "},
		{"a rule says who", over + mine + shell, ""},
		{"a rule lets in anyone", over + mine + strings.Replace(mine, "user:alice", "anyone", 1) + shell, "chardev.toml:13:10: device: "},
		{"a rule lets in anyone elsewhere", over + mine + strings.NewReplacer("user:alice", "anyone", "*", "other").Replace(mine) + shell, ""},
	} {
		cfg, err := Load(write(t, c.text, nil))
		if err != nil {
			t.Fatal(err)
		}
		if c.says == "" && len(cfg.Warnings) > 0 || c.says != "" && (len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], c.says)) {
			t.Errorf("%s: want %q, have %q", c.why, c.says, cfg.Warnings)
		}
	}
}
