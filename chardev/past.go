package chardev

import (
	"context"
	"errors"
	"time"

	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/transcript"
)

// A past is what a console printed, as far as it is in memory.
type past struct {
	hub    *hub
	reader *history.Reader
}

func (h *hub) past() *past { return &past{h, h.hist.Reader()} }

func (p *past) Oldest() int64 { return p.hub.hist.Oldest() }
func (p *past) Head() int64   { return p.hub.hist.Head() }

func (p *past) Read(at int64, buf []byte) (n int, missing int64, err error) {
	bufs, missing := p.reader.Next(at, len(buf))
	for _, b := range bufs {
		n += copy(buf[n:], b)
	}
	p.reader.Release()
	return n, missing, nil
}

func (p *past) Time(int64) (time.Time, int64) { return time.Time{}, p.Head() }
func (p *past) Find(time.Time) int64          { return p.Oldest() }

func (p *past) Events(from, to int64, f func(transcript.Event) bool) error {
	p.hub.mu.Lock()
	events := append([]Event(nil), p.hub.events...)
	p.hub.mu.Unlock()
	for _, e := range events {
		if e.Offset >= from && (e.Offset < to || e.Offset == to && to == p.Head()) && !f(transcript.Event{Offset: e.Offset, Time: e.Time, Kind: e.Kind, Text: e.Text}) {
			break
		}
	}
	return nil
}

func (p *past) Wait(context.Context, int64) error { return errors.ErrUnsupported }
func (p *past) Close()                            {}
