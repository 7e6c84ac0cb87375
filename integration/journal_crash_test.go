package integration

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// kill -9 at random moments under load, again and again: the journal opens, no
// offset is given twice, all that was in the files is there, and no byte that
// anybody read before has changed or moved. What the daemon had not written down
// when it was killed is a stated gap.
func TestJournalKilled(t *testing.T) {
	rounds := 20
	if long {
		rounds = 200
	}
	const kept = 24 << 20 // more than the journal keeps
	d := newDaemon(t, folder(t), `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
log = { max_size = "1MiB", keep = 16, compress = true }
`, nil)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	var before consoleCopy
	var head, total, lost int64 // the highest offset that was seen; bytes compared; bytes that were read and are gone
	var epoch string
	for round := range rounds {
		wrong := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("round %d: "+format, append([]any{round}, args...)...)
		}
		written := lastWritten(t, d)
		d.serve()
		live := d.attachAt("vm", nil)
		if epoch != "" && live.hello.Epoch != epoch {
			wrong("the epoch is %s, was %s", live.hello.Epoch, epoch)
		}
		epoch = live.hello.Epoch
		start := live.hello.Offset
		if start < head {
			wrong("offsets go on at %d; %d was there already", start, head)
		}

		// What is held of the time before is what was read then.
		var again consoleCopy
		back := d.attachAt("vm", query("since", "start", "epoch", epoch))
		first := back.at
		back.copyTo(t, &again, start)
		n, err := before.same(&again)
		if err != nil {
			wrong("%v", err)
		}
		total += n
		for _, g := range back.gaps {
			lost += before.within(g)
		}
		if !again.endsWith(written) {
			wrong("the last %d bytes in the files are not the last of the %d that are given from %d to %d, gaps %v", len(written), again.size(), first, start, back.gaps)
		}
		back.conn.Close()
		before.forget(first)

		p := newPrinter(t, d, "vm")
		p.printed = random.Int64N(1 << 40) // another page than the last time
		var load, follow sync.WaitGroup
		rate := []int64{20 << 10, 2 << 20, 40 << 20}[random.IntN(3)]
		load.Go(func() { p.paced(1<<40, rate) }) // until the daemon is killed
		follow.Go(func() {
			for {
				data, err := live.next()
				if err == nil {
					err = before.add(live.at-int64(len(data)), data)
				}
				if err != nil {
					return
				}
			}
		})
		soon := time.NewTimer(time.Duration(random.IntN(300)) * time.Millisecond)
		<-soon.C
		d.kill()
		load.Wait()
		follow.Wait()
		p.Close()
		head = max(start, live.at)
		before.forget(before.end() - kept)
	}
	if total == 0 {
		t.Error("nothing was read before a kill and held after it")
	}
	t.Logf("%d bytes were read twice and are the same; %d that were read had not been written down yet", total, lost)
	d.serve() // so that its end is an orderly one
	d.stops()
}

// lastWritten is what the current segment has.
func lastWritten(t testing.TB, d *daemon) []byte {
	t.Helper()
	data, err := os.ReadFile(d.current("vm"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}

// within is how many bytes of a gap the copy has.
func (c *consoleCopy) within(g gap) (n int64) {
	for _, s := range c.stretches {
		n += max(0, min(s.end(), g.to)-max(s.at, g.from))
	}
	return n
}

func (c *consoleCopy) size() (n int64) {
	for _, s := range c.stretches {
		n += int64(len(s.data))
	}
	return n
}

// endsWith says whether the last bytes of the copy, gaps aside, are these.
func (c *consoleCopy) endsWith(data []byte) bool {
	for i := len(c.stretches) - 1; i >= 0 && len(data) > 0; i-- {
		s := c.stretches[i].data
		n := min(len(s), len(data))
		if firstDifference(s[len(s)-n:], data[len(data)-n:]) >= 0 {
			return false
		}
		data = data[:len(data)-n]
	}
	return len(data) == 0
}
