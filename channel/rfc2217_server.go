package channel

import (
	"context"
	"io"
	"sync"
	"time"
)

// A Port is a serial port as a client of an RFC 2217 server sees it. A method that
// returns an error that matches errors.ErrUnsupported stands for something that
// the port does not have; any other error means that it was not done.
type Port interface {
	// MaySet is asked before each change, break and purge; an error refuses it.
	MaySet() error

	Line
	Breaker
	Purger
	Notifier
}

// A PortServer is the server's end of an RFC 2217 channel: it has a serial port,
// as far as its client can see.
type PortServer interface {
	// SetPort makes p the port that the client's commands are for. What p does not
	// have, and all before SetPort, the client has on a virtual port of its own,
	// which keeps what is set and does nothing. p's methods are called from within
	// Read, one after the other; SendBreak, which takes its time, beside it.
	SetPort(p Port)

	// LookAgain tells the client of the modem lines if they are not those that it knows:
	// the port is gone, or there again. It does not wait for the client.
	LookAgain(ctx context.Context)
}

// comLongest is how long a break lasts that nobody ends.
const comLongest = 5 * time.Second

// A comServer is the server's end: what is on the wire, it answers.
type comServer struct {
	*telnet

	ctx    context.Context // ends when the channel is closed
	cancel context.CancelFunc

	breaks sync.WaitGroup

	virtual *virtualPort // fixed at construction

	mu        sync.Mutex // never held over a call of port
	port      Port
	spoken    bool // the client speaks RFC 2217
	lineMask  byte
	modemMask byte
	told      ModemLines    // what the client knows of the modem lines
	endBreak  func()        // ends the break that was begun and waits for it; nil: there is none
	breakOver chan struct{} // closed when that is over, by itself maybe
}

func newComServer(under Channel) *comServer {
	c := &comServer{telnet: newTelnetServer(under, telnetComPort), virtual: newVirtualPort(), modemMask: 0xff}
	c.port = c.virtual
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.com = c
	return c
}

// Read is that of telnet. A client whose input has ended can resume nothing: what
// it suspended goes on, so that it gets what is there and its end is seen.
func (c *comServer) Read(p []byte) (int, error) {
	n, err := c.telnet.Read(p)
	if err == io.EOF {
		suspend(c, false)
	}
	return n, err
}

// SetPort is that of PortServer.
func (c *comServer) SetPort(p Port) {
	c.mu.Lock()
	c.port = portOver{p, c.virtual}
	spoken := c.spoken
	c.mu.Unlock()
	if spoken {
		c.watch()
		c.tellModem()
	}
}

func (c *comServer) thePort() Port {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.port
}

// agreed begins to tell the client of the modem lines.
func (c *comServer) agreed() {
	c.mu.Lock()
	first := !c.spoken
	c.spoken = true
	c.mu.Unlock()
	if first {
		c.watch()
		c.tellModem()
	}
}

func (c *comServer) refused() {}

// stop ends what the port does for this client.
func (c *comServer) stop() {
	c.cancel()
	c.thePort().Notify(0, nil)
	c.breaks.Wait()
}

// watch has the port tell what the client's masks let through.
func (c *comServer) watch() {
	c.mu.Lock()
	port, want := c.port, EventKind(0)
	if c.modemMask != 0 {
		want |= EventModem
	}
	if c.lineMask&comLineBreak != 0 {
		want |= EventBreak
	}
	if c.lineMask&comLineErrors != 0 {
		want |= EventErrors
	}
	c.mu.Unlock()
	port.Notify(want, c.tellEvent)
}

// LookAgain is that of PortServer.
func (c *comServer) LookAgain(ctx context.Context) {
	m, _ := c.thePort().Modem(ctx)
	c.mu.Lock()
	news := c.spoken && m != c.told
	c.mu.Unlock()
	if news {
		c.tellEvent(Event{Kind: EventModem, Modem: m})
	}
}

// tellEvent sends what happened on the line, as far as the masks let it through.
func (c *comServer) tellEvent(e Event) {
	c.mu.Lock()
	if e.Kind == EventModem {
		e.Changed |= e.Modem ^ c.told
		c.told = e.Modem
	}
	modem, line := comModem(e.Modem, e.Changed)&c.modemMask, comLine(e)&c.lineMask
	c.mu.Unlock()
	// That it cannot be sent is told to who reads or writes.
	if e.Kind == EventModem && modem != 0 {
		_ = c.say(comCommand(comFromServer+comNotifyModem, modem))
	}
	if e.Kind != EventModem && line != 0 {
		_ = c.say(comCommand(comFromServer+comNotifyLine, line))
	}
}

// tellModem sends the state of the modem lines.
func (c *comServer) tellModem() {
	m, _ := c.thePort().Modem(c.ctx)
	c.mu.Lock()
	c.told = m
	v := comModem(m, 0) & c.modemMask
	c.mu.Unlock()
	c.reply(comNotifyModem, v)
}

// reply answers a command.
func (c *comServer) reply(command byte, value ...byte) {
	// That it cannot be sent is told to who reads or writes.
	_ = c.say(comCommand(comFromServer+command, value...))
}

// command acts on a command and answers it. The answer carries what holds now,
// whether or not that is what was asked for.
func (c *comServer) command(sub []byte) {
	command, value := sub[0], sub[1:]
	switch {
	case command == comSignature:
		if len(value) == 0 {
			c.reply(comSignature, []byte(comSignatureText)...)
		}
	case command >= comSetBaud && command <= comSetStopSize:
		c.set(comSettings[command-comSetBaud], value)
	case command == comSetControl && len(value) == 1:
		c.reply(comSetControl, c.setControl(value[0]))
	case command == comNotifyLine:
		c.mu.Lock()
		mask := c.lineMask
		c.mu.Unlock()
		c.reply(comNotifyLine, comLineEmpty&mask)
	case command == comNotifyModem:
		c.tellModem()
	case command == comSuspend:
		suspend(c, true)
	case command == comResume:
		suspend(c, false)
	case command == comSetLineMask && len(value) == 1:
		c.setMask(&c.lineMask, command, value[0])
	case command == comSetModemMask && len(value) == 1:
		c.setMask(&c.modemMask, command, value[0])
	case command == comPurge && len(value) == 1:
		if port := c.thePort(); port.MaySet() == nil {
			// What cannot be thrown away is none the worse for it.
			_ = port.Purge(c.ctx, Purge(value[0])&(PurgeReceive|PurgeTransmit))
		}
		c.reply(comPurge, value[0])
	}
}

func (c *comServer) setMask(mask *byte, command, value byte) {
	c.mu.Lock()
	*mask = value
	c.mu.Unlock()
	c.watch()
	c.reply(command, value)
}

// set is one of the settings of the line; all zero asks what it is.
func (c *comServer) set(s comSetting, value []byte) {
	if len(value) != s.size {
		return
	}
	var want LineConfig
	s.get(&want, value)
	c.reply(s.command, s.put(c.setLine(want))...)
}

// setLine sets what is not zero, if it is something that a line can be, and
// returns what holds.
func (c *comServer) setLine(want LineConfig) LineConfig {
	port := c.thePort()
	if want != (LineConfig{}) && want.Check() == nil && port.MaySet() == nil {
		// What was not done is told by what holds.
		_ = port.SetLine(c.ctx, want)
	}
	have, _ := port.Line(c.ctx)
	return have
}

// setControl acts on a value of SET-CONTROL and returns the answer, which is of the
// same group. There is one flow control for both directions, so an inbound one of
// its own cannot be set, nor one by DCD, DTR or DSR.
func (c *comServer) setControl(value byte) byte {
	switch value {
	case comFlowNone, comFlowXONXOFF, comFlowHardware:
		return comWire(comFlows, c.setLine(LineConfig{Flow: comHere(comFlows, value)}).Flow)
	case comBreakOn:
		c.breakOn()
	case comBreakOff:
		c.breakOff()
	case comDTROn:
		c.setModem(DTR, 0)
	case comDTROff:
		c.setModem(0, DTR)
	case comRTSOn:
		c.setModem(RTS, 0)
	case comRTSOff:
		c.setModem(0, RTS)
	}
	switch comGroup(value) {
	case comBreak:
		return comState(c.breaking(), comBreakOn)
	case comDTR:
		return comState(c.modem()&DTR != 0, comDTROn)
	case comRTS:
		return comState(c.modem()&RTS != 0, comRTSOn)
	case comFlowIn:
		return comWire(comFlowsIn, c.setLine(LineConfig{}).Flow)
	}
	return comWire(comFlows, c.setLine(LineConfig{}).Flow)
}

// comState is the answer for on, or the one for off, which is the next number.
func comState(on bool, answer byte) byte {
	if on {
		return answer
	}
	return answer + 1
}

func (c *comServer) setModem(set, clear ModemLines) {
	if port := c.thePort(); port.MaySet() == nil {
		// What was not done is told by the lines.
		_ = port.SetModem(c.ctx, set, clear)
	}
}

func (c *comServer) modem() ModemLines {
	m, _ := c.thePort().Modem(c.ctx)
	return m
}

func (c *comServer) breaking() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endBreak != nil
}

// breakOn begins a break, which lasts until breakOff, or for comLongest. Then the
// client may begin another one, whether or not it ended the first.
func (c *comServer) breakOn() {
	port := c.thePort()
	if c.breakLasts() || port.MaySet() != nil {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	over := make(chan struct{})
	c.breaks.Go(func() {
		defer close(over)
		defer cancel()
		// Its end by breakOff is an error too, and one that failed is over.
		_ = port.SendBreak(ctx, comLongest)
	})
	c.mu.Lock()
	c.endBreak, c.breakOver = func() { cancel(); <-over }, over
	c.mu.Unlock()
}

// breakLasts says whether a break is not over yet.
func (c *comServer) breakLasts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endBreak == nil {
		return false
	}
	select {
	case <-c.breakOver:
		return false
	default:
		return true
	}
}

// breakOff ends the break and waits until it is over: what the client sends next
// comes behind it.
func (c *comServer) breakOff() {
	c.mu.Lock()
	end := c.endBreak
	c.endBreak = nil
	c.mu.Unlock()
	if end != nil {
		end()
	}
}
