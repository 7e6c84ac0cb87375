package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"chardevd/chardev"
)

// A daemon is chardevd as a user runs it: the default config, history on. Its
// journal is on only where the job wants a log, as that is what others then have.
type daemon struct{ label, binary string }

// ownName is the label of this tree's.
const ownName = "chardevd"

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
		fmt.Fprintf(&b, "\n[[chardev]]\nname = %q\ndevice = %q\nfrontends = [%q]\nlog = %s\n", con.name, dev, front, cmp.Or(j.log, "false"))
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
	api := &api{http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", control)
		},
	}}}
	return &instance{procs: []*process{p}, told: api.gaps, api: api}, nil
}

// An api is the control socket of a daemon.
type api struct{ http http.Client }

// get asks for something under /api/v1.
func (a *api) get(path string, into any) error {
	r, err := a.http.Get("http://localhost/api/v1/" + path)
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
	return json.Unmarshal(body, into)
}

// gaps is how many bytes the daemon's list says that clients could not have.
func (a *api) gaps() (sum int64, err error) {
	var all []chardev.Info
	if err := a.get("chardevs", &all); err != nil {
		return 0, err
	}
	for _, i := range all {
		sum += i.Gaps
	}
	return sum, nil
}

// client is what the daemon says of one of our clients.
func (a *api) client(con string, c *client) (chardev.ClientInfo, error) {
	var all []chardev.ClientInfo
	if err := a.get("chardevs/"+con+"/clients", &all); err != nil {
		return chardev.ClientInfo{}, err
	}
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return chardev.ClientInfo{}, err
	}
	in, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return chardev.ClientInfo{}, fmt.Errorf("a client on %s cannot be told from others", c.kind)
	}
	peer := fmt.Sprint("127.0.0.1:", in.Port)
	for _, i := range all {
		if i.Peer == peer {
			return i, nil
		}
	}
	return chardev.ClientInfo{}, fmt.Errorf("the list has no client %s", peer)
}

// eventsOf waits until a client has left, and returns how many bytes the events
// say that it missed.
func (a *api) eventsOf(con, id string) (missed int64, err error) {
	for deadline := time.Now().Add(leaveTime); ; time.Sleep(heraldTick) {
		var i chardev.Info
		if err := a.get("chardevs/"+con, &i); err != nil {
			return 0, err
		}
		missed = 0
		for _, e := range i.Events {
			who, text, _ := strings.Cut(strings.TrimPrefix(e.Text, "client "), " ")
			switch {
			case who != id:
			case e.Kind == "detach":
				return missed, nil
			case e.Kind == "gap":
				_, after, _ := strings.Cut(text, " missed ")
				n, _, _ := strings.Cut(after, " ")
				bytes, err := strconv.ParseInt(n, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("the event %q: %w", e.Text, err)
				}
				missed += bytes
			}
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("client %s does not leave", id)
		}
	}
}

// leaveTime is what a client that was cut has to be gone from the daemon's list.
const leaveTime = 10 * time.Second
