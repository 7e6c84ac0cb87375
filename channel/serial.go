package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// serialTransport is a serial port of this host:
//
//	serial:/dev/ttyUSB0?baud=9600&mode=7e1
//	serial:/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0
//	serial:usb?vid=0403&pid=6001&serial=A50285BI&interface=0
//
// Options: baud= (default 115200, any number that the driver takes), mode= (data
// bits, parity n o e m s, stop bits; default 8n1) and flow= (none, rtscts,
// xonxoff; default none). dtr= and rts= on or off: raised or dropped at each open;
// without them they are as the kernel leaves them, which raises both when a port
// is opened. hold=true keeps the port open between two channels, so that DTR and
// RTS stay and no board is reset; hangup=false leaves them as they are even at the
// last close. exclusive=false lets others open it at the same time. rs485=on has
// the driver raise RTS while it sends, rs485=inverted drop it, with
// rs485_before= and rs485_after= as pauses around what is sent, and rs485_echo=true
// if what is sent is to be received.
//
// usb finds the adapter by what it is, whichever number it has got, with one of
// vid=, pid= (four hexadecimal digits), serial= and interface= at least.
var serialTransport = &transport{
	name: "serial",
	what: "the path of a serial port, or usb",
	file: true, notFile: func(where string) bool { return where == "usb" },
	options: []optionDef{
		{name: "baud", check: isLineOf("a speed", func(c LineConfig) bool { return c.Baud != 0 })},
		{name: "mode", check: isLineOf("a mode like 8n1", func(c LineConfig) bool { return c.DataBits != 0 })},
		{name: "flow", check: func(v string) error { _, err := ParseFlow(v); return err }},
		{name: "dtr", check: isOneOf("on", "off")},
		{name: "rts", check: isOneOf("on", "off")},
		{name: "hold", check: isBool},
		{name: "hangup", check: isBool},
		{name: "exclusive", check: isBool},
		{name: "rs485", check: isOneOf("on", "inverted")},
		{name: "rs485_before", check: isDelay},
		{name: "rs485_after", check: isDelay},
		{name: "rs485_echo", check: isBool},
		{name: "vid", check: isUSBNumber},
		{name: "pid", check: isUSBNumber},
		{name: "serial", check: isText},
		{name: "interface", check: isInterface},
	},
	check: checkSerial,
	dial:  dialSerial,
	adopt: adoptSerial,
	watch: watchUSB,
}

// isLineOf makes a check for what ParseLineConfig reads and has is true of.
func isLineOf(what string, has func(LineConfig) bool) func(string) error {
	return func(v string) error {
		c, err := ParseLineConfig(v)
		if err == nil && !has(c) {
			err = fmt.Errorf("%q does not say %s", v, what)
		}
		return err
	}
}

// isDelay checks a pause of RS-485, which the kernel has in ms and no longer than
// 100 of them (RS485_MAX_RTS_DELAY).
func isDelay(v string) error {
	d, err := ParseDuration(v)
	if err == nil && d.Milliseconds() > 100 {
		err = errors.New("want 100ms at most")
	}
	return err
}

// A serialConfig is what the options of an address say.
type serialConfig struct {
	line      LineConfig // all of it
	set       ModemLines // to raise at open
	clear     ModemLines // to drop at open
	hold      bool
	hangup    bool
	exclusive bool
	rs485     *serialRS485 // nil: not said
}

// usualLine is how a line is set where nothing is said.
var usualLine = LineConfig{Baud: 115200, DataBits: 8, Parity: ParityNone, StopBits: StopOne, Flow: FlowNone}

// newSerialConfig reads the options. It fails if they contradict each other; what is wrong by
// itself is told by its own check.
func newSerialConfig(a Address) (serialConfig, error) {
	c := serialConfig{
		hold:      a.Is("hold"),
		hangup:    a.Get("hangup") != "false" && !a.Is("hold"),
		exclusive: a.Get("exclusive") != "false",
	}
	var said []string
	for _, o := range []string{"baud", "mode", "flow"} {
		v := a.Get(o)
		if _, err := ParseLineConfig(v); v != "" && err == nil {
			said = append(said, v)
		}
	}
	c.line = usualLine
	if said != nil {
		line, err := ParseLineConfig(strings.Join(said, ","))
		if err != nil {
			return c, fmt.Errorf("baud, mode and flow: %w", err)
		}
		c.line = usualLine.With(line)
	}
	for name, line := range map[string]ModemLines{"dtr": DTR, "rts": RTS} {
		switch a.Get(name) {
		case "on":
			c.set |= line
		case "off":
			c.clear |= line
		}
	}
	driven := ""
	if mode := a.Get("rs485"); mode != "" {
		driven = "rs485"
		c.rs485 = newRS485(a, mode == "inverted")
	} else if o := cmp.Or(a.Get("rs485_before"), a.Get("rs485_after"), a.Get("rs485_echo")); o != "" {
		return c, errors.New("rs485_before, rs485_after and rs485_echo mean nothing without rs485")
	}
	if c.line.Flow == FlowRTSCTS {
		if driven != "" {
			return c, errors.New("rs485 and flow=rtscts both have the driver move RTS: choose one")
		}
		driven = "flow=rtscts"
	}
	if driven != "" && (c.set|c.clear)&RTS != 0 {
		return c, fmt.Errorf("rts=%s contradicts %s, with which the driver moves RTS", a.Get("rts"), driven)
	}
	if c.hold && a.Is("hangup") {
		return c, errors.New("hold=true contradicts hangup=true, which drops DTR and RTS at each close")
	}
	return c, setLine(new(unix.Termios), c.line)
}

func newRS485(a Address, inverted bool) *serialRS485 {
	ms := func(option string) uint32 {
		d, _ := ParseDuration(a.Get(option)) // checked; 0 where it is not said
		return uint32(d.Milliseconds())
	}
	c := &serialRS485{flags: rs485Enabled | rs485RTSOnSend, beforeSend: ms("rs485_before"), afterSend: ms("rs485_after")}
	if inverted {
		c.flags = rs485Enabled | rs485RTSAfterSend
	}
	if a.Is("rs485_echo") {
		c.flags |= rs485RXDuringTX
	}
	return c
}

func checkSerial(a Address) error {
	_, err := newSerialConfig(a)
	return errors.Join(err, checkUSB(a))
}

// dialSerial opens a port, or goes on with the one that is held. It does not wait
// for a carrier, nor for anything else.
func dialSerial(ctx context.Context, e *Env, a Address) (Channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg, err := newSerialConfig(a)
	if err != nil {
		return nil, err
	}
	wanted := serialName(a)
	device, err := serialDevice(a)
	if err != nil {
		return nil, err
	}
	fd, held := takeHeld(wanted)
	if !held {
		if fd, err = openSerial(e, device, cfg); err != nil {
			return nil, about(a, device, err)
		}
	}
	at := addr{"serial", device}
	c, err := newFD(os.NewFile(uintptr(fd), device), at)
	if err != nil {
		return nil, err
	}
	p := newSerialPort(&tty{c}, ioctls{c.f}, cfg)
	p.held = wanted
	if err := p.configure(); err != nil {
		p.held = ""
		p.Close()
		return nil, about(a, device, err)
	}
	return p, nil
}

// about says which device an error is about, where the address does not.
func about(a Address, device string, err error) error {
	if device == a.Where {
		return err
	}
	return fmt.Errorf("%s: %w", device, err)
}

// isInterface checks the number of a USB interface.
func isInterface(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < 0 || n > 255 {
		return fmt.Errorf("want a number from 0 to 255, have %q", v)
	}
	return nil
}
