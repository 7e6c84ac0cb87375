package chardev

import "time"

// takenAfter is how long the device may take for what was typed, if it prints nothing
// meanwhile, before all who are attached are told.
const takenAfter = 5 * time.Second

// What becomes of a look at whether the device takes what is typed.
const (
	noLook = iota
	lookSoon
	lookedAtUntaken // and all were told that it does not; until it has
)

// watchTaken has a look at the device soon, which is about to be given something. The
// medium has room for all that a person types at one that hangs, so that it would be long
// before the first key is refused.
func (s *session) watchTaken() {
	if s.look.Load() == lookedAtUntaken && !s.waits() {
		s.look.Store(noLook)
	}
	if s.look.CompareAndSwap(noLook, lookSoon) {
		s.lookLater()
	}
}

func (s *session) lookLater() {
	printed := s.hub.lastOut.Load()
	time.AfterFunc(takenAfter, func() { s.lookAtTaken(printed) })
}

// lookAtTaken tells whoever is attached if the device has neither printed since nor taken
// what it was given. At one that has printed there is another look: what it has not taken
// may have been typed since.
func (s *session) lookAtTaken(printed int64) {
	if s.gone.isOver() || !s.waits() {
		s.look.Store(noLook)
		return
	}
	if s.hub.lastOut.Load() != printed {
		s.lookLater()
		return
	}
	s.look.Store(lookedAtUntaken)
	s.hub.tell(Message{Type: "notice", Waits: true, Text: "the device has not taken all that was typed"})
	s.hub.sign.raise(happened)
}
