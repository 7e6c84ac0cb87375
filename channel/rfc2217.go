package channel

import "encoding/binary"

// The commands of COM-PORT-OPTION as a client sends them (RFC 2217 section 2). The
// server's are comFromServer higher.
const (
	comSignature     = 0
	comSetBaud       = 1
	comSetDataSize   = 2
	comSetParity     = 3
	comSetStopSize   = 4
	comSetControl    = 5
	comNotifyLine    = 6
	comNotifyModem   = 7
	comSuspend       = 8
	comResume        = 9
	comSetLineMask   = 10
	comSetModemMask  = 11
	comPurge         = 12
	comFromServer    = 100
	comSignatureText = "chardevd"
)

// The values of SET-CONTROL (section 3). Each group begins with its question.
const (
	comFlow          = 0 // outbound, or both ways
	comFlowNone      = 1
	comFlowXONXOFF   = 2
	comFlowHardware  = 3
	comBreak         = 4
	comBreakOn       = 5
	comBreakOff      = 6
	comDTR           = 7
	comDTROn         = 8
	comDTROff        = 9
	comRTS           = 10
	comRTSOn         = 11
	comRTSOff        = 12
	comFlowIn        = 13
	comFlowInNone    = 14
	comFlowInXONXOFF = 15
	comFlowInRTSCTS  = 16
	comFlowDCD       = 17 // outbound
	comFlowInDTR     = 18 // inbound
	comFlowDSR       = 19 // outbound
)

// comGroup is the question of the group that a value of SET-CONTROL is of.
func comGroup(value byte) byte {
	switch {
	case value <= comFlowHardware, value == comFlowDCD, value == comFlowDSR:
		return comFlow
	case value <= comBreakOff:
		return comBreak
	case value <= comDTROff:
		return comDTR
	case value <= comRTSOff:
		return comRTS
	}
	return comFlowIn
}

// comPair is a number on the wire and what it stands for here.
type comPair[T comparable] struct {
	wire byte
	here T
}

var (
	comParities = []comPair[Parity]{{1, ParityNone}, {2, ParityOdd}, {3, ParityEven}, {4, ParityMark}, {5, ParitySpace}}
	comStops    = []comPair[StopBits]{{1, StopOne}, {2, StopTwo}, {3, StopOneHalf}}
	comFlows    = []comPair[Flow]{{comFlowNone, FlowNone}, {comFlowXONXOFF, FlowXONXOFF}, {comFlowHardware, FlowRTSCTS}}
	comFlowsIn  = []comPair[Flow]{{comFlowInNone, FlowNone}, {comFlowInXONXOFF, FlowXONXOFF}, {comFlowInRTSCTS, FlowRTSCTS}}
)

// comWire is the number that stands for v, 0 if none does.
func comWire[T comparable](pairs []comPair[T], v T) byte {
	for _, p := range pairs {
		if p.here == v {
			return p.wire
		}
	}
	return 0
}

// comHere is what a number stands for, zero if it stands for nothing.
func comHere[T comparable](pairs []comPair[T], wire byte) (v T) {
	for _, p := range pairs {
		if p.wire == wire {
			return p.here
		}
	}
	return v
}

// A comSetting is one of the settings that have a command of their own.
type comSetting struct {
	command byte
	name    string
	size    int                           // of its value on the wire, in bytes
	put     func(c LineConfig) []byte     // the value; all zero where it is not said
	get     func(c *LineConfig, v []byte) // the other way; numbers that stand for nothing set zero
	value   func(c LineConfig) any        // for messages
}

// comSettings are in the order in which they are set.
var comSettings = []comSetting{
	{
		comSetBaud, "baud", 4,
		func(c LineConfig) []byte { return binary.BigEndian.AppendUint32(nil, uint32(c.Baud)) },
		func(c *LineConfig, v []byte) { c.Baud = int(int32(binary.BigEndian.Uint32(v))) },
		func(c LineConfig) any { return c.Baud },
	},
	{
		comSetDataSize, "data bits", 1,
		func(c LineConfig) []byte { return []byte{byte(c.DataBits)} },
		func(c *LineConfig, v []byte) { c.DataBits = int(v[0]) },
		func(c LineConfig) any { return c.DataBits },
	},
	{
		comSetParity, "parity", 1,
		func(c LineConfig) []byte { return []byte{comWire(comParities, c.Parity)} },
		func(c *LineConfig, v []byte) { c.Parity = comHere(comParities, v[0]) },
		func(c LineConfig) any { return c.Parity },
	},
	{
		comSetStopSize, "stop bits", 1,
		func(c LineConfig) []byte { return []byte{comWire(comStops, c.StopBits)} },
		func(c *LineConfig, v []byte) { c.StopBits = comHere(comStops, v[0]) },
		func(c LineConfig) any { return c.StopBits },
	},
	{
		comSetControl, "flow control", 1,
		func(c LineConfig) []byte { return []byte{comWire(comFlows, c.Flow)} },
		func(c *LineConfig, v []byte) { c.Flow = comHere(comFlows, v[0]) },
		func(c LineConfig) any { return c.Flow },
	},
}

// modemInputs are the modem lines that the other side drives.
const modemInputs = CTS | DSR | RI | DCD

// comModem is the value of NOTIFY-MODEMSTATE: the lines as in ModemLines, higher by
// two bits, and which of them changed, four bits below. Of RI only the end counts.
func comModem(on, changed ModemLines) byte {
	changed &= modemInputs
	if on&RI != 0 {
		changed &^= RI
	}
	return byte(on&modemInputs)<<2 | byte(changed)>>2
}

// modemOf is comModem the other way.
func modemOf(v byte) (on, changed ModemLines) {
	return ModemLines(v>>2) & modemInputs, ModemLines(v<<2) & modemInputs
}

// The bits of NOTIFY-LINESTATE (section 4) besides those of LineErrors, which are
// one bit higher there.
const (
	comLineBreak  = 16
	comLineEmpty  = 32 | 64 // nothing waits to be sent
	comLineErrors = 2 | 4 | 8
)

// comLine is the value of NOTIFY-LINESTATE for an event.
func comLine(e Event) byte {
	v := byte(e.Errors) << 1
	if e.Kind == EventBreak {
		v |= comLineBreak
	}
	return v
}

// comCommand is a whole command.
func comCommand(command byte, value ...byte) []byte {
	return telnetSubnegotiation(telnetComPort, append([]byte{command}, value...)...)
}

// suspend makes what goes down c wait, or go on: FLOWCONTROL-SUSPEND and -RESUME.
// Without an outbox below, the peer's own window does it.
func suspend(c Channel, on bool) {
	if o, ok := As[*Outbox](c); ok {
		o.Hold(on)
	}
}
