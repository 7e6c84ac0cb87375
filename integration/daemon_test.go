package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon is chardevd with a folder of its own: the config, the control
// socket and the state are in it.
type daemon struct {
	*prog
	t       testing.TB
	dir     string
	config  string
	control string     // the control socket, from dir
	prefix  []string   // what runs it, like nsenter and its arguments
	files   []*os.File // descriptors that it gets, from 3 on
	api     *http.Client
}

// startDaemon starts the daemon with a config and waits for its ready. In the
// text @dir@ stands for its folder and each further @name@ for the value.
func startDaemon(t testing.TB, text string, values map[string]any) *daemon {
	t.Helper()
	d := newDaemon(t, folder(t), text, values)
	d.serve()
	return d
}

// newDaemon writes the config of a daemon and does not start it.
func newDaemon(t testing.TB, dir, text string, values map[string]any) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: dir, config: filepath.Join(dir, "chardev.toml"), control: "control"}
	text = "state = \"state\"\ncontrol = \"unix:control\"\n" + strings.ReplaceAll(expand(text, values), "@dir@", dir)
	write(t, d.config, text)
	d.api = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.path(d.control))
		},
	}}
	return d
}

// path is that of a file in the daemon's folder.
func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// command is a chardevd command line.
func (d *daemon) command(args ...string) *exec.Cmd {
	args = append(append(append([]string{}, d.prefix...), chardevd(d.t)), args...)
	cmd := exec.Command(args[0], args[1:]...)
	// Races are told at the end; and the detector's second of waiting for late
	// ones would be part of every measured stop.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 halt_on_error=0")
	return cmd
}

// run starts the daemon without waiting for anything.
func (d *daemon) run() {
	d.t.Helper()
	cmd := d.command("serve", "-c", d.config)
	cmd.ExtraFiles = d.files
	d.prog = startCmd(d.t, cmd)
	p := d.prog
	d.t.Cleanup(func() {
		if p.running() {
			p.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-p.done:
			case <-time.After(patience):
				d.t.Errorf("chardevd does not end %v after SIGTERM; its goroutines follow", patience)
				p.cmd.Process.Signal(syscall.SIGQUIT)
				select {
				case <-p.done:
				case <-time.After(patience):
				}
			}
		}
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if i := strings.Index(p.stderr.text(), bad); i >= 0 {
				d.t.Errorf("chardevd: %s", p.stderr.text()[max(0, i-100):])
			}
		}
	})
}

// serve starts the daemon and waits for the line "ready".
func (d *daemon) serve() {
	d.t.Helper()
	d.run()
	d.waitReady()
}

func (d *daemon) waitReady() {
	d.t.Helper()
	ok := d.out.until(patience, func(data []byte) bool {
		return strings.Contains("\n"+string(data), "\nready\n")
	})
	if !ok {
		d.t.Fatalf("chardevd did not print ready; stdout %q, stderr:\n%s", d.out.text(), d.stderr.text())
	}
}

// cli runs one of chardevd's commands against this daemon; code is its exit code.
func (d *daemon) cli(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	cmd := d.command(append(args, "--control", "unix:"+d.path(d.control))...)
	return execute(d.t, cmd)
}

// execute runs a command to its end.
func execute(t testing.TB, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	p := startCmd(t, cmd)
	p.stdin.Close()
	code = p.exits(t, patience)
	return p.out.text(), p.stderr.text(), code
}

// An info is what the list says of a chardev: the fields that are promised.
type info struct {
	Name     string
	State    string
	Since    time.Time
	Device   string
	Clients  int
	BytesIn  int64  `json:"bytes_in"`
	BytesOut int64  `json:"bytes_out"`
	LastByte string `json:"last_byte"`
	Epoch    string
	Offset   int64
	Oldest   int64
	Journal  *struct {
		Error                         string
		Bytes, Segments, Behind, Lost int64
	}
	Refused   map[string]int64
	Frontends []struct {
		Address, State, Error string
		Clients               int
	}
	Events []struct {
		Time   time.Time
		Offset int64
		Kind   string
		Text   string
	}
}

// clientInfo is what is told of a client.
type clientInfo struct {
	ID       string
	Frontend string
	Who      string
	Peer     string
	Lag      int64
	Gaps     int64
	Refused  int64
	BytesOut int64 `json:"bytes_out"`
}

// get asks the API.
func (d *daemon) get(path string, into any) error {
	r, err := d.api.Get("http://localhost/api/v1/" + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, r.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w: %s", path, err, body)
	}
	return nil
}

// info is what the daemon says of a chardev, with its events.
func (d *daemon) info(name string) info {
	d.t.Helper()
	var i info
	if err := d.get("chardevs/"+name, &i); err != nil {
		d.t.Fatal(err)
	}
	return i
}

// clients are those of a chardev.
func (d *daemon) clients(name string) []clientInfo {
	d.t.Helper()
	var c []clientInfo
	if err := d.get("chardevs/"+name+"/clients", &c); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// is waits until the device of a chardev has a state.
func (d *daemon) is(name, state string) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		if i := d.info(name); i.State != state {
			return fmt.Errorf("%s is %s, not %s", name, i.State, state)
		}
		return nil
	})
}

// has waits until a chardev has n clients.
func (d *daemon) has(name string, n int) {
	d.t.Helper()
	d.hasWithin(patience, name, n)
}

func (d *daemon) hasWithin(within time.Duration, name string, n int) {
	d.t.Helper()
	eventually(d.t, within, func() error {
		if c := d.clients(name); len(c) != n {
			return fmt.Errorf("%s has %d clients, not %d: %+v", name, len(c), n, c)
		}
		return nil
	})
}

// event waits for an event of a kind that came after t0, and returns its time.
func (d *daemon) event(name, kind string, t0 time.Time) time.Time {
	d.t.Helper()
	var at time.Time
	eventually(d.t, patience, func() error {
		i := d.info(name)
		for _, e := range i.Events {
			if e.Kind == kind && e.Time.After(t0) {
				at = e.Time
				return nil
			}
		}
		return fmt.Errorf("%s has no event %q after %v: %+v", name, kind, t0, i.Events)
	})
	return at
}

// stops ends it with a signal and wants exit code 0.
func (d *daemon) stops() {
	d.t.Helper()
	d.signal(d.t, syscall.SIGTERM)
	if code := d.exits(d.t, patience); code != 0 {
		d.t.Fatalf("chardevd: exit code %d after SIGTERM\n%s", code, d.stderr.text())
	}
}

// fds and threads are how many the process has, from /proc.
func (d *daemon) fds() int     { return d.entries("fd") }
func (d *daemon) threads() int { return d.entries("task") }

func (d *daemon) entries(of string) int {
	d.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, of))
	if err != nil {
		d.t.Fatal(err)
	}
	return len(list)
}
