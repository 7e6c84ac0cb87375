package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// echo types key after key at a device that echoes, each when the one before has
// come back, and takes the time of each.
func echo(r *rig, s scale) (figures, error) {
	return keystrokes(r, r.consoles[0], s)
}

func keystrokes(r *rig, con *console, s scale) (figures, error) {
	con.dev.echo()
	c := con.clients[0]
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var back []byte
	c.take = func(p []byte) {
		for _, b := range p {
			if b != preamble {
				back = append(back, b)
			}
		}
	}
	u0, err := r.use()
	if err != nil {
		return nil, err
	}
	times := make([]float64, 0, s.keys)
	buf := make([]byte, 4096)
	end := time.Now().Add(s.typing)
	for i := 0; i < s.keys && time.Now().Before(end); i++ {
		key := byte('a' + i%16)
		back = back[:0]
		t0 := time.Now()
		if err := c.typeBytes([]byte{key}); err != nil {
			return nil, err
		}
		for len(back) == 0 {
			if err := c.read(buf); err != nil {
				return nil, err
			}
		}
		times = append(times, float64(time.Since(t0))/float64(time.Microsecond))
		if string(back) != string(key) {
			return nil, wrongBytes{fmt.Errorf("typed %q, echoed %q", key, back)}
		}
	}
	u1, err := r.use()
	if err != nil {
		return nil, err
	}
	slices.Sort(times)
	return figures{"p50 µs": quantile(times, 0.5), "p99 µs": quantile(times, 0.99), "CPU µs/key": (u1.cpu - u0.cpu).Seconds() * 1e6 / float64(len(times))}, nil
}

// quantile is the q-quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// echoBeside is echo on one console while another one's device is at full load.
func echoBeside(r *rig, s scale) (figures, error) {
	busy := r.consoles[1]
	readers, err := readAll(busy.clients)
	if err != nil {
		return nil, err
	}
	defer readers.stop()
	played := make(chan error, 1)
	stop := time.Now().Add(runTime)
	go func() {
		for !busy.dev.ending.Load() && time.Now().Before(stop) {
			if err := busy.dev.play(chunkMax, 50*time.Millisecond); err != nil {
				played <- err
				return
			}
		}
		played <- nil
	}()
	t0 := clock()
	f, err := keystrokes(r, r.consoles[0], s)
	t1 := clock()
	got := received(busy.clients)
	busy.dev.ending.Store(true)
	if perr := <-played; err == nil {
		err = perr
	}
	if err != nil {
		return nil, err
	}
	delete(f, "CPU µs/key")
	f["MB/s beside"] = float64(got) / 1e6 / (float64(t1-t0) / 1e9)
	return f, busy.clients[0].chk.err
}
