package attach

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"chardevd/chardev"
)

// What a session has to do with its user: what is typed, and what is said.

// read is the goroutine that reads what is typed. It ends with the input.
func (s *Session) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.In.Read(buf)
		s.scan(buf[:n])
		switch {
		case err == nil:
			continue
		case errors.Is(err, os.ErrClosed):
		case s.Interactive:
			s.cancel(errHungUp)
		default:
			s.queue.putEOF()
		}
		return
	}
}

// scan takes the escapes out of what was typed and sends the rest.
func (s *Session) scan(p []byte) {
	if s.Escape == nil {
		s.typed(p)
		return
	}
	for len(p) > 0 {
		var data []byte
		var act Action
		data, act, p = s.Escape.Next(p)
		s.typed(data)
		switch act {
		case Leave:
			s.leave()
		case Help:
			s.try(piece{notice: s.help()})
		case Break:
			s.sendBreak()
		case Ask:
			s.inputOp(chardev.WriterRequest)
		case Seize:
			if s.holds.Load() {
				s.inputOp(chardev.WriterRelease)
			} else {
				s.inputOp(chardev.WriterForce)
			}
		case Grant:
			s.inputOp(chardev.WriterGrant)
		}
	}
}

// leave ends the session as soon as what was typed before has been sent, which
// it waits for a moment only: the daemon or the device may take nothing.
func (s *Session) leave() {
	if s.queue.putLeave() {
		t := time.NewTimer(leaveTime)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.done:
		}
	}
	s.cancel(errLeft)
}

func (s *Session) typed(p []byte) {
	if len(p) == 0 || s.ReadOnly {
		return
	}
	if !s.queue.put(s.done, p) {
		s.try(piece{bell: true})
	}
}

func (s *Session) sendBreak() {
	if s.ReadOnly {
		s.try(piece{notice: "read-only: no break is sent"})
		return
	}
	if !s.queue.putBreak() {
		s.try(piece{bell: true})
	}
}

func (s *Session) help() string {
	e := EscapeName(s.Escape.Char())
	return fmt.Sprintf("at the start of a line: %[1]s. leaves, %[1]sb sends a break, %[1]sw has the input or asks for it, %[1]sg gives it to who asks, "+
		"%[1]sW lets go of it, or takes it by force, %[1]s%[1]s types %[1]s, %[1]s? prints this", e)
}

// message takes a message of the daemon.
func (s *Session) message(m chardev.Message) {
	switch m.Type {
	case "hello":
		s.sayHello(m)
		s.at = At{Epoch: m.Epoch, Offset: m.Offset}
		s.seen = true
		s.newWriter(m)
	case "writer":
		s.sayWriter(m)
	case "gap":
		s.at.Offset += m.Size
		if m.Text == "" {
			s.say(fmt.Sprintf("%d bytes lost", m.Size))
		} else {
			s.say(fmt.Sprintf("at most %d bytes are missing here: %s", m.Size, m.Text))
		}
	case "device":
		s.say(because("device "+m.State, m.Text))
	case "notice":
		s.say(m.Text)
		if m.Code != "" {
			s.denied = cmp.Or(s.denied, strings.TrimPrefix(m.Text, "input not taken: "))
		}
	case "bye":
		s.bye = &m
	}
}

func (s *Session) sayHello(m chardev.Message) {
	switch {
	case s.seen:
		s.say("attached again")
	case s.Interactive && s.Escape != nil:
		e := EscapeName(s.Escape.Char())
		s.say(fmt.Sprintf("attached to %s%s; %s. leaves, %s? helps", m.Chardev, mode(m.Mode), e, e))
	case s.Interactive:
		s.say(fmt.Sprintf("attached to %s%s", m.Chardev, mode(m.Mode)))
	}
	if m.State != chardev.StateUp {
		s.say(because("device "+m.State, m.Why))
	}
	if m.Waits {
		s.say("the device has not taken all that was typed")
	}
	if m.Writer != nil && m.Writer.Holder != nil && m.You == chardev.WriterMay && s.Interactive {
		s.say(m.Writer.Holder.Name + " has the input" + s.hint("; %[1]sw asks for it"))
	}
	if m.Text != "" {
		s.say(m.Text)
	}
}

// mode is what is worth saying about a client's mode.
func mode(m string) string {
	if m == "read-only" {
		return ", read-only"
	}
	return ""
}

// sayLost tells that the connection broke and what is done about it.
func (s *Session) sayLost() {
	why := "connection to the daemon lost"
	if s.bye != nil {
		why = because("the daemon stops", s.bye.Text)
	}
	if s.Interactive && s.Escape != nil {
		s.say(fmt.Sprintf("%s; trying again (%s. leaves)", why, EscapeName(s.Escape.Char())))
		return
	}
	s.say(why + "; trying again")
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// say prints a notice, in order with the console's bytes. Only the goroutine
// that receives calls it.
func (s *Session) say(text string) { s.print(piece{notice: text}) }

// print hands a piece to the printer; it waits while the printer is behind.
func (s *Session) print(x piece) {
	select {
	case s.printer.pieces <- x:
	case <-s.done:
	}
}

// try hands a piece to the printer, or drops it if the printer is far behind:
// the reader of what is typed must not wait for a screen that stands still.
func (s *Session) try(x piece) {
	select {
	case s.printer.pieces <- x:
	default:
	}
}
