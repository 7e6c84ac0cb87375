package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// What a serial port has beside the stream.

// LineCounters are what the kernel counted on a port since it was found, in
// 32 bits: what follows 1<<32 - 1 is 0.
type LineCounters struct {
	Frame, Parity     int // bytes that came with such an error
	Overrun           int // bytes that were lost by the hardware
	BufferOverrun     int // bytes that were lost because nobody read them in time
	Break             int
	Received, Sent    int // bytes
	CTS, DSR, RI, DCD int // changes of the modem line
}

// A LineCounter counts what went wrong on its line.
type LineCounter interface {
	// LineCounters is errors.ErrUnsupported where the driver does not count.
	LineCounters() (LineCounters, error)
}

// A HangUpper is a port that can go away.
type HangUpper interface {
	// HungUp says whether the port is gone and that is why the stream has ended:
	// the adapter was unplugged, or somebody hung up the terminal (vhangup(2)).
	HungUp() bool
}

// A PortSharer is a port that other programs can have open as well, without a lock: cat,
// minicom. What comes is then had now by the one, now by the other.
type PortSharer interface {
	// OtherUser is one that has the port open, like "process 4711 (cat)"; "": none is found.
	// It looks at all processes, as far as they may be looked at.
	OtherUser() string
}

// modemBits are the bits of TIOCMGET.
var modemBits = map[ModemLines]int{
	DTR: unix.TIOCM_DTR, RTS: unix.TIOCM_RTS, CTS: unix.TIOCM_CTS, DSR: unix.TIOCM_DSR, RI: unix.TIOCM_RI, DCD: unix.TIOCM_CD,
}

// tiocm is m as the kernel has it, and modemLines the other way.
func tiocm(m ModemLines) (bits int) {
	for line, bit := range modemBits {
		if m&line != 0 {
			bits |= bit
		}
	}
	return bits
}

func modemLines(bits int) (m ModemLines) {
	for line, bit := range modemBits {
		if bits&bit != 0 {
			m |= line
		}
	}
	return m
}

// Line is the configuration in force.
func (p *serialPort) Line(context.Context) (LineConfig, error) {
	t, err := p.drv.termios()
	if err != nil {
		return LineConfig{}, plain("line", err)
	}
	return lineOf(t), nil
}

// KnownLine is that of the driver; of a port that is gone nothing is known.
func (p *serialPort) KnownLine() LineConfig {
	c, _ := p.Line(p.ctx)
	return c
}

// SetLine changes the line at once; bytes that are under way feel it.
func (p *serialPort) SetLine(_ context.Context, c LineConfig) error {
	return plain("line", p.change(c))
}

// Modem is the state of the modem lines; a pty has none.
func (p *serialPort) Modem(context.Context) (ModemLines, error) {
	bits, err := p.drv.modem()
	return modemLines(bits), plain("modem lines", err)
}

// SetModem raises and drops DTR and RTS.
func (p *serialPort) SetModem(_ context.Context, set, clear ModemLines) error {
	if other := (set | clear) &^ (DTR | RTS); other != 0 {
		return fmt.Errorf("modem lines: %v: %w: the other side drives them", other, errors.ErrUnsupported)
	}
	return plain("modem lines", p.drv.setModem(tiocm(set), tiocm(clear)))
}

// LineCounters are those of the kernel.
func (p *serialPort) LineCounters() (LineCounters, error) {
	c, err := p.drv.counters()
	return LineCounters{
		Frame: int(c.Frame), Parity: int(c.Parity), Overrun: int(c.Overrun), BufferOverrun: int(c.BufOverrun), Break: int(c.Break),
		Received: int(c.RX), Sent: int(c.TX), CTS: int(c.CTS), DSR: int(c.DSR), RI: int(c.RI), DCD: int(c.DCD),
	}, plain("counters", err)
}

// OtherUser is that of PortSharer.
func (p *serialPort) OtherUser() string {
	pid := userOf(p.LocalAddr().String())
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf("process %d%s", pid, commandOf(pid))
}

// Purge throws away what the kernel and the hardware have buffered.
func (p *serialPort) Purge(_ context.Context, which Purge) error {
	queue := map[Purge]int{PurgeReceive: unix.TCIFLUSH, PurgeTransmit: unix.TCOFLUSH, PurgeReceive | PurgeTransmit: unix.TCIOFLUSH}
	if which == 0 {
		return nil
	}
	return plain("purge", p.drv.flush(queue[which]))
}

// SendBreak sends a break when what was written before has left; on a line that is
// stopped by its flow control it waits for ctx, or for the other side. One break
// comes after the other. A pty has none.
func (p *serialPort) SendBreak(ctx context.Context, d time.Duration) error {
	if p.pty {
		return fmt.Errorf("break: %w: a pty has none", errors.ErrUnsupported)
	}
	if !p.begin() {
		return net.ErrClosed
	}
	defer p.waits.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	if err := p.breakFor(ctx, cmp.Or(d, usualBreak)); p.ctx.Err() != nil {
		return net.ErrClosed
	} else if err != nil {
		return plain("break", err)
	}
	return nil
}

func (p *serialPort) breakFor(ctx context.Context, d time.Duration) error {
	select {
	case p.breaking <- struct{}{}:
		defer func() { <-p.breaking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.drv.startBreak(ctx); err != nil {
		p.drv.endBreak() // it may have begun before ctx ended
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	var err error
	select {
	case <-t.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, p.drv.endBreak())
}

// Notify tells of breaks, damaged bytes and modem lines. While modem lines are
// wanted, and the port has some, a thread waits for them (TIOCMIWAIT). Close waits
// for an f that is told of them.
func (p *serialPort) Notify(want EventKind, f func(Event)) {
	if f == nil {
		want = 0
	}
	var now modemState
	if want&EventModem != 0 {
		var err error
		if now, err = p.modemState(); err != nil {
			want &^= EventModem // there are none, or the port is gone
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want, p.notify = want, f
	switch {
	case want&EventModem == 0 && p.watching != nil:
		p.watching()
		p.watching = nil
	case want&EventModem != 0 && p.watching == nil && !p.closed:
		var ctx context.Context
		ctx, p.watching = context.WithCancel(p.ctx)
		p.waits.Go(func() { p.watchModem(ctx, now) })
	}
}

// tell tells of an event, if it is wanted.
func (p *serialPort) tell(e Event) {
	p.mu.Lock()
	want, f := p.want, p.notify
	p.mu.Unlock()
	if want&e.Kind != 0 {
		f(e)
	}
}

func (p *serialPort) wants(kind EventKind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want&kind != 0
}

// watchModem tells of changes of the lines that the other side drives, since was,
// until ctx ends. Notify starts it, Close waits for it.
//
// The counters, where the driver has some, show those that went and came back
// again before anybody looked. The driver waits for what changes from then on, so
// a change within the few microseconds between looking and waiting is told with
// the next one.
func (p *serialPort) watchModem(ctx context.Context, was modemState) {
	const others = unix.TIOCM_CTS | unix.TIOCM_DSR | unix.TIOCM_RI | unix.TIOCM_CD
	for {
		is, err := p.modemState()
		if err != nil || ctx.Err() != nil {
			return
		}
		changed := is.since(was)
		was = is
		if changed != 0 {
			p.tell(Event{Kind: EventModem, Modem: is.lines, Changed: changed})
			continue // telling took its time
		}
		if err := p.drv.awaitModem(ctx, others); err != nil {
			return // ctx ended, the port is gone, or its driver cannot wait
		}
	}
}

// A modemState is the modem lines and how often they have changed.
type modemState struct {
	lines ModemLines
	count serialCounters
}

func (p *serialPort) modemState() (modemState, error) {
	bits, err := p.drv.modem()
	count, cerr := p.drv.counters()
	if cerr != nil && !errors.Is(cerr, errors.ErrUnsupported) {
		err = errors.Join(err, cerr)
	}
	return modemState{modemLines(bits), count}, err
}

// since is which lines of the other side have changed since was.
func (s modemState) since(was modemState) ModemLines {
	changed := (s.lines ^ was.lines) &^ (DTR | RTS)
	for line, differs := range map[ModemLines]bool{
		CTS: s.count.CTS != was.count.CTS, DSR: s.count.DSR != was.count.DSR,
		RI: s.count.RI != was.count.RI, DCD: s.count.DCD != was.count.DCD,
	} {
		if differs {
			changed |= line
		}
	}
	return changed
}

// tellMark tells of the mark that comes before the next byte. Called by Read.
func (p *serialPort) tellMark() {
	m := p.due
	p.due = noMark
	switch {
	case m == breakMark:
		p.tell(Event{Kind: EventBreak})
	case m == errorMark && p.wants(EventErrors):
		p.tell(Event{Kind: EventErrors, Errors: p.lineErrors()})
	}
}

// lineErrors is what has gone wrong since it was asked last, by the counters; a
// driver without them is taken to have a parity error, if there is parity.
func (p *serialPort) lineErrors() (e LineErrors) {
	was := p.last
	if c, err := p.drv.counters(); err == nil {
		p.last = c
	}
	c := p.last
	if c.Parity != was.Parity {
		e |= ParityError
	}
	if c.Frame != was.Frame {
		e |= FramingError
	}
	if c.Overrun != was.Overrun || c.BufOverrun != was.BufOverrun {
		e |= OverrunError
	}
	if e != 0 {
		return e
	}
	if l, err := p.Line(p.ctx); err == nil && l.Parity != ParityNone {
		return ParityError
	}
	return FramingError
}

// keepRest keeps what of src is behind a mark for the next Read. It is in the
// caller's buffer if it was read just now.
func (p *serialPort) keepRest(src []byte, used int) {
	if len(p.left) > 0 { // src is the beginning of left
		p.left = p.left[used:]
	} else if used < len(src) {
		p.left = append([]byte(nil), src[used:]...)
	}
	if len(p.left) == 0 {
		p.left = nil
	}
}
