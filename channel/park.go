package channel

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// What is open can be parked: its user gives it up, its peer sees nothing of that,
// and whoever has the descriptors and the same address goes on with it. That is
// how a daemon is replaced by its successor, who may be the same process after
// execve(2). The kernel holds meanwhile what comes.

// A Parked is a channel or a listener that was parked. It owns descriptors until it
// is adopted or dropped.
type Parked struct {
	FDs []int `json:"fds,omitempty"` // close-on-exec; whoever moves them to another process sees to it that they are the same there

	Unsent []byte `json:"unsent,omitempty"` // was written to an Outbox; the medium has not taken it
	Unread []byte `json:"unread,omitempty"` // was read from the medium, and by nobody from the channel

	Name    string `json:"name,omitempty"`    // of a pty's slave, of a serial device
	PID     int    `json:"pid,omitempty"`     // of a command, which is a child of the process
	Dev     uint64 `json:"dev,omitempty"`     // the node of a UNIX socket that is listened on,
	Ino     uint64 `json:"ino,omitempty"`     // if it has one
	Session bool   `json:"session,omitempty"` // a listener's pty is in the hands of a client, who was parked too
}

// Drop closes what is parked for good.
func (p *Parked) Drop() {
	for _, fd := range p.FDs {
		unix.Close(fd)
	}
	p.FDs = nil
}

// A Parker can be parked. Park is called in place of Close, which may follow and does
// nothing more. Of a channel nobody reads or writes any more, and nobody will; only an
// Outbox may be writing. A listener hands out what it has accepted already. On error
// it is closed.
//
// The session of a pty that is listened on is parked with its listener, which is to be
// parked too: it has the descriptors of both, and waits for the session to be parked.
type Parker interface {
	Park() (*Parked, error)
}

// Parks says whether what the address opens or accepts can be parked: the transport
// alone can, as a layer has a state that nobody else can go on with.
func (a Address) Parks() bool {
	t, ok := transportNamed(a.Transport)
	return ok && len(a.Layers) == 0 && t.adopt != nil
}

// Park parks a channel, or fails with errors.ErrUnsupported and changes nothing.
func Park(ch Channel) (*Parked, error) {
	if o, ok := ch.(*Outbox); ok {
		return o.park()
	}
	if p, ok := ch.(Parker); ok {
		return p.Park()
	}
	return nil, errors.ErrUnsupported
}

var errNotParked = errors.New("it is not what was parked for this address")

// Adopt goes on with a channel that was parked; the address is the one that it was
// opened by, or accepted at. It owns p from the call on.
func (e *Env) Adopt(a Address, p *Parked) (Channel, error) {
	t, ok := transportNamed(a.Transport)
	if !ok || !a.Parks() {
		p.Drop()
		return nil, errors.ErrUnsupported
	}
	ch, err := t.adopt(a.In(e.Dir), p)
	if err != nil {
		return nil, err
	}
	return e.goOn(ch, p.Unsent)
}

// goOn puts on a channel that was adopted what stands below the layers, and has it
// write what is unsent.
func (e *Env) goOn(ch Channel, unsent []byte) (Channel, error) {
	if e.Below != nil {
		ch = e.Below(ch)
	}
	if _, err := ch.Write(unsent); err != nil {
		ch.Close()
		return nil, err
	}
	return ch, nil
}

// AdoptListener goes on with a listener that was parked; the address is the one that it
// listens on. It owns p from the call on. session is that of a pty, nil if there is none:
// its opener has left.
func (e *Env) AdoptListener(a Address, p *Parked) (l Listener, session Channel, err error) {
	t, ok := transportNamed(a.Transport)
	if !ok || t.adoptListener == nil {
		p.Drop()
		return nil, nil, errors.ErrUnsupported
	}
	ls, err := e.layers(a, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.server })
	if err != nil {
		p.Drop()
		return nil, nil, err
	}
	acc, session, err := t.adoptListener(e, a.In(e.Dir), p)
	if err != nil {
		return nil, nil, err
	}
	if session != nil {
		if session, err = e.goOn(session, nil); err != nil {
			acc.Close()
			return nil, nil, err
		}
	}
	e.Inherited.use(a) // it may be of one of those
	return e.serve(acc, ls), session, nil
}

// Park parks what the transport listens with. Handshakes end, as with Close.
func (s *listener) Park() (*Parked, error) {
	p, ok := s.accepter.(Parker)
	if !ok {
		s.Close()
		return nil, errors.ErrUnsupported
	}
	if s.end(errParked) != nil {
		return nil, plain("park", net.ErrClosed)
	}
	parked, err := p.Park()
	s.wg.Wait()
	return parked, err
}

// errParked is why a listener accepts no more.
var errParked = errors.New("parked")

// park closes the channel and parks another descriptor of the same open file.
func (c *fdChannel) park() (*Parked, error) { return parkIn(c.f, c) }

// parkIn parks another descriptor of what rc is of, and closes c.
func parkIn(rc interface{ Control(func(fd uintptr)) error }, c io.Closer) (*Parked, error) {
	fd, err := dupIn(rc)
	c.Close()
	if err != nil {
		return nil, plain("park", err)
	}
	return &Parked{FDs: []int{fd}}, nil
}

// dupIn returns another descriptor, close-on-exec, of what rc is of.
func dupIn(rc interface{ Control(func(fd uintptr)) error }) (fd int, err error) {
	if cerr := rc.Control(func(own uintptr) { fd, err = dup(int(own)) }); cerr != nil {
		return -1, cerr
	}
	return fd, err
}

// park parks the channel below; what it has not taken is part of that.
func (o *Outbox) park() (*Parked, error) {
	p, ok := o.under.(Parker)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	o.mu.Lock()
	o.held, o.parking = true, true
	o.mu.Unlock()
	o.under.SetWriteDeadline(longAgo) // frees flush
	o.flushing.Wait()
	o.mu.Lock()
	left := o.left
	o.left, o.err = nil, net.ErrClosed
	if o.drained != nil {
		close(o.drained)
		o.drained = nil
	}
	o.kept.Store(0)
	o.mu.Unlock()
	parked, err := p.Park()
	if err != nil {
		o.kept.Store(int64(len(left))) // the medium never will take it
		return nil, err
	}
	parked.Unsent = left
	return parked, nil
}

// oneFD takes the one descriptor that is parked. On error all are closed.
func oneFD(p *Parked) (int, error) {
	if len(p.FDs) != 1 {
		p.Drop()
		return -1, errNotParked
	}
	fd := p.FDs[0]
	p.FDs = nil
	return fd, nil
}

// oneFile is oneFD for who wants a file.
func oneFile(p *Parked, name string) (*os.File, error) {
	fd, err := oneFD(p)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Park makes a tty a Parker.
func (t *tty) Park() (*Parked, error) { return t.park() }

func adoptPty(a Address, p *Parked) (Channel, error) {
	fd, err := oneFD(p)
	if err != nil {
		return nil, err
	}
	return newPty(fd, a), nil
}

// adoptTTY goes on with a terminal, whose settings are as they were left.
func adoptTTY(p *Parked, at addr) (*tty, error) {
	f, err := oneFile(p, at.where)
	if err != nil {
		return nil, err
	}
	c, err := newFD(f, at)
	if err != nil {
		return nil, err
	}
	return &tty{c}, nil
}

// Park parks a port, whose line stays as it is. A break that is being sent ends.
func (p *serialPort) Park() (parked *Parked, err error) {
	err = net.ErrClosed // unless this is what closes it
	p.closing.Do(func() {
		p.endWaits()
		p.read.Lock()
		defer p.read.Unlock()
		if parked, err = p.tty.Park(); err == nil {
			parked.Name, parked.Unread = p.LocalAddr().String(), p.undecoded()
		}
	})
	return parked, err
}

// undecoded is what was read and not returned, as the terminal gave it. Called with
// read held. (Behind a mark that was told already the byte is left that it is about: the
// mark is told once more.)
func (p *serialPort) undecoded() []byte {
	var b []byte
	switch {
	case p.due == breakMark:
		b = append(b, 0xFF, 0, 0)
	case p.marks.state == markByte:
		b = append(b, 0xFF)
	case p.marks.state != markNone:
		b = append(b, 0xFF, 0)
	}
	return append(b, p.left...)
}

func adoptSerial(a Address, parked *Parked) (Channel, error) {
	cfg, err := newSerialConfig(a)
	if err != nil {
		parked.Drop()
		return nil, err
	}
	t, err := adoptTTY(parked, addr{"serial", parked.Name})
	if err != nil {
		return nil, about(a, parked.Name, err)
	}
	p := newSerialPort(t, ioctls{t.f}, cfg)
	p.held, p.left = serialName(a), parked.Unread
	if c, err := p.drv.counters(); err == nil {
		p.last = c
	}
	return p, nil
}
