package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chardevd/channel"
	"chardevd/chardev"
)

// asProgram in the environment makes the test binary be chardevd.
const asProgram = "CHARDEVD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Unsetenv("CHARDEVD_CONTROL")
	goleak.VerifyTestMain(m)
}

// watchdog is how long anything in these tests may take.
const watchdog = 20 * time.Second

// A testDaemon is a control socket with the answers that a test gives it.
type testDaemon struct {
	path string

	mu      sync.Mutex
	infos   []chardev.Info
	clients []chardev.ClientInfo
	kicked  []string
	asked   []string             // of lines and breaks
	sockets []*channel.Websocket // of those attached

	attach   attachFunc
	listener channel.Listener
	server   *http.Server
	done     sync.WaitGroup
	attached sync.WaitGroup
}

// An attachFunc is what a testDaemon does for somebody attached, until they leave.
type attachFunc func(*channel.Websocket, *http.Request, <-chan chardev.Message)

// netListener is a channel's listener as net/http wants it.
type netListener struct{ channel.Listener }

func (l netListener) Accept() (net.Conn, error) { return l.Listener.Accept(context.Background()) }

func newTestDaemon(t *testing.T, attach attachFunc) *testDaemon {
	dir, err := os.MkdirTemp("", "chardevd") // a short path: sun_path
	if err != nil {
		t.Fatal(err)
	}
	d := &testDaemon{path: filepath.Join(dir, "control"), attach: attach}
	last := time.Now().Add(-3 * time.Minute)
	d.infos = []chardev.Info{
		{Name: "demo", State: "up", Since: time.Now().Add(-time.Hour), Device: "sim:boot", Clients: 2, BytesIn: 17, BytesOut: 123456, LastByte: &last,
			Frontends: []chardev.FrontendInfo{{Address: "tcp://127.0.0.1:7001", State: "up", Reach: "nc 127.0.0.1 7001"}}},
		{Name: "shell", State: "down", Since: time.Now(), Device: "exec:sh\x1b[2J", Error: "exit status 1",
			Frontends: []chardev.FrontendInfo{{Address: "unix:state/shell.sock", State: "down", Error: "bind: address already in use"}}},
	}
	d.clients = []chardev.ClientInfo{{ID: "3", Frontend: "attach", Peer: "uid 0", Since: time.Now(), Mode: "read-write", Lag: 5}}
	d.start(t)
	t.Cleanup(func() {
		d.stop()
		os.RemoveAll(dir)
	})
	return d
}

func (d *testDaemon) start(t *testing.T) {
	t.Helper()
	l, err := channel.Listen(t.Context(), channel.Address{Transport: "unix", Where: d.path})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/chardevs", func(w http.ResponseWriter, r *http.Request) { d.answer(w, d.infos) })
	mux.HandleFunc("GET /api/v1/chardevs/{name}/clients", func(w http.ResponseWriter, r *http.Request) { d.answer(w, d.clients) })
	mux.HandleFunc("DELETE /api/v1/chardevs/{name}/clients/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "3" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			json.NewEncoder(w).Encode(chardev.Problem{Title: "Not Found", Status: 404, Detail: "no such client"})
			return
		}
		d.mu.Lock()
		d.kicked = append(d.kicked, r.PathValue("name")+" "+r.PathValue("id"))
		d.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/api/v1/chardevs/{name}/line", d.line)
	mux.HandleFunc("/api/v1/chardevs/{name}/break", d.line)
	mux.HandleFunc("GET /api/v1/chardevs/{name}/log", d.log)
	mux.HandleFunc("GET /api/v1/chardevs/{name}/ws", func(w http.ResponseWriter, r *http.Request) {
		messages := make(chan chardev.Message, 64)
		ws, err := channel.UpgradeWebsocket(w, r, channel.WebsocketOptions{
			Protocols: []string{chardev.AttachProtocol},
			OnText: func(b []byte) {
				var m chardev.Message
				if json.Unmarshal(b, &m) == nil {
					messages <- m
				}
			}}, nil)
		if err != nil {
			return
		}
		d.mu.Lock()
		d.sockets = append(d.sockets, ws)
		d.mu.Unlock()
		d.attached.Go(func() {
			defer ws.Close()
			d.attach(ws, r, messages)
		})
	})
	d.listener, d.server = l, &http.Server{Handler: mux}
	d.done.Go(func() { d.server.Serve(netListener{l}) })
}

func (d *testDaemon) stop() {
	d.server.Close()
	d.listener.Close()
	d.done.Wait()
	d.mu.Lock()
	for _, ws := range d.sockets {
		ws.Close()
	}
	d.sockets = nil
	d.mu.Unlock()
	d.attached.Wait()
}

func (d *testDaemon) answer(w http.ResponseWriter, v any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	json.NewEncoder(w).Encode(v)
}

// tell sends a message to an attached client.
func tell(ws *channel.Websocket, m chardev.Message) {
	b, _ := json.Marshal(m)
	ws.SendText(b)
}

// chardevd runs a command line in this process.
func chardevd(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestCommandLines(t *testing.T) {
	d := newTestDaemon(t, nil)
	none := filepath.Join(t.TempDir(), "control")
	for _, c := range []struct {
		args   string // CONTROL stands for --control and the daemon's socket
		code   int
		stdout string // in it
		stderr string // all of it but the line's end; "" nothing
	}{
		{"", 2, "", `chardevd: which command? see "chardevd --help"`},
		{"lst", 2, "", `chardevd: unknown command "lst", did you mean "list"? see "chardevd --help"`},
		{"frobnicate", 2, "", `chardevd: unknown command "frobnicate"; see "chardevd --help"`},
		{"help atach", 2, "", `chardevd: unknown command "atach", did you mean "attach"? see "chardevd help --help"`},
		{"help user ad", 2, "", `chardevd: unknown command "ad", did you mean "add"? see "chardevd help --help"`},
		{"check extra.toml", 2, "", `chardevd: check does not know what to do with "extra.toml"; did you mean -c extra.toml? see "chardevd check --help"`},
		{"completion tcsh", 2, "", `chardevd: unknown command "tcsh", did you mean "bash"? see "chardevd completion --help"`},
		{"list --jsn", 2, "", `chardevd: unknown flag "--jsn", did you mean "--json"? see "chardevd list --help"`},
		{"attach", 2, "", `chardevd: attach wants the NAME of a chardev; see "chardevd attach --help"`},
		{"user add", 2, "", `chardevd: user add wants the NAME of a user; see "chardevd user add --help"`},
		{"token list extra", 2, "", `chardevd: token list does not know what to do with "extra"; see "chardevd token list --help"`},
		{"kick demo", 2, "", `chardevd: kick wants the NAME of a chardev and the ID of a client; see "chardevd kick --help"`},
		{"attach demo -e ab", 2, "", `chardevd: invalid argument "ab" for "-e, --escape" flag: want one character, a control character like ^], or "none"; see "chardevd attach --help"`},
		{"attach demo --since 64K", 2, "", `chardevd: invalid argument "64K" for "--since" flag: want ` + chardev.PlaceForms + `, have "64K"; see "chardevd attach --help"`},
		{"attach demo --wait 5", 2, "", `chardevd: invalid argument "5" for "--wait" flag: want ` + channel.DurationForm + `, have "5"; see "chardevd attach --help"`},
		{"serve --log-level loud", 2, "", `chardevd: invalid argument "loud" for "--log-level" flag: want debug or info or warn or error; see "chardevd serve --help"`},
		{"--help", 0, "chardevd serve", ""},
		{"help attach", 0, "list these", ""},
		{"version", 0, "chardevd ", ""},
		{"--version", 0, "chardevd ", ""},
		{"list CONTROL --json", 0, `"name": "demo"`, ""},
		{"list CONTROL shell demo x", 1, "", `chardevd: no chardev "x"; there is demo, shell`},
		{"list CONTROL dmeo --json", 1, "", `chardevd: no chardev "dmeo"; did you mean "demo"?`},
		{"clients CONTROL demo", 0, "3   0s     read-write  0   0    5    0     0        attach    uid 0", ""},
		{"clients CONTROL demo --json", 0, `"id": "3"`, ""},
		{"kick CONTROL demo 3", 0, "", ""},
		{"kick CONTROL demo 4", 1, "", `chardevd: demo has no client "4"; "chardevd clients demo" lists them`},
		{"clients CONTROL dmeo", 1, "", `chardevd: no chardev "dmeo"; did you mean "demo"?`},
		{"attach CONTROL x", 1, "", `chardevd: attach x: no chardev "x"; there is demo, shell`},
		{"attach CONTROL ../chardevs", 1, "", `chardevd: attach ../chardevs: no chardev "../chardevs"; there is demo, shell`},
		{"list --control " + none, 1, "", `chardevd: no daemon on unix:` + none + ` (from --control): connect: no such file or directory; start one with "chardevd serve", or name another socket with --control`},
		{"list --control tcp://127.0.0.1:1/x", 1, "", `chardevd: --control: "tcp://127.0.0.1:1/x": a path "/x", but no ws layer that would use it`},
		{"list --control http://127.0.0.1:1/x", 1, "", `chardevd: no daemon on http://127.0.0.1:1/x (from --control): connect: connection refused; start one with "chardevd serve", or name another socket with --control`},
		{"list --control http://127.0.0.1:1/", 1, "", `chardevd: no daemon on http://127.0.0.1:1/ (from --control): connect: connection refused; start one with "chardevd serve", or name another socket with --control`},
		{"list --control tpc://1:2", 1, "", `chardevd: --control: "tpc://1:2": unknown transport "tpc"; did you mean "tcp"?`},
		{"__complete CONTROL list", 0, "", "-"},
		{"__complete list CONTROL demo s", 0, "shell\tdown", "-"},
		{"__complete clients CONTROL d", 0, "demo\tup, sim:boot\n", "-"},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "CONTROL", "--control "+d.path))
		code, stdout, stderr := chardevd(args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || c.stderr != "-" && strings.TrimSuffix(stderr, "\n") != c.stderr {
			t.Errorf("chardevd %s: exit %d, want %d\nstdout %q, want %q in it\nstderr %q\n  want %q", c.args, code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
	}
	if fmt.Sprint(d.kicked) != "[demo 3]" {
		t.Errorf("kicked %q", d.kicked)
	}
}

func TestListIsAlignedAndSafe(t *testing.T) {
	d := newTestDaemon(t, nil)
	_, got, _ := chardevd("list", "--control", "unix:"+d.path)
	want := `NAME   STATE  SINCE  DEVICE       CLIENTS  IN  OUT       LAST-BYTE  LINE
demo   up     60m    sim:boot     2        17  120.6KiB  3m
shell  down   0s     exec:sh` + "\uFFFD" + `[2J  0        0   0         never
  device                 down  exit status 1
  unix:state/shell.sock  down  bind: address already in use
`
	if got != want {
		t.Errorf("list prints\n%s, want\n%s", got, want)
	}
	if _, got, _ := chardevd("list", "-v", "--control", "unix:"+d.path); !strings.Contains(got, "  tcp://127.0.0.1:7001  up  nc 127.0.0.1 7001\n") {
		t.Errorf("list -v prints\n%s", got)
	}
}

// Who names consoles has these, in a table and as JSON.
func TestListOfSome(t *testing.T) {
	d := newTestDaemon(t, nil)
	t.Setenv("CHARDEVD_CONTROL", d.path)
	if _, got, _ := chardevd("list", "demo"); !strings.Contains(got, "\ndemo ") || strings.Contains(got, "shell") {
		t.Errorf("list demo prints\n%s", got)
	}
	_, got, _ := chardevd("list", "--json", "shell", "shell")
	var infos []chardev.Info
	if err := json.Unmarshal([]byte(got), &infos); err != nil || len(infos) != 1 || infos[0].Name != "shell" || infos[0].Error == "" {
		t.Errorf("list --json shell prints %s, %v", got, err)
	}
}

func TestJSONIsWhatTheDaemonSent(t *testing.T) {
	d := newTestDaemon(t, nil)
	t.Setenv("CHARDEVD_CONTROL", d.path)
	_, got, _ := chardevd("list", "--json")
	var a, b any
	sent, _ := json.Marshal(d.infos)
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Fatal(err)
	}
	json.Unmarshal(sent, &b)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("list --json prints\n%s, want\n%s", got, sent)
	}
}

func TestNoConfigNoDaemon(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := os.Stat("/etc/chardevd/chardev.toml"); err == nil {
		t.Fatal("this machine has an /etc/chardevd/chardev.toml, which this test cannot be run beside")
	}
	for _, c := range []string{"serve", "check"} {
		code, _, stderr := chardevd(c)
		if want := "chardevd: neither ./chardev.toml nor /etc/chardevd/chardev.toml is there; name a config file with -c FILE\n"; code != 1 || stderr != want {
			t.Errorf("%s: exit %d, %q; want %q", c, code, stderr, want)
		}
	}
	code, _, stderr := chardevd("list")
	if want := "chardevd: no way to find the daemon: neither ./chardev.toml nor /etc/chardevd/chardev.toml is there; name a config file with -c FILE, or its socket with --control\n"; code != 1 || stderr != want {
		t.Errorf("list: exit %d, %q; want %q", code, stderr, want)
	}
}

func TestAgesAndSizes(t *testing.T) {
	now := time.Now()
	for d, want := range map[time.Duration]string{-time.Hour: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 2 * time.Hour: "2h", 48 * time.Hour: "2d"} {
		if got := age(now, now.Add(-d)); got != want {
			t.Errorf("age of %v is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 9999: "9999", 10000: "9.8KiB", 5 << 20: "5.0MiB", 1 << 62: "4194304.0TiB"} {
		if got := size(n); got != want {
			t.Errorf("size of %d is %q, want %q", n, got, want)
		}
	}
}

// Durations are what they are in the config file, days too.
func TestDurations(t *testing.T) {
	var f durationFlag
	if err := f.Set("1d"); err != nil || time.Duration(f) != 24*time.Hour || f.String() != "1d" {
		t.Errorf("1d is %v, %v", f, err)
	}
}

// Nobody is asked for the password of a user that is not there, nor of one that cannot be
// made.
func TestPasswordOfNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chardev.toml")
	if err := os.WriteFile(file, []byte("state = \"s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(filepath.Dir(file), "s")
	if err := errors.Join(os.Mkdir(state, 0o700), chardev.Accounts{Dir: state}.AddUser("alice", "correct horse", nil)); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"passwd nobody":       `"nobody"`,
		"add alice":           `there is a user "alice" already`,
		"add a/b":             `"a/b" is no name`,
		"add token":           `"token" is no name for a user`,
		"add bob --group 42":  `"42"`,
		"add bob --group ops": "stdin",
		"passwd alice":        "stdin",
	} {
		code, _, stderr := chardevd(append(append([]string{"user"}, strings.Fields(args)...), "-c", file)...)
		if code != 1 || !strings.Contains(stderr, want) || want != "stdin" && strings.Contains(stderr, "stdin") {
			t.Errorf("user %s: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}
