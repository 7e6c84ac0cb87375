package chardev

import (
	"fmt"
	"io"

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
		_, err := io.WriteString(ch, "\r\n[chardevd: "+text+"]\r\n")
		return err
	}
}

// notice is the message in words, "" where a person sees it by itself.
func (m Message) notice() string {
	switch m.Type {
	case "gap":
		return fmt.Sprintf("%d bytes are missing here", m.Size)
	case "device":
		if m.State == StateUp {
			return "the device is up"
		}
		return "the device is down: " + m.Text
	case "notice":
		return m.Text
	case "bye":
		return "goodbye: " + m.Text
	}
	return ""
}
