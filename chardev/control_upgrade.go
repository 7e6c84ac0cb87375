package chardev

import (
	"errors"
	"fmt"
	"net/http"

	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// UpgradeInfo says which daemon answers.
type UpgradeInfo struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Taken   int    `json:"taken"`            // how many upgrades the process has gone through
	Failed  string `json:"failed,omitempty"` // why the last one was not, "" if it was
}

// A Successor is the program that is to follow this one. It is set before Run.
type Successor struct {
	Info  UpgradeInfo
	Check func() error // says why the program can not follow; it may take seconds
}

// Upgrade asks whether the successor can follow, and then leaves for it (see Leave). It does
// not where a disk takes nothing and bytes wait for it.
func (s *Server) Upgrade() error { return s.upgrade(theDaemon{}) }

func (s *Server) upgrade(by actor) error {
	s.upgrading.Lock()
	defer s.upgrading.Unlock()
	if s.Successor == nil || s.Successor.Check == nil {
		return errNoSuccessor
	}
	if err := s.Successor.Check(); err != nil {
		s.log.Error("no upgrade: the program that is to follow can not", "error", err)
		return err
	}
	if err := s.unwritten(); err != nil {
		s.log.Error("no upgrade: what is not written down would be lost", "error", err)
		return err
	}
	s.audit.did(by, audit.Upgrade, s.file)
	s.Leave()
	return nil
}

// unwritten tells of a chardev whose disk does not take what waits for it in memory, which a
// successor would not have.
func (s *Server) unwritten() error {
	for _, con := range s.all() {
		if con.hub.scribe == nil {
			continue
		}
		if behind, err := con.hub.scribe.state(); err != nil && behind > 0 {
			return fmt.Errorf("chardev %s: %d bytes are not written down yet, and would be lost: %w", con.name, behind, err)
		}
	}
	return nil
}

var errNoSuccessor = errors.New("this daemon can not be upgraded")

// upgrade answers when the successor can follow, and goes on answering, with nothing more,
// until it does: whoever asks the next thing is answered by that.
func (c *control) upgrade(w http.ResponseWriter, r *http.Request, by caller) {
	if !c.administers(by) {
		problem(w, http.StatusForbidden, "an upgrade needs the permission admin for every chardev")
		return
	}
	if err := c.server.upgrade(by); err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	w.WriteHeader(http.StatusAccepted)
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// administers says whether somebody may do what is not of one chardev.
func (c *control) administers(by caller) bool {
	n := len(c.where(by.who, access.Admin))
	return by.who.Operator || n > 0 && n == len(c.server.all())
}

// upgraded tells which daemon answers.
func (c *control) upgraded(w http.ResponseWriter, _ *http.Request, by caller) {
	if !c.administers(by) {
		problem(w, http.StatusForbidden, "that needs the permission "+access.Admin.String()+" for every chardev")
		return
	}
	var info UpgradeInfo
	if s := c.server.Successor; s != nil {
		info = s.Info
	}
	answer(w, info)
}
