package main

import (
	"errors"
	"fmt"
	"time"
)

// quietTime is how long nothing comes until what is missing is lost.
const quietTime = 2 * time.Second

// bulk lets the device write for a time, as fast as it goes, in pieces of a
// size, to all clients.
func bulk(size int) runFunc {
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
		if err := dev.play(size, s.bulk); err != nil {
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
