package chardev

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"chardevd/channel"
)

// notices is how a client of the address is told what happens to its console, if
// the address says that it is a person with a telnet: in lines among the bytes,
// which no program would expect. nil: it is not told.
func notices(a channel.Address, ch channel.Channel) func(Message) error {
	if !a.Is("notices") {
		return nil
	}
	return func(m Message) error {
		text := m.notice()
		if text == "" {
			return nil
		}
		// Names are as others have chosen them: they must not steer a terminal.
		_, err := io.WriteString(ch, "\r\n[chardevd: "+strings.Map(printable, text)+"]\r\n")
		return err
	}
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// notice is the message in words, "" where a person sees it by itself.
func (m Message) notice() string {
	switch m.Type {
	case "gap":
		if m.Text != "" {
			return fmt.Sprintf("at most %d bytes are missing here: %s", m.Size, m.Text)
		}
		return fmt.Sprintf("%d bytes are missing here", m.Size)
	case "device":
		if m.State == StateUp {
			return "the device is up"
		}
		return "the device is down: " + m.Text
	case "writer":
		return m.writer()
	case "notice":
		return m.Text
	case "bye":
		return "goodbye: " + m.Text
	}
	return ""
}

// writer is how the input is, in words.
func (m Message) writer() string {
	w := m.Writer
	text := "the input is free"
	switch {
	case m.You == WriterHas && len(w.Asked) > 0:
		return w.Asked[0].Name + " asks for the input, which you have"
	case m.You == WriterHas:
		text = "you have the input"
	case w.Holder != nil:
		text = w.Holder.Name + " has the input"
	}
	if w.Why != "" {
		text += ": " + w.Why
	}
	return text
}
