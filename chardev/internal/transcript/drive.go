package transcript

import (
	"context"

	"chardevd/chardev/internal/journal"
)

// A drive gives a sink what a feed has, with the events in their places.
type drive struct {
	sink sink
	src  Source // has the events; nil: none are shown
	at   int64  // offset of the next byte
	lost int64  // bytes in gaps

	gap int64 // bytes missing before at, not told yet

	// So many events at an offset were shown: the head's are given again when
	// there is more.
	eventsAt int64
	events   int
}

// through gives what f has, up to an offset or f's end.
func (d *drive) through(ctx context.Context, f feed, to int64) error {
	for d.at < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := f.next(ctx)
		if err != nil {
			return err
		}
		switch {
		case p.missing > 0:
			d.gap += p.missing
			d.at += p.missing
			d.lost += p.missing
		case len(p.bytes) > 0:
			if d.gap > 0 {
				if err := d.settle(); err != nil {
					return err
				}
			}
			if err := d.give(p.bytes); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// settle tells of a gap before the next byte, and of events in it and at the head.
func (d *drive) settle() error {
	begin := d.at - d.gap
	if d.gap > 0 {
		size := d.gap
		d.gap = 0
		if err := d.sink.gap(begin, size); err != nil {
			return err
		}
	}
	return d.happened(begin, d.at, d.sink.event)
}

// give gives the bytes that follow, and what happened among them.
func (d *drive) give(p []byte) error {
	end := d.at + int64(len(p))
	err := d.happened(d.at, end, func(e journal.Event) error {
		if n := e.Offset - d.at; n > 0 {
			if err := d.sink.bytes(d.at, p[:n]); err != nil {
				return err
			}
			d.at, p = e.Offset, p[n:]
		}
		return d.sink.event(e)
	})
	if err == nil && len(p) > 0 {
		err = d.sink.bytes(d.at, p)
	}
	d.at = end
	return err
}

// happened gives the events from one offset to another that were not given.
func (d *drive) happened(from, to int64, give func(journal.Event) error) (err error) {
	if d.src == nil {
		return nil
	}
	skip := 0
	if from == d.eventsAt {
		skip = d.events
	}
	read := d.src.Events(from, to, func(e journal.Event) bool {
		if e.Offset == from && skip > 0 {
			skip--
			return true
		}
		if e.Offset != d.eventsAt {
			d.eventsAt, d.events = e.Offset, 0
		}
		d.events++
		err = give(e)
		return err == nil
	})
	if err == nil {
		err = read
	}
	return err
}
