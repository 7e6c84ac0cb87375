package transcript

import (
	"context"
	"runtime"

	"chardevd/chardev/internal/journal"
)

// A drive gives a sink what a source has, with the events in their places.
type drive struct {
	src    Source
	sink   sink
	events bool   // give them, too
	buf    []byte // what is read at once
	at     int64  // offset of the next byte
	lost   int64  // bytes in gaps

	gap int64  // bytes missing before at, not told yet,
	why string // and why they are

	// So many events at an offset were given: the head's come again when there is
	// more.
	seenAt int64
	seen   int
}

// block is how much is read at once, in bytes: a frame of a compressed segment.
const block = 256 << 10

// through gives what there is, up to an offset or the head.
func (d *drive) through(ctx context.Context, to int64) error {
	for d.at < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, missing, err := d.src.Read(d.at, d.buf[:min(int64(len(d.buf)), to-d.at)])
		if err != nil {
			return err
		}
		missing = min(missing, to-d.at)
		switch {
		case n > 0:
			if d.gap > 0 {
				if err := d.settle(); err != nil {
					return err
				}
			}
			if err := d.give(d.buf[:n]); err != nil {
				return err
			}
		case missing > 0:
			if err := d.miss(missing); err != nil {
				return err
			}
			// What is held now may be gone after a turn of the device: who gave way
			// between the gap and what follows it would meet gaps for ever.
			continue
		default:
			return nil
		}
		runtime.Gosched() // the consoles first
	}
	return nil
}

// miss goes on behind missing bytes.
func (d *drive) miss(missing int64) error {
	size, hole := d.src.Holes().Cut(d.at, missing)
	why := ""
	if hole {
		why = journal.HoleWhy
	}
	if d.gap > 0 && d.why != why { // two things
		if err := d.settle(); err != nil {
			return err
		}
	}
	d.gap, d.why = d.gap+size, why
	d.at += size
	d.lost += size
	return nil
}

// settle tells of a gap before the next byte, and of events in it and at the head.
func (d *drive) settle() error {
	begin := d.at - d.gap
	if d.gap > 0 {
		size := d.gap
		d.gap = 0
		if err := d.sink.gap(begin, size, d.why); err != nil {
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
	if !d.events {
		return nil
	}
	skip := 0
	if from == d.seenAt {
		skip = d.seen
	}
	read := d.src.Events(from, to, func(e journal.Event) bool {
		if e.Offset == from && skip > 0 {
			skip--
			return true
		}
		if e.Offset != d.seenAt {
			d.seenAt, d.seen = e.Offset, 0
		}
		d.seen++
		err = give(e)
		return err == nil
	})
	if err == nil {
		err = read
	}
	return err
}
