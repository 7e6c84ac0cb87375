package chardev

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

// The way of the bytes, from the device to the clients:
//
//  1. readDevice reads into the history's own space, while the device speaks, or, of
//     many that say little, session.attend does, and publish commits it;
//  2. giveOut writes it on the spot, without ever waiting, to every client that keeps
//     up (the live ones);
//  3. a client who did not take all of it lags: its own pump writes whatever has
//     gathered in the history until it is at the head again.
//
// A client's cursor belongs to whoever holds its mutex; giveOut passes over a
// client whose cursor is not where its chunk begins, so a client can change
// hands at any time without a byte missing or twice.

// A hub joins one device with its clients.
type hub struct {
	log    *slog.Logger
	stir   func()        // told of every event; may be nil
	crowd  *atomic.Int32 // of the devices of all consoles, see reading
	sign   *sign         // tells those who watch all consoles of what is new here; may be nil
	hist   *history.History
	first  int64   // the offset at which the daemon began
	before int64   // bytes that were printed before, to those whom it has followed
	scribe *scribe // nil: no journal is kept
	name   string  // the chardev's
	audit  auditor
	gate   *gate // who may what

	input atomic.Pointer[string] // shared, exclusive, off; changed with the pen and mu held

	device   atomic.Pointer[session] // nil: down
	lastOut  atomic.Int64            // when the device last printed, Unix ns; 0: never
	bytesIn  atomic.Int64            // taken by the device
	refused  [len(reasons)]atomic.Int64
	dropped  [len(drops)]atomic.Int64
	sessions atomic.Int64              // of the device, begun
	room     bell                      // a lagging client moved
	line     atomic.Pointer[lineWatch] // see lineWatch; nil: there was nothing to note
	writer   writer
	denied   flood                   // events of people who may not
	came     flood                   // events of clients that are attached
	left     flood                   // events of those that go
	guests   atomic.Pointer[comings] // events of guests; nil: there was none
	reopens  flood                   // events of who has the device opened anew

	parking     atomic.Bool     // input that is not given to the device is for the daemon's successor
	parked      *channel.Parked // the device's channel; set by the end of the session
	parkedSince time.Time       // when that began

	helpers sync.WaitGroup // of giveOut
	here    sync.WaitGroup // of clients and requests; grows only with mu held, and not once it is retired

	// owned by the device's goroutine
	writing []*client // the live ones, as of the last publish
	chunk   [1][]byte // what was published, for giveOut; elsewhere it would be garbage for each
	weight  int32     // of all who are in writing
	apart   bool      // it serves no other device
	mixed   bool      // some have a goroutine that reads, and are not attended to

	mu        sync.Mutex            // never held over a system call
	clients   []*client             // all that are attached
	requests  map[*request]struct{} // requests that are being served
	retired   error                 // why nobody comes any more; nil: who may does
	live      []*client             // those that keep up
	changed   bool                  // live is not writing any more
	lagging   int32                 // how many lag
	pace      *pace                 // nil: nobody lagged yet
	nextID    int
	events    []Event       // the newest last
	happened  int           // events in all
	grown     chan struct{} // closed when there is more; nil: nobody waits for it
	times     times
	gone      map[string]traffic // of clients that are gone, by their frontend
	headcount *headcount         // nil: no people were here yet
}

// maxEvents is how many events are kept for whoever asks.
const maxEvents = 256

func newHub(log *slog.Logger, hist *history.History, input string) *hub {
	h := &hub{log: log, gate: new(gate), crowd: new(atomic.Int32), hist: hist, first: hist.Head(), came: flood{most: crowdMost}, left: flood{most: crowdMost}}
	h.input.Store(&input)
	return h
}

// inputMode is how the chardev takes input: shared, exclusive, off.
func (h *hub) inputMode() string { return *h.input.Load() }

// printed is how many bytes the device has printed since the daemon, or the first of those
// whom it has followed, began.
func (h *hub) printed() int64 { return h.before + h.hist.Head() - h.first }

// A state is who moves a client's cursor.
type state uint8

const (
	detached state = iota // nobody
	lagging               // its pump
	live                  // the device's goroutine
	leaving               // its pump, up to finishAt
)

// attach makes c one of the clients and starts it replay bytes before the head
// (holes not counted) or, if from is not negative, at that offset. No byte is missing or twice
// between what was and what comes, because the head does not move meanwhile. Who
// may not read is not attached, and the error is a *notPermitted; nobody is to a chardev
// that is going away.
func (h *hub) attach(c *client, replay int, from int64) error {
	c.mu.Lock() // the hello goes before the bytes
	defer c.mu.Unlock()
	h.mu.Lock()
	if err := h.retired; err != nil {
		h.mu.Unlock()
		return err
	}
	if err := h.admit(c); err != nil {
		h.mu.Unlock()
		return err
	}
	h.here.Add(1)
	if c.via != nil {
		c.accept(c.via.cfg.Load())
	}
	head := h.hist.Head()
	at := h.holes().Back(head, int64(replay), h.oldest())
	if from >= 0 {
		at = min(from, head)
	}
	c.reader = h.hist.Reader()
	c.cursor.Store(at)
	c.turn.mute = at < h.hist.Oldest()
	if c.id == 0 { // else it goes on
		h.nextID++
		c.id = h.nextID
		c.since = time.Now()
	}
	h.clients = append(h.clients, c)
	h.recount(c, 1)
	h.lag(c, lagging)
	h.mu.Unlock()
	h.sign.raise(happened)
	if c.hello != nil {
		c.tell(c.hello(at))
	}
	return nil
}

// lag hands a client to its pump. Called with mu held.
func (h *hub) lag(c *client, s state) {
	h.setState(c, s)
	c.pumps.Go(c.pump)
}

// setState notes who moves c from now on. Called with mu held.
func (h *hub) setState(c *client, s state) {
	if c.state == lagging {
		h.lagging--
	}
	if s == lagging {
		h.lagging++
	}
	if i := slices.Index(h.live, c); i >= 0 && s != live {
		h.live[i] = h.live[len(h.live)-1]
		h.live[len(h.live)-1] = nil
		h.live = h.live[:len(h.live)-1]
		h.changed = true
	}
	if s == live {
		h.live = append(h.live, c)
		h.changed = true
	}
	c.state = s
	c.turn.change(thisMoment(), s == live, c.cursor.Load())
}

// joined makes c one of the live ones if it is at the head, or ends it if it has
// got what it was to get. Called by c's pump, which stops if it is true.
func (h *hub) joined(c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := c.cursor.Load()
	switch {
	case c.state == detached:
		return true
	case c.state == leaving:
		return at >= c.finishAt
	case at < h.hist.Head(), c.owed.Load() != 0:
		return false
	}
	h.setState(c, live)
	return true
}

// abandon takes a client out of its pump's hands that can be given nothing any
// more. Called by the pump, which stops.
func (h *hub) abandon(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.state == lagging {
		h.setState(c, detached)
	}
}

// fallBehind hands a live client to its pump.
func (h *hub) fallBehind(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.state == live {
		h.toPump(c, lagging)
		if c.borne { // else it was not in vain
			c.hasty = thisMoment().add(20 * patience)
		}
	}
}

// toPump hands a live client to its pump. Called with mu held.
func (h *hub) toPump(c *client, s state) {
	h.lag(c, s)
	c.out.bear(false) // its pump need not hold a thread
}

// finish lets c have what was published so far and nothing more.
func (h *hub) finish(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.finishAt = h.hist.Head()
	h.chargeLeaver(c)
	if c.state == live {
		h.toPump(c, leaving)
	} else {
		h.setState(c, leaving)
	}
}

// detach takes c off the list; nobody writes to it any more once its pump ended.
func (h *hub) detach(c *client) {
	h.mu.Lock()
	h.setState(c, detached)
	if i := slices.Index(h.clients, c); i >= 0 {
		h.clients = slices.Delete(h.clients, i, i+1)
		h.recount(c, -1)
		h.remain(c)
	}
	h.mu.Unlock()
	h.sign.raise(happened)
	h.moved()
}

// note keeps an event and logs it.
func (h *hub) note(kind, text string) { h.keep(slog.LevelInfo, kind, text) }

// keep keeps an event, and logs it at a level.
func (h *hub) keep(level slog.Level, kind, text string) {
	h.mu.Lock()
	e := Event{Time: time.Now(), Offset: h.hist.Head(), Kind: kind, Text: text}
	h.remember(e)
	if h.scribe != nil {
		h.scribe.note(e)
	}
	h.mu.Unlock()
	if h.scribe != nil {
		h.scribe.printed(e.Offset)
	}
	h.log.Log(context.Background(), level, kind, "what", text, "offset", e.Offset)
	h.sign.raise(happened)
	if h.stir != nil {
		h.stir()
	}
}

// remember keeps an event for whoever asks. Called with mu held.
func (h *hub) remember(e Event) {
	if len(h.events) == maxEvents {
		h.events = slices.Delete(h.events, 0, 1)
	}
	h.events = append(h.events, e)
	h.happened++
	h.grow()
}

// found tells what the journal found wrong with itself, and keeps by itself.
func (h *hub) found(events []journal.Event) {
	for _, e := range events {
		h.mu.Lock()
		h.remember(Event{Time: e.Time, Offset: e.Offset, Kind: e.Kind, Text: e.Text})
		h.mu.Unlock()
		h.log.Warn(e.Kind, "what", e.Text, "offset", e.Offset)
	}
}

// tell sends a message to all clients that are people.
func (h *hub) tell(m Message) {
	h.mu.Lock()
	all := slices.Clone(h.clients)
	h.mu.Unlock()
	for _, c := range all {
		c.mu.Lock() // behind its hello
		c.tell(m)
		c.mu.Unlock()
	}
}

// beSeen is how often a goroutine whose device is at full rate, so that it never waits but
// in a system call, lets the scheduler see it. Of who does not for 10 ms the runtime takes
// the processor away in each call, every 20 us from then on, and wakes a thread for it
// (measured: a third of the rate between UNIX sockets, and twice the CPU time). To do so
// after each read wakes one as well. The goroutine that attends does the same (rest.go of
// package channel).
const beSeen = 7 * time.Millisecond

// A block of the history fills whole segments, of which package history knows nothing.
const _ = -uint(history.MaxBlock % channel.Segment)

// errTakenOver is why a goroutine reads the device no longer: another one does.
var errTakenOver = errors.New("taken over")

// readDevice reads the device until it ends or is silent; only one may run at a
// time.
func (h *hub) readDevice(s *session) error {
	h.standApart(true)
	ced := newCeder()
	for seen := thisMoment(); ; {
		space := h.hist.Space()
		if err := h.waitRoom(&s.going.latch, len(space)); err != nil {
			return err
		}
		if h.scribe != nil {
			if err := h.scribe.await(&s.going.latch, h.hist.Head()+int64(len(space))); err != nil {
				return err
			}
		}
		n, err := s.in.read(space)
		if n > 0 && n == len(space) && err == nil {
			space, _ = s.readOn(space, history.MaxBlock) // its error comes from the next read
			n = len(space)
		}
		if n > 0 {
			h.publish(space[:n])
			h.giveOut(ced)
		}
		if err != nil {
			return err
		}
		if h.scribe != nil && !h.scribe.writeHere(h.hist.Head(), s.read) {
			return errTakenOver
		}
		if now := thisMoment(); now.since(seen) >= beSeen {
			seen = now
			runtime.Gosched()
		}
	}
}

// publish makes chunk, which was read into the history's space, part of the stream, for
// giveOut, which is to be called before the next one is published.
func (h *hub) publish(chunk []byte) {
	now := time.Now()
	h.lastOut.Store(now.UnixNano())
	h.mu.Lock()
	at := h.hist.Commit(len(chunk))
	if h.times.full() {
		h.times.trim(h.untimed())
	}
	h.times.note(at, chunk, now.UnixMilli())
	h.grow()
	if h.changed {
		h.regroup()
	}
	h.mu.Unlock()
	h.sign.raise(printed)
	h.chunk[0] = chunk
}

// giveOut writes what was published, if anything, to all who keep up. It cedes its core by
// ced, or, if that is nil, does not.
func (h *hub) giveOut(ced *ceder) {
	chunk := h.chunk[0]
	if len(chunk) == 0 {
		return
	}
	at := h.hist.Head() - int64(len(chunk))
	if len(h.writing)*callCost+int(h.weight)*len(chunk) < longRound {
		h.writeAll(at, ced)
	} else {
		h.shareOut(at, ced)
	}
	h.chunk[0] = nil
	if h.scribe != nil {
		h.scribe.printed(at + int64(len(chunk)))
	}
}

// grow tells those who wait for more (past.Wait). Called with mu held.
func (h *hub) grow() {
	if h.grown != nil {
		close(h.grown)
		h.grown = nil
	}
}

// untimed is the first offset whose time only memory knows.
func (h *hub) untimed() int64 {
	if h.scribe != nil {
		return h.scribe.cursor.Load()
	}
	return h.hist.Oldest()
}

// writeAll gives all who keep up what was published at an offset.
func (h *hub) writeAll(at int64, ced *ceder) {
	for _, c := range h.writing {
		if ced.wrote(h.write(c, at)) {
			ced.cede()
		}
	}
}

// write gives a client what was published at an offset. It returns how many bytes of it are
// worth ceding the core for: none under TLS, whose reader works as long as who writes, and
// needs a core more than this one's cache (measured: the rate to 1 is 1.05, to 8 is 1.07).
func (h *hub) write(c *client, at int64) int {
	if !c.keepUp(h.chunk[:], at) {
		h.fallBehind(c)
	}
	if c.out.weight() > 1 {
		return 0
	}
	return len(h.chunk[0])
}

// patience is how long the device's goroutine bears with a client whose socket is
// full, if nobody else keeps up: one that reads at full rate makes room in this
// time, and to hand it to its pump and back for each chunk costs a third of the
// rate. After patience that was in vain the client gets none for 20 times as long.
const patience = 2 * time.Millisecond

// regroup takes over who keeps up. Called with mu held, by the device's goroutine.
func (h *hub) regroup() {
	clear(h.writing)
	h.writing = append(h.writing[:0], h.live...)
	h.changed = false
	h.weight, h.mixed = 0, false
	for _, c := range h.writing {
		h.weight += int32(c.out.weight())
		h.mixed = h.mixed || !c.attended
		c.borne = h.apart && len(h.writing) == 1 && thisMoment() > c.hasty
		c.out.bear(c.borne)
	}
}

// standApart notes whether the device's goroutine serves no other one, and so may have
// patience with a client.
func (h *hub) standApart(on bool) {
	if h.apart == on {
		return
	}
	h.apart = on
	h.mu.Lock()
	h.changed = true
	h.mu.Unlock()
}

// moved tells the device's goroutine that there may be room for it.
func (h *hub) moved() {
	h.room.ring()
}

var errKicked = errors.New("cut by an operator")

// kick ends the client with the given id.
func (h *hub) kick(id int) bool {
	h.mu.Lock()
	i := slices.IndexFunc(h.clients, func(c *client) bool { return c.id == id })
	var c *client
	if i >= 0 {
		c = h.clients[i]
	}
	h.mu.Unlock()
	if c == nil {
		return false
	}
	c.end(errKicked)
	return true
}
