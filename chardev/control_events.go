package chardev

import (
	"context"
	"net/http"
	"slices"
	"time"

	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/transcript"
)

// How all consoles are, over the API, as server-sent events: a list page in one
// request.

// events answers with the consoles that the caller may read, and then with each that
// has changed, for as long as the caller reads. Who reads slowly is told less often,
// and then how it is by then.
func (c *control) events(w http.ResponseWriter, r *http.Request, _ []*console) {
	who := callerOf(r).who
	left := c.comes(w, who)
	if left == nil {
		return
	}
	defer left()
	out, err := beginSSE(w, r, c.stuck)
	if err != nil {
		c.server.log.Debug("events", "error", err)
		return
	}
	defer out.end()
	v := &overview{control: c, who: who, out: out, watcher: c.server.board.watch(printed)}
	defer v.leave()
	if err := v.run(); r.Context().Err() == nil {
		c.server.log.Debug("events", "error", err)
	}
}

// An overview tells one caller how the consoles are.
type overview struct {
	*control
	*watcher
	who   access.Identity
	out   *tail
	shown map[*sign]bool // the consoles that the caller was told of and may read; nil: nothing was told yet
}

// run tells until the caller is gone, or reads nothing for long; the error says so.
func (v *overview) run() error {
	var list []due
	for {
		if err := v.out.keptAlive(v.server.listing.turn.enter); err != nil {
			return err
		}
		began := time.Now()
		var text []byte
		var wait time.Duration
		list, text, wait = v.look(list[:0], began)
		if err := v.tell(text); err != nil {
			return err
		}
		if err := v.out.keptAlive(func(ctx context.Context) error { return v.await(ctx, wait) }); err != nil {
			return err
		}
		if err := sleep(v.out.ctx, watchPause-time.Since(began)); err != nil { // so that more gathers
			return err
		}
	}
}

// await waits until there is something to tell, or for so long if wait is not 0.
func (v *overview) await(ctx context.Context, wait time.Duration) error {
	var due <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-v.wake:
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// sleep waits so long, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look is what there is to tell now, and when to look again. It ends the caller's turn.
func (v *overview) look(list []due, at time.Time) (_ []due, text []byte, wait time.Duration) {
	defer v.server.listing.turn.leave()
	list, wait = v.take(list, at)
	return list, v.text(list), wait
}

// tell sends events, if there are any.
func (v *overview) tell(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if _, err := v.out.Write(text); err != nil {
		return err
	}
	return v.out.Flush()
}

// text is what is told of consoles: the first time of all in one event, later of each in
// its own.
func (v *overview) text(list []due) (buf []byte) {
	first := v.shown == nil
	if first {
		v.shown = map[*sign]bool{}
	}
	all := []Summary{}
	for _, d := range list {
		con, before := d.con, v.shown[d.sign]
		delete(v.shown, d.sign)
		switch {
		case !d.gone && con.hub.gate.decide(v.who, con.name).May.Has(access.Read):
			v.shown[d.sign] = true
			if first {
				all = append(all, con.summary())
			} else {
				buf = appendSSE(buf, "chardev", con.summary())
			}
		case before:
			buf = appendSSE(buf, "gone", Gone{Name: con.name, Removed: d.gone})
		}
	}
	if first {
		buf = appendSSE(buf, "snapshot", all)
	}
	return buf
}

// attachedMost is how many of a console's clients a summary names.
const attachedMost = 8

// summary is how the console is, for a list.
func (c *console) summary() Summary {
	h := c.hub
	d := c.device.Load()
	state, err, since := d.state()
	s := Summary{
		Name: c.name, State: state, Since: since, Error: err, Device: d.ep.Address.String(), Input: h.inputMode(),
		BytesIn: h.bytesIn.Load(), LastByte: h.lastByte(), LastLine: h.lastLine(), Epoch: c.epoch, Attached: []string{},
	}
	if on := h.device.Load(); on != nil {
		s.Waits = on.waits()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Offset = h.hist.Head()
	s.BytesOut = h.printed()
	s.Clients = len(h.clients)
	for _, one := range h.clients {
		if who := one.who.String(); len(s.Attached) < attachedMost && !slices.Contains(s.Attached, who) {
			s.Attached = append(s.Attached, who)
		}
	}
	if h.writer.holder != nil {
		s.Writer = h.writer.holder.String()
	}
	return s
}

// lastLine is what the device has printed last, as text.
func (h *hub) lastLine() string {
	src := h.past()
	defer src.Close()
	var buf [transcript.TailMax]byte
	head := src.Head()
	n := 0
	for at := max(src.Oldest(), head-int64(len(buf))); at < head; {
		k, missing, err := src.Read(at, buf[n:])
		if k == 0 && missing == 0 || err != nil {
			break // the disk does not give it: memory has no more
		}
		if missing > 0 {
			n = 0 // what stands before a gap is not the last
		}
		n += k
		at += int64(k) + missing
	}
	return transcript.LastLine(buf[:n])
}
