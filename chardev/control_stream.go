package chardev

import (
	"fmt"
	"net/http"
	"strconv"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// StreamInfo is one pass-through stream as the daemon sees it.
type StreamInfo struct {
	Name     string             `json:"name"`
	From     string             `json:"from"` // file:line:column
	Listen   []StreamListenInfo `json:"listen"`
	Connect  string             `json:"connect"` // the address of the other side
	Clients  int                `json:"clients"`
	BytesIn  int64              `json:"bytes_in"`      // from clients to the other side, since the daemon began
	BytesOut int64              `json:"bytes_out"`     // to clients
	Refused  int64              `json:"refused"`       // clients that were not let in
	Failures int64              `json:"dial_failures"` // clients for whom the other side could not be reached
}

// StreamListenInfo is one address where a stream listens.
type StreamListenInfo struct {
	Address string `json:"address"`
	State   string `json:"state"`           // up, down, opening
	Error   string `json:"error,omitempty"` // why it is not up
	Clients int    `json:"clients"`
}

// streamRoutes are about pass-through streams. The stream is found by forStream, as the
// rules know it by its name.
func (c *control) streamRoutes() []route {
	const stream = " /api/v1/streams/{name}/clients"
	return []route{
		{pattern: "GET /api/v1/streams", own: c.listStreams, about: about{does: "How the pass-through streams are", gives: jsonOf([]StreamInfo{})}},
		{pattern: "GET" + stream, own: c.forStream(access.Read, c.streamClients), about: about{does: "Who uses a stream", gives: jsonOf([]ClientInfo{})}},
		{pattern: "DELETE" + stream + "/{id}", own: c.forStream(access.Control, c.kickStream), about: about{does: "Cut a client of a stream"}},
	}
}

// streamsOf are the streams where somebody may do something.
func (c *control) streamsOf(who access.Identity, what access.Permissions) []*stream {
	var all []*stream
	for _, st := range c.server.allStreams() {
		if st.gate.decide(who, st.name).May.Has(what) {
			all = append(all, st)
		}
	}
	return all
}

func (c *control) listStreams(w http.ResponseWriter, _ *http.Request, by caller) {
	all := []StreamInfo{}
	for _, st := range c.streamsOf(by.who, access.Read) {
		all = append(all, st.info())
	}
	answer(w, all)
}

// forStream serves the stream that the path names to who may do there what it needs. To
// who may not read it a stream is not there.
func (c *control) forStream(needs access.Permissions, use func(http.ResponseWriter, *http.Request, caller, *stream)) func(http.ResponseWriter, *http.Request, caller) {
	return func(w http.ResponseWriter, r *http.Request, by caller) {
		name := r.PathValue("name")
		var names []string
		for _, st := range c.streamsOf(by.who, access.Read) {
			names = append(names, st.name)
			if st.name != name {
				continue
			}
			if d := st.gate.decide(by.who, name); !d.May.Has(needs) {
				err := &notPermitted{needs, d}
				st.audit.didNot(by, r.Method+" "+r.URL.Path, err)
				problem(w, http.StatusForbidden, err.Error())
				return
			}
			use(w, r, by, st)
			return
		}
		text := fmt.Sprintf("no stream %q", name)
		if near := channel.Nearest(name, names); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		problem(w, http.StatusNotFound, text)
	}
}

func (c *control) streamClients(w http.ResponseWriter, _ *http.Request, _ caller, st *stream) {
	answer(w, st.clientInfos())
}

func (c *control) kickStream(w http.ResponseWriter, r *http.Request, by caller, st *stream) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !st.kick(id) {
		problem(w, http.StatusNotFound, fmt.Sprintf("stream %s has no client %s", st.name, r.PathValue("id")))
		return
	}
	st.audit.did(by, audit.Kick, "client "+r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}
