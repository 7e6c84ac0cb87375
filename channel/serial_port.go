package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A serialPort is a serial port that is open. Beside the stream it is a Line, a
// Breaker, a Purger and a Notifier.
type serialPort struct {
	*tty
	drv  serialDriver
	cfg  serialConfig
	held string // the name under which it is held after Close, if cfg.hold; fixed by who opens it
	pty  bool

	gone atomic.Bool // it was hung up

	read  sync.Mutex // owns the reading side, also while it waits
	marks parmrk
	left  []byte         // was read together with a mark, and is behind it
	due   mark           // comes before the next byte
	last  serialCounters // when damaged bytes were told last

	setting  sync.Mutex    // settings are read, changed and written back
	breaking chan struct{} // has a value while a break is sent

	ctx    context.Context // ends with Close, before the descriptor
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool           // nothing begins to wait in the driver any more
	waits    sync.WaitGroup // for what waits in the driver
	want     EventKind
	notify   func(Event)
	watching context.CancelFunc // of the modem lines; nil: nobody does

	closing  sync.Once
	closeErr error
}

// newSerialPort makes a port of a tty, as yet unset. It owns t.
func newSerialPort(t *tty, d serialDriver, cfg serialConfig) *serialPort {
	p := &serialPort{tty: t, drv: d, cfg: cfg, breaking: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	t.f.Control(func(fd uintptr) { p.pty = isPTY(int(fd)) })
	return p
}

// configure sets all that the address says.
func (p *serialPort) configure() error {
	if err := p.change(p.cfg.line, makeRaw, p.setHangup); err != nil {
		return err
	}
	if p.cfg.rs485 != nil {
		c := *p.cfg.rs485
		if err := p.drv.setRS485(&c); err != nil {
			return fmt.Errorf("rs485: %w", err)
		}
		if c.flags != p.cfg.rs485.flags {
			return errors.New("rs485: the driver cannot do it so: try rs485=on, without rs485_echo")
		}
	}
	if p.cfg.set|p.cfg.clear != 0 {
		if err := p.drv.setModem(tiocm(p.cfg.set), tiocm(p.cfg.clear)); err != nil {
			return fmt.Errorf("dtr and rts: %w", err)
		}
	}
	if c, err := p.drv.counters(); err == nil {
		p.last = c
	}
	// The flag of a pty outlives a daemon that is killed.
	if p.cfg.exclusive && !p.pty {
		if err := p.drv.setExclusive(true); err != nil {
			return fmt.Errorf("TIOCEXCL: %w", err)
		}
	}
	return nil
}

// setHangup has the last close of the port drop DTR and RTS, or not.
func (p *serialPort) setHangup(t *unix.Termios) {
	t.Cflag &^= unix.HUPCL
	if p.cfg.hangup {
		t.Cflag |= unix.HUPCL
	}
}

// change sets what is not zero in c, and what more wants, and looks whether the
// driver did it. If that did not do all of it then it is as it was before.
func (p *serialPort) change(c LineConfig, more ...func(*unix.Termios)) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	t, err := p.drv.termios()
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	before := *t
	if err := setLine(t, c); err != nil {
		return err
	}
	for _, f := range more {
		f(t)
	}
	if err := p.drv.setTermios(t); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if t, err = p.drv.termios(); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if err := checkLine(c, lineOf(t)); err != nil {
		_ = p.drv.setTermios(&before) // Line tells if that failed
		return err
	}
	return nil
}

// Read takes the marks out of the stream and tells of them where they stood.
func (p *serialPort) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.read.Lock()
	defer p.read.Unlock()
	for {
		p.tellMark()
		src := p.left
		if len(src) == 0 {
			n, err := p.tty.Read(b)
			if err != nil {
				if err == io.EOF {
					p.gone.Store(true)
				}
				return 0, err
			}
			src = b[:n]
		}
		src = src[:min(len(src), len(b))]
		n, used, m := p.marks.decode(b, src)
		p.keepRest(src, used)
		p.due = m
		if n > 0 {
			return n, nil
		}
	}
}

// CloseWrite fails: a serial line has no half close.
func (p *serialPort) CloseWrite() error { return errors.ErrUnsupported }

// HungUp says whether the port is gone.
func (p *serialPort) HungUp() bool { return p.gone.Load() }

// begin says that something is going to wait in the driver, until waits.Done. It is
// false after Close.
func (p *serialPort) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.waits.Add(1)
	}
	return !p.closed
}

// serialLinger is how long Close lets what was written leave the port. What a line
// that is stopped by its flow control still has then is thrown away: the kernel
// itself would wait for it up to 30 s (closing_wait of setserial(8)).
const serialLinger = time.Second

// Close ends breaks and watches, frees who reads and writes, and closes or holds
// the port. It takes serialLinger at most, and what the driver needs.
func (p *serialPort) Close() error {
	p.closing.Do(func() {
		p.endWaits()
		// Another descriptor, for release, when nobody can read and write any more.
		own, err := dupIn(p.f)
		if err != nil { // for want of descriptors; then without linger
			p.drv.flush(unix.TCIOFLUSH)
			p.closeErr = p.tty.Close()
			return
		}
		p.closeErr = p.tty.Close()
		p.release(own)
	})
	return p.closeErr
}

// endWaits ends what waits in the driver, for ever.
func (p *serialPort) endWaits() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.waits.Wait()
}

// release closes the port, whose last descriptor is fd, or holds it.
func (p *serialPort) release(fd int) {
	d := ioctls{plainFD(fd)}
	ctx, cancel := context.WithTimeout(context.Background(), serialLinger)
	defer cancel()
	d.drain(ctx)
	d.flush(unix.TCIOFLUSH)
	if p.cfg.hold && p.held != "" && !hungUp(fd) {
		hold(p.held, fd)
		return
	}
	d.setExclusive(false) // for those who have it open too
	unix.Close(fd)
}
