package channel

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// speeds are the rates that have a constant (termios(3)): others are set as a
// number, with BOTHER, which programs that know of tcgetattr(3) only cannot read.
// They are the rates that tarm/serial knows, too.
var speeds = map[int]uint32{
	50: unix.B50, 75: unix.B75, 110: unix.B110, 134: unix.B134, 150: unix.B150, 200: unix.B200, 300: unix.B300,
	600: unix.B600, 1200: unix.B1200, 1800: unix.B1800, 2400: unix.B2400, 4800: unix.B4800, 9600: unix.B9600,
	19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200, 230400: unix.B230400,
	460800: unix.B460800, 500000: unix.B500000, 576000: unix.B576000, 921600: unix.B921600, 1000000: unix.B1000000,
	1152000: unix.B1152000, 1500000: unix.B1500000, 2000000: unix.B2000000, 2500000: unix.B2500000,
	3000000: unix.B3000000, 3500000: unix.B3500000, 4000000: unix.B4000000,
}

// nearSpeed is the highest of speeds that is not above baud.
func nearSpeed(baud int) int {
	all := slices.Sorted(maps.Keys(speeds))
	i, found := slices.BinarySearch(all, baud)
	if !found {
		i = max(i-1, 0)
	}
	return all[i]
}

// dataBits are the bits of c_cflag for 5 to 8 data bits.
var dataBits = map[int]uint32{5: unix.CS5, 6: unix.CS6, 7: unix.CS7, 8: unix.CS8}

// parityBits are those for a parity. Mark is odd and space is even, of no bit.
var parityBits = map[Parity]uint32{
	ParityNone:  0,
	ParityOdd:   unix.PARENB | unix.PARODD,
	ParityEven:  unix.PARENB,
	ParityMark:  unix.PARENB | unix.CMSPAR | unix.PARODD,
	ParitySpace: unix.PARENB | unix.CMSPAR,
}

const parityMask = unix.PARENB | unix.PARODD | unix.CMSPAR

// makeRaw has the line carry bytes as they are, without a carrier to wait for, and
// mark breaks and damaged bytes as parmrk reads them.
func makeRaw(t *unix.Termios) {
	t.Iflag = t.Iflag&(unix.IXON|unix.IXOFF) | unix.PARMRK | unix.INPCK
	t.Oflag, t.Lflag = 0, 0
	t.Cflag |= unix.CREAD | unix.CLOCAL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0 // 0 and 0 would be an end of file on a silent line
	t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = 0x11, 0x13
}

// setLine puts c into t, what is zero left as it is. An error says what of c no
// 16550 and so no driver has.
func setLine(t *unix.Termios, c LineConfig) error {
	if err := c.Check(); err != nil {
		return err
	}
	full := lineOf(t).With(c)
	if c.StopBits == 0 && full.StopBits > StopOne { // CSTOPB means the other one now
		full.StopBits = longStop(full.DataBits)
	}
	if full.StopBits > StopOne && full.StopBits != longStop(full.DataBits) {
		return fmt.Errorf("%v stop bits with %d data bits: 1.5 go with 5 data bits, and 2 with 6 to 8", full.StopBits, full.DataBits)
	}
	if c.Baud != 0 {
		// Without input bits of its own the receiver has the transmitter's speed.
		t.Cflag &^= unix.CBAUD | unix.CBAUD<<unix.IBSHIFT
		t.Ispeed, t.Ospeed = uint32(c.Baud), uint32(c.Baud)
		if b, ok := speeds[c.Baud]; ok {
			t.Cflag |= b
		} else {
			t.Cflag |= unix.BOTHER
		}
	}
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.CSTOPB|parityMask) | dataBits[full.DataBits] | parityBits[full.Parity]
	if full.StopBits > StopOne {
		t.Cflag |= unix.CSTOPB
	}
	t.Cflag &^= unix.CRTSCTS
	t.Iflag &^= unix.IXON | unix.IXOFF
	switch full.Flow {
	case FlowRTSCTS:
		t.Cflag |= unix.CRTSCTS
	case FlowXONXOFF:
		t.Iflag |= unix.IXON | unix.IXOFF
	}
	return nil
}

// longStop is what CSTOPB stands for.
func longStop(dataBits int) StopBits {
	if dataBits == 5 {
		return StopOneHalf
	}
	return StopTwo
}

// lineOf is the configuration that t holds.
func lineOf(t *unix.Termios) LineConfig {
	c := LineConfig{Baud: int(t.Ospeed), StopBits: StopOne, Flow: FlowNone}
	for n, bits := range dataBits {
		if t.Cflag&unix.CSIZE == bits {
			c.DataBits = n
		}
	}
	parity := t.Cflag & parityMask
	if parity&unix.PARENB == 0 {
		parity = 0
	}
	for p, bits := range parityBits {
		if parity == bits {
			c.Parity = p
		}
	}
	if t.Cflag&unix.CSTOPB != 0 {
		c.StopBits = longStop(c.DataBits)
	}
	switch {
	case t.Cflag&unix.CRTSCTS != 0:
		c.Flow = FlowRTSCTS
	case t.Iflag&unix.IXON != 0:
		c.Flow = FlowXONXOFF
	}
	return c
}

// checkLine says what of want a driver did not do: it has been told all of it, and
// have is what it says now.
func checkLine(want, have LineConfig) error {
	switch {
	// What a divisor makes of a rate may be a little off; 3 % is what a receiver
	// can stand, of a character of 10 bits.
	case want.Baud != 0 && abs(want.Baud-have.Baud) > want.Baud*3/100:
		return fmt.Errorf("the driver refuses %d baud (it made it %d)", want.Baud, have.Baud)
	case want.DataBits != 0 && want.DataBits != have.DataBits:
		return fmt.Errorf("the driver refuses %d data bits (it made them %d)", want.DataBits, have.DataBits)
	case want.Parity != 0 && want.Parity != have.Parity:
		return fmt.Errorf("the driver refuses parity %v (it made it %v)", want.Parity, have.Parity)
	case want.StopBits != 0 && want.StopBits != have.StopBits:
		return fmt.Errorf("the driver refuses %v stop bits (it made them %v)", want.StopBits, have.StopBits)
	case want.Flow != 0 && want.Flow != have.Flow:
		return fmt.Errorf("the driver refuses flow control %v (it made it %v)", want.Flow, have.Flow)
	}
	return nil
}

func abs(n int) int { return max(n, -n) }
