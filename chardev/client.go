package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/history"
)

// A client is somebody attached: one channel, with its cursor in the history.
type client struct {
	// fixed when it is made
	hub       *hub
	ch        channel.Channel
	out       *channel.Outbox // below all layers of ch
	frontend  string          // its address, or "attach"
	peer      string
	readOnly  bool
	onLag     string
	halfClose bool
	guard     *requestGuard       // not nil: cut it if it speaks HTTP
	person    func(Message) error // sends a message in order with the bytes; nil: it is a program
	hello     func(at int64) Message

	// fixed by attach
	id    int
	since time.Time

	ctx      context.Context
	end      context.CancelCauseFunc // asks it to go; the cause is what it is told
	pumping  context.Context         // outlives ctx by finishTime
	stopPump context.CancelFunc
	pumps    sync.WaitGroup
	keysDone chan error    // answers to what it types; capacity 1
	mute     chan struct{} // closed when it can be given nothing any more

	cursor  atomic.Int64 // changed under mu
	typed   atomic.Int64 // bytes of its input that the device took
	got     atomic.Int64 // bytes it was given
	missed  atomic.Int64 // bytes it could not have
	refused atomic.Int64 // bytes of its input that nobody took

	mu     sync.Mutex // the output; held over writes, which do not wait
	reader *history.Reader
	dead   error // why it can be given nothing any more
	untold int64 // bytes it missed since told
	told   time.Time
	undone string // what was last told of that is not done beside the bytes

	inputEnded bool // it said that no more input comes; owned by readInput

	// guarded by hub.mu
	state    state
	finishAt int64
	turn     turn
}

// chunkMax is how much a client is given at once: what its outbox can keep.
const chunkMax = 64 << 10

// finishTime is how long a client whose end has come gets for what was
// published before.
const finishTime = time.Second

var (
	errLagged   = errors.New("it fell too far behind (on_lag = close)")
	errShutdown = errors.New("chardevd is going down")
)

func (c *client) String() string {
	return fmt.Sprintf("client %d %s on %s", c.id, c.peer, c.frontend)
}

// serve is the life of a client; it owns the channel. replay and from are
// those of hub.attach.
func (c *client) serve(ctx context.Context, replay int, from int64) error {
	c.ctx, c.end = context.WithCancelCause(ctx)
	defer c.end(nil)
	c.pumping, c.stopPump = context.WithCancel(context.WithoutCancel(ctx))
	defer c.stopPump()
	c.mute = make(chan struct{})
	c.keysDone = make(chan error, 1)
	stop := context.AfterFunc(c.ctx, func() { c.ch.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c.beside()
	defer c.endBeside()

	c.hub.attach(c, replay, from)
	c.hub.note("attach", c.String())
	err := c.readInput()
	if c.inputEnded {
		err = io.EOF
	}
	if c.ctx.Err() != nil {
		err = whyEnded(c.ctx)
	}
	if err == io.EOF && c.halfClose {
		select {
		case <-c.ctx.Done():
		case <-c.mute:
		}
	}
	c.hub.finish(c)
	c.awaitPump()
	c.hub.detach(c)
	c.noteGaps()
	c.hub.note("detach", c.String()+": "+reason(err))
	c.tell(Message{Type: "bye", Code: byeCode(err), Text: reason(err)})
	c.close(err)
	return err
}

// whyEnded is the cause of a context's end, which is the daemon's if nobody gave
// one.
func whyEnded(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return errShutdown
}

// awaitPump gives the client's pump up to finishTime.
func (c *client) awaitPump() {
	t := time.AfterFunc(finishTime, func() { c.stopPump() })
	defer t.Stop()
	c.pumps.Wait()
}

// reason is an end in words.
func reason(err error) string {
	if err == nil || err == io.EOF {
		return "end of input"
	}
	return err.Error()
}

// byeCode is an end in a word that a program acts on.
func byeCode(err error) string {
	switch {
	case err == nil || err == io.EOF:
		return ByeEOF
	case errors.Is(err, errShutdown):
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
	case errors.Is(why, errShutdown):
		code = 1001 // going away
	case errors.Is(why, errFull):
		code = 1013 // try again later
	}
	return w.CloseWith(code, reason(why))
}

// inputBuffers are for clients that type much.
var inputBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// readInput hands what the client types to the hub until the client's end. It
// waits with a few bytes for the next key, and takes a real buffer while there is
// more.
func (c *client) readInput() error {
	var few [64]byte
	buf := few[:]
	for {
		n, err := c.ch.Read(buf)
		if n > 0 {
			if c.guard != nil && c.guard.isRequest(buf[:n]) {
				c.hub.refuse(c, refusedHTTP, n)
				return errHTTPRequest
			}
			c.hub.take(c, buf[:n])
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
		n, err := c.ch.Read(buf)
		if n > 0 {
			c.hub.take(c, buf[:n])
		}
		if err != nil || n < len(buf) {
			return err
		}
	}
}

// keepUp gives the client a chunk that was just published at the given offset,
// if that is what it wants next. It returns false when the client lags.
func (c *client) keepUp(chunk []byte, at int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cursor.Load() != at {
		return true // somebody else moves it
	}
	bufs := [1][]byte{chunk}
	c.give(bufs[:], int64(len(chunk)))
	return c.dead == nil && c.out.Kept() == 0
}

// give writes bytes to the client and moves its cursor. Called with mu held.
func (c *client) give(bufs [][]byte, n int64) {
	if c.dead != nil {
		return
	}
	if _, c.dead = c.ch.Writev(bufs); c.dead != nil {
		close(c.mute)
		return
	}
	c.got.Add(n)
	c.cursor.Add(n)
}

// pump gives the client whatever has gathered until it is at the head. When its
// last step is done the client may be in other hands already, those of the next
// pump too.
func (c *client) pump() {
	defer c.hub.moved()
	for {
		select {
		case <-c.out.Drained():
		case <-c.pumping.Done():
			return
		}
		done, gap := c.step()
		if gap != "" {
			c.hub.note("gap", gap)
		}
		if done {
			return
		}
		c.hub.moved()
	}
}

// step gives the client its next chunk; it returns true when the pump is done,
// and words about a gap if there was one.
func (c *client) step() (done bool, gap string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bufs, missing := c.reader.Next(c.cursor.Load(), chunkMax)
	n := int64(0)
	for _, b := range bufs {
		n += int64(len(b))
	}
	if n > 0 {
		c.give(bufs, n)
	}
	c.reader.Release()
	if missing > 0 {
		return c.miss(missing)
	}
	if c.dead != nil {
		c.hub.abandon(c)
		return true, ""
	}
	return n == 0 && c.hub.joined(c), ""
}

// miss deals with bytes at the cursor that are not held any more: the client
// goes on behind them, or ends. Called with mu held.
func (c *client) miss(missing int64) (done bool, gap string) {
	at := c.cursor.Load()
	if c.onLag == "skip" {
		missing = c.hub.hist.Head() - at
	}
	c.cursor.Add(missing)
	c.missed.Add(missing)
	c.hub.gaps.Add(missing)
	c.untold += missing
	if now := time.Now(); now.Sub(c.told) >= gapQuiet || c.onLag == "close" {
		gap = c.gapText()
		c.told = now
	}
	if c.onLag == "close" {
		c.end(errLagged)
		c.hub.abandon(c)
		return true, gap
	}
	c.tell(Message{Type: "gap", Offset: at + missing, Size: missing})
	return false, gap
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

// info is the client as the API shows it.
func (c *client) info(head int64) ClientInfo {
	return ClientInfo{
		ID: fmt.Sprint(c.id), Frontend: c.frontend, Peer: c.peer, Since: c.since, Mode: modeName(c.readOnly),
		BytesIn: c.typed.Load(), BytesOut: c.got.Load(), Lag: head - c.cursor.Load(),
		Gaps: c.missed.Load(), Refused: c.refused.Load(),
	}
}

func modeName(readOnly bool) string {
	if readOnly {
		return "read-only"
	}
	return "read-write"
}
