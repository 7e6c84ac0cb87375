package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// The stream of a device is a fixed pattern over and over, after any number of
// preamble bytes. The pattern's period is a prime: a piece that is missing, comes
// twice or is out of place shows, unless it is a multiple of the period, and that
// shows in the sum.
//
// Any byte may be in it but those that somebody on the way gives a meaning: XON
// and XOFF, 255 (conserver doubles it, telnet too), and the preamble's.
const (
	period   = 131071
	chunkMax = 256 << 10 // the most that is written or read at once
	preamble = 'S'
)

var pattern = makePattern()

func makePattern() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 0, period+chunkMax)
	for len(p) < period {
		switch b := byte(r.UintN(255)); b {
		case preamble, 0x11, 0x13:
		default:
			p = append(p, b)
		}
	}
	for len(p) < cap(p) {
		p = append(p, p[len(p)-period])
	}
	return p
}

// streamAt is the stream's n ≤ chunkMax bytes from offset at.
func streamAt(at int64, n int) []byte { return pattern[at%period:][:n] }

// A checker follows the stream as one client gets it. It is not safe for
// concurrent use.
type checker struct {
	heard bool  // a preamble byte has come
	got   int64 // bytes of the stream that came
	gaps  int   // how often the stream went on at another place

	at   int64  // where in the pattern the next byte is
	torn []byte // what came since the stream broke, too short to tell where it goes on
	err  error
}

// anchor is how many bytes tell a place in the pattern.
const anchor = 32

// feed takes the next piece of what the client reads.
func (c *checker) feed(p []byte) {
	if c.got == 0 && c.gaps == 0 {
		for len(p) > 0 && p[0] == preamble {
			c.heard = true
			p = p[1:]
		}
	}
	for len(p) > 0 && c.err == nil {
		if c.torn != nil {
			p = c.mend(p)
			continue
		}
		n := min(len(p), int(period-c.at)) // so that only one period is touched
		if !bytes.Equal(p[:n], pattern[c.at:][:n]) {
			for i := 0; i < n; i++ {
				if p[i] != pattern[int(c.at)+i] {
					n = i
					break
				}
			}
			c.torn = make([]byte, 0, anchor)
		}
		c.at = (c.at + int64(n)) % period
		c.got += int64(n)
		p = p[n:]
	}
}

// mend finds where the stream goes on; it returns what it does not need of p.
func (c *checker) mend(p []byte) []byte {
	n := min(len(p), anchor-len(c.torn))
	c.torn = append(c.torn, p[:n]...)
	if len(c.torn) < anchor {
		return p[n:]
	}
	i := bytes.Index(pattern[:period+anchor-1], c.torn)
	if i < 0 {
		c.err = fmt.Errorf("garbled after %d bytes: %q", c.got, c.torn)
		return nil
	}
	c.gaps++
	c.at = (int64(i) + anchor) % period
	c.got += anchor
	c.torn = nil
	return p[n:]
}

// missing returns how many of sent bytes did not come. It is an error if the
// stream was garbled, or if more came than was sent.
func (c *checker) missing(sent int64) (int64, error) {
	n := sent - c.got - int64(len(c.torn))
	if c.err == nil && n < 0 {
		return n, fmt.Errorf("%d bytes came twice", -n)
	}
	return n, c.err
}
