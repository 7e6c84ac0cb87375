package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var telnetLayer = &layerDef{
	name: "telnet",
	// Package chardev acts on it: the client is a person, and is told what happens.
	options: []optionDef{{name: "notices", check: isBool}},
	client: func(*Env, Address) (Layer, error) {
		return telnetSide(func(under Channel) telnetEnd { return newTelnetClient(under) }), nil
	},
	server: func(*Env, Address) (Layer, error) {
		return telnetSide(func(under Channel) telnetEnd { return newTelnetServer(under) }), nil
	},
}

// A telnetEnd is a channel that a telnet is in.
type telnetEnd interface {
	Channel
	open(context.Context) error
}

func telnetSide(make func(under Channel) telnetEnd) Layer {
	return func(ctx context.Context, under Channel) (Channel, error) {
		c := make(under)
		if err := c.open(ctx); err != nil {
			return nil, err
		}
		return c, nil
	}
}

// telnetGrace is how long a new channel waits for answers to what it asks first.
// Who has not answered by then is served as one that knows no options; what comes
// later still counts.
const telnetGrace = 500 * time.Millisecond

// telnetDrain is how long Close reads what has come already, so that closing does
// not reset the connection and take from the peer what it has not read.
const telnetDrain = 10 * time.Millisecond

var errTelnetFlood = &ioError{"read", errors.New("telnet: the peer asks more than it takes answers")}

// A telnet is what both ends of a telnet stream (RFC 854) have in common.
//
// Both ask for BINARY both ways, so what travels is the bytes as they are, with
// IAC doubled. Who sends WILL BINARY sends so from there on: whoever agrees takes
// it so from there on, and whoever does not is spared the NULs.
//
// Its unusual traits: Read decodes in the caller's buffer and answers commands, so
// a side that never reads never answers; and the stream has no end of its own. As
// with a websocket the reader never writes: see telnetBeside.
type telnet struct {
	layered

	// fixed at construction
	opening []byte        // what is asked first; it ends with the options that both sides ask for
	alive   []byte        // answers AYT
	com     comPort       // nil: no RFC 2217
	naws    func() []byte // tells this side's window, nil if it is not known; nil: there is none

	read    sync.Mutex // owns the reading side, also while it waits
	options telnetOptions
	dec     telnetDecoder
	early   []byte      // read from below and not decoded yet
	first   []byte      // decoded while it was opened
	kept    telnetEvent // to be told behind what Read returned last
	err     error       // why nothing more can be read

	sendsWindow atomic.Bool // NAWS is agreed on, for this side
	namesType   atomic.Bool // TTYPE is agreed on, for the peer

	notify   notifying
	windowMu sync.Mutex
	window   Event // what the peer told last; Kind 0: nothing

	// The lock is the order of what is sent, so it is held while one waits. Close
	// gets it, because its deadline ends the waiting.
	write sync.Mutex
	enc   telnetEncoder

	beside telnetBeside
}

// A comPort is what speaks RFC 2217 in a telnet's subnegotiations. Its methods are
// called from within Read, with no lock held.
type comPort interface {
	// agreed is called each time when the peer agrees to COM-PORT-OPTION.
	agreed()
	// refused is called when the peer refuses it.
	refused()
	// command is called with each subnegotiation: the command and its value.
	command(sub []byte)
	// stop ends what waits. It is called by Close.
	stop()
}

// open asks for the options and waits a little for the answers. On error the
// channel below is closed.
func (c *telnet) open(ctx context.Context) error {
	if err := closeWhenDone(ctx, c.under, c.settle); err != nil {
		c.Close()
		return fmt.Errorf("telnet: %w", err)
	}
	return nil
}

// settle sends what is asked first, and reads until all of that is answered, the
// peer says something else, or time is up.
func (c *telnet) settle() error {
	if _, err := c.under.Write(c.opening); err != nil {
		return err
	}
	c.under.SetReadDeadline(time.Now().Add(telnetGrace))
	buf := make([]byte, 512)
	for c.first == nil && c.kept.command == 0 && !c.options.settled() {
		n, ev, err := c.readOnce(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.under.SetReadDeadline(time.Time{})
		case err == io.EOF:
			return fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return err
		case n > 0:
			c.first = bytes.Clone(buf[:n])
		case ev.command == telnetBRK || ev.command == telnetSB && ev.option == telnetComPort:
			c.kept = ev // for whoever is to be told, who is not there yet
		case ev.command != 0:
			c.happened(ev)
		}
	}
	return c.under.SetReadDeadline(time.Time{})
}

// Read reads into p and decodes there.
//
//  1. fill: raw bytes into p, from below (or what is left in early)
//  2. decode: data to the front of p, up to a command that others are to be told
//  3. return the data; tell the command; or go on if there was neither
func (c *telnet) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, ev, err := c.readOnce(p)
		if ev.command != 0 {
			c.happened(ev)
			continue
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readOnce does steps 1 and 2 once. It returns at most one of its three.
func (c *telnet) readOnce(p []byte) (n int, ev telnetEvent, err error) {
	c.read.Lock()
	defer c.read.Unlock()
	switch {
	case c.closed.Load():
		return 0, ev, net.ErrClosed
	case len(c.first) > 0:
		n = copy(p, c.first)
		c.first = c.first[n:]
		return n, ev, nil
	case c.kept.command != 0:
		ev, c.kept = c.kept, ev
		return 0, ev, nil
	case c.err != nil:
		return 0, ev, c.err
	}
	raw := c.early
	if len(raw) == 0 {
		if raw, err = c.fill(p); err != nil {
			return 0, ev, err
		}
	}
	used := 0
	for room := min(len(raw), len(p)); used < room && ev.command == 0 && c.err == nil; {
		m, u, happened := c.dec.next(p[n:], raw[used:room])
		n += m
		used += u
		ev = c.control(happened)
	}
	c.keep(raw[used:])
	if n > 0 {
		c.kept = ev // first what came before it
		return n, telnetEvent{}, nil
	}
	return 0, ev, nil
}

// fill reads raw bytes into p and returns them.
func (c *telnet) fill(p []byte) ([]byte, error) {
	n, err := c.under.Read(p)
	switch {
	case n > 0: // an error comes again
		return p[:n], nil
	case c.closed.Load():
		return nil, net.ErrClosed
	}
	return nil, plain("read", err)
}

// keep keeps what is not decoded yet, which may lie in the caller's buffer.
func (c *telnet) keep(raw []byte) {
	switch {
	case len(raw) == 0:
		c.early = nil
	case len(c.early) > 0: // it is the end of that
		c.early = raw
	default:
		c.early = bytes.Clone(raw)
	}
}

// happened tells others of a command. No lock is held.
func (c *telnet) happened(ev telnetEvent) {
	switch {
	case ev.command == telnetBRK:
		c.notify.tell(Event{Kind: EventBreak})
	case ev.command == telnetWILL || ev.command == telnetDO:
		c.com.agreed()
	case ev.command == telnetWONT || ev.command == telnetDONT:
		c.com.refused()
	case ev.option == telnetComPort:
		c.com.command(ev.sub)
	case ev.option == telnetNAWS:
		e := Event{Kind: EventWindow, Cols: int(ev.sub[0])<<8 | int(ev.sub[1]), Rows: int(ev.sub[2])<<8 | int(ev.sub[3])}
		c.windowMu.Lock()
		c.window = e
		c.windowMu.Unlock()
		c.notify.tell(e)
	case ev.option == telnetTType:
		c.notify.tell(Event{Kind: EventTerminal, Terminal: string(ev.sub[1:])})
	}
}

// Notify is that of Notifier: breaks, and of a client its window and terminal. A
// window that is known already is told at once.
func (c *telnet) Notify(want EventKind, f func(Event)) {
	c.notify.set(want, f)
	if want&EventTerminal != 0 && c.namesType.Load() {
		c.say(telnetAskType)
	}
	c.windowMu.Lock()
	e := c.window
	c.windowMu.Unlock()
	if e.Kind != 0 {
		c.notify.tell(e)
	}
}

// SendBreak sends IAC BRK, which has no length.
func (c *telnet) SendBreak(ctx context.Context, _ time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.say([]byte{telnetIAC, telnetBRK})
}

// Write sends p.
func (c *telnet) Write(p []byte) (int, error) {
	one := [1][]byte{p}
	n, err := c.Writev(one[:])
	return int(n), err
}

var telnetFrames = sync.Pool{New: func() any { return new(telnetFrame) }}

// telnetMaxSend is how much is encoded at once, in bytes: each of them may become two, and an
// Outbox is to have room for all of that, and for what is said beside it.
const telnetMaxSend = 44 << 10

// Writev sends bufs as Write would send them joined: what needs no encoding goes
// down as it is.
func (c *telnet) Writev(bufs [][]byte) (int64, error) {
	total := SizeOf(bufs)
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.mayWrite(); err != nil || total == 0 {
		return 0, err
	}
	f := telnetFrames.Get().(*telnetFrame)
	defer f.release()
	var done int64
	for {
		n, err := c.send(f, bufs, done, min(total-done, telnetMaxSend))
		done += n
		if err != nil || done == total {
			return done, err
		}
	}
}

// WriteSome makes a telnet a SomeWriter: what needs no encoding goes to the medium in one
// call (measured: in pieces of 64 KiB a fifth of the rate is lost); else it is Writev of
// some of it.
func (c *telnet) WriteSome(bufs [][]byte) (int64, error) {
	total := SizeOf(bufs)
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.mayWrite(); err != nil || total == 0 {
		return 0, err
	}
	if out, ok := c.under.(*Outbox); ok && !slices.ContainsFunc(bufs, c.encodes) {
		n, err := out.WriteUnits(bufs, 1)
		return n, c.wrote(err)
	}
	f := telnetFrames.Get().(*telnetFrame)
	defer f.release()
	return c.send(f, bufs, 0, min(total, telnetMaxSend))
}

// encodes says whether b does not go as it is. The lock is held.
func (c *telnet) encodes(b []byte) bool { return !c.enc.plain(b) }

// mayWrite is before every write, with the lock held.
func (c *telnet) mayWrite() error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if err := c.dead.check(); err != nil {
		return err
	}
	return c.sendBeside()
}

// send writes size bytes of bufs, from skip on. The lock is held.
func (c *telnet) send(f *telnetFrame, bufs [][]byte, skip, size int64) (int64, error) {
	f.payload = SlicesOf(f.payload[:0], bufs, skip, size)
	out := f.encode(&c.enc, f.payload, int(size))
	return c.sendEncoded(out, size)
}

// CloseWrite half-closes the channel below. Answers to commands are lost then.
func (c *telnet) CloseWrite() error { return c.under.CloseWrite() }

// Close sends what is still to be said, unless something is in its way for long,
// and closes the channel below.
func (c *telnet) Close() error {
	return c.close(func() {
		if c.com != nil {
			c.com.stop()
		}
		c.beside.end()
		c.write.Lock()
		c.dead.note(net.ErrClosed)
		healthy := c.dead.check() == net.ErrClosed
		c.write.Unlock()
		if healthy && c.under.CloseWrite() == nil {
			c.drain()
		}
	})
}

// drain reads what has come.
func (c *telnet) drain() {
	c.read.Lock()
	defer c.read.Unlock()
	c.under.SetReadDeadline(time.Now().Add(telnetDrain))
	var buf [1024]byte
	for {
		if _, err := c.under.Read(buf[:]); err != nil {
			return
		}
	}
}
