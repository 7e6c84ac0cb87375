package channel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// events collects what a channel tells beside the stream.
func events(t *testing.T, ch Channel, want EventKind) <-chan Event {
	t.Helper()
	c := make(chan Event, 100)
	mustAs[Notifier](t, ch).Notify(want, func(e Event) { c <- e })
	return c
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(watchdog):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestSerialOptions(t *testing.T) {
	for options, want := range map[string]LineConfig{
		"":                                    {115200, 8, ParityNone, StopOne, FlowNone},
		"?baud=9600&mode=7e1":                 {9600, 7, ParityEven, StopOne, FlowNone},
		"?baud=9600":                          {9600, 8, ParityNone, StopOne, FlowNone},
		"?baud=57600o72&flow=xonxoff":         {57600, 7, ParityOdd, StopTwo, FlowXONXOFF},
		"?mode=9600,8N1":                      {9600, 8, ParityNone, StopOne, FlowNone},
		"?baud=31250&mode=5m1.5&flow=rtscts":  {31250, 5, ParityMark, StopOneHalf, FlowRTSCTS},
		"?baud=115200n81&dtr=off&rts=on":      {115200, 8, ParityNone, StopOne, FlowNone},
		"?rs485=on&rs485_before=5ms&mode=8e1": {115200, 8, ParityEven, StopOne, FlowNone},
		"?hold=true&exclusive=false":          {115200, 8, ParityNone, StopOne, FlowNone},
		"?hangup=false":                       {115200, 8, ParityNone, StopOne, FlowNone},
	} {
		a, err := ParseAddress("serial:/dev/ttyS9" + options)
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if c, err := newSerialConfig(a); err != nil || c.line != want {
			t.Errorf("%s is %+v, %v; want %+v", options, c.line, err, want)
		}
	}
	if _, err := ParseAddress("serial:/dev/ttyS9?baud=fast&mode=8x1"); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("two mistakes are told as %v", err)
	}
	for address, part := range map[string]string{
		"serial:":                                   "the path of a serial port",
		"serial:/dev/ttyS9?baud=fast":               "option baud",
		"serial:/dev/ttyS9?baud=8n1":                "does not say a speed",
		"serial:/dev/ttyS9?mode=9600":               "does not say a mode",
		"serial:/dev/ttyS9?baud=9600n81&mode=8n1":   "twice",
		"serial:/dev/ttyS9?mode=8n1.5":              "1.5 go with 5 data bits",
		"serial:/dev/ttyS9?mode=5n2":                "1.5 go with 5 data bits",
		"serial:/dev/ttyS9?flow=hard":               "option flow",
		"serial:/dev/ttyS9?dtr=up":                  "on or off",
		"serial:/dev/ttyS9?flow=rtscts&rts=off":     "contradicts",
		"serial:/dev/ttyS9?flow=rtscts&rs485=on":    "choose one",
		"serial:/dev/ttyS9?rs485=on&rts=on":         "contradicts",
		"serial:/dev/ttyS9?rs485_before=5ms":        "without rs485",
		"serial:/dev/ttyS9?rs485=on&rs485_after=1s": "100ms at most",
		"serial:/dev/ttyS9?hold=true&hangup=true":   "contradicts",
		"serial:/dev/ttyS9?vid=0403":                "serial:usb only",
		"serial:usb":                                "which adapter",
		"serial:usb?vid=403":                        "four hexadecimal digits",
		"serial:usb?vid=0x403":                      "four hexadecimal digits",
		"serial:usb?interface=256":                  "0 to 255",
		"serial:/dev/ttyS9?bauds=9600":              `did you mean "baud"`,
	} {
		if _, err := ParseAddress(address); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v; want something about %q", address, err, part)
		}
	}
	a := MustParseAddress("serial:usb?vid=0403&pid=6001&serial=A5&interface=0")
	if a.In("/etc").String() != a.String() || a.File() != "" {
		t.Errorf("usb is taken for a path: %s, %q", a.In("/etc"), a.File())
	}
	if f := MustParseAddress("serial:./usb").In("/etc").File(); f != "/etc/usb" {
		t.Errorf("./usb is %q", f)
	}
}

// dialSerialPTY opens the slave of a new pty as a serial port.
func dialSerialPTY(t *testing.T, options string) (*serialPort, *ptyPair) {
	t.Helper()
	pair, slave, err := openPty()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pair.close)
	ch, err := Dial(t.Context(), MustParseAddress("serial:"+pair.name+options))
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Close() })
	ch.SetDeadline(time.Now().Add(watchdog))
	return ch.(*serialPort), pair
}

// The kernel's terminal has what the address says, and a line can be changed while
// it is open.
func TestSerialSettings(t *testing.T) {
	noLeaks(t)
	p, pair := dialSerialPTY(t, "?baud=9600&flow=xonxoff")
	kernel := func() *unix.Termios {
		t.Helper()
		tio, err := unix.IoctlGetTermios(pair.fd, getTermios2)
		if err != nil {
			t.Fatal(err)
		}
		return tio
	}
	tio := kernel()
	if tio.Ospeed != 9600 || tio.Cflag&unix.CBAUD != unix.B9600 || tio.Iflag&unix.IXON == 0 || tio.Cflag&unix.HUPCL == 0 || tio.Lflag != 0 || tio.Oflag != 0 {
		t.Errorf("9600 8n1 xonxoff is %+v", tio)
	}
	for _, baud := range []int{74880, 115200, 31250, 50, 4000000} {
		if err := p.SetLine(t.Context(), LineConfig{Baud: baud}); err != nil {
			t.Errorf("%d baud: %v", baud, err)
		}
		if tio := kernel(); int(tio.Ospeed) != baud {
			t.Errorf("%d baud is %d", baud, tio.Ospeed)
		}
	}
	if err := p.SetLine(t.Context(), LineConfig{Flow: FlowNone, StopBits: StopTwo}); err != nil {
		t.Error(err)
	}
	want := LineConfig{4000000, 8, ParityNone, StopTwo, FlowNone}
	if c, err := p.Line(t.Context()); err != nil || c != want {
		t.Errorf("the line is %v, %v; want %v", c, err, want)
	}
	// The driver of ptys has no other than 8 data bits, and says so by what it makes
	// of 7.
	if err := p.SetLine(t.Context(), LineConfig{DataBits: 7}); err == nil || !strings.Contains(err.Error(), "refuses 7 data bits") {
		t.Errorf("7 data bits on a pty: %v", err)
	}
	if _, err := p.Modem(t.Context()); !isUnsupported(err) {
		t.Errorf("modem lines of a pty: %v", err)
	}
	if err := p.SetModem(t.Context(), DTR, 0); !isUnsupported(err) {
		t.Errorf("DTR of a pty: %v", err)
	}
	if err := p.SendBreak(t.Context(), 0); !isUnsupported(err) {
		t.Errorf("a break on a pty: %v", err)
	}
	if _, err := p.LineCounters(); !isUnsupported(err) {
		t.Errorf("counters of a pty: %v", err)
	}
}

func TestPurge(t *testing.T) {
	p, pair := dialSerialPTY(t, "")
	unix.Write(pair.fd, []byte("gone"))
	if err := p.Purge(t.Context(), PurgeReceive|PurgeTransmit); err != nil {
		t.Fatal(err)
	}
	unix.Write(pair.fd, []byte("there"))
	want(t, p, "there")
}

// Errors say what to do. The device is named by who knows the address.
func TestSerialErrors(t *testing.T) {
	dir := t.TempDir()
	plainFile := filepath.Join(dir, "file")
	if err := os.WriteFile(plainFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for where, part := range map[string]string{
		"/dev/ttyUSB99": "is it plugged in?",
		plainFile:       "no serial port",
		dir:             "is a directory",
		"/dev/null":     "no serial port",
	} {
		_, err := Dial(t.Context(), MustParseAddress("serial:"+where))
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v; want %q", where, err, part)
		}
	}
	if err := serialOpenError("/dev/ttyUSB0", syscall.EACCES); !strings.Contains(err.Error(), "dialout") {
		t.Errorf("without permission: %v", err)
	}
}

// One port, one user: the second one is told who the first is.
func TestSerialIsExclusive(t *testing.T) {
	noLeaks(t)
	p, pair := dialSerialPTY(t, "")
	for _, options := range []string{"", "?baud=300"} {
		_, err := Dial(t.Context(), MustParseAddress("serial:"+pair.name+options))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid())) {
			t.Errorf("in use: %v", err)
		}
	}
	if c, err := p.Line(t.Context()); err != nil || c.Baud != 115200 {
		t.Errorf("the second one changed the line of the first to %v, %v", c, err)
	}
	p2, err := Dial(t.Context(), MustParseAddress("serial:"+pair.name+"?exclusive=false"))
	if err != nil {
		t.Fatalf("exclusive=false: %v", err)
	}
	p2.Close()
	p.Close()
	if p, err := Dial(t.Context(), MustParseAddress("serial:"+pair.name)); err != nil {
		t.Errorf("after the first one's Close: %v", err)
	} else {
		p.Close()
	}
}

// A program that has the port open without a lock, as cat and minicom have, is told.
func TestSerialIsShared(t *testing.T) {
	p, pair := dialSerialPTY(t, "")
	sharer := mustAs[PortSharer](t, p)
	if got := sharer.OtherUser(); got != "" {
		t.Errorf("nobody else has it, and %s has", got)
	}
	tty, err := os.OpenFile(pair.name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	other := exec.Command("sleep", "1000")
	other.Stdin = tty
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if got, want := sharer.OtherUser(), fmt.Sprintf("process %d (sleep)", other.Process.Pid); got != want {
		t.Errorf("%q has it, want %s", got, want)
	}
	other.Process.Kill()
	other.Wait()
	if got := sharer.OtherUser(); got != "" {
		t.Errorf("nobody else has it any more, and %s has", got)
	}
}

// A port with hold=true stays open from one channel to the next: nobody else gets
// it, and its line keeps its state.
func TestSerialIsHeld(t *testing.T) {
	noLeaks(t)
	p, pair := dialSerialPTY(t, "?hold=true")
	address := MustParseAddress("serial:" + pair.name + "?hold=true&baud=300")
	p.Close()
	fd, ok := held.fds[pair.name]
	if !ok {
		t.Fatal("it is not held")
	}
	if tio, err := unix.IoctlGetTermios(fd, getTermios2); err != nil || tio.Cflag&unix.HUPCL != 0 {
		t.Errorf("closing would hang up: %+v, %v", tio, err)
	}
	ch, err := Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if len(held.fds) > 0 {
		t.Error("it is held and used")
	}
	unix.Write(pair.fd, []byte("here"))
	want(t, ch, "here")
	ch.Close()
	// When it is gone it is not held on to: the adapter's number is free again.
	pair.close()
	if _, err := Dial(t.Context(), address); err == nil {
		t.Error("a port that is gone was opened")
	}
	if len(held.fds) > 0 {
		t.Error("a port that is gone is held")
	}
}

// A hang-up is the end of the stream, at once, and known as such.
func TestSerialHangsUp(t *testing.T) {
	p, pair := dialSerialPTY(t, "")
	if p.HungUp() {
		t.Error("hung up already")
	}
	done := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 1)); done <- err }()
	pair.close()
	if err := next(t, done); err != io.EOF {
		t.Errorf("the read ends with %v", err)
	}
	if !p.HungUp() {
		t.Error("not known as a hang-up")
	}
	if _, err := p.Write([]byte("x")); err == nil {
		t.Error("writing goes on")
	}
}

// Ports that say nothing cost no threads, and each is closed at once.
func TestSilentPortsCostNoThreads(t *testing.T) {
	noLeaks(t)
	const n = 64
	var ports []*serialPort
	for range n {
		p, _ := dialSerialPTY(t, "")
		ports = append(ports, p)
	}
	before := threads(t)
	var reading sync.WaitGroup
	for _, p := range ports {
		reading.Go(func() {
			if _, err := p.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a silent port: %v", err)
			}
		})
	}
	// By the time that a byte has come through another one, they wait.
	p, pair := dialSerialPTY(t, "")
	unix.Write(pair.fd, []byte("x"))
	want(t, p, "x")
	if now := threads(t); now > before+n/4 {
		t.Errorf("%d threads before, %d while %d ports are read", before, now, n)
	}
	start := time.Now()
	for _, p := range ports {
		p.Close()
	}
	reading.Wait()
	if took := time.Since(start); took > watchdog/2 {
		t.Errorf("%d silent ports were closed in %v", n, took)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
