package chardev

import (
	"context"
	"time"

	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

// A past is what a console has printed, and when, and what happened to it: from
// memory, and what is not there any more from the journal. It is a
// transcript.Source, and belongs to one goroutine at a time.
type past struct {
	hub  *hub
	held *history.Reader
	kept *recall
	seen int // events when Wait last returned
}

func (h *hub) past() *past {
	return &past{hub: h, held: h.hist.Reader(), kept: &recall{hub: h}}
}

// Close gives back what reading took.
func (p *past) Close() { p.kept.end() }

// oldest is the first offset that is in memory or in the journal.
func (h *hub) oldest() int64 {
	at := h.hist.Oldest()
	if h.scribe != nil {
		at = min(at, h.scribe.j.Oldest())
	}
	return at
}

// holes are the journal's.
func (h *hub) holes() journal.Holes {
	if h.scribe == nil {
		return nil
	}
	return h.scribe.j.Holes()
}

// Oldest is the first offset that there is.
func (p *past) Oldest() int64 { return p.hub.oldest() }

// Head is the offset of the next byte to come.
func (p *past) Head() int64 { return p.hub.hist.Head() }

// Read returns up to len(buf) bytes from an offset on, or how many are missing there;
// neither at the head.
func (p *past) Read(at int64, buf []byte) (n int, missing int64, err error) {
	bufs, missing := p.held.Next(at, len(buf))
	for _, b := range bufs {
		n += copy(buf[n:], b)
	}
	p.held.Release()
	if missing == 0 {
		return n, 0, nil
	}
	return p.kept.read(at, buf, missing)
}

// Holes are those in the journal.
func (p *past) Holes() journal.Holes { return p.hub.holes() }

// Wait waits until the head is beyond an offset, or there is an event that was not
// when it last returned, or ctx ends.
func (p *past) Wait(ctx context.Context, beyond int64) error {
	h := p.hub
	for {
		h.mu.Lock()
		if h.hist.Head() > beyond || h.happened != p.seen {
			p.seen = h.happened
			h.mu.Unlock()
			return nil
		}
		if h.grown == nil {
			h.grown = make(chan struct{})
		}
		grown := h.grown
		h.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Time returns when the byte at an offset came, and up to which offset that holds.
// It is zero where that is not known.
func (p *past) Time(at int64) (t time.Time, until int64) {
	h := p.hub
	h.mu.Lock()
	ms, until, known := h.times.at(at)
	h.mu.Unlock()
	switch {
	case known:
		return time.UnixMilli(ms), until
	case h.scribe == nil:
		return time.Time{}, until
	}
	var end int64
	p.kept.use(func(r *journal.Reader) { t, end = r.Time(at) })
	return t, min(end, until)
}

// Find returns the offset of the first byte that came at a time or later.
func (p *past) Find(t time.Time) int64 {
	h := p.hub
	if h.scribe != nil {
		j := h.scribe.j
		if at := j.Find(t); at < j.End() {
			return at
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, ok := h.times.find(t.UnixMilli()); ok {
		return max(at, h.hist.Oldest())
	}
	return h.hist.Head()
}

// kept is an event as the journal keeps it, and gives it back.
func (e Event) kept() journal.Event {
	return journal.Event{Offset: e.Offset, Time: time.UnixMilli(e.Time.UnixMilli()), Kind: e.Kind, Text: e.Text}
}

// Events calls f for what happened from one offset up to another, in order, until it
// returns false.
func (p *past) Events(from, to int64, f func(journal.Event) bool) error {
	h := p.hub
	h.mu.Lock()
	recent := h.events
	if h.scribe != nil {
		recent = h.scribe.unwritten
	}
	events := make([]journal.Event, 0, len(recent))
	for _, e := range recent {
		if from <= e.Offset && (e.Offset < to || e.Offset == to && to == h.hist.Head()) {
			events = append(events, e.kept())
		}
	}
	h.mu.Unlock()
	more := true
	if h.scribe != nil {
		err := h.scribe.j.Events(from, to, func(e journal.Event) bool {
			if len(events) > 0 && e == events[0] { // it was written meanwhile
				events = events[1:]
			}
			more = f(e)
			return more
		})
		if err != nil {
			return err
		}
	}
	for i := 0; more && i < len(events); i++ {
		more = f(events[i])
	}
	return nil
}
