package channel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A duplex is a channel over two descriptors, one for each direction: two pipes, a
// program's standard input and output. The end of the one that writes is a half close.
type duplex struct {
	in, out *fdChannel // fixed
	closed  atomic.Bool
}

// newDuplex is a channel that reads in and writes out, both of which do not block. It
// owns them.
func newDuplex(in, out *os.File, local, remote net.Addr) (*duplex, error) {
	at := endAddrsOf(local, remote, "")
	ic, err := newFD(in, at)
	if err != nil {
		out.Close()
		return nil, err
	}
	oc, err := newFD(out, at)
	if err != nil {
		ic.Close()
		return nil, err
	}
	return &duplex{in: ic, out: oc}, nil
}

// plain is err, unless Close is the cause of it: the two descriptors are closed one
// after the other, and what the peer does about the first comes by the second.
func (d *duplex) plain(err error) error {
	if err != nil && d.closed.Load() {
		return net.ErrClosed
	}
	return err
}

func (d *duplex) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	return n, d.plain(err)
}

func (d *duplex) Write(p []byte) (int, error) {
	n, err := d.out.Write(p)
	return n, d.plain(err)
}

func (d *duplex) Writev(bufs [][]byte) (int64, error) {
	n, err := d.out.Writev(bufs)
	return n, d.plain(err)
}

func (d *duplex) TryWritev(bufs [][]byte) (int64, error) {
	n, err := d.out.TryWritev(bufs)
	return n, d.plain(err)
}

func (d *duplex) Buffered() int               { return d.in.Buffered() }
func (d *duplex) AwaitWrite() error           { return d.plain(d.out.AwaitWrite()) }
func (d *duplex) SetPatience(t time.Duration) { d.out.SetPatience(t) }
func (d *duplex) LocalAddr() net.Addr         { return d.in.LocalAddr() }
func (d *duplex) RemoteAddr() net.Addr        { return d.in.RemoteAddr() }

// Rest makes a duplex a Rester.
func (d *duplex) Rest(wake func()) bool { return d.in.rest.begin(d.in.f, nil, nil, wake) }

// CloseWrite closes the descriptor that writes.
func (d *duplex) CloseWrite() error {
	if err := d.out.dead.check(); err != nil {
		return err
	}
	d.out.dead.note(errShut)
	return d.out.Close()
}

func (d *duplex) Close() error {
	d.closed.Store(true)
	return errors.Join(d.in.Close(), d.out.Close())
}

func (d *duplex) SetDeadline(t time.Time) error {
	return errors.Join(d.SetReadDeadline(t), d.SetWriteDeadline(t))
}

func (d *duplex) SetReadDeadline(t time.Time) error { return d.in.SetReadDeadline(t) }

// SetWriteDeadline changes nothing after a half close: no write waits.
func (d *duplex) SetWriteDeadline(t time.Time) error {
	if errors.Is(d.out.dead.check(), syscall.EPIPE) {
		return nil
	}
	return d.out.SetWriteDeadline(t)
}

// A oneWay is a channel of which one direction is nowhere's.
type oneWay struct {
	at net.Addr
	in interface {
		io.ReadCloser
		SetReadDeadline(time.Time) error
	}
	out interface {
		io.WriteCloser
		TryWriter
		Writev(bufs [][]byte) (int64, error)
		SetWriteDeadline(time.Time) error
	}
}

// nowhere is where nothing comes from, and where what is written vanishes.
func nowhere() *PipeEnd {
	silent, sink := Pipe(1)
	sink.Discard()
	return silent
}

func (o *oneWay) Read(p []byte) (int, error)             { return o.in.Read(p) }
func (o *oneWay) Write(p []byte) (int, error)            { return o.out.Write(p) }
func (o *oneWay) Writev(bufs [][]byte) (int64, error)    { return o.out.Writev(bufs) }
func (o *oneWay) TryWritev(bufs [][]byte) (int64, error) { return o.out.TryWritev(bufs) }
func (o *oneWay) AwaitWrite() error                      { return o.out.AwaitWrite() }
func (o *oneWay) LocalAddr() net.Addr                    { return o.at }
func (o *oneWay) RemoteAddr() net.Addr                   { return o.at }
func (o *oneWay) SetReadDeadline(t time.Time) error      { return o.in.SetReadDeadline(t) }
func (o *oneWay) SetWriteDeadline(t time.Time) error     { return o.out.SetWriteDeadline(t) }

func (o *oneWay) SetDeadline(t time.Time) error {
	return errors.Join(o.SetReadDeadline(t), o.SetWriteDeadline(t))
}

// CloseWrite fails: there is one direction.
func (o *oneWay) CloseWrite() error { return errors.ErrUnsupported }

func (o *oneWay) Close() error { return errors.Join(o.in.Close(), o.out.Close()) }
