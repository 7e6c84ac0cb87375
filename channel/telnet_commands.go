package channel

import (
	"encoding/binary"
	"net"
	"sync"
)

// The commands of TTYPE's subnegotiation (RFC 1091).
const (
	telnetTTypeIs   = 0
	telnetTTypeSend = 1
)

var telnetAskType = telnetSubnegotiation(telnetTType, telnetTTypeSend)

// newTelnetServer makes the server's side, which asks as telnetd does for what
// makes a terminal send single keys as they are typed, and show what comes back.
func newTelnetServer(under Channel, more ...byte) *telnet {
	c := &telnet{layered: layered{under: under}, alive: []byte("\r\n[chardevd: yes]\r\n")}
	c.dec.server, c.enc.server = true, true
	c.options = newTelnetOptions(
		append([]byte{telnetEcho, telnetSGA, telnetBinary}, more...),
		append([]byte{telnetSGA, telnetNAWS, telnetTType, telnetBinary}, more...))
	c.ask(telnetDO, append(more, telnetSGA, telnetNAWS, telnetTType)...)
	c.ask(telnetWILL, telnetEcho, telnetSGA)
	c.askBinary()
	return c
}

// A telnetClient is the client's side. It has a window if it is told its size.
type telnetClient struct {
	*telnet

	mu         sync.Mutex
	cols, rows int // 0: not known
}

// newTelnetClient makes the client's side. It asks for what it needs itself, since
// some servers wait for that, and grants what servers ask for.
func newTelnetClient(under Channel, more ...byte) *telnetClient {
	c := &telnetClient{telnet: &telnet{layered: layered{under: under}, alive: []byte{telnetIAC, telnetNOP}}}
	c.naws = c.tellWindow
	c.options = newTelnetOptions(
		append([]byte{telnetSGA, telnetNAWS, telnetTType, telnetBinary}, more...),
		append([]byte{telnetEcho, telnetSGA, telnetBinary}, more...))
	c.ask(telnetWILL, more...)
	c.ask(telnetDO, telnetSGA)
	c.askBinary()
	return c
}

// ask puts requests into the opening.
func (c *telnet) ask(command byte, options ...byte) {
	c.opening = append(c.opening, c.options.ask(command, options...)...)
}

// askBinary ends the opening: from there on this side sends BINARY.
func (c *telnet) askBinary() {
	c.ask(telnetDO, telnetBinary)
	c.ask(telnetWILL, telnetBinary)
	c.enc.binary, c.beside.binary = true, true
}

// Resize tells the server the size of this side's window.
func (c *telnetClient) Resize(cols, rows int) error {
	c.mu.Lock()
	c.cols, c.rows = cols, rows
	c.mu.Unlock()
	if !c.sendsWindow.Load() {
		return nil // it is told when the server asks
	}
	return c.say(c.tellWindow())
}

// tellWindow is the subnegotiation of NAWS (RFC 1073), nil while the size is not
// known.
func (c *telnetClient) tellWindow() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cols == 0 && c.rows == 0 {
		return nil
	}
	var size [4]byte
	binary.BigEndian.PutUint16(size[:], uint16(c.cols))
	binary.BigEndian.PutUint16(size[2:], uint16(c.rows))
	return telnetSubnegotiation(telnetNAWS, size[:]...)
}

// control acts on a command and returns it if others are to be told. The read lock
// is held.
func (c *telnet) control(ev telnetEvent) telnetEvent {
	switch ev.command {
	case telnetWILL, telnetWONT, telnetDO, telnetDONT:
		return c.negotiate(ev)
	case telnetBRK:
		return ev
	case telnetAYT:
		c.answer(c.alive)
	case telnetSB:
		switch {
		case ev.option == telnetComPort && c.com != nil && len(ev.sub) > 0:
			return ev
		case ev.option == telnetNAWS && len(ev.sub) == 4 && c.options.isOn(c.options.him, telnetNAWS):
			return ev
		case ev.option == telnetTType && len(ev.sub) > 0 && ev.sub[0] == telnetTTypeIs && c.namesType.Load():
			return ev
		case ev.option == telnetTType && len(ev.sub) == 1 && ev.sub[0] == telnetTTypeSend && c.options.isOn(c.options.us, telnetTType):
			c.answer(telnetSubnegotiation(telnetTType, append([]byte{telnetTTypeIs}, "UNKNOWN"...)...))
		}
	}
	return telnetEvent{}
}

// negotiate is control for the commands that are about options.
func (c *telnet) negotiate(ev telnetEvent) telnetEvent {
	o := &c.options
	reply := o.hear(ev.command, ev.option)
	switch ev.option {
	case telnetBinary:
		c.dec.setBinary(o.isOn(o.him, telnetBinary))
		us := *o.us[telnetBinary]
		c.answerBinary(reply, us == telnetYes || us == telnetWantYes)
		return telnetEvent{}
	case telnetNAWS:
		if c.naws != nil {
			c.sendsWindow.Store(o.isOn(o.us, telnetNAWS))
			if reply != nil && c.sendsWindow.Load() {
				reply = append(reply, c.naws()...)
			}
		}
	case telnetTType:
		c.namesType.Store(o.isOn(o.him, telnetTType))
		if c.namesType.Load() && c.notify.wants(EventTerminal) {
			reply = append(reply, telnetAskType...)
		}
	}
	c.answer(reply)
	if ev.option != telnetComPort || c.com == nil {
		return telnetEvent{}
	}
	agreed := o.isOn(o.us, telnetComPort) || o.isOn(o.him, telnetComPort)
	if agreed != (ev.command == telnetWILL || ev.command == telnetDO) {
		return telnetEvent{} // one side refuses, and the other is enough
	}
	return ev
}

// answer queues an answer. Where there is no room it ends the reading: who asks so
// much and takes nothing is no good peer.
func (c *telnet) answer(b []byte) {
	if len(b) > 0 && c.say(b) == errTelnetFlood {
		c.err = errTelnetFlood
	}
}

// answerBinary is answer, and says whether BINARY is sent behind it.
func (c *telnet) answerBinary(b []byte, binary bool) {
	if c.beside.add(c, b, func() { c.beside.binary = binary }) == errTelnetFlood {
		c.err = errTelnetFlood
	}
}

// say queues commands, which are sent between two writes of the stream. It never
// waits. A nil error means that they are on their way.
func (c *telnet) say(b []byte) error { return c.beside.add(c, b, func() {}) }

// telnetBeside is what waits to be sent beside the stream. The reader never writes,
// since the other side's may be doing the same, and both would wait for ever: one
// goroutine sends, and is there only while there is something.
type telnetBeside struct {
	mu      sync.Mutex
	ended   bool // Close has begun: nothing new
	sending bool // the goroutine is there
	dirty   bool // there is something to send, or binary is another
	out     []byte
	binary  bool // whether BINARY is sent behind out

	sender sync.WaitGroup
}

// telnetMaxBeside is how many bytes may wait.
const telnetMaxBeside = 16 << 10

// add queues b, and sees to it that it is sent. also is done with it.
func (b *telnetBeside) add(c *telnet, out []byte, also func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return net.ErrClosed
	case len(b.out)+len(out) > telnetMaxBeside:
		return errTelnetFlood
	}
	if err := c.dead.check(); err != nil {
		return err
	}
	b.out = append(b.out, out...)
	also()
	b.dirty = true
	if !b.sending {
		b.sending = true
		b.sender.Go(func() { b.send(c) })
	}
	return nil
}

// send sends until nothing waits.
func (b *telnetBeside) send(c *telnet) {
	for going := true; going; {
		c.write.Lock()
		// An error has killed the write side: the next write tells it.
		_ = c.sendBeside()
		c.write.Unlock()
		b.mu.Lock()
		going = b.dirty
		b.sending = going
		b.mu.Unlock()
	}
}

// sendBeside sends what waits. The write lock is held. Whoever writes does it
// first, so that what was agreed on holds for what is written then.
func (c *telnet) sendBeside() error {
	b := &c.beside
	b.mu.Lock()
	out, binary, dirty := b.out, b.binary, b.dirty
	b.out, b.dirty = nil, false
	b.mu.Unlock()
	if err := c.dead.check(); err != nil || !dirty {
		return err
	}
	if out = c.enc.command(out, binary); len(out) == 0 {
		return nil
	}
	_, err := c.under.Write(out)
	if err != nil && c.closed.Load() {
		err = net.ErrClosed
	}
	return c.dead.note(plain("write", err))
}

// end takes nothing more and waits until what waited is sent, or cannot be.
func (b *telnetBeside) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.sender.Wait()
}
