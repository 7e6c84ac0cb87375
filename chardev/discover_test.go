package chardev

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"chardevd/channel"
)

// What is wrong with a [[discover]], whatever it would find.
func TestDiscoverMistakes(t *testing.T) {
	clearEnvironment(t)
	for _, c := range []struct{ text, want string }{
		{"", `:1:1: [[discover]] has no glob; give it glob = "/run/qemu/*.serial"`},
		{"glob = '/run/['", `glob: "/run/[" is no pattern: a [ is not closed, or nothing stands in it`},
		{"glob = '/run/*.s'\nglub = 1", `unknown key "glub" in [[discover]]; did you mean "glob"?`},
		{"glob = '/run/*.s'\nlinger = 'long'", ":3:10: linger: "},
		{"glob = '/run/*.s'\nname = '{2}'", `:3:8: name: "{2}": there is no {2}: /run/*.s has 1 wildcards`},
		{"glob = '/run/*.s'\nname = '{serial}'", `"{serial}": unknown {serial}; want {base}`},
		{"glob = '/run/*.s'\nname = 'vm'", `:3:8: name: all that /run/*.s matches would be "vm"; put {1} in it`},
		{"glob = '/run/*/s'", `:2:8: name: all that /run/*/s matches would be "s"; put {1} in it`},
		{"glob = '/run/*.s'\nname = '{1} x'", "name: want a name of 1 to 64"},
		{"glob = '/run/*.s'\nfrontends = ['unix:/run/all']", "unix:/run/all: all that /run/*.s matches would listen there; put {name} in it"},
		{"glob = '/run/*.s'\nfrontends = ['tcp://0.0.0.0:700{1}']", "it can be reached from other hosts, without TLS"},
		{"glob = '/run/*.s'\ndevice = 'exec:ssh {1}'", "nothing is filled into a command"},
		{"glob = '/run/*.s'\ndevice = '{1}:/x'", "how it is reached must be written"},
		{"glob = '/run/*.s'\nfrontends = ['unix:{address}']", "unknown {address}"},
		{"glob = '/run/*.s'\n[[discover.frontend]]\nlisten = 'unix:/x/{nme}'", "unknown {nme}"},
		{"glob = '/run/*.s'\n[[discover.frontend]]\nlisten = 'unix:/x/{name}'\nmode = 'r'", "mode: want"},
		{"glob = '/run/*.s'\nhistory = '1B'", ":3:11: history: want a size"},
		{"glob = '/run/*.s'\nname = 'lock{1}'\nlog = false\ninput = 'shared'\nwriter_idle = '1m'", "writer_idle is for"},
	} {
		text := "[[discover]]\n" + c.text
		_, err := Load(write(t, text, nil))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\nhave %v\nwant %s", text, err, c.want)
		}
	}
}

// A discoverRig is a server whose config discovers below a folder.
type discoverRig struct {
	t    *testing.T
	s    *Server
	dir  string
	path string // of the config
	end  func()

	mu  sync.Mutex
	log bytes.Buffer
}

func (r *discoverRig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *discoverRig) logged(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.log.String(), text)
}

func newDiscoverRig(t *testing.T, text string) *discoverRig {
	clearEnvironment(t)
	r := &discoverRig{t: t, path: write(t, text, nil)}
	r.dir = filepath.Dir(r.path)
	r.begin(nil)
	return r
}

// begin has a server run, until end or that of the test.
func (r *discoverRig) begin(from *Handover) {
	r.take(from)
	r.end = sync.OnceFunc(begun(r.t, r.s))
	r.t.Cleanup(r.end)
}

// take makes the server of the config, which goes on with what another one has left.
func (r *discoverRig) take(from *Handover) {
	cfg, err := Load(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.s, err = TakeOver(cfg, slog.New(slog.NewTextHandler(r, nil)), from); err != nil {
		r.t.Fatal(err)
	}
	r.s.discovery.udev = filepath.Join(r.dir, "udev")
}

func (r *discoverRig) at(name string) string { return filepath.Join(r.dir, name) }

// sock makes a socket that somebody listens on, until its end or that of the test.
func (r *discoverRig) sock(name string) *net.UnixListener {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.at(name)), 0o700); err != nil {
		r.t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.at(name)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { l.Close() })
	return l
}

// names are those of the chardevs, in their order.
func (r *discoverRig) names() (names []string) {
	for _, c := range r.s.all() {
		names = append(names, c.name)
	}
	return names
}

func (r *discoverRig) has(names ...string) {
	r.t.Helper()
	await(r.t, fmt.Sprintf("chardevs %q", names), func() bool { return slices.Equal(r.names(), names) })
}

func (r *discoverRig) reload(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := reloaded(r.s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *discoverRig) dial(name string) channel.Channel {
	r.t.Helper()
	var c channel.Channel
	await(r.t, name, func() (ok bool) {
		var err error
		c, err = channel.Dial(r.t.Context(), channel.MustParseAddress("unix:"+r.at(name)))
		return err == nil
	})
	r.t.Cleanup(func() { c.Close() })
	return c
}

// is waits until the device of a chardev is up.
func (r *discoverRig) is(name string) {
	r.t.Helper()
	await(r.t, name+" to be up", func() bool {
		state, _, _ := r.s.console(name).device.Load().state()
		return state == StateUp
	})
}

// A guest that is gone and comes again has its history, whether or not its chardev was
// there meanwhile: it is while somebody is attached.
func TestDiscoveredComesAgain(t *testing.T) {
	r := newDiscoverRig(t, "[[discover]]\nglob = 'vms/*/serial.sock'\nname = 'vm-{1}'\nfrontends = ['unix:front.{name}']\nlinger = '0s'\n")
	r.has()
	says := func(l *net.UnixListener, text string, upTo int64) {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, text)
		await(t, "what it says", func() bool { return r.s.console("vm-a").hub.hist.Head() == upTo })
	}
	guest := r.sock("vms/a/serial.sock")
	r.has("vm-a")
	says(guest, "one", 3)
	if from := r.s.console("vm-a").info(false).From; from != r.at("vms/a/serial.sock")+", by the [[discover]] at "+r.path+":1:1" {
		t.Error(from)
	}
	if _, err := r.s.remove(theDaemon{}, "vm-a"); err == nil || !strings.Contains(err.Error(), "it goes with that") {
		t.Errorf("removed: %v", err)
	}
	client := r.dial("front.vm-a")
	con := r.s.console("vm-a")
	await(t, "the client", func() bool { return len(con.hub.clientInfos()) == 1 })
	guest.Close()
	await(t, "it to be gone", func() bool { return r.s.discovery.counts[1].Load() == 1 })
	guest = r.sock("vms/a/serial.sock")
	await(t, "it to be there", func() bool { return r.s.discovery.counts[0].Load() == 1 })
	if r.s.console("vm-a") != con {
		t.Fatal("it was begun anew, with a client attached")
	}
	says(guest, "two", 6)
	if have := readN(t, client, 3); have != "two" {
		t.Errorf("%q", have)
	}
	guest.Close()
	await(t, "it to be gone", func() bool { return r.s.discovery.counts[1].Load() == 1 })
	client.Close() // the last one
	r.has()
	guest = r.sock("vms/a/serial.sock")
	r.has("vm-a")
	if r.s.console("vm-a") == con {
		t.Fatal("it was not removed")
	}
	says(guest, "three", 11)
	if have, err := os.ReadFile(r.at("state/vm-a/vm-a.log")); err != nil || !strings.HasPrefix("onetwothree", string(have)) || len(have) < 6 {
		t.Errorf("%q, %v", have, err)
	}
}

func readN(t *testing.T, from io.Reader, n int) string {
	t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(from, p); err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// While it lingers it is there, also after a reload, until it is removed by hand.
func TestDiscoveredLingers(t *testing.T) {
	const text = "[[discover]]\nglob = '*.serial'\n"
	r := newDiscoverRig(t, text)
	guest := r.sock("vm1.serial")
	r.has("vm1")
	con := r.s.console("vm1")
	guest.Close()
	await(t, "it to be gone", func() bool { return r.s.discovery.counts[1].Load() == 1 })
	r.reload(text + "input = 'exclusive'\n")
	if r.s.console("vm1") != con || con.hub.inputMode() != "exclusive" {
		t.Error("it was begun anew, or not altered")
	}
	if left := r.s.discovery.handOver(); len(left) != 1 || left[0].Path != r.at("vm1.serial") || left[0].Gone.IsZero() {
		t.Errorf("left: %+v", left)
	}
	if _, err := r.s.replace(theDaemon{}, ChardevRequest{Name: "vm1", Device: "null:"}); err == nil || !strings.Contains(err.Error(), "change the [[discover]]") {
		t.Errorf("replaced: %v", err)
	}
	if c, err := r.s.remove(theDaemon{}, "vm1"); err != nil || len(c.removed) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	r.has()
}

// A guest that goes while one daemon follows another is gone, as at any other time: its
// chardev lingers, with what it said last, and whoever is attached stays.
func TestDiscoveredGoesDuringAnUpgrade(t *testing.T) {
	clearEnvironment(t)
	r := &discoverRig{t: t, path: write(t, "[[discover]]\nglob = '*.serial'\nlog = false\nfrontends = ['unix:front.{name}']\n", nil)}
	r.dir = filepath.Dir(r.path)
	guest := r.sock("vm1.serial")
	r.take(nil)
	over := make(chan error, 1)
	go func() { over <- r.s.Run(t.Context(), func() {}) }()
	its, err := guest.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer its.Close()
	client := r.dial("front.vm1")
	await(t, "the client", func() bool { return len(r.s.console("vm1").hub.clientInfos()) == 1 })
	r.s.Leave()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	left := r.s.Left()
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(its, "the end")
	its.Close()
	guest.Close()
	r.begin(left)
	if !slices.Equal(r.names(), []string{"vm1"}) {
		t.Fatalf("there is %q", r.names())
	}
	if have := readN(t, client, 7); have != "the end" {
		t.Errorf("%q", have)
	}
	await(t, "it to be gone", func() bool { return r.s.discovery.counts[1].Load() == 1 })
	if n := len(r.s.console("vm1").hub.clientInfos()); n != 1 {
		t.Errorf("%d clients", n)
	}
}

// A reload keeps what was found and touches what is another; what is in the way of
// what a file says goes, and a [[discover]] that is no more takes its chardevs along.
func TestDiscoveredAndReload(t *testing.T) {
	const one = "[[discover]]\nglob = '*.serial'\nfrontends = ['unix:front.{name}']\n"
	r := newDiscoverRig(t, one)
	r.sock("a.serial")
	r.sock("b.serial")
	r.has("a", "b")
	a := r.s.console("a")
	client := r.dial("front.a")
	await(t, "the client", func() bool { return len(a.hub.clientInfos()) == 1 })
	r.reload("[[chardev]]\nname = 'b'\ndevice = 'null:'\n" + strings.Replace(one, "frontends", "history = '1MiB'\nfrontends", 1))
	r.has("b", "a")
	if r.s.console("a") != a || a.hub.hist.Size() != 1<<20 || len(a.hub.clientInfos()) != 1 {
		t.Error("a was touched, or not altered")
	}
	if d := r.s.console("b").device.Load().ep.Address.String(); d != "null:" || r.logged("is no chardev") != 1 || r.logged(`a chardev \"b\" is there already, from `) != 1 {
		t.Errorf("b: %s, %d\n%s", d, r.logged("is no chardev"), r.log.String())
	}
	r.sock("c.serial")
	r.has("b", "a", "c")
	if r.logged("is no chardev") != 1 {
		t.Error("told again")
	}
	if _, err := r.s.add(theDaemon{}, ChardevRequest{Name: "a", Device: "null:"}); err == nil {
		t.Error("a was added")
	}
	r.reload(one)
	r.has("a", "b", "c")
	next, err := Load(write(t, strings.Replace(one, "*.serial'", "*.serial'\nlinger = '5m'", 1)+"[[discover]]\nglob = '/x/*'\n", nil))
	if err != nil {
		t.Fatal(err)
	}
	next.Discover[0].Glob = r.s.config().Discover[0].Glob
	if c := diff(r.s.config(), next); !slices.Contains(c.Lines, "~ discover "+r.at("*.serial")+": linger 10m → 5m") || !slices.Contains(c.Lines, "+ discover /x/*") {
		t.Errorf("%q", c.Lines)
	}
	r.reload("[[chardev]]\nname = 'x'\ndevice = 'null:'\n")
	r.has("x")
	if p, err := io.ReadAll(client); err != nil || len(p) > 0 {
		t.Errorf("%q, %v", p, err)
	}
	r.reload(one)
	r.has("a", "b", "c")
}

// What can be no chardev is told once, with what to do, and what is none is ignored.
func TestNotDiscovered(t *testing.T) {
	r := newDiscoverRig(t, "[[discover]]\nglob = 'q/*.s'\nlinger = '0s'\n[[discover]]\nglob = 'r/*'\n")
	for _, name := range []string{"q/a b.s", "q/x.s", "q/-.s", "q/lock.s", "q/control.s", "q/.hidden.s"} {
		r.sock(name)
	}
	if err := os.Mkdir(r.at("q/folder.s"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.has("x")
	r.sock("r/x") // a name that is there
	await(t, "to be told", func() bool { return r.s.discovery.counts[2].Load() == 5 })
	r.sock("r/y")
	r.has("x", "y")
	for _, want := range []string{`have \"a b\"`, `have \"-\"`, "where the lock of the state folder is", "where the control socket is", `a chardev \"x\" is there already, from ` + r.at("q/x.s")} {
		if r.logged(want) != 1 {
			t.Errorf("%d × %s\n%s", r.logged(want), want, r.log.String())
		}
	}
	cfg, err := Load(r.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(cfg.Discovered(), "\n")
	for _, want := range []string{
		r.path + ":1:1: discover " + r.at("q/*.s") + ": 1 now\n",
		"  " + r.at("q/x.s") + ": chardev x\n",
		"  " + r.at("q/folder.s") + ": no chardev: it is neither a socket nor a device\n",
		"  " + r.at("r/x") + ": no chardev: " + r.path + ":5:8: a chardev \"x\" is there already",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("%s\nwant %s", lines, want)
		}
	}
	if err := os.Remove(r.at("q/x.s")); err != nil { // and who was in its way has its name, in the same moment
		t.Fatal(err)
	}
	await(t, "another x", func() bool {
		con := r.s.console("x")
		return con != nil && con.device.Load().ep.Address.Where == r.at("r/x")
	})
	r.has("x", "y")
	r.is("x")
}

// A device node is named by what udev knows of it, which it may find out later, and what
// it knows never leads elsewhere.
func TestDiscoveredByUdev(t *testing.T) {
	r := newDiscoverRig(t, "[[discover]]\nglob = 'by-id/*'\nname = '{ID_SERIAL_SHORT}'\ndevice = 'null:'\nfrontends = ['unix:front/{ID_SERIAL_SHORT}']\nlog = false\nlinger = '0s'\n")
	knows := func(serial string) {
		t.Helper()
		file := udevOf(r.at("udev"), "/dev/null")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".new", []byte("I:123\nE:ID_SERIAL_SHORT="+serial+"\nG:systemd\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(r.at("by-id"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", r.at("by-id/usb-x")); err != nil {
		t.Fatal(err)
	}
	await(t, "it to be told", func() bool { return r.logged("no such udev property") == 1 })
	knows("A1")
	r.has("A1")
	con := r.s.console("A1")
	knows("A1")
	knows("B2")
	r.has("B2")
	knows("../../x")
	r.has()
	if r.logged("can be no name in a path") != 1 {
		t.Error(r.log.String())
	}
	knows("A1")
	r.has("A1")
	if r.s.console("A1") == con {
		t.Error("it was not removed")
	}
	if err := os.Remove(r.at("by-id/usb-x")); err != nil {
		t.Fatal(err)
	}
	r.has()
}

// What is filled into an address stays in its place.
func TestDiscoveredAddresses(t *testing.T) {
	clearEnvironment(t)
	path := write(t, "[[discover]]\nglob = '/run/*'\nname = 'x'\ndevice = '{address}?baud=9600'\n", nil)
	if _, err := Load(path); err == nil {
		t.Error("a socket has no baud")
	}
	cfg, err := Load(write(t, "[[discover]]\nglob = '/dev/*/*'\nname = '{1}-{2}'\ndevice = '{address}?baud=9600'\nfrontends = ['unix:/run/{2}?mode=0600']\n[[discover.frontend]]\nlisten = 'pty:/run/{name}.pty'\nmode = 'read-only'\n", nil))
	if err != nil {
		t.Fatal(err)
	}
	d := cfg.Discover[0]
	f := &found{path: "/dev/a/b?mode=0666&x%", kind: os.ModeDevice | os.ModeCharDevice, parts: []string{"a", "b?mode=0666&x%"}, from: d}
	f.path, f.parts[1] = "/dev/a/b?c", "b?c"
	l, err := f.make(d.table.l, 7)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.notes) == 0 {
		t.Error("the name a-b?c is none")
	}
	c := l.cfg.Chardevs[0]
	if a := c.Device.Address; a.Where != "/dev/a/b?c" || a.Get("baud") != "9600" || a.Transport != "serial" {
		t.Errorf("%+v", a)
	}
	if a := c.Frontends[0].Address; a.Where != "/run/b?c" || a.Get("mode") != "0600" || len(a.Options) != 1 {
		t.Errorf("%+v", a)
	}
	if f := c.Frontends[1]; f.Mode != "read-only" || f.Address.Where != "/run/a-b?c.pty" {
		t.Errorf("%+v", f)
	}
}

// Everything is told at once, and that no chardev is there is not: one was meant.
func TestAllMistakesOfADiscover(t *testing.T) {
	for text, want := range map[string][]string{
		"[[discover]]\nglob = '/run/*.s'\nliger = '10m'\ninput = 'foo'\nfrontends = ['unix:/x/{nmae}']\n": {`unknown key "liger"`, "input: want", "unknown {nmae}"},
		"[[discover]]\nglob = '/run/*.s'\nfrontends = ['unix:/x/{2}']\n":                                  {"there is no {2}"},
		"[[discover]]\nname = 'x'\n": {"has no glob"},
		"[[chardevs]]\nname = 'x'\n": {`unknown key "chardevs" in the main file; did you mean "chardev"?`},
		"[[chardev]]\nname = 'x'\ndevice = 'null:'\nfrontends = ['127.0.0.1:7001', '/run/x']\n": {"did you mean tcp://127.0.0.1:7001?", "did you mean unix:/run/x?"},
		"[[chardev]]\nname = 'x'\ndevice = 'null:'\nmax_clients = 3\n":                          {"it belongs into an address that listens, as ?max_clients=10"},
	} {
		_, err := Load(write(t, text, nil))
		mistakes, ok := errors.AsType[*ConfigError](err)
		if !ok || len(mistakes.Mistakes) != len(want) {
			t.Errorf("%s\ngives %v; want %d mistakes", text, err, len(want))
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s\ngives %v; want %q", text, err, w)
			}
		}
	}
}

// Who may what is told of chardevs that are discovered, too.
func TestExplainOfWhatIsDiscovered(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/vm1.s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg, err := Load(write(t, "[[discover]]\nglob = '"+dir+"/*.s'\n[[chardev]]\nname = 'demo'\ndevice = 'null:'\n", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Explain([]string{"anyone"}, "vm1"); err != nil {
		t.Error(err)
	}
	if _, err := cfg.Explain([]string{"anyone"}, "x"); err == nil || err.Error() != `no chardev "x"; there is demo, vm1` {
		t.Error(err)
	}
}
