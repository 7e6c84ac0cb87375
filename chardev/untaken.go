package chardev

import (
	"sync"
	"time"
)

// takenAfter is how long the device may take for what was typed, if it prints nothing
// meanwhile, before all who are attached are told. Tests change it.
var takenAfter = 5 * time.Second

// An untaken is what is known of whether a session's device takes what is typed. The medium has
// room for all that a person types at one that hangs, so that it would be long before the
// first key is refused.
type untaken struct {
	mu    sync.Mutex  // held over nothing that waits
	timer *time.Timer // of the look that is to come; nil: none is
	told  bool        // to all that it does not; until it has

	timing sync.WaitGroup // of timer

	stuck bool // it took nothing for busyAfter; owned by who has the turn
}

// watchTaken has a look at the device soon, which is about to be given something.
func (s *session) watchTaken() {
	s.untaken.mu.Lock()
	defer s.untaken.mu.Unlock()
	if s.untaken.told && s.waits() {
		return
	}
	s.untaken.told = false
	s.lookLater()
}

// lookLater has a look soon, if none is to come already. Called with untaken.mu held.
func (s *session) lookLater() {
	u := s.untaken
	if u.timer != nil || s.gone.isOver() {
		return
	}
	printed := s.hub.lastOut.Load()
	u.timing.Add(1)
	u.timer = time.AfterFunc(takenAfter, func() {
		defer u.timing.Done()
		s.lookAtTaken(printed)
	})
}

// lookAtTaken tells whoever is attached if the device has neither printed since nor taken
// what it was given.
func (s *session) lookAtTaken(printed int64) {
	if s.hangs(printed) {
		s.hub.tell(Message{Type: "notice", Waits: true, Text: "the device has not taken all that was typed"})
		s.hub.sign.raise(happened)
	}
}

// hangs is the look. At a device that has printed there is another one: what it has not
// taken may have been typed since.
func (s *session) hangs(printed int64) bool {
	u := s.untaken
	u.mu.Lock()
	defer u.mu.Unlock()
	u.timer = nil
	switch {
	case s.gone.isOver() || !s.waits():
		return false
	case s.hub.lastOut.Load() != printed:
		s.lookLater()
		return false
	}
	u.told = true
	return true
}

// end returns when nobody looks any more. The session must take no input any more.
func (u *untaken) end() {
	u.mu.Lock()
	if u.timer != nil && u.timer.Stop() {
		u.timing.Done()
	}
	u.mu.Unlock()
	u.timing.Wait()
}
