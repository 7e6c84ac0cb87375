package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stopped lets all clients read for a while, then all but one. That one reads
// again at the end, and must get what it was not told it lost; chardevd must have
// told the size of that to the byte, in its list and in its events.
func stopped(r *rig, s scale) (figures, error) {
	if err := r.read(); err != nil {
		return nil, err
	}
	dev, others, last := r.consoles[0].dev, r.clients[:len(r.clients)-1], r.clients[len(r.clients)-1]
	if err := dev.play(chunkMax, warmUp); err != nil {
		return nil, err
	}
	before, err := r.phase(others, s.isolate/2)
	if err != nil {
		return nil, err
	}
	u0, err := r.use()
	if err != nil {
		return nil, err
	}
	if err := r.readers.pause(last); err != nil {
		return nil, err
	}
	after, third, most, err := r.watched(others, s.isolate)
	if err != nil {
		return nil, err
	}
	if err := r.readers.resume(last); err != nil {
		return nil, err
	}
	if _, err := settle(r.clients, dev.sent*int64(len(r.clients)), r.quiet(), r.gaps); err != nil {
		return nil, errors.Join(err, r.err())
	}
	f := figures{"before MB/s": before, "after MB/s": after, "last third MB/s": third, "kept": after / before, "memory MB": float64(most-u0.rss) / 1e6}
	if r.api == nil {
		return f, r.account(f)
	}
	name := r.consoles[0].name
	listed, err := r.api.client(name, last)
	if err != nil {
		return nil, err
	}
	if err := r.account(f); err != nil {
		return nil, err
	}
	events, err := r.api.eventsOf(name, listed.ID)
	if err != nil {
		return nil, err
	}
	return f, sameGap(dev.sent-listed.Lag-last.got.Load(), listed.Gaps, events)
}

// sameGap is an error if a client's list and events do not have the size of what
// it lost, which must be something.
func sameGap(lost, listed, events int64) error {
	if lost == 0 || listed != lost || events != lost {
		return wrongBytes{fmt.Errorf("the client that stopped lost %d bytes; the list says %d, the events %d", lost, listed, events)}
	}
	return nil
}

// quiet is how long nothing comes until what is missing is lost: not long where
// nobody will tell.
func (r *rig) quiet() time.Duration {
	if r.told == nil {
		return quietTime / 4
	}
	return quietTime
}

// phase plays for a time and returns the rate of some clients, in sum, in MB/s.
func (r *rig) phase(of []*client, d time.Duration) (float64, error) {
	n0, t0 := received(of), clock()
	err := r.consoles[0].dev.play(chunkMax, d)
	return float64(received(of)-n0) / 1e6 / (float64(clock()-t0) / 1e9), errors.Join(err, r.err())
}

// looks is how often the memory is looked at in a phase: seldom, because it
// costs the processor that is measured.
const looks = 6

// warmUp is what a device plays before anything is compared, so that the
// sockets' windows have grown.
const warmUp = 200 * time.Millisecond

// watched is phase, with the rate of the last third and the most memory of the
// target at any time. The device may be stuck at the end: it is not waited for
// longer than the time.
func (r *rig) watched(of []*client, d time.Duration) (all, third float64, most int64, err error) {
	dev := r.consoles[0].dev
	played := make(chan error, 1)
	go func() { played <- dev.play(chunkMax, d) }()
	n0, t0 := received(of), clock()
	n1, t1 := n0, t0
	tick := time.NewTicker(d / looks)
	defer tick.Stop()
	for i := range looks {
		<-tick.C
		if i == looks*2/3-1 {
			n1, t1 = received(of), clock()
		}
		u, err := r.use()
		if err != nil {
			return 0, 0, 0, err
		}
		most = max(most, u.rss)
	}
	n2, t2 := received(of), clock()
	rate := func(n int64, t int64) float64 { return float64(n) / 1e6 / (float64(t) / 1e9) }
	dev.ending.Store(true) // it may be stuck
	err = <-played
	dev.ending.Store(false)
	return rate(n2-n0, t2-t0), rate(n2-n1, t2-t1), most, errors.Join(err, r.err())
}

const slowRate = 1e6 // bytes a second

// slow lets all clients read, one of them at 1 MB/s; then that one leaves. What
// the others have without it is what they are held against.
func slow(r *rig, s scale) (figures, error) {
	last := r.clients[len(r.clients)-1]
	others := r.clients[:len(r.clients)-1]
	var err error
	if r.readers, err = readAll(others); err != nil {
		return nil, err
	}
	var hurry atomic.Bool
	var reading sync.WaitGroup
	done := make(chan struct{})
	reading.Go(func() { sip(last, &hurry, done) })
	leave := sync.OnceFunc(func() {
		close(done)
		reading.Wait()
	})
	defer leave()
	dev := r.consoles[0].dev
	if err := dev.play(chunkMax, warmUp); err != nil {
		return nil, err
	}
	with, err := r.phase(others, s.isolate)
	if err != nil {
		return nil, err
	}
	hurry.Store(true)
	if _, err := settle(r.clients, dev.sent*int64(len(r.clients)), r.quiet(), r.gaps); err != nil {
		return nil, errors.Join(err, r.err())
	}
	told, err := r.gaps()
	if err != nil {
		return nil, err
	}
	leave()
	lost, err := last.chk.missing(dev.sent)
	if err != nil {
		return nil, wrongBytes{err}
	}
	last.shut()
	last.close()
	without, err := r.phase(others, s.isolate/2)
	if err != nil {
		return nil, err
	}
	if _, err := settle(others, dev.sent*int64(len(others)), r.quiet(), func() (int64, error) { n, err := r.gaps(); return n - told, err }); err != nil {
		return nil, errors.Join(err, r.err())
	}
	r.consoles[0].clients = others
	r.clients = others
	f := figures{"with MB/s": with, "without MB/s": without, "kept": with / without}
	return f, r.accountAlso(f, lost)
}

// sip reads at slowRate, or as fast as it can once it is to hurry.
func sip(c *client, hurry *atomic.Bool, done <-chan struct{}) {
	const every = 10 * time.Millisecond
	buf := make([]byte, chunkMax)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n := int(slowRate * every / time.Second)
		if hurry.Load() {
			n = len(buf)
		}
		if poll(c.fd, unix.POLLIN, every) {
			if err := c.read(buf[:n]); err != nil {
				c.fail(err)
				return
			}
		}
		if hurry.Load() {
			select {
			case <-done:
				return
			default:
				continue
			}
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}
