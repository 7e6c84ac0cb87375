package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
	"chardevd/chardev/internal/history"
)

// A client is somebody attached: one channel, with its cursor in the history.
type client struct {
	// fixed when it is made
	hub       *hub
	ch        channel.Channel
	frontend  string    // its address, or "attach"
	via       *frontend // it came by; nil: by the API
	who       access.Identity
	peer      string // who and where, for people
	halfClose bool
	attended  bool                // its input is; fixed by serve, and here for room
	guard     *requestGuard       // not nil: cut it if it speaks HTTP
	person    func(Message) error // sends a message in order with the bytes; nil: it is a program
	hello     func(at int64) Message

	// fixed by attach
	id    int
	since time.Time

	// fixed by serve
	out   outlet          // its end is abort, finishTime after going. Before begin: nil, or a *metered to put around it
	tie   tie             // to what it is within
	ended func(why error) // called when it is gone

	pumps sync.WaitGroup
	going ending // its end has come
	mute  latch  // it can be given nothing any more

	cursor   atomic.Int64  // changed under mu
	typed    atomic.Int64  // bytes of its input that the device took
	got      atomic.Int64  // bytes it was given
	missed   atomic.Int64  // bytes it could not have
	refused  atomic.Int64  // bytes of its input that nobody took
	readOnly atomic.Bool   // by its frontend; changed under hub.mu
	rights   atomic.Uint32 // access.Permissions; changed under hub.mu
	owed     atomic.Uint32 // what it is to be told of (hub.owe): owedWriter, owedCount
	counted  int32         // how many it was last told are attached; under hub.mu

	onLag string // changed with mu and hub.mu held

	mu     sync.Mutex // the output; held over writes, which do not wait beyond patience
	pumped bool       // its pump has the cursor, and may be waiting for room or a disk
	reader *history.Reader
	untold int64 // bytes it missed since told
	told   moment
	undone string // what was last told of that is not done beside the bytes

	// owned by read
	in         reading
	unread     []byte // read, and to be given to the device by the daemon's successor
	inputEnded bool   // it said that no more input comes
	lineEnd    bool   // a line feed that comes first is no input
	refusedAt  int64  // the writer.turn in which it was last told that another one has the input

	// guarded by hub.mu
	state       state
	typesNoMore bool  // its input has ended
	borne       bool  // the device's goroutine has patience with it
	ops         int32 // in the second from opsSince (writerOp)
	opsSince    moment
	finishAt    int64
	turn        turn
	hasty       moment // no patience with it before
}

// chunkMax is how much a pump gives at once.
const chunkMax = 4 * channel.Segment

// finishTime is how long a client whose end has come gets for what was
// published before.
const finishTime = time.Second

var (
	errLagged   = errors.New("it fell too far behind (on_lag = close)")
	errShutdown = errors.New("chardevd is going down")
	errNoRoom   = errors.New("the client takes nothing any more")
)

func (c *client) String() string {
	return clientText(c.id, c.peer, c.frontend)
}

// clientText is what a client is called; one that was not let in has no id.
func clientText(id int, peer, frontend string) string {
	if id == 0 {
		return fmt.Sprintf("client %s on %s", peer, frontend)
	}
	return fmt.Sprintf("client %d %s on %s", id, peer, frontend)
}

// serve begins the life of a client, which ends with what it is within; it owns the
// channel. replay and from are those of hub.attach. ended is called when the client is gone.
func (c *client) serve(within context.Context, replay int, from int64, ended func(why error)) {
	c.begin(within, ended)
	if err := c.hub.attach(c, replay, from); err != nil {
		c.turnAway(err)
		return
	}
	c.beside()
	c.hub.noteSome(&c.hub.came, "attach", c.String())
	c.hub.audit.did(c, audit.Attach, "")
	c.read()
}

// begin makes the client ready to be attached.
func (c *client) begin(within context.Context, ended func(why error)) {
	c.ended = ended
	if m, ok := c.out.(*metered); ok {
		m.outlet = newOutlet(c.ch)
	} else {
		c.out = newOutlet(c.ch)
	}
	c.in = newReading(c.ch, &c.going.latch, c.read)
	c.in.attendBy(c.attend)
	c.attended = c.in.attended != nil
	c.tie.to(within, func(why error) { go c.end(orShutdown(why)) })
}

// read reads the client until it is silent, and is called again when it is not, or
// until its end.
func (c *client) read() {
	for {
		err := c.readInput()
		if err != errSilent || c.inputEnded {
			c.leave(err)
			return
		}
		if c.in.rest() {
			return
		}
	}
}

// attend takes the few bytes that somebody types, as session.attend does what a device
// says. What the device does not take at once, or is not to, is for read.
func (c *client) attend() bool {
	var few [64]byte
	for range attendedReads {
		n, ok := c.in.tryRead(few[:])
		if n > 0 && !c.attendTo(few[:n]) {
			c.in.giveBack(few[:n])
			return false
		}
		if n == len(few) || !ok {
			return false
		}
		if n == 0 || !c.in.attended.layers {
			return true
		}
	}
	return false
}

// attendedReads is how many reads with something in it are a moment's work.
const attendedReads = 4

// attendTo takes what was typed, or returns false if it has done nothing.
func (c *client) attendTo(p []byte) bool {
	if c.lineEnd {
		return false
	}
	if c.guard == nil {
		return c.hub.tryTake(c, p)
	}
	g := *c.guard
	if g.isRequest(p) || !c.hub.tryTake(c, p) {
		return false
	}
	*c.guard = g
	return true
}

// end asks the client to go and tells it why; only the first call counts.
func (c *client) end(cause error) {
	if c.going.because(cause) {
		c.in.end()
	}
}

// leave is the end of a client, whose input ended with err.
func (c *client) leave(err error) {
	defer func() { c.hub.here.Done(); c.ended(err) }()
	defer c.tie.cut()
	defer c.endBeside()
	if c.inputEnded {
		err = io.EOF
	}
	if c.in.isOver() {
		err = c.going.why()
	}
	if err == io.EOF && c.halfClose {
		c.hub.endWriter(c)
		select {
		case <-c.going.done():
		case <-c.mute.done():
		}
	}
	if c.in.isOver() && c.going.why() == errHandover && c.park() {
		err = errHandover
		return
	}
	c.hub.endWriter(c)
	c.hub.finish(c)
	c.awaitPump()
	c.hub.detach(c)
	c.noteGaps()
	c.hub.noteSome(&c.hub.left, "detach", c.String()+": "+reason(err))
	c.hub.audit.went(c, err)
	c.tell(Message{Type: "bye", Code: byeCode(err), Text: reason(err)})
	c.close(err)
}

// awaitPump gives the client's pump up to finishTime.
func (c *client) awaitPump() {
	t := time.AfterFunc(finishTime, func() {
		c.out.abort()
		c.end(errNoRoom)
	})
	defer t.Stop()
	c.pumps.Wait()
}

// reason is an end in words.
func reason(err error) string {
	switch {
	case err == nil || err == io.EOF:
		return "end of input"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		// Which call it was is another one with each try.
		return "too many open files: let the daemon have more (LimitNOFILE=, ulimit -n)"
	}
	return err.Error()
}

// byeCode is an end in a word that a program acts on.
func byeCode(err error) string {
	switch {
	case err == nil || err == io.EOF:
		return ByeEOF
	case errors.Is(err, errShutdown), errors.Is(err, errRemade):
		return ByeStopping
	}
	return "ended"
}

// close says goodbye in the channel's own way and closes it, in bounded time.
func (c *client) close(err error) {
	if err := closeWith(c.ch, err); err != nil && !channel.IsGone(err) {
		c.hub.log.Debug("close", "client", c.id, "error", err)
	}
}

// closeWith closes a channel and, where it can tell, says why.
func closeWith(ch channel.Channel, why error) error {
	w, ok := ch.(interface {
		CloseWith(code int, reason string) error
	})
	if !ok || why == io.EOF {
		return ch.Close()
	}
	code := 1008 // policy violation (RFC 6455 section 7.4.1)
	switch {
	case errors.Is(why, errShutdown), errors.Is(why, errRemade):
		code = 1001 // going away
	case errors.Is(why, errFull), errors.Is(why, errOtherSide):
		code = 1013 // try again later
	}
	return w.CloseWith(code, reason(why))
}

// inputBuffers are for clients that type much.
var inputBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// readInput hands what the client types to the hub until the client's end, or
// until it is silent. It waits with a few bytes for the next key, and takes a real
// buffer while there is more (what can not rest keeps that until the next key).
func (c *client) readInput() error {
	var few [64]byte
	for {
		n, err := c.in.read(few[:])
		if n > 0 {
			if c.guard != nil && c.guard.isRequest(few[:n]) {
				c.hub.refuse(c, refusedHTTP, n)
				return errHTTPRequest
			}
			typed := few[:n]
			if c.lineEnd {
				typed, c.lineEnd = afterLine(typed), false
			}
			if len(typed) > 0 {
				c.hub.take(c, typed)
			}
			if err := c.awaitEnd(); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if n == len(few) {
			big := inputBuffers.Get().(*[4 << 10]byte)
			err := c.readMore(big[:])
			inputBuffers.Put(big)
			if err != nil {
				return err
			}
		}
	}
}

// readMore is readInput with a buffer, while the client fills it.
func (c *client) readMore(buf []byte) error {
	for {
		n, err := c.in.read(buf)
		if n > 0 {
			c.hub.take(c, buf[:n])
			if err := c.awaitEnd(); err != nil {
				return err
			}
		}
		if err != nil || n < len(buf) {
			return err
		}
	}
}

// keepUp gives the client the one chunk that was just published at the given offset,
// if that is what it wants next. It returns false when the client lags.
func (c *client) keepUp(chunk [][]byte, at int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pumped || c.cursor.Load() != at {
		return true // somebody else moves it
	}
	c.pumped = !c.give(chunk)
	return !c.pumped
}

// give writes bytes to the client and moves its cursor behind what was taken. It
// returns false when no more is taken now. Called with mu held.
func (c *client) give(bufs [][]byte) (room bool) {
	if c.mute.isOver() {
		return false
	}
	n, room, err := c.out.give(bufs)
	c.got.Add(n)
	c.cursor.Add(n)
	if err != nil {
		c.mute.end()
	}
	return room && err == nil
}

// pump gives the client whatever has gathered until it is at the head, or until
// there will never be room for it. When its last step is done the client may be in
// other hands already, those of the next pump too.
func (c *client) pump() {
	defer c.hub.moved()
	c.mu.Lock()
	c.pumped = true
	c.mu.Unlock()
	old := &recall{hub: c.hub}
	defer old.end()
	for c.out.await() {
		done, gap := c.step(old)
		if gap != "" {
			c.hub.note("gap", gap)
		}
		if done {
			return
		}
		c.hub.moved()
		old.pause(&c.going.latch, &c.mute)
	}
	c.mute.end()
	c.hub.abandon(c)
}

// step gives the client its next chunk; it returns true when the pump is done,
// and words about a gap if there was one.
func (c *client) step(old *recall) (done bool, gap string) {
	missing, done := c.stepOn()
	if missing > 0 {
		return c.catchUp(old, missing)
	}
	return done, ""
}

// stepOn gives the client its next chunk of what memory holds, or says how many bytes
// it lacks before that.
func (c *client) stepOn() (missing int64, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hub.pay(c)
	bufs, missing := c.reader.Next(c.cursor.Load(), chunkMax)
	more := len(bufs) > 0
	if more {
		c.give(bufs)
	}
	c.reader.Release()
	switch {
	case missing > 0:
		return missing, false
	case c.mute.isOver():
		c.hub.abandon(c)
		return 0, true
	}
	c.pumped = more || !c.hub.joined(c)
	return 0, !c.pumped
}

// gapQuiet is how long a client's further gaps are added up before they are told
// again: a slow reader of a fast device has hundreds of them a second.
const gapQuiet = 10 * time.Second

// gapText tells what the client missed since it was last told; "" if nothing.
// Called with mu held.
func (c *client) gapText() string {
	if c.untold == 0 {
		return ""
	}
	text := fmt.Sprintf("%s missed %d bytes, the last before offset %d", c, c.untold, c.cursor.Load())
	c.untold = 0
	return text
}

// noteGaps tells what was not told yet.
func (c *client) noteGaps() {
	c.mu.Lock()
	text := c.gapText()
	c.mu.Unlock()
	if text != "" {
		c.hub.note("gap", text)
	}
}

// tell sends a message if the client is a person.
func (c *client) tell(m Message) {
	if c.person == nil {
		return
	}
	if err := c.person(m); err != nil && !channel.IsGone(err) {
		c.hub.log.Debug("message", "client", c.id, "error", err)
	}
}

// info is the client as the API shows it, when the console's head was there, and what it had
// of the input that.
func (c *client) info(head int64, standing string) ClientInfo {
	return ClientInfo{
		ID: fmt.Sprint(c.id), Frontend: c.frontend, Who: c.who.String(), Peer: c.peer, Since: c.since, Mode: c.mode(), Writer: standing,
		BytesIn: c.typed.Load(), BytesOut: c.got.Load(), Lag: max(0, head-c.cursor.Load()),
		Gaps: c.missed.Load(), Refused: c.refused.Load(),
	}
}

// mode is what the client may do with its input.
func (c *client) mode() string {
	if c.readOnly.Load() || !c.may(access.Write) {
		return "read-only"
	}
	return "read-write"
}
