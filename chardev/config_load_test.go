package chardev

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"chardevd/channel"
)

// write puts a config and the files beside it into a new folder, and returns
// the config's path. The environment says nothing.
func write(t testing.TB, text string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "chardev.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificates makes the PEM files of an authority that is its own server.
func certificates(t testing.TB) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if _, err := channel.SelfSigned(dir); err != nil {
		t.Fatal(err)
	}
	both, err := os.ReadFile(filepath.Join(dir, channel.SelfSignedFile))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"c.pem": string(both)}
}

// moreCertificates adds some that something is wrong with.
func moreCertificates(t testing.TB, files map[string]string) {
	t.Helper()
	for name, use := range map[string][]x509.ExtKeyUsage{"leaf.pem": nil, "code.pem": {x509.ExtKeyUsageCodeSigning}, "client.pem": {x509.ExtKeyUsageClientAuth}} {
		cert, key := newPair(t, name, year, func(c *x509.Certificate) { c.IsCA, c.ExtKeyUsage = false, use })
		files[name] = string(cert) + string(key)
	}
	files["enc.pem"] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
	ca, _ := newPair(t, "ca", year)
	server, _ := newPair(t, "server", year)
	_, other := newPair(t, "other", year)
	files["pki/ca-cert.pem"], files["none/ca-cert.pem"] = string(ca), string(ca)
	files["pki/server-cert.pem"], files["pki/server-key.pem"] = string(server), string(other)
}

// What is odd and works is a warning at its line: a certificate that ends soon.
func TestExpiringIsWarnedOf(t *testing.T) {
	clearEnvironment(t)
	cert, key := newPair(t, "soon", 20*day)
	path := write(t, "[credentials.c]\nkey = 'k.pem'\ncert = 'c.pem'\n"+good, map[string]string{"c.pem": string(cert), "k.pem": string(key)})
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(cfg.Warnings, "\n"); !strings.HasPrefix(w, path+":3:") || !strings.Contains(w, "expires on") {
		t.Errorf("warnings: %q", w)
	}
}

const withCredentials = "[credentials.c]\ncert = 'c.pem'\nkey = 'c.pem'\n"

// errorsOf loads a config that must be wrong, and returns its mistakes.
func errorsOf(t *testing.T, path string) []Mistake {
	t.Helper()
	cfg, err := Load(path)
	if err == nil {
		t.Fatalf("it was taken: %+v", cfg)
	}
	ce, ok := errors.AsType[*ConfigError](err)
	if !ok {
		t.Fatalf("a %T, want a *ConfigError: %v", err, err)
	}
	return ce.Mistakes
}

func clearEnvironment(t testing.TB) {
	t.Setenv("STATE_DIRECTORY", "")
	t.Setenv("RUNTIME_DIRECTORY", "")
}

// The example of the design, less what this version does not speak.
const example = `
state   = "var"
control = "unix:run/control"
include = ["conf.d/*.toml"]

[http]
listen = ["tcp://127.0.0.1:7681"]

[journal]
max_total = "200GiB"
sync = "0s"

[credentials.default]
cert = "c.pem"
key = "c.pem"
client_ca = "c.pem"
ca = "c.pem"

[defaults]
history = "512KiB"
replay = 10
half_close = true

[defaults.log]
keep = 9

[[chardev]]
name = "vm0"
device = "sim:boot"
[[chardev]]
name = "vm1"
log = true
device = "unix:/run/qemu/vm1.serial"
frontends = ["pty:run/vm1", "tcp://127.0.0.1:7001"]

[[chardev]]
name = "router"
device = { listen = "unix:router" }
input = "exclusive"
log = { max_size = "100MiB", keep = 10, max_age = "90d", compress = true, max_span = "1d", max_total = "2GiB" }
  [[chardev.frontend]]
  listen = "tls://0.0.0.0:7002?credentials=default"
  mode = "read-only"
  replay = "64KiB"
  on_lag = "skip"
  half_close = false
  [[chardev.frontend]]
  connect = "tls://collector:9000"
  reconnect = { min = "200ms", max = "1m" }
  [[chardev.frontend]]
  connect = "exec:cat"
`

func TestLoad(t *testing.T) {
	clearEnvironment(t)
	files := certificates(t)
	files["conf.d/b.toml"] = "\ufeff[[chardev]]\r\nname = 'b'\r\ndevice = 'unix:../b'\r\nlog = false\r\n"
	files["conf.d/a.toml"] = "chardev = [{ name = 'a', device = 'unix:@a', history = 4096, input = 'exclusive', writer_idle = '10m' }]\n[credentials.more]\nca = '../c.pem'\n"
	path := write(t, example, files)
	dir := filepath.Dir(path)
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string, line, column int) string {
		return fmt.Sprintf("%s:%d:%d", filepath.Join(dir, name), line, column)
	}
	main := func(line, column int) string { return at("chardev.toml", line, column) }
	check := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
			t.Errorf("%s:\n have %s\n want %s", what, g, w)
		}
	}
	unixAt := func(p string) channel.Address {
		return channel.Address{Transport: "unix", Where: filepath.Join(dir, p)}
	}
	log := LogConfig{Enabled: true, MaxSize: 4 << 20, Keep: 4}
	logged := LogConfig{Enabled: true, MaxSize: 4 << 20, Keep: 9}
	front := FrontendConfig{Mode: "read-write", Replay: 10, OnLag: "catch-up", HalfClose: true}
	with := func(e Endpoint, change func(*FrontendConfig)) FrontendConfig {
		f := front
		f.Endpoint = e
		change(&f)
		return f
	}
	same := func(*FrontendConfig) {}

	check("file", cfg.File, path)
	check("state", cfg.State, filepath.Join(dir, "var"))
	check("control", cfg.Control, unixAt("run/control"))
	check("http", cfg.HTTP, HTTPConfig{Listen: []Endpoint{{channel.MustParseAddress("tcp://127.0.0.1:7681"), true, main(7, 11)}}})
	check("warnings", cfg.Warnings, []string{path + `:3:11: control: there is no folder "` + filepath.Join(dir, "run") + `" yet; chardevd does not start without it`})
	check("journal", cfg.Journal, JournalConfig{200 << 30, 0})
	for _, name := range []string{"default", "more"} {
		if cfg.Credentials[name] == nil {
			t.Errorf("no credentials %q", name)
		}
	}
	if c := cfg.Credentials["default"]; c != nil && (c.Loaded.Server == nil || c.Loaded.ClientCAs == nil || c.Loaded.RootCAs == nil) {
		t.Errorf("credentials: %+v", c)
	}
	for i := range cfg.Chardevs {
		c := &cfg.Chardevs[i]
		if !strings.HasPrefix(c.Pos, dir+"/") {
			t.Errorf("chardev %s is at %s", c.Name, c.Pos)
		}
		c.Pos, c.uses = "", nil
	}
	check("chardevs", cfg.Chardevs, []ChardevConfig{
		{
			Name: "vm0", Device: Endpoint{channel.MustParseAddress("sim:boot"), false, main(29, 10)},
			History: 512 << 10, Input: "shared", Log: logged,
		},
		{
			Name: "vm1", Device: Endpoint{channel.MustParseAddress("unix:/run/qemu/vm1.serial"), false, main(33, 10)},
			History: 512 << 10, Input: "shared", Log: log,
			Frontends: []FrontendConfig{
				with(Endpoint{channel.Address{Transport: "pty", Where: filepath.Join(dir, "run/vm1")}, true, main(34, 14)}, same),
				with(Endpoint{channel.MustParseAddress("tcp://127.0.0.1:7001"), true, main(34, 29)}, same),
			},
		},
		{
			Name: "router", Device: Endpoint{unixAt("router"), true, main(38, 21)},
			History: 512 << 10, Input: "exclusive", Log: LogConfig{true, 100 << 20, day, 10, 90 * day, 2 << 30, true},
			Frontends: []FrontendConfig{
				with(Endpoint{channel.MustParseAddress("tls://0.0.0.0:7002?credentials=default"), true, main(42, 12)}, func(f *FrontendConfig) {
					f.Mode, f.Replay, f.OnLag, f.HalfClose = "read-only", 64<<10, "skip", false
				}),
				with(Endpoint{channel.MustParseAddress("tls://collector:9000"), false, main(48, 13)}, func(f *FrontendConfig) {
					f.Reconnect = Reconnect{200 * time.Millisecond, time.Minute}
				}),
				with(Endpoint{channel.MustParseAddress("exec:cat"), false, main(51, 13)}, func(f *FrontendConfig) {
					f.Reconnect = Reconnect{20 * time.Millisecond, time.Second}
				}),
			},
		},
		{Name: "a", Device: Endpoint{channel.MustParseAddress("unix:@a"), false, at("conf.d/a.toml", 1, 35)}, History: 4096, Input: "exclusive", WriterIdle: 10 * time.Minute, Log: logged},
		{Name: "b", Device: Endpoint{unixAt("b"), false, at("conf.d/b.toml", 3, 10)}, History: 512 << 10, Input: "shared"},
	})
}

func TestLoadDefaults(t *testing.T) {
	const text = "[[chardev]]\nname = 'x'\ndevice = 'unix:/x'\nfrontends = ['unix:y']\n"
	path := write(t, text, nil)
	dir := filepath.Dir(path)
	for _, c := range []struct{ why, state, runtime, wantState, wantControl string }{
		{"beside the file", "", "", dir + "/state", dir + "/state/control"},
		{"by systemd", "/var/lib/chardevd", "/run/chardevd", "/var/lib/chardevd", "/run/chardevd/control"},
		{"by systemd, several", "/s/a:/s/b", "/r/a:/r/b", "/s/a", "/r/a/control"},
		{"what is no folder's name", "s", "r", dir + "/state", dir + "/state/control"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", c.state)
			t.Setenv("RUNTIME_DIRECTORY", c.runtime)
			cfg, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.State != c.wantState || cfg.Control.String() != "unix:"+c.wantControl {
				t.Errorf("state %s, control %s; want %s and unix:%s", cfg.State, cfg.Control, c.wantState, c.wantControl)
			}
			if len(cfg.Warnings) > 0 {
				t.Errorf("warnings of nothing: %q", cfg.Warnings)
			}
			if cfg.Journal != (JournalConfig{20 << 30, 5 * time.Second}) {
				t.Errorf("the journals are %+v", cfg.Journal)
			}
			d := cfg.Chardevs[0]
			want := FrontendConfig{Endpoint: d.Frontends[0].Endpoint, Mode: "read-write", OnLag: "catch-up"}
			if d.History != 256<<10 || d.Input != "shared" || d.Log != (LogConfig{Enabled: true, MaxSize: 4 << 20, Keep: 4}) || fmt.Sprint(d.Frontends[0]) != fmt.Sprint(want) {
				t.Errorf("the defaults are %+v", d)
			}
		})
	}
	t.Run("relative to the current folder", func(t *testing.T) {
		clearEnvironment(t)
		t.Chdir(dir)
		cfg, err := Load("chardev.toml")
		if err != nil {
			t.Fatal(err)
		}
		f := cfg.Chardevs[0].Frontends[0]
		if !strings.HasSuffix(cfg.State, "/state") || !filepath.IsAbs(cfg.State) || !filepath.IsAbs(f.Address.File()) || f.Pos != "chardev.toml:4:14" {
			t.Errorf("state %s, frontend %+v", cfg.State, f)
		}
	})
	t.Run("a control path that is too long", func(t *testing.T) {
		clearEnvironment(t)
		long := write(t, "# c\nstate = '/"+strings.Repeat("x", 100)+"'\n"+text, nil)
		m := errorsOf(t, long)
		if len(m) != 1 || m[0].Line != 2 || !strings.Contains(m[0].Message, "107") {
			t.Errorf("%v", m)
		}
	})
}

// Files that are no config at all.
func TestLoadFiles(t *testing.T) {
	clearEnvironment(t)
	dir := t.TempDir()
	for _, c := range []struct{ why, text, want string }{
		{"nothing", "", "1:1: no [[chardev]]"},
		{"nothing but a comment", "# x\n", "1:1: no [[chardev]]"},
		{"an empty list", "chardev = []\n", "1:1: no [[chardev]]"},
		{"UTF-16", "\xff\xfea\x00", "1:1: the file is UTF-16"},
		{"no UTF-8", "# a\nb = '\xc3('\n", "2:6: byte 0xc3 is not UTF-8"},
		{"a NUL", "a = 1\nb = \"\x00\"\n", "2:5: TOML files cannot contain control characters"},
		{"too large", "# " + strings.Repeat("x", 1<<20), "1:1: the file is larger than 1 MiB"},
		{"too deep", "a = " + strings.Repeat("[", 100), "1:69: nested deeper than 64 levels"},
		{"a syntax error", "\ufeffa = 1\nb = \n", "2:5: expected value"},
		{"a text without quotes", "a = /tmp/x\n", `1:5: expected value but found '/' instead; a text stands in quotes, like "this"`},
		{"a text without end", "a = \"\"\"\nx\n", "2:2: unexpected EOF"},
		{"a key twice", "a = 1\r\n\ta = 2\r\n", "2:2: Key 'a' has already been defined"},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := errorsOf(t, write(t, c.text, nil))
			if len(m) != 1 || !strings.Contains(m[0].String(), "chardev.toml:"+c.want) {
				t.Errorf("%v; want %s", m, c.want)
			}
		})
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "none.toml: the config file cannot be opened: no such file",
		dir:                             "the config file cannot be read: is a directory",
	} {
		if m := errorsOf(t, path); len(m) != 1 || !strings.Contains(m[0].String(), want) {
			t.Errorf("%v; want %s", m, want)
		}
	}
}

// A message is one line, and all of them stand in the order of the file.
func TestConfigErrorSorted(t *testing.T) {
	clearEnvironment(t)
	path := write(t, `zzz = 1
include = ["b.toml", "a.toml", "none.toml"]
[[chardev]]
frontends = ["tcp:x", "ftp:y?a=b", "unix:y?x=1&y=2", 5]
name = "a\nb"
`, map[string]string{"a.toml": "x = 1\n[defaults]", "b.toml": "state = ''\nx = \n"})
	_, err := Load(path)
	if err == nil {
		t.Fatal("taken")
	}
	var have []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		place, _, _ := strings.Cut(line[len(filepath.Dir(path))+1:], ": ")
		have = append(have, place)
	}
	want := []string{
		"chardev.toml:1:1", "chardev.toml:2:32", "chardev.toml:3:1", "chardev.toml:4:14", "chardev.toml:4:23",
		"chardev.toml:4:36", "chardev.toml:4:36", "chardev.toml:4:54", "chardev.toml:5:8",
		"b.toml:2:5", "a.toml:1:1", "a.toml:2:2",
	}
	if !slices.Equal(have, want) {
		t.Errorf("have %q\nwant %q\n%v", have, want, err)
	}
}

// FuzzLoad: any text gives a config or mistakes that have a place in their
// file, and never panics.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		example, "", "[[chardev]]\nname='x'\ndevice='null:'\n", "chardev=[{name='x',device={listen='unix:x'},frontends=['tcp://:1']}]",
		"[chardev]", "[[chardev.frontend]]", "[defaults]\nreconnect={min='1s',max=''}\nlog=1\nhistory=-1", "credentials.x.cert=''\n[credentials.\"\"]",
		"state=\"\\u0000\"\ncontrol='tcp://h:1'\nhttp=[]", "include=['../*','\\\\','[',1]", "a=\"\"\"\n", "\xff", "[[chardev]]\nname=[\n'x'\n]\ndevice=1979-05-27",
		"[[chardev]]\nname='x'\ndevice='tls://h:1?credentials=y&verify=0'\nfrontends=[\n'tcp://127.0.0.1:1',\n'tcp://0.0.0.0:1?insecure=true']",
	} {
		f.Add(s)
	}
	path := filepath.Join(f.TempDir(), "chardev.toml")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := load(path, text, new(instead))
		if err == nil {
			if cfg == nil || len(cfg.Chardevs) == 0 {
				t.Fatalf("%q gives neither a chardev nor an error", text)
			}
			return
		}
		ce, ok := errors.AsType[*ConfigError](err)
		if !ok || len(ce.Mistakes) == 0 {
			t.Fatalf("%q gives %T %v", text, err, err)
		}
		lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		for _, m := range ce.Mistakes {
			if m.File != path {
				continue
			}
			if m.Line < 1 || m.Line > len(lines) || m.Column < 1 || m.Column > len(lines[m.Line-1])+1 {
				t.Fatalf("%v is not in %q", m, text)
			}
			if strings.ContainsAny(m.Message, "\r\n") || m.Message == "" || utf8.ValidString(text) && !utf8.ValidString(m.Message) {
				t.Fatalf("a message %q", m.Message)
			}
		}
	})
}

// The folder of a control socket must be there before the daemon, unless that makes it with
// its state folder.
func TestFolderOfControl(t *testing.T) {
	clearEnvironment(t)
	for control, warned := range map[string]bool{"none/control": true, "control": false, "s/control": false, "s/t/control": false, "@control": false} {
		cfg, err := Load(write(t, "state = 's/t'\ncontrol = 'unix:"+control+"'\n[[chardev]]\nname = 'a'\ndevice = 'null:'\n", nil))
		if err != nil {
			t.Fatal(err)
		}
		if warned != (len(cfg.Warnings) == 1 && strings.Contains(cfg.Warnings[0], "chardev.toml:2:11: control: there is no folder ")) || !warned && len(cfg.Warnings) > 0 {
			t.Errorf("%s: warned is %q", control, cfg.Warnings)
		}
	}
}

// Nobody types into a file that is read, and one whose folder is missing is told of.
func TestFollowedDevice(t *testing.T) {
	clearEnvironment(t)
	cfg, err := Load(write(t, "[[chardev]]\nname = 'here'\ndevice = 'file:x?mode=follow'\n[[chardev]]\nname = 'there'\ndevice = 'file:none/x?mode=follow'\n", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cfg.Chardevs {
		if c.Input != "off" {
			t.Errorf("%s: the input is %s", c.Name, c.Input)
		}
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "chardev.toml:6:10: device: there is no folder ") {
		t.Errorf("warned is %q", cfg.Warnings)
	}
}
