package main

import (
	"slices"
	"time"
)

const (
	goneFor  = 500 * time.Millisecond
	goneWait = 5 * time.Second // a target that takes longer is given this time
)

// gone has the device go away and come back, again and again; the time is from
// when it listens until the client has its next byte.
func gone(r *rig, s scale) (figures, error) {
	con := r.consoles[0]
	var back []float64
	dropped := 0.0
	for range s.breaks {
		con.dev.leave()
		time.Sleep(goneFor)
		was := con.clients[0]
		d, err := comeBack(r, con)
		if err != nil {
			return nil, err
		}
		back = append(back, float64(d)/float64(time.Millisecond))
		if con.clients[0] != was {
			dropped++
		}
		if d == goneWait { // once is enough
			break
		}
		if err := r.err(); err != nil {
			return nil, err
		}
	}
	slices.Sort(back)
	return figures{"back ms": quantile(back, 0.5), "worst ms": back[len(back)-1], "clients dropped, of 1": dropped / float64(len(back))}, nil
}

// comeBack lets the device listen again and waits for its byte at the client; a
// client that the target dropped connects anew.
func comeBack(r *rig, con *console) (time.Duration, error) {
	deadline := time.Now().Add(goneWait)
	if err := con.dev.listen(); err != nil {
		return 0, err
	}
	t0 := time.Now()
	arrived := make(chan error, 1)
	go func() {
		var err error
		if con.dev.accepted(deadline) == nil {
			_, err = con.dev.write([]byte{preamble})
		}
		arrived <- err
	}()
	defer func() { <-arrived }()
	buf := make([]byte, 4096)
	for c := con.clients[0]; ; c = con.clients[0] {
		c.heard.Store(false)
		if err := r.err(); err != nil {
			return 0, err
		}
		if pollIn(c.fd, deadline) != nil {
			return goneWait, nil
		}
		if c.read(buf) != nil {
			fresh, err := dial(con.front, deadline)
			if err != nil { // it takes nobody
				return goneWait, r.err()
			}
			c.close()
			con.clients[0], r.clients[0] = fresh, fresh
			continue
		}
		if c.heard.Load() {
			return time.Since(t0), nil
		}
	}
}
