package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chardevd/chardev"
)

// A daemon is chardevd as a user runs it: the default config, history on.
type daemon struct{ label, binary string }

func (d daemon) name() string   { return d.label }
func (d daemon) can(j job) bool { return true }

// maxClients is the daemon's default limit on the clients of a frontend.
const maxClients = 256

func (d daemon) start(dir string, j job, consoles []*console) (*instance, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "state = \"state\"\ncontrol = \"unix:control\"\n")
	for _, con := range consoles {
		dev := con.dev.kind + ":" + con.dev.addr
		if con.dev.kind == "tcp" {
			dev = "tcp://127.0.0.1:" + con.dev.addr
		}
		front := con.front.kind + "://127.0.0.1:" + con.front.addr
		if con.front.kind == "unix" {
			front = "unix:" + con.front.addr
		}
		if j.clients > maxClients {
			front += fmt.Sprintf("?max_clients=%d", j.clients)
		}
		fmt.Fprintf(&b, "\n[[chardev]]\nname = %q\ndevice = %q\nfrontends = [%q]\n", con.name, dev, front)
	}
	config := filepath.Join(dir, "chardev.toml")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	p, err := start(dir, d.binary, "serve", "-c", config)
	if err != nil {
		return nil, err
	}
	control := filepath.Join(dir, "control")
	api := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", control)
		},
	}}
	return &instance{procs: []*process{p}, told: func() (int64, error) { return toldGaps(api) }}, nil
}

// toldGaps is how many bytes the daemon's list says that clients could not have.
func toldGaps(api *http.Client) (sum int64, err error) {
	r, err := api.Get("http://localhost/api/v1/chardevs")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET chardevs: %s: %s: %w", r.Status, body, err)
	}
	var all []chardev.Info
	if err := json.Unmarshal(body, &all); err != nil {
		return 0, err
	}
	for _, i := range all {
		sum += i.Gaps
	}
	return sum, nil
}
