package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// quietTime is how long nothing comes until what is missing is lost.
const quietTime = 2 * time.Second

// bulk lets the device write for a time, as fast as it goes, in pieces of a
// size, to all clients.
func bulk(size int) runFunc {
	return printed(func(d *device, s scale) error { return d.play(size, s.bulk) })
}

// sustained is bulk for longer, whatever the scale: a chunk to 4 000 clients takes 0.15 s, and
// the first ones find sockets whose memory is fresh (measured: they take a third longer).
func sustained(size int) runFunc {
	return printed(func(d *device, s scale) error { return d.play(size, max(s.bulk, 2*time.Second)) })
}

// steady lets the device write at a rate (bytes a second).
func steady(size int, rate float64) runFunc {
	return printed(func(d *device, s scale) error { return d.playAt(size, rate, 4*s.bulk) })
}

// printed measures what the device prints, to all clients.
func printed(play func(*device, scale) error) runFunc {
	return func(r *rig, s scale) (figures, error) {
		if err := r.read(); err != nil {
			return nil, err
		}
		u0, err := r.use()
		if err != nil {
			return nil, err
		}
		t0 := clock()
		dev := r.consoles[0].dev
		if err := play(dev, s); err != nil {
			return nil, errors.Join(err, r.err())
		}
		want := dev.sent * int64(len(r.clients))
		if _, err := settle(r.clients, want, quietTime, r.gaps); err != nil {
			return nil, errors.Join(err, r.err())
		}
		t1 := lastByte(r.clients)
		u1, err := r.use()
		if err != nil {
			return nil, err
		}
		got := float64(received(r.clients))
		if err := r.logged(); err != nil {
			return nil, err
		}
		f := figures{
			"MB/s":     got / 1e6 / (float64(t1-t0) / 1e9),
			"CPU-s/GB": (u1.cpu - u0.cpu).Seconds() / (got / 1e9),
		}
		return f, r.account(f)
	}
}

func lastByte(clients []*client) (t int64) {
	for _, c := range clients {
		t = max(t, c.last.Load())
	}
	return t
}

// account ends the reading and holds what every client got against what its
// device sent and what the target says that it lost.
func (r *rig) account(f figures) error { return r.accountAlso(f, 0) }

// accountAlso is account where clients that left lost some bytes, too.
func (r *rig) accountAlso(f figures, missing int64) error {
	told, err := r.gaps()
	if err != nil {
		return err
	}
	r.readers.stop()
	r.readers = nil
	for _, con := range r.consoles {
		for i, c := range con.clients {
			n, err := c.chk.missing(con.dev.sent)
			if err != nil {
				return wrongBytes{fmt.Errorf("%s: client %d of %s: %w", r.target.name(), i+1, con.name, err)}
			}
			missing += n
		}
	}
	f[lostTold] = float64(min(told, missing))
	f[lostUntold] = float64(missing - min(told, missing))
	if told > missing {
		return wrongBytes{fmt.Errorf("%s: %d bytes told lost, %d were", r.target.name(), told, missing)}
	}
	return nil
}

// wrongBytes is what must never be: a stream that is not the device's.
type wrongBytes struct{ error }

// The metrics of what clients did not get.
const (
	lostTold   = "lost, told"
	lostUntold = "lost, untold"
)

// logged is an error if the target keeps no log where it is to keep one.
func (r *rig) logged() error {
	if r.job.log == "" {
		return nil
	}
	size := int64(0)
	err := filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, logSuffix) {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // a journal has removed it
			return nil
		}
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err == nil && size < chunkMax {
		err = fmt.Errorf("%s keeps no log: its files have %d bytes", r.target.name(), size)
	}
	return err
}
