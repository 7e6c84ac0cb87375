package chardev

import (
	"fmt"
	"path/filepath"
	"time"

	"chardevd/chardev/internal/journal"
)

// A disk may take nothing for ever. So a change of the config waits no longer than closeGrace
// for the journals that it ends, and for those that it opens: all other changes, and the
// daemon's end, wait behind it. What was not waited for goes on by itself, and until it is done
// no other journal is opened in its place; it is left behind only at the end of the process.

// openLeast is how long each journal may take to be opened even if others have used up
// closeGrace.
const openLeast = 100 * time.Millisecond

// openJournal opens the journal of a chardev, until openUntil. Called with changing held, or
// before Run, when that is zero and it may take as long as it does.
func (s *Server) openJournal(cc *ChardevConfig) (*journal.Journal, error) {
	if busy := s.journals[cc.Name]; busy != nil {
		select {
		case <-busy:
			delete(s.journals, cc.Name)
		default:
			return nil, fmt.Errorf("its journal before is not ended yet, as the disk of %s takes nothing: replace it, or reload with a change of it, when that is mended", s.state)
		}
	}
	type result struct {
		j   *journal.Journal
		err error
	}
	opened, late, done := make(chan result), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		j, err := journal.Open(filepath.Join(s.state, cc.Name), cc.Name, cc.Log.options(), s.keeper)
		select {
		case opened <- result{j, err}:
		case <-late:
			if j != nil {
				j.Close(j.End())
			}
		}
	}()
	var over <-chan time.Time
	if !s.openUntil.IsZero() {
		grace := time.NewTimer(max(time.Until(s.openUntil), openLeast))
		defer grace.Stop()
		over = grace.C
	}
	select {
	case r := <-opened:
		return r.j, r.err
	case <-over:
		close(late)
		s.journals[cc.Name] = done
		return nil, fmt.Errorf("its journal could not be opened in time: the disk of %s answers nothing", s.state)
	}
}

// end is close, for up to grace. If busy is not nil, it goes on until that is closed.
func (con *console) end(grace time.Duration) (busy <-chan struct{}, err error) {
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		ended <- con.close()
	}()
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case err := <-ended:
		return nil, err
	case <-over.C:
		return done, fmt.Errorf("chardev %s: the disk did not take the end of what it printed within %v", con.name, grace)
	}
}
