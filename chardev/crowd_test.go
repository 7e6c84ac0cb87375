package chardev

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A thousand clients of all kinds, of which a hundred at a time stop reading, go
// on, break off, or leave and come again: whoever it is gets exactly the stream
// less the gaps that it was told, and those who only read, with on_lag = "block",
// all of it.
//
// CHARDEVD_LONG=1 makes it last a minute. CHARDEVD_SEED repeats the choices of a
// run whose seed was printed; who comes first when is the scheduler's.
func TestAThousandClients(t *testing.T) {
	const seats, rowdies, steadyEach = 1000, 100, 20
	lasting := 4 * time.Second
	if long {
		lasting = time.Minute
	}
	seed := rand.Uint64()
	if s := os.Getenv("CHARDEVD_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CHARDEVD_SEED: %v", err)
		}
	}
	t.Logf("CHARDEVD_SEED=%d", seed)
	random := func(who uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, who)) }

	b := newBench(t, 16<<10, "shared")
	b.plug()
	h := newHall(b)
	all := make([]*seat, seats)
	inParallel(len(all), 16, func(i int) {
		r := random(uint64(i))
		all[i] = &seat{hall: h, kind: kinds[i%len(kinds)], steady: i%steadyEach < len(kinds) && i/steadyEach%2 == 0}
		all[i].sit(r)
	})

	over := make(chan struct{})
	var printing, trouble sync.WaitGroup
	printing.Go(func() {
		for r := random(seats); ; {
			select {
			case <-over:
				return
			default:
				b.print(1 + r.IntN(8<<10))
			}
		}
	})
	for i := range rowdies {
		trouble.Go(func() {
			for r := random(uint64(seats + 1 + i)); ; {
				select {
				case <-over:
					return
				default:
				}
				if s := all[r.IntN(len(all))]; !s.steady && s.busy.TryLock() {
					s.trouble(r, over)
					s.busy.Unlock()
				}
			}
		})
	}
	<-time.After(lasting)
	await(t, "somebody to miss something", func() bool { return b.hub.missed() > 0 })
	close(over)
	printing.Wait()
	trouble.Wait()

	// When everybody is at the head, what is printed then can be a gap to nobody,
	// and shows each how far it has come.
	head := b.printed
	await(t, "everybody to be given all", func() bool { return h.all(all, func(v *visit) bool { return v.client.cursor.Load() == head }) })
	b.print(4 << 10)
	head = b.printed
	await(t, "everybody to read the end", func() bool { return h.all(all, func(v *visit) bool { return v.follower.at.Load() == head }) })
	for _, s := range all {
		if v := s.visit; v.over() {
			v.wasCut()
			v.judge()
		} else {
			v.far.leave()
			v.judgeWhole(head)
		}
	}
	var sum tally
	for _, kind := range kinds {
		n := h.tallies[kind]
		t.Logf("%s: %d clients were given %d bytes, and told that they missed %d", kind, n.clients, n.given, n.missed)
		sum.missed += n.missed
	}
	if sum.missed == 0 || sum.missed != b.hub.missed() {
		t.Errorf("clients missed %d bytes of %d in sum, want some; the hub has counted %d", sum.missed, head, b.hub.missed())
	}
}

// inParallel does n things, some at a time.
func inParallel(n, atOnce int, do func(i int)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for k := range atOnce {
		wg.Go(func() {
			for i := k; i < n; i += atOnce {
				do(i)
			}
		})
	}
}
