package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

var rfc2217Layer = &layerDef{
	name: "rfc2217",
	client: func(*Env, Address) (Layer, error) {
		return telnetSide(func(under Channel) telnetEnd { return newComClient(under) }), nil
	},
	server: func(*Env, Address) (Layer, error) {
		return telnetSide(func(under Channel) telnetEnd { return newComServer(under) }), nil
	},
}

// comPatience is how long a server may take for an answer. It is less than the 3 s that
// pyserial waits: its question may be what is asked here (ser2net says nothing about DTR and
// RTS of a port without them), and what holds is an answer that it takes.
const comPatience = 2 * time.Second

// usualBreak is how long a break lasts that is to be of the usual length.
const usualBreak = 250 * time.Millisecond

var (
	errNoComPort = fmt.Errorf("the server refuses COM-PORT-OPTION, so it is no RFC 2217 server: %w", errors.ErrUnsupported)
	errComSilent = fmt.Errorf("no answer from the server within %v", comPatience)
)

// A comClient is the client's end: a Line, Breaker, Purger and Notifier whose port
// the server has. Answers come with what Read reads, so somebody has to read. A
// question that ctx does not end is given up after 2 s. What the server has said
// once is not asked again: it tells of changes itself, and of settings only this
// client's.
type comClient struct {
	*telnetClient

	asking chan struct{} // has a value while nobody asks; capacity 1
	ended  chan struct{} // closed by stop

	mu       sync.Mutex
	decided  chan struct{}         // closed when the server has agreed, or refused
	agrees   bool                  // which of the two; it does not change any more
	question func(sub []byte) bool // says whether this is its answer; nil: none is open
	answered chan []byte           // gets the answer; capacity 1
	line     LineConfig            // as far as it is known
	modem    ModemLines
	told     bool       // the server has told its modem lines, or will not
	queried  ModemLines // those whose state agreed has asked for, not answered yet
}

func newComClient(under Channel) *comClient {
	c := &comClient{
		telnetClient: newTelnetClient(under, telnetComPort),
		asking:       make(chan struct{}, 1),
		ended:        make(chan struct{}),
		decided:      make(chan struct{}),
		answered:     make(chan []byte, 1),
		modem:        DTR | RTS,
	}
	c.asking <- struct{}{}
	c.com = c
	return c
}

// agreed asks for the lines that a server does not tell of itself. Nobody waits for
// the answers: pyserial's server has none.
func (c *comClient) agreed() {
	if c.decide(true) {
		c.sendMask()
		c.mu.Lock()
		c.queried = DTR | RTS
		c.mu.Unlock()
		// That it cannot be sent is told to who reads or writes.
		_ = c.say(slices.Concat(comCommand(comSetControl, comDTR), comCommand(comSetControl, comRTS)))
	}
}

func (c *comClient) refused() { c.decide(false) }

// decide notes whether the server speaks RFC 2217; it says whether that is new.
func (c *comClient) decide(agrees bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.decided:
		return false
	default:
	}
	c.agrees = agrees
	close(c.decided)
	return true
}

func (c *comClient) stop() { close(c.ended) }

// command takes what the server says: an answer, or a change that nobody asked for.
func (c *comClient) command(sub []byte) {
	command, value := sub[0], sub[1:]
	switch command {
	case comFromServer + comSignature:
		if len(value) == 0 {
			// That it cannot be sent is told to who reads or writes.
			_ = c.say(comCommand(comSignature, []byte(comSignatureText)...))
		}
	case comFromServer + comSuspend:
		suspend(c, true)
	case comFromServer + comResume:
		suspend(c, false)
	case comFromServer + comNotifyLine:
		if len(value) == 1 {
			c.lineState(value[0])
		}
	case comFromServer + comNotifyModem:
		if len(value) == 1 {
			c.modemState(value[0])
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.question != nil && c.question(sub) {
		c.question = nil
		c.answered <- value // who gets it waits for mu before it looks at more
	}
	c.learn(command, value)
}

// learn keeps what an answer says about the port. Called with mu held.
func (c *comClient) learn(command byte, value []byte) {
	for _, s := range comSettings {
		if command != comFromServer+s.command || len(value) != s.size {
			continue
		}
		if command != comFromServer+comSetControl || comGroup(value[0]) == comFlow {
			var said LineConfig
			s.get(&said, value)
			c.line = c.line.With(said)
			return
		}
		line := comDriven(value[0])
		c.queried &^= line
		switch value[0] {
		case comDTROn, comRTSOn:
			c.modem |= line
		case comDTROff, comRTSOff:
			c.modem &^= line
		}
	}
}

// comDriven is the line that a value of SET-CONTROL is about, 0 if about none.
func comDriven(value byte) ModemLines {
	switch comGroup(value) {
	case comDTR:
		return DTR
	case comRTS:
		return RTS
	}
	return 0
}

func (c *comClient) modemState(v byte) {
	on, changed := modemOf(v)
	c.mu.Lock()
	c.modem, c.told = c.modem&^modemInputs|on, true
	all := c.modem
	c.mu.Unlock()
	c.notify.tell(Event{Kind: EventModem, Modem: all, Changed: changed})
}

func (c *comClient) lineState(v byte) {
	if v&comLineBreak != 0 {
		c.notify.tell(Event{Kind: EventBreak})
	}
	if errs := LineErrors(v&comLineErrors) >> 1; errs != 0 {
		c.notify.tell(Event{Kind: EventErrors, Errors: errs})
	}
}

// Notify is that of Notifier. What is wanted of the line's state the server is
// asked to tell; it tells of modem lines anyway (section 3, the mask's default).
func (c *comClient) Notify(want EventKind, f func(Event)) {
	c.telnetClient.Notify(want, f)
	select {
	case <-c.decided:
		c.sendMask()
	default:
	}
}

// sendMask tells the server what is to be told of the line, if it is one of RFC 2217.
// That is decided.
func (c *comClient) sendMask() {
	mask := byte(0)
	if c.notify.wants(EventBreak) {
		mask |= comLineBreak
	}
	if c.notify.wants(EventErrors) {
		mask |= comLineErrors
	}
	if c.agrees {
		// That it cannot be sent is told to who reads or writes.
		_ = c.say(comCommand(comSetLineMask, mask))
	}
}

// ask sends a command and waits for the answer that fits, and returns its value.
// what is for the error.
func (c *comClient) ask(ctx context.Context, what string, command []byte, fits func(sub []byte) bool) ([]byte, error) {
	within, cancel := context.WithTimeoutCause(ctx, comPatience, fmt.Errorf("%s: %w", what, errComSilent))
	defer cancel()
	select {
	case <-c.decided:
	case <-c.ended:
		return nil, net.ErrClosed
	case <-within.Done():
		return nil, context.Cause(within)
	}
	if !c.agrees {
		return nil, errNoComPort
	}
	select {
	case <-c.asking:
	case <-c.ended:
		return nil, net.ErrClosed
	case <-within.Done():
		return nil, context.Cause(within)
	}
	defer func() { c.asking <- struct{}{} }()
	c.mu.Lock()
	c.question = fits
	c.mu.Unlock()
	err := c.say(command)
	if err == nil {
		select {
		case answer := <-c.answered:
			return answer, nil
		case <-c.ended:
			err = net.ErrClosed
		case <-within.Done():
			err = context.Cause(within)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.question == nil { // it came at the last moment
		<-c.answered
	}
	c.question = nil
	return nil, err
}

// setting asks for one of the settings: to change it, or with all zero, what it is.
func (c *comClient) setting(ctx context.Context, s comSetting, want LineConfig) error {
	value := s.put(want)
	_, err := c.ask(ctx, s.name, comCommand(s.command, value...), func(sub []byte) bool {
		return sub[0] == comFromServer+s.command && len(sub) == 1+s.size && (s.command != comSetControl || comGroup(sub[1]) == comFlow)
	})
	return err
}

// Line is that of Line.
func (c *comClient) Line(ctx context.Context) (LineConfig, error) {
	for _, s := range comSettings {
		if s.value(c.KnownLine()) == s.value(LineConfig{}) {
			if err := c.setting(ctx, s, LineConfig{}); err != nil {
				return c.KnownLine(), err
			}
		}
	}
	return c.KnownLine(), nil
}

// KnownLine is that of LineKnower: what the server has said.
func (c *comClient) KnownLine() LineConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line
}

// SetLine is that of Line.
func (c *comClient) SetLine(ctx context.Context, want LineConfig) error {
	if err := want.Check(); err != nil {
		return err
	}
	for _, s := range comSettings {
		if s.value(want) == s.value(LineConfig{}) {
			continue
		}
		if err := c.setting(ctx, s, want); err != nil {
			return err
		}
		if have := s.value(c.KnownLine()); have != s.value(want) {
			return fmt.Errorf("%s: asked for %v, and the server has %v", s.name, s.value(want), have)
		}
	}
	return nil
}

// setControl sends a value of SET-CONTROL and returns the answer, which is not the
// one to what agreed asked, if that is still to come.
func (c *comClient) setControl(ctx context.Context, what string, value byte) (byte, error) {
	answer, err := c.ask(ctx, what, comCommand(comSetControl, value), func(sub []byte) bool {
		if sub[0] != comFromServer+comSetControl || len(sub) != 2 || comGroup(sub[1]) != comGroup(value) {
			return false
		}
		return sub[1] == value || c.queried&comDriven(value) == 0
	})
	if err != nil {
		return 0, err
	}
	return answer[0], nil
}

// Modem is that of Line. DTR and RTS count as on, as servers have them for a client
// that has come, until they are told; a server that does not tell the others has
// none.
func (c *comClient) Modem(ctx context.Context) (ModemLines, error) {
	m, known := c.modemNow()
	if known {
		return m, nil
	}
	_, err := c.ask(ctx, "modem lines", comCommand(comNotifyModem), func(sub []byte) bool {
		return sub[0] == comFromServer+comNotifyModem
	})
	if errors.Is(err, errComSilent) {
		c.mu.Lock()
		c.told = true
		c.mu.Unlock()
	}
	m, _ = c.modemNow()
	return m, err
}

// modemNow is the state of the modem lines, and whether the server has told it.
func (c *comClient) modemNow() (ModemLines, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modem, c.told
}

// SetModem is that of Line.
func (c *comClient) SetModem(ctx context.Context, set, clear ModemLines) error {
	if both := set | clear; both&^(DTR|RTS) != 0 {
		return fmt.Errorf("%v: only DTR and RTS can be set: %w", both&^(DTR|RTS), errors.ErrUnsupported)
	}
	for _, l := range []struct {
		line    ModemLines
		name    string
		on, off byte
	}{{DTR, "DTR", comDTROn, comDTROff}, {RTS, "RTS", comRTSOn, comRTSOff}} {
		var value byte
		switch {
		case set&l.line != 0:
			value = l.on
		case clear&l.line != 0:
			value = l.off
		default:
			continue
		}
		answer, err := c.setControl(ctx, l.name, value)
		if err != nil {
			return err
		}
		if answer != value {
			return fmt.Errorf("the server leaves %s as it is", l.name)
		}
	}
	return nil
}

// SendBreak is that of Breaker.
func (c *comClient) SendBreak(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		d = usualBreak
	}
	answer, err := c.setControl(ctx, "break", comBreakOn)
	if err != nil {
		return err
	}
	if answer != comBreakOn {
		return errors.New("the server sends no break")
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-c.ended:
		return net.ErrClosed
	}
	// It must end, whoever does not wait for it; and ser2net 4.3 says "on" to this.
	if _, err := c.setControl(context.WithoutCancel(ctx), "break", comBreakOff); err != nil {
		return err
	}
	return ctx.Err()
}

// Purge is that of Purger.
func (c *comClient) Purge(ctx context.Context, which Purge) error {
	_, err := c.ask(ctx, "buffers", comCommand(comPurge, byte(which)), func(sub []byte) bool {
		return sub[0] == comFromServer+comPurge
	})
	return err
}
