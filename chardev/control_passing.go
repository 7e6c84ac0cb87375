package chardev

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// Descriptors over the API. HTTP knows none; they go beside the bytes of the connection,
// with the first of a request or an answer.

// takesFiles has a connection to the API take one descriptor at a time, if it is a UNIX
// socket without layers. What no route takes is closed when another one comes, and with
// the connection.
func takesFiles(ch channel.Channel) {
	if p, ok := channel.As[channel.FDPasser](ch); ok {
		_ = p.ReceiveFiles(1) // what refuses that is not asked for any either
	}
}

var errNoFile = errors.New("no descriptor came with the request: it goes beside its first byte (SCM_RIGHTS), over a UNIX socket without layers, like the control socket")

// fileWith takes the descriptor that came with a request.
func fileWith(r *http.Request) (*os.File, error) {
	p, _ := r.Context().Value(peerKey{}).(peer)
	passer, ok := channel.As[channel.FDPasser](p.ch)
	if !ok {
		return nil, errNoFile
	}
	files, err := passer.TakeFiles()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, errNoFile
	case err != nil:
		return nil, fmt.Errorf("the descriptors that came with the request: %w", err)
	case len(files) == 0:
		return nil, errNoFile
	}
	return files[0], nil // ReceiveFiles allows no more
}

var openParameters = []parameter{
	flagOf("read_only", "nothing is typed"),
	{"replay", "string", "so much of what was printed comes first, as of a frontend: like 64KiB"},
}

// open makes a client of one end of a socket, and gives the other one to who asks. It
// is the caller's, whoever reads and writes there.
func (c *control) open(w http.ResponseWriter, r *http.Request, by caller) {
	name := r.PathValue("name")
	if d := c.server.gate.decide(by.who, name); c.server.console(name) == nil || !d.May.Has(access.Read) {
		c.server.audit.didNot(by, r.Method+" "+r.URL.Path, &notPermitted{access.Read, d})
		c.notThere(w, by.who, name)
		return
	}
	p, _ := r.Context().Value(peerKey{}).(peer)
	passer, ok := channel.As[channel.FDPasser](p.ch)
	if !ok || passer.ReceiveFiles(1) != nil {
		problem(w, http.StatusBadRequest, "a descriptor goes over a UNIX socket without layers, like the control socket")
		return
	}
	if by.session != nil {
		problem(w, http.StatusForbidden, "a descriptor would outlive the session that it is opened with: open it with a token")
		return
	}
	query := r.URL.Query()
	want := wantedFrontend{as: &by.who, peer: by.peer, Settings: map[string]any{"replay": cmp.Or(query.Get("replay"), "0")}}
	if query.Get("read_only") == "true" {
		want.Settings["mode"] = "read-only"
	}
	ours, theirs, err := socketPair()
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer theirs.Close()
	at, err := c.server.openFor(by, name, want, ours)
	if _, wrong := errors.AsType[*ConfigError](err); wrong {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // their end is closed, so the client goes
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(finishTime))
	if _, err := passer.SendFiles(opened(OpenInfo{name, at.String()}), theirs); err != nil {
		c.server.log.Info("a descriptor was opened, and could not be given", "chardev", name, "frontend", at.String(), "error", err)
	}
}

// opened is the answer that goes with a descriptor.
func opened(info OpenInfo) []byte {
	body, _ := json.Marshal(info) // text alone
	var all bytes.Buffer
	fmt.Fprintf(&all, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n", len(body))
	all.Write(body)
	return all.Bytes()
}

// openFor starts a frontend of a chardev that one client is at. It owns f.
func (s *Server) openFor(by actor, name string, w wantedFrontend, f *os.File) (channel.Address, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	con, err := s.joinable(name)
	if err != nil {
		f.Close()
		return channel.Address{}, err
	}
	a, err := s.join(con, w, channel.Address{Transport: "fd"}, f)
	if err == nil {
		con.hub.audit.did(by, audit.API, "open: "+a.String())
	}
	return a, err
}

// socketPair makes both ends of a UNIX stream socket.
func socketPair() (a, b *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(pair[0]), "client"), os.NewFile(uintptr(pair[1]), "opened"), nil
}
