package attach

import (
	"fmt"
	"slices"

	"chardevd/chardev"
)

// Who has an exclusive input: what is done about it, and what is said.

// inputOp asks the daemon for something about the input.
func (s *Session) inputOp(op string) {
	switch {
	case s.ReadOnly:
		s.try(piece{notice: "read-only: this session types nothing"})
	case !s.queue.putOp(op):
		s.try(piece{bell: true})
	}
}

// newWriter takes over how the input is.
func (s *Session) newWriter(m chardev.Message) {
	s.writer = m
	s.holds.Store(m.You == chardev.WriterHas)
}

// sayWriter tells what is new about the input, in one line.
func (s *Session) sayWriter(m chardev.Message) {
	if m.Writer == nil {
		return
	}
	old := s.writer
	s.newWriter(m)
	if text := s.writerNews(old, m); text != "" && s.Interactive {
		s.say(text)
	}
}

// writerNews is what is to be said about the input to who knows how it was before. Of
// who asks whom only these two are told. If nothing is new it is an answer.
func (s *Session) writerNews(old, m chardev.Message) string {
	w, had := m.Writer, old.You == chardev.WriterHas
	changed := old.Writer == nil || old.Writer.Turn != w.Turn
	switch {
	case !changed && m.You == old.You && slices.Equal(w.Asked, old.Writer.Asked):
		return map[string]string{
			chardev.WriterHas:   "you have the input already",
			chardev.WriterAsked: "you asked for the input already" + s.hint("; %[1]sW takes it by force"),
		}[m.You]
	case m.You == chardev.WriterHas && changed:
		return because("you have the input", w.Why)
	case m.You == chardev.WriterHas:
		for _, one := range w.Asked {
			if !slices.Contains(old.Writer.Asked, one) {
				return one.Name + " asks for the input" + s.hint("; %[1]sg gives it")
			}
		}
		return ""
	case changed && w.Holder == nil:
		return because("the input is free", w.Why)
	case changed && had:
		return because("you have the input no more; "+w.Holder.Name+" has it", w.Why)
	case changed:
		return because(w.Holder.Name+" has the input", w.Why)
	case m.You == chardev.WriterAsked && old.You != m.You:
		return "you asked " + w.Holder.Name + " for the input" + s.hint("; %[1]sW takes it by force")
	}
	return ""
}

// hint is text with the escape character in it, "" if there is none.
func (s *Session) hint(text string) string {
	if s.Escape == nil {
		return ""
	}
	return fmt.Sprintf(text, EscapeName(s.Escape.Char()))
}
