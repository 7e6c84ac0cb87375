package channel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A fakeDriver is a UART as its driver shows it: it takes all settings but those
// that it is told to refuse, and notes what it was asked to do.
type fakeDriver struct {
	mu      sync.Mutex
	did     []string
	t       unix.Termios
	bits    int
	count   serialCounters
	refuse  func(t *unix.Termios) // changes what it is told; nil: nothing
	stopped bool                  // by the flow control: a break does not begin
	began   chan struct{}         // told when a break has begun, or waits
	changed chan struct{}         // the modem lines did
	waiting chan struct{}         // told when somebody waits for them
	rs485   serialRS485
	no485   uint32 // flags that it does not have
}

func newFakeDriver() *fakeDriver {
	d := &fakeDriver{began: make(chan struct{}, 10), changed: make(chan struct{}, 10), waiting: make(chan struct{}, 10)}
	d.t.Cflag, d.t.Ospeed = unix.CS8|unix.B9600|unix.HUPCL, 9600
	d.bits = unix.TIOCM_DTR | unix.TIOCM_RTS | unix.TIOCM_CTS
	return d
}

func (d *fakeDriver) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.did = append(d.did, what)
}

func (d *fakeDriver) noted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.did)
}

func (d *fakeDriver) termios() (*unix.Termios, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.t
	return &t, nil
}

func (d *fakeDriver) setTermios(t *unix.Termios) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.t = *t
	if d.refuse != nil {
		d.refuse(&d.t)
	}
	return nil
}

func (d *fakeDriver) modem() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bits, nil
}

func (d *fakeDriver) setModem(set, clear int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bits = d.bits&^clear | set
	return nil
}

// move has the other side change its lines, pulses of them that are over included.
func (d *fakeDriver) move(bits int, count serialCounters) {
	d.mu.Lock()
	d.bits, d.count = bits, count
	d.mu.Unlock()
	d.changed <- struct{}{}
}

func (d *fakeDriver) awaitModem(ctx context.Context, of int) error {
	d.waiting <- struct{}{}
	select {
	case <-d.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *fakeDriver) counters() (serialCounters, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count, nil
}

func (d *fakeDriver) startBreak(ctx context.Context) error {
	d.note("break")
	d.began <- struct{}{}
	if d.stopped {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (d *fakeDriver) endBreak() error { d.note("no break"); return nil }

func (d *fakeDriver) setRS485(c *serialRS485) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.flags &^= d.no485
	d.rs485 = *c
	return nil
}

func (d *fakeDriver) drain(context.Context) error { return nil }
func (d *fakeDriver) flush(int) error             { return nil }
func (d *fakeDriver) exclusive() (bool, error)    { return false, nil }

func (d *fakeDriver) setExclusive(on bool) error {
	if on {
		d.note("exclusive")
	}
	return nil
}

// fakeSerial is a port of a fake driver, whose bytes are those of a pty: what is
// typed into the returned master arrives, with marks as typed.
func fakeSerial(t *testing.T, options string, d *fakeDriver) (*serialPort, *ptyPair, error) {
	t.Helper()
	pair, slave, err := openPty()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pair.close)
	control(t, slave, func(fd int) error { return setRaw(fd, unix.TCSETS) })
	fc, err := newFD(slave, addr{"serial", "fake"})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := newSerialConfig(MustParseAddress("serial:/dev/fake" + options))
	if err != nil {
		t.Fatal(err)
	}
	p := newSerialPort(&tty{fc}, d, cfg)
	p.pty = false
	t.Cleanup(func() { p.Close() })
	return p, pair, p.configure()
}

func mustFakeSerial(t *testing.T, options string, d *fakeDriver) *serialPort {
	t.Helper()
	p, _, err := fakeSerial(t, options, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func isUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
