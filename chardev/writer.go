package chardev

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// Who may type where input = "exclusive": one client at a time. Who types while the
// input is free has it. What clients and operators do about it besides is in
// writer_ops.go.

// A writer is who has an exclusive input, and who asks for it. The holder is always
// one that is attached, may write, and whose input has not ended.
type writer struct {
	// pen is held by who gives the device something, from the look at who has the input
	// to the write, which never waits (channel.Outbox); and by who takes the input, or
	// the right to write, from somebody. So no byte of a former holder comes behind
	// that. It is taken before hub.mu.
	pen sync.Mutex

	// guarded by hub.mu
	idle   time.Duration // a holder loses the input that used it for so long no more; 0: never
	holder *client       // nil: it is free
	asked  []*client     // who wants to have it, the first first; nobody while it is free
	turn   int64         // how often it changed hands
	since  time.Time     // when it did so last; zero: never
	why    string        // how it came to that, behind who has it; "": by itself
	used   moment        // when the holder last used it, or got it
	timer  *time.Timer   // nil: nobody has it, or idle is 0

	timing sync.WaitGroup // of timer
	told   flood          // events
}

// askedMost is how many may ask for the input at a time.
const askedMost = 16

// mayHold says whether a client may have the chardev's input, or why not.
func (h *hub) mayHold(c *client) (why int, ok bool) {
	switch {
	case !c.may(access.Write):
		return refusedAccess, false
	case c.readOnly.Load():
		return refusedReadOnly, false
	case h.inputMode() == "off":
		return refusedOff, false
	}
	return 0, true
}

// mayType says whether a client's input would go to the device, or why not.
func (h *hub) mayType(c *client) (why int, ok bool) {
	if why, ok = h.mayHold(c); !ok || h.inputMode() != "exclusive" {
		return why, ok
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return refusedNotWriter, h.writer.holder == nil || h.writer.holder == c
}

// takeWriter is mayType for one who types now: with an exclusive input, who types
// while it is free has it.
func (h *hub) takeWriter(c *client) (why int, ok bool) {
	if h.inputMode() != "exclusive" {
		return h.mayHold(c)
	}
	w := &h.writer
	h.mu.Lock()
	why, ok = h.mayHold(c)
	if h.inputMode() != "exclusive" { // since just now
		h.mu.Unlock()
		return why, ok
	}
	var event writerEvent
	if ok && w.holder == nil {
		event = h.handTo(c, "")
	}
	if ok && w.holder != c {
		why, ok = refusedNotWriter, false
	}
	if ok {
		w.used = thisMoment()
	}
	h.mu.Unlock()
	h.noteWriter(event)
	return why, ok
}

// mayGive says whether a client's input may still go to the device, or why not: to
// wait for the device may take long. Called with the pen held, until it has.
func (h *hub) mayGive(c *client) (why int, ok bool) {
	if h.inputMode() != "exclusive" {
		return h.mayHold(c)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer.holder != c {
		return refusedNotWriter, false
	}
	h.writer.used = thisMoment()
	return 0, true
}

// A writerEvent is that the input was given, taken or asked for: by whom, and in words.
// The zero writerEvent is none.
type writerEvent struct {
	by   actor
	text string
}

// handTo gives the input to a client, or to nobody (nil), has people told, and returns
// what that is as an event. why is how it comes to that. Called with mu held, and with
// the pen if somebody has it.
func (h *hub) handTo(c *client, why string) writerEvent {
	w := &h.writer
	var by actor = theDaemon{}
	if one := cmp.Or(c, w.holder); one != nil {
		by = one
	}
	w.holder, w.why, w.since, w.used = c, why, time.Now(), thisMoment()
	w.turn++
	w.disarm()
	if c == nil {
		w.asked = nil // they are told that it is free, as everybody is
	} else {
		w.forget(c)
		h.arm(w.idle)
	}
	h.oweAll()
	return writerEvent{by, w.text()}
}

// forget takes c off those who ask. Called with mu held.
func (w *writer) forget(c *client) (asked bool) {
	i := slices.Index(w.asked, c)
	if i >= 0 {
		w.asked = slices.Delete(w.asked, i, i+1)
	}
	return i >= 0
}

// arm has the input looked at after a time, if it is ever to be taken from a holder
// who does not use it. Called with mu held.
func (h *hub) arm(in time.Duration) {
	if w := &h.writer; w.idle > 0 {
		turn := w.turn
		w.timing.Add(1)
		w.timer = time.AfterFunc(in, func() {
			defer w.timing.Done()
			h.expire(turn)
		})
	}
}

// disarm stops the timer. Called with mu held.
func (w *writer) disarm() {
	if w.timer != nil && w.timer.Stop() {
		w.timing.Done()
	}
	w.timer = nil
}

// expire takes the input from who got it in that turn, if that one has it still and
// did not use it for as long as idle says.
func (h *hub) expire(turn int64) {
	h.changeWriter(func() (event writerEvent, err error) {
		w := &h.writer
		if w.turn != turn || w.holder == nil { // it is handed over to a successor, see unhand
			return writerEvent{}, nil
		}
		if left := w.idle - thisMoment().since(w.used); left > 0 {
			h.arm(left)
			return writerEvent{}, nil
		}
		return h.handTo(nil, w.holder.String()+" did not use it for "+channel.FormatDuration(w.idle)), nil
	})
}

// withPen calls change with the pen and mu held, and notes the event that it returns, if
// any.
func (h *hub) withPen(change func() writerEvent) {
	h.writer.pen.Lock()
	h.mu.Lock()
	event := change()
	h.mu.Unlock()
	h.writer.pen.Unlock()
	h.noteWriter(event)
}

// changeWriter is withPen where the input is exclusive, and else returns a *notExclusive.
func (h *hub) changeWriter(change func() (event writerEvent, err error)) (err error) {
	h.withPen(func() (event writerEvent) {
		if mode := h.inputMode(); mode != "exclusive" {
			err = &notExclusive{mode}
			return
		}
		event, err = change()
		return
	})
	return err
}

// noteWriter tells the log and the audit, with no lock held.
func (h *hub) noteWriter(event writerEvent) {
	if event.by != nil {
		h.audit.did(event.by, audit.Writer, event.text)
		h.sign.raise(happened) // which noteSome may leave out
		h.noteSome(&h.writer.told, "writer", event.text)
	}
}

// dropWriter lets go what c has of the input. Called with the pen and mu held.
func (h *hub) dropWriter(c *client, why string) (event writerEvent) {
	if h.writer.holder == c {
		return h.handTo(nil, why)
	}
	if h.writer.forget(c) {
		h.oweAll()
	}
	return writerEvent{}
}

// endWriter is called when the input of c has ended, whatever becomes of its output:
// who types no more must not keep others from it, and gets it no more.
func (h *hub) endWriter(c *client) {
	h.withPen(func() writerEvent {
		c.typesNoMore = true
		return h.dropWriter(c, c.String()+" types no more")
	})
}

// text is who has the input, for events. Called with mu held.
func (w *writer) text() string {
	text := "the input is free"
	if w.holder != nil {
		text = w.holder.String() + " has the input"
	}
	if w.why != "" {
		text += ": " + w.why
	}
	return text
}

// oweWriter has c told how the input is, if it is exclusive. Called with mu held.
func (h *hub) oweWriter(c *client) {
	if h.inputMode() == "exclusive" {
		h.owe(c, owedWriter)
	}
}

// oweAll is oweWriter for everybody. Called with mu held.
func (h *hub) oweAll() {
	for _, c := range h.clients {
		h.oweWriter(c)
	}
}

// addWriter puts into a message for c how the input is.
func (h *hub) addWriter(m Message, c *client) Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.writerInfo()
	m.Writer, m.You = &i, h.standing(c)
	if _, ok := h.mayHold(c); ok && m.You == "" && !c.typesNoMore {
		m.You = WriterMay
	}
	return m
}

// standing is what c has of the input. Called with mu held.
func (h *hub) standing(c *client) string {
	switch {
	case h.writer.holder == c:
		return WriterHas
	case slices.Contains(h.writer.asked, c):
		return WriterAsked
	}
	return ""
}

// writerInfo is who has the input. Called with mu held.
func (h *hub) writerInfo() WriterInfo {
	w := &h.writer
	i := WriterInfo{Input: h.inputMode(), Turn: w.turn, Why: w.why, Asked: []WriterClient{}}
	if w.holder != nil {
		i.Holder = new(w.holder.asWriter())
	}
	for _, c := range w.asked {
		i.Asked = append(i.Asked, c.asWriter())
	}
	if w.turn > 0 {
		i.Since = new(w.since)
	}
	if w.idle > 0 {
		i.Idle = channel.FormatDuration(w.idle)
	}
	return i
}

func (c *client) asWriter() WriterClient {
	return WriterClient{Client: strconv.Itoa(c.id), Who: c.who.String(), Name: c.String()}
}
