package channel

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Line is a serial line, or somebody who has one: a port of this host, a port
// of an RFC 2217 server. All its methods may be called at the same time, from
// anywhere; one that asks a server returns ctx's error when ctx ends before the
// answer comes. What the line does not have is errors.ErrUnsupported.
type Line interface {
	// Line is the configuration in force. What is not known is zero.
	Line(ctx context.Context) (LineConfig, error)

	// SetLine changes what is not zero in c, all of it or, after an error, maybe
	// only some: Line tells. A value that the line refuses, or replaces by
	// another one, is an error that names it. Bytes that were written before may
	// still leave with the old settings.
	SetLine(ctx context.Context, c LineConfig) error

	// Modem is the state of all modem lines, those that this side drives
	// included.
	Modem(ctx context.Context) (ModemLines, error)

	// SetModem raises and drops lines that this side drives: DTR and RTS. Others
	// are errors.ErrUnsupported.
	SetModem(ctx context.Context, set, clear ModemLines) error
}

// A LineKnower is a Line that can tell its configuration without asking a server.
type LineKnower interface {
	// KnownLine is the configuration in force as far as it is known here: what this
	// host's driver says, or what the server has said until now. The rest is zero.
	KnownLine() LineConfig
}

// A Purger can throw away what a serial line has buffered (tcflush(3), RFC 2217
// PURGE-DATA).
type Purger interface {
	Purge(ctx context.Context, which Purge) error
}

// A Purge is a set of buffers: of what came from the line and was not read, and
// of what was written and has not left.
type Purge uint8

// The buffers.
const (
	PurgeReceive Purge = 1 << iota
	PurgeTransmit
)

// A LineConfig is how a serial line is set. A zero field is "not said": what is
// in force stays.
type LineConfig struct {
	Baud     int // bits per second
	DataBits int // 5 to 8
	Parity   Parity
	StopBits StopBits
	Flow     Flow
}

// A Parity is what the parity bit is; its value is the letter people write.
type Parity byte

// The parities. Mark and space are a bit that is always 1, and always 0.
const (
	ParityNone  Parity = 'n'
	ParityOdd   Parity = 'o'
	ParityEven  Parity = 'e'
	ParityMark  Parity = 'm'
	ParitySpace Parity = 's'
)

// StopBits is how long the line rests after each character, in half bits.
type StopBits int

// The lengths. A 16550 does 1.5 with 5 data bits only, and 2 with the others.
const (
	StopOne     StopBits = 2
	StopOneHalf StopBits = 3
	StopTwo     StopBits = 4
)

// A Flow is how the two sides of a line stop each other, in both directions.
type Flow int

// The flow controls. With FlowXONXOFF the characters DC1 and DC3 are no data.
const (
	FlowNone Flow = iota + 1
	FlowRTSCTS
	FlowXONXOFF
)

var (
	stopNames = map[StopBits]string{StopOne: "1", StopOneHalf: "1.5", StopTwo: "2"}
	flowNames = map[Flow]string{FlowNone: "none", FlowRTSCTS: "rtscts", FlowXONXOFF: "xonxoff"}
)

func (p Parity) String() string   { return string(rune(p)) }
func (s StopBits) String() string { return stopNames[s] }
func (f Flow) String() string     { return flowNames[f] }

// ParseFlow reads none, rtscts or xonxoff.
func ParseFlow(s string) (Flow, error) {
	for f, name := range flowNames {
		if s == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("want none, rtscts or xonxoff, have %q", s)
}

// ParseLineConfig reads what people write: 115200, 8n1, 8N1, 115200n81,
// "115200 8n1", "9600,8n1", 7e1.5, each with a flow control behind it if they
// like: "9600,8n1,rtscts". What is not said is zero. A text that says nothing, or
// something twice, is an error.
func ParseLineConfig(s string) (LineConfig, error) {
	var c LineConfig
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	for _, part := range parts {
		one, ok := parseLinePart(strings.ToLower(part))
		if !ok {
			return LineConfig{}, fmt.Errorf("want a line like 115200n81, 9600,8n1 or 8n1, have %q", s)
		}
		if one.overlaps(c) {
			return LineConfig{}, fmt.Errorf("%q says the same thing twice", s)
		}
		c = c.With(one)
	}
	if len(parts) == 0 {
		return LineConfig{}, fmt.Errorf("want a line like 115200n81, 9600,8n1 or 8n1, have nothing")
	}
	return c, nil
}

// parseLinePart reads one word: a flow control, a speed, a mode, or the last two
// joined as in 115200n81.
func parseLinePart(s string) (LineConfig, bool) {
	if f, err := ParseFlow(s); err == nil {
		return LineConfig{Flow: f}, true
	}
	rest := strings.TrimLeft(s, "0123456789")
	number, err := strconv.Atoi(s[:len(s)-len(rest)])
	if err != nil || number == 0 {
		return LineConfig{}, false
	}
	if rest == "" {
		c := LineConfig{Baud: number}
		return c, c.Check() == nil
	}
	c := LineConfig{DataBits: number, Parity: Parity(rest[0])}
	stop := rest[1:]
	if number > 8 || number < 5 { // the speed: the data bits are behind the parity
		if stop == "" {
			return LineConfig{}, false
		}
		c.Baud, c.DataBits, stop = number, int(stop[0]-'0'), stop[1:]
	}
	for v, name := range stopNames {
		if stop == name {
			c.StopBits = v
		}
	}
	return c, c.StopBits != 0 && c.Check() == nil
}

// overlaps says whether c and d both say something about one thing.
func (c LineConfig) overlaps(d LineConfig) bool {
	return c.Baud != 0 && d.Baud != 0 || c.DataBits != 0 && d.DataBits != 0 || c.Flow != 0 && d.Flow != 0
}

// With is c changed by what is not zero in d.
func (c LineConfig) With(d LineConfig) LineConfig {
	if d.Baud != 0 {
		c.Baud = d.Baud
	}
	if d.DataBits != 0 {
		c.DataBits = d.DataBits
	}
	if d.Parity != 0 {
		c.Parity = d.Parity
	}
	if d.StopBits != 0 {
		c.StopBits = d.StopBits
	}
	if d.Flow != 0 {
		c.Flow = d.Flow
	}
	return c
}

// Check returns an error that names the first field that is neither zero nor a
// value that a serial line can have.
func (c LineConfig) Check() error {
	if c.Baud < 0 || c.Baud > math.MaxInt32 {
		return fmt.Errorf("baud: want 1 to %d, have %d", math.MaxInt32, c.Baud)
	}
	if c.DataBits != 0 && (c.DataBits < 5 || c.DataBits > 8) {
		return fmt.Errorf("data bits: want 5 to 8, have %d", c.DataBits)
	}
	switch c.Parity {
	case 0, ParityNone, ParityOdd, ParityEven, ParityMark, ParitySpace:
	default:
		return fmt.Errorf("parity: want n, o, e, m or s, have %q", byte(c.Parity))
	}
	if c.StopBits != 0 && stopNames[c.StopBits] == "" {
		return fmt.Errorf("stop bits: want 1, 1.5 or 2, have %v half bits", int(c.StopBits))
	}
	if c.Flow != 0 && flowNames[c.Flow] == "" {
		return fmt.Errorf("flow: want none, rtscts or xonxoff, have number %d", int(c.Flow))
	}
	return nil
}

// String is c as ParseLineConfig reads it: 115200n81, with a flow control behind
// it where there is one. What is not known is left out, the mode as a whole.
func (c LineConfig) String() string {
	var s strings.Builder
	if c.Baud != 0 {
		fmt.Fprint(&s, c.Baud)
	}
	if c.DataBits != 0 && c.Parity != 0 && c.StopBits != 0 {
		if c.Baud != 0 {
			fmt.Fprintf(&s, "%v%d%v", c.Parity, c.DataBits, c.StopBits)
		} else {
			fmt.Fprintf(&s, "%d%v%v", c.DataBits, c.Parity, c.StopBits)
		}
	}
	if c.Flow > FlowNone {
		if s.Len() > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(c.Flow.String())
	}
	return s.String()
}

// ModemLines is a set of modem lines, those that are on (ioctl_tty(2) TIOCMGET).
type ModemLines uint8

// The lines. This side drives DTR and RTS; the other side the rest.
const (
	DTR ModemLines = 1 << iota // data terminal ready
	RTS                        // request to send
	CTS                        // clear to send
	DSR                        // data set ready
	RI                         // ring indicator
	DCD                        // data carrier detect
)

var modemNames = []string{"dtr", "rts", "cts", "dsr", "ri", "dcd"}

// String names the lines that are on: dtr,rts,cts. None is "none".
func (m ModemLines) String() string {
	var on []string
	for i, name := range modemNames {
		if m&(1<<i) != 0 {
			on = append(on, name)
		}
	}
	if on == nil {
		return "none"
	}
	return strings.Join(on, ",")
}

// ParseModemLine reads the name of one line, as in dtr.
func ParseModemLine(s string) (ModemLines, error) {
	for i, name := range modemNames {
		if strings.EqualFold(s, name) {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("want %s, have %q", strings.Join(modemNames, ", "), s)
}
