package chardev

import (
	"slices"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/journal"
)

// info is the chardev as the API shows it, with its events if they are wanted.
func (c *console) info(events bool) Info {
	h := c.hub
	d := c.device.Load()
	state, err, since := d.state()
	i := Info{
		Name: c.name, State: state, Error: err, Since: since, Device: d.ep.Address.String(), From: c.origin().String(), Input: h.inputMode(),
		BytesIn: h.bytesIn.Load(), Epoch: c.epoch, Refused: map[string]int64{}, Gaps: h.missed(), LastByte: h.lastByte(),
		Frontends: []FrontendInfo{},
	}
	if l, err := lineOf[channel.LineKnower](h); err == nil {
		i.Line = l.KnownLine().String()
	}
	if s := h.device.Load(); s != nil {
		i.Waits = s.waits()
	}
	for why, name := range reasons {
		i.Refused[name] = h.refused[why].Load()
	}
	for _, f := range c.frontends() {
		i.Frontends = append(i.Frontends, f.info())
	}
	i.Journal = c.journalInfo()
	h.mu.Lock()
	defer h.mu.Unlock()
	i.Offset, i.Oldest = h.hist.Head(), h.oldest()
	for _, hole := range h.holes() {
		if hole.To > i.Oldest {
			i.Holes = append(i.Holes, Hole{hole.From, hole.To, journal.HoleWhy})
		}
	}
	i.BytesOut = h.printed()
	i.Clients = len(h.clients)
	if h.writer.holder != nil {
		i.Writer = h.writer.holder.String()
	}
	if events {
		i.Events = slices.Clone(h.events)
	}
	return i
}

// lastByte is when the device last printed; nil: never yet.
func (h *hub) lastByte() *time.Time {
	ns := h.lastOut.Load()
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns)
	return &t
}

// journalInfo is how the journal is; nil if there is to be none.
func (c *console) journalInfo() *JournalInfo {
	if c.noLog != nil {
		return &JournalInfo{Error: c.noLog.Error()}
	}
	s := c.hub.scribe
	if s == nil {
		return nil
	}
	behind, err := s.state()
	size, segments := s.j.Size()
	i := &JournalInfo{Bytes: size, Segments: segments, Behind: behind, Lost: c.hub.dropped[droppedJournal].Load()}
	if err != nil {
		i.Error = err.Error()
	}
	return i
}

func (f *frontend) info() FrontendInfo {
	state, err, _ := f.status.get()
	return FrontendInfo{
		Address: f.ep.Address.String(), State: state, Error: err, Mode: f.cfg.Load().Mode,
		Reach: f.reach(), Clients: int(f.clients.Load()),
	}
}

func (h *hub) clientInfos() []ClientInfo {
	h.mu.Lock()
	clients, head := slices.Clone(h.clients), h.hist.Head()
	standing := make([]string, len(clients))
	for i, c := range clients {
		standing[i] = h.standing(c)
	}
	h.mu.Unlock()
	all := []ClientInfo{}
	for i, c := range clients { // the device waits for none of the words
		all = append(all, c.info(head, standing[i]))
	}
	return all
}
