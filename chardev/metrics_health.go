package chardev

import (
	"encoding/json"
	"io"
	"net/http"

	"chardevd/chardev/internal/access"
)

// Whether the daemon is alive, and whether it does what it is to do, for whoever
// watches over it. Both are told to anybody; what is not open only to who may read
// there.

const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

// Readiness is how far the daemon is.
type Readiness struct {
	Ready   bool      `json:"ready"`    // all that could be opened was open once, and the daemon does not stop
	NotOpen []NotOpen `json:"not_open"` // now, of what the caller may read
}

// NotOpen is something that is to be open and is not.
type NotOpen struct {
	Chardev string `json:"chardev,omitempty"` // whose it is; of [http] nobody's
	Kind    string `json:"kind"`              // device, frontend or http
	Address string `json:"address"`
	State   string `json:"state"`
	Error   string `json:"error,omitempty"`
}

func (c *control) health(w http.ResponseWriter, _ *http.Request, _ caller) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

func (c *control) ready(w http.ResponseWriter, _ *http.Request, from caller) {
	s := c.server
	answer := Readiness{Ready: s.opened.Load() && c.ctx.Err() == nil, NotOpen: []NotOpen{}}
	add := func(kind, chardev string, of *supervisor) {
		state, err, _ := of.status.get()
		if state != StateUp {
			answer.NotOpen = append(answer.NotOpen, NotOpen{chardev, kind, of.ep.Address.String(), state, err})
		}
	}
	if s.mayWatch(from.who) {
		for _, d := range s.httpDoors() {
			add("http", "", &d.supervisor)
		}
	}
	for _, con := range c.where(from.who, access.Read) {
		add("device", con.name, &con.device.Load().supervisor)
		for _, f := range con.frontends() {
			add("frontend", con.name, &f.supervisor)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(answer)
}

// mayWatch says whether somebody may know what is of the daemon and of no chardev: who
// may read any chardev, whatever its name is.
func (s *Server) mayWatch(who access.Identity) bool {
	return s.gate.decide(who, "").May.Has(access.Read)
}
