package main

import (
	"bytes"
	"fmt"
)

// The commands and the option of telnet that are used here (RFC 854, RFC 856).
const (
	telnetSE     = 240
	telnetSB     = 250
	telnetWILL   = 251
	telnetDO     = 253
	telnetIAC    = 255
	telnetBinary = 0
)

// askBinary has the target send all bytes as they are, but for IAC. What comes
// before it agrees is thrown away: that can be preamble only.
func askBinary(c fdConn) error {
	if _, err := c.Write([]byte{telnetIAC, telnetDO, telnetBinary}); err != nil {
		return err
	}
	agreed := []byte{telnetIAC, telnetWILL, telnetBinary}
	last := make([]byte, len(agreed))
	for range 4096 {
		copy(last, last[1:])
		if _, err := c.Read(last[len(last)-1:]); err != nil {
			return err
		}
		if bytes.Equal(last, agreed) {
			return nil
		}
	}
	return fmt.Errorf("the target does not agree to BINARY")
}

// A telnetReader takes the stream apart from the commands in it, which it passes
// over: an option that is not answered is not used.
type telnetReader struct {
	command []byte // that has begun
}

// feed takes the next piece and hands on the data in it.
func (t *telnetReader) feed(p []byte, take func([]byte)) {
	for len(p) > 0 {
		if len(t.command) == 0 {
			n := bytes.IndexByte(p, telnetIAC)
			if n < 0 {
				n = len(p)
			} else {
				t.command = append(t.command, telnetIAC)
			}
			if n > 0 {
				take(p[:n])
			}
			p = p[min(len(p), n+1):]
			continue
		}
		t.command = append(t.command, p[0])
		switch {
		case len(t.command) == 2 && p[0] == telnetIAC:
			take(p[:1])
			t.command = t.command[:0]
		case t.whole():
			t.command = t.command[:0]
		}
		p = p[1:]
	}
}

// whole says whether the command is complete.
func (t *telnetReader) whole() bool {
	switch c := t.command; {
	case c[1] < telnetSB:
		return true
	case c[1] == telnetSB:
		return len(c) >= 5 && c[len(c)-2] == telnetIAC && c[len(c)-1] == telnetSE
	default: // WILL, WONT, DO, DONT
		return len(c) == 3
	}
}
