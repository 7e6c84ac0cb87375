package chardev

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chardevd/channel"
)

// drawConfig is the text of a config, with some of a few chardevs, each in one of many ways.
func drawConfig(r *rapid.T, credentials bool) string {
	one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(r, what) }
	var b strings.Builder
	if credentials && rapid.Bool().Draw(r, "credentials") {
		b.WriteString("[credentials.c]\ncert = 'c.pem'\nkey = 'c.pem'\n")
	}
	b.WriteString(one("journal", "", "[journal]\nmax_total = '1GiB'\n", "[journal]\nsync = '1s'\n"))
	b.WriteString(one("http", "", "[http]\nlisten = ['unix:h1']\n", "[http]\nlisten = ['unix:h2', 'unix:h1']\norigin = ['https://a']\n", "[http]\nlisten = ['unix:h2']\nhost = ['b']\n",
		"[http]\nlisten = ['unix:h2']\nbase = '/c'\nproxies = ['unix', '10.0.0.0/8', '192.0.2.1']\n"))
	some := false
	for _, name := range []string{"a", "b", "c", "d"} {
		if !rapid.Bool().Draw(r, name) && (some || name != "d") {
			continue
		}
		some = true
		fmt.Fprintf(&b, "[[chardev]]\nname = '%s'\n", name)
		b.WriteString(one("device", "device = 'null:'\n", "device = 'unix:dev'\n", "device = { listen = 'unix:"+name+".guest' }\n"))
		input := one("input", "shared", "exclusive", "off")
		fmt.Fprintf(&b, "input = '%s'\n", input)
		if input == "exclusive" {
			b.WriteString(one("idle", "", "writer_idle = '1m'\n", "writer_idle = '2m'\n"))
		}
		b.WriteString(one("history", "", "history = '4KiB'\n", "history = '1MiB'\n"))
		b.WriteString(one("log", "", "log = false\n", "log = { keep = 2 }\n", "log = { max_size = '64KiB', max_age = '1d', compress = true }\n"))
		var plain, tables []string
		for _, f := range []string{"1", "2", "3"} {
			at := "unix:" + name + f
			switch one("frontend", "none", "plain", "plain", "table", "connects") {
			case "plain":
				plain = append(plain, "'"+at+"'")
			case "table":
				tables = append(tables, "[[chardev.frontend]]\nlisten = '"+at+"'\n"+one("mode", "", "mode = 'read-only'\n")+one("replay", "", "replay = '1KiB'\n")+
					one("lag", "", "on_lag = 'skip'\n", "on_lag = 'block'\n")+one("half", "", "half_close = true\n")+one("login", "", "login = true\n"))
			case "connects":
				tables = append(tables, "[[chardev.frontend]]\nconnect = '"+at+".there'\n"+one("reconnect", "", "reconnect = { min = '1s', max = '2s' }\n"))
			}
		}
		fmt.Fprintf(&b, "frontends = [%s]\n%s", strings.Join(plain, ", "), strings.Join(tables, ""))
	}
	return b.String()
}

// picture is all that a config has made a server.
func (s *Server) picture() string {
	var b strings.Builder
	for _, con := range s.all() {
		h, d := con.hub, con.device.Load()
		fmt.Fprintf(&b, "%s: %s, history %d, input %s, idle %v, no journal %v", con.name, d.ep.device(), h.hist.Size(), h.inputMode(), h.writer.idle, h.scribe == nil)
		if h.scribe != nil {
			fmt.Fprintf(&b, " %+v", h.scribe.j.Options())
		}
		if con.epoch == "" || (h.scribe == nil) != (con.epoch == s.epoch) || h.sign.gone {
			fmt.Fprint(&b, " EPOCH OR SIGN")
		}
		for _, f := range con.frontends() {
			cfg := *f.cfg.Load()
			cfg.Endpoint = Endpoint{}
			state, _, _ := f.status.get()
			fmt.Fprintf(&b, "\n  %s %+v, tried as %v, up %v", f.ep.frontend(), cfg, *f.retry.limits.Load(), f.ep.Listen && state == StateUp)
		}
		b.WriteString("\n")
	}
	var doors []string
	for _, d := range s.httpDoors() {
		state, _, _ := d.status.get()
		doors = append(doors, d.ep.Address.String()+" "+state)
	}
	slices.Sort(doors)
	max, sync := s.keeper.Limits()
	fmt.Fprintf(&b, "http %v %+v\ncredentials %v\njournal %d %v\naccess %s\naudit %s", doors, *s.sites.Load(), slices.Sorted(maps.Keys(s.keyring.named())), max, sync, s.gate.rules.Load(), s.cfg.Audit)
	return b.String()
}

// To apply the difference of two configs ends with what a fresh start with the second makes,
// and the difference of what is the same is none. Nothing is left of what is gone.
func TestApplyIsLikeAFreshStart(t *testing.T) {
	clearEnvironment(t)
	files := certificates(t)
	drawn, most := 0, 12 // each takes long
	if os.Getenv("CHARDEVD_LONG") != "" {
		most = 1000
	}
	rapid.Check(t, func(r *rapid.T) {
		if drawn++; drawn > most {
			return
		}
		texts := []string{drawConfig(r, true), drawConfig(r, true)}
		path := write(t, texts[0], files)
		load := func(text string) *Config {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				r.Fatal(err)
			}
			cfg, err := Load(path)
			if err != nil {
				r.Fatalf("%v\n%s", err, text)
			}
			return cfg
		}
		begin := func(cfg *Config) (s *Server, end func()) {
			s, err := NewServer(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				r.Fatal(err)
			}
			return s, begun(r, s)
		}
		changed, end := begin(load(texts[0]))
		load(texts[1])
		c, err := changed.reload(theDaemon{})
		if err != nil {
			r.Error(err)
		}
		have := changed.picture()
		again, err := changed.reload(theDaemon{})
		if err != nil || !again.None() || len(again.altered) > 0 {
			r.Errorf("the second time: %+v, %v", again, err)
		}
		if n := len(changed.board.signs); n != len(changed.all()) {
			r.Errorf("%d signs for %d consoles", n, len(changed.all()))
		}
		end()
		fresh, end := begin(load(texts[1]))
		want := fresh.picture()
		end()
		if have != want {
			r.Errorf("from\n%s\nto\n%s\nit did\n%s\nand is\n%s\nwant\n%s", texts[0], texts[1], strings.Join(c.Lines, "\n"), have, want)
		}
	})
}

// What is told of a difference.
func TestChangesInWords(t *testing.T) {
	clearEnvironment(t)
	before := "[[chardev]]\nname = 'a'\ndevice = 'null:'\nfrontends = ['unix:/x/1', 'unix:/x/2']\n[[chardev]]\nname = 'b'\ndevice = 'null:'\n"
	after := "state = 'elsewhere'\ncontrol = 'unix:/x/control'\n[http]\nlisten = ['unix:/x/h']\n" +
		"[[chardev]]\nname = 'a'\ndevice = { listen = 'unix:/x/dev' }\ninput = 'exclusive'\nhistory = '1MiB'\nlog = { keep = 9 }\nfrontends = ['unix:/x/3']\n[[chardev.frontend]]\nlisten = 'unix:/x/1'\nmode = 'read-only'\n" +
		"[[chardev]]\nname = 'c'\ndevice = 'unix:/x/c'\n"
	var cfg [2]*Config
	for i, text := range []string{before, after} {
		var err error
		if cfg[i], err = Load(write(t, text, nil)); err != nil {
			t.Fatal(err)
		}
	}
	c := diff(cfg[0], cfg[1])
	want := `- chardev b
~ chardev a: device null: → listen unix:/x/dev
~ chardev a: history 256KiB → 1MiB
~ chardev a: input shared → exclusive
~ chardev a: log: keep 4 → 9
~ chardev a: + frontend unix:/x/3
~ chardev a: frontend unix:/x/1: mode read-write → read-only
~ chardev a: - frontend unix:/x/2
+ chardev c: device unix:/x/c
~ http: + unix:/x/h`
	if have := strings.Join(c.Lines, "\n"); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
	if len(c.Restart) != 2 || !strings.HasPrefix(c.Restart[0], "! state: ") || !strings.HasSuffix(c.Restart[1], " → unix:/x/control takes a restart") {
		t.Errorf("%q", c.Restart)
	}
	if c := diff(cfg[0], cfg[0]); !c.None() || len(c.Restart) > 0 {
		t.Errorf("%+v", c)
	}
}

// A state folder that is to be another one is so after a restart, and so is the audit log in it.
func TestTheAuditLogStaysWithItsFolder(t *testing.T) {
	clearEnvironment(t)
	const rest = "[[chardev]]\nname = 'a'\ndevice = 'null:'\n"
	path := write(t, rest, nil)
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer begun(t, s)()
	if err := os.WriteFile(path, []byte("state = 'other'\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := s.reload(theDaemon{})
		if err != nil || len(c.Lines) > 0 || len(c.Restart) == 0 || s.cfg.Audit != cfg.Audit {
			t.Errorf("%v, %q, %q, the audit log in %s, was in %s", err, c.Lines, c.Restart, s.cfg.Audit, cfg.Audit)
		}
	}
}

// What changes and costs nobody his session: a client stays while the device, the input,
// the history, the log and the mode of its own frontend change; one of a frontend that is
// gone, or of a chardev that is, is told.
func TestReloadLeavesClientsAlone(t *testing.T) {
	clearEnvironment(t)
	const one = "[[chardev]]\nname = 'a'\ndevice = { listen = 'unix:guest' }\nfrontends = ['unix:front', 'unix:other']\n"
	path := write(t, one, nil)
	dir := filepath.Dir(path)
	s := serves(t, path)
	dial := func(name string) channel.Channel {
		t.Helper()
		c, err := channel.Dial(t.Context(), channel.MustParseAddress("unix:"+filepath.Join(dir, name)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	con := s.console("a")
	guest, client, other := dial("guest"), dial("front"), dial("other")
	await(t, "all to be there", func() bool { return con.hub.device.Load() != nil && len(con.hub.clientInfos()) == 2 })
	says := func(text string) {
		t.Helper()
		io.WriteString(guest, text)
		client.SetReadDeadline(time.Now().Add(20 * time.Second))
		have := make([]byte, len(text))
		if _, err := io.ReadFull(client, have); err != nil || string(have) != text {
			t.Fatalf("%q, %v", have, err)
		}
	}
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := reloaded(s); err != nil {
			t.Fatal(err)
		}
		if s.console("a") != con {
			t.Fatal("the console was begun anew")
		}
	}
	says("one")
	session := con.hub.device.Load()
	reload(strings.Replace(one, "\nfrontends = ['unix:front', 'unix:other']", "\nlog = { keep = 7 }\nhistory = '1MiB'\ninput = 'exclusive'\n[[chardev.frontend]]\nlisten = 'unix:front'\nmode = 'read-only'\non_lag = 'close'", 1))
	if p, err := io.ReadAll(other); err != nil || string(p) != "one" {
		t.Errorf("who came by a frontend that is gone: %q, %v", p, err)
	}
	says("two")
	io.WriteString(client, "typed")
	await(t, "what a read-only client types to be refused", func() bool { return con.hub.refused[refusedReadOnly].Load() == 5 })
	if con.hub.device.Load() != session {
		t.Error("the device was opened anew for a limit of the log")
	}
	reload(strings.Replace(one, "unix:guest", "unix:guest2", 1))
	guest = dial("guest2")
	await(t, "the guest", func() bool { return con.hub.device.Load() != nil })
	says("three")
	io.WriteString(client, "typed")
	got := make([]byte, 5)
	if _, err := io.ReadFull(guest, got); err != nil || string(got) != "typed" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("[[chardev]]\nname = 'a'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reloaded(s); err == nil || !strings.Contains(err.Error(), "chardev.toml:1:1: [[chardev]] has no device") {
		t.Errorf("%v", err)
	}
	says("four")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reloaded(s); err != nil {
		t.Fatal(err)
	}
	if p, err := io.ReadAll(client); err != nil || len(p) > 0 {
		t.Errorf("%q, %v", p, err)
	}
}

// Who reloads is told what does not listen, and why, until it does.
func TestReloadTellsWhatDoesNotListen(t *testing.T) {
	clearEnvironment(t)
	const one = "[[chardev]]\nname = 'a'\ndevice = 'null:'\nfrontends = ['unix:free']\n"
	path := write(t, one, nil)
	s := serves(t, path)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := "tcp://" + taken.Addr().String()
	text := strings.Replace(one, "'unix:free'", "'unix:free', '"+at+"'", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing has changed, and it does not listen all the same
		c, err := s.reload(theDaemon{})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.NotListening) != 1 || !strings.HasPrefix(c.NotListening[0], "! chardev a: frontend "+at+" does not listen: ") || !strings.Contains(c.NotListening[0], "address already in use") {
			t.Errorf("told %q", c.NotListening)
		}
	}
	taken.Close()
	await(t, "it to listen", func() bool { return len(s.notListening()) == 0 })
}

// Commands and files are for the config files alone, whatever layers are over them.
func TestWhatOnlyAFileMayHave(t *testing.T) {
	for _, transport := range inFilesOnly {
		bad := Endpoint{Address: channel.Address{Layers: []string{"telnet"}, Transport: transport, Where: "x"}}
		if mayName([]channel.Address{bad.Address}) == nil || mayName(addressesOf([]FrontendConfig{{}, {Endpoint: bad}})) == nil {
			t.Errorf("%s may be added", transport)
		}
	}
}

// A change of the access rules is told rule by rule.
func TestChangesOfRules(t *testing.T) {
	one := func(who, may string) string {
		return "[[access]]\nwho = ['user:" + who + "']\nmay = ['" + may + "']\non = ['*']\n"
	}
	alice, bob, carol := one("alice", "read"), one("bob", "write"), one("carol", "read")
	for _, c := range []struct {
		old, next string
		want      []string
	}{
		{alice + bob, alice + bob, nil},
		{alice + bob, bob + alice, []string{"~ access: the same rules, in another order"}},
		{alice + bob, bob + carol, []string{`- access: ["user:alice"] may read on ["*"]`, `+ access: ["user:carol"] may read on ["*"]`}},
		{alice, alice + alice, []string{`+ access: ["user:alice"] may read on ["*"]`}},
		{alice, "", []string{`- access: ["user:alice"] may read on ["*"]`, "+ access: no [[access]] rule is given"}},
	} {
		got := new(Changes)
		got.rules(rulesOf(t, c.old), rulesOf(t, c.next))
		if !slices.Equal(got.Lines, c.want) || got.access != (c.want != nil) {
			t.Errorf("%q, want %q", got.Lines, c.want)
		}
	}
}
