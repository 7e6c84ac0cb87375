package channel

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRS485(t *testing.T) {
	d := newFakeDriver()
	mustFakeSerial(t, "?rs485=on&rs485_before=5ms&rs485_after=7ms", d)
	if want := (serialRS485{flags: rs485Enabled | rs485RTSOnSend, beforeSend: 5, afterSend: 7}); d.rs485 != want {
		t.Errorf("the driver has %+v, want %+v", d.rs485, want)
	}
	mustFakeSerial(t, "?rs485=inverted&rs485_echo=true", d)
	if want := (serialRS485{flags: rs485Enabled | rs485RTSAfterSend | rs485RXDuringTX}); d.rs485 != want {
		t.Errorf("inverted, the driver has %+v, want %+v", d.rs485, want)
	}
	d.no485 = rs485RXDuringTX
	if _, _, err := fakeSerial(t, "?rs485=on&rs485_echo=true", d); err == nil || !strings.Contains(err.Error(), "rs485") {
		t.Errorf("what the driver cannot do: %v", err)
	}
}

// Mark and space parity, and 1.5 stop bits, reach the driver and come back.
func TestRareModes(t *testing.T) {
	for mode, want := range map[string]uint32{
		"5m1.5": unix.CS5 | unix.PARENB | unix.PARODD | unix.CMSPAR | unix.CSTOPB,
		"7s2":   unix.CS7 | unix.PARENB | unix.CMSPAR | unix.CSTOPB,
		"6o1":   unix.CS6 | unix.PARENB | unix.PARODD,
		"8n1":   unix.CS8,
	} {
		d := newFakeDriver()
		p := mustFakeSerial(t, "?mode="+mode, d)
		const mask = unix.CSIZE | unix.CSTOPB | parityMask
		if got := d.t.Cflag & mask; got != want {
			t.Errorf("%s is %#x, want %#x", mode, got, want)
		}
		if c, _ := p.Line(t.Context()); c.String() != LineConfig.String(usualLine.With(mustLine(t, mode))) {
			t.Errorf("%s reads back as %v", mode, c)
		}
	}
	// A change of the data bits alone keeps a long stop bit long.
	d := newFakeDriver()
	p := mustFakeSerial(t, "?mode=8n2", d)
	if err := p.SetLine(t.Context(), LineConfig{DataBits: 5}); err != nil {
		t.Error(err)
	}
	if c, _ := p.Line(t.Context()); c.StopBits != StopOneHalf {
		t.Errorf("8n2 with 5 data bits is %v", c)
	}
}

func mustLine(t *testing.T, s string) LineConfig {
	t.Helper()
	c, err := ParseLineConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a driver makes of a setting is looked at, and what it refuses is named.
func TestRefusedSettings(t *testing.T) {
	for options, refuse := range map[string]struct {
		by   func(*unix.Termios)
		part string
	}{
		"?baud=230400": {func(t *unix.Termios) { t.Ospeed = 9600 }, "refuses 230400 baud (it made it 9600)"},
		"?mode=8m1":    {func(t *unix.Termios) { t.Cflag &^= unix.CMSPAR }, "refuses parity m"},
		"?mode=7n1":    {func(t *unix.Termios) { t.Cflag |= unix.CS8 }, "refuses 7 data bits"},
		"?mode=8n2":    {func(t *unix.Termios) { t.Cflag &^= unix.CSTOPB }, "refuses 2 stop bits"},
		"?flow=rtscts": {func(t *unix.Termios) { t.Cflag &^= unix.CRTSCTS }, "refuses flow control rtscts"},
		"?baud=115200": {func(t *unix.Termios) { t.Ospeed = 115384 }, ""}, // near enough
	} {
		d := newFakeDriver()
		d.refuse = refuse.by
		_, _, err := fakeSerial(t, options, d)
		if refuse.part == "" && err != nil || refuse.part != "" && (err == nil || !strings.Contains(err.Error(), refuse.part)) {
			t.Errorf("%s: %v; want %q", options, err, refuse.part)
		}
	}
}

// A line that the driver does not take whole is as it was.
func TestARefusedSettingChangesNothing(t *testing.T) {
	d := newFakeDriver()
	p := mustFakeSerial(t, "?baud=57600", d)
	before, err := p.Line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.refuse = func(t *unix.Termios) { t.Cflag |= unix.CS8 }
	d.mu.Unlock()
	if err := p.SetLine(t.Context(), mustLine(t, "9600e71")); err == nil || !strings.Contains(err.Error(), "refuses 7 data bits") {
		t.Errorf("7 data bits: %v", err)
	}
	if now, err := p.Line(t.Context()); err != nil || now != before {
		t.Errorf("the line is %v now, %v; it was %v", now, err, before)
	}
}
