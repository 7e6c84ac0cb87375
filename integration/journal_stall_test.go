package integration

import (
	"sync"
	"testing"
)

// A client stops reading while the guest prints 300 MB, and gets all of it
// afterwards, in order, and then what is new; another one has every byte at once.
// The daemon's memory does not grow with it.
func TestJournalFeedsTheStalled(t *testing.T) {
	const before, meanwhile, after = 8 << 20, 300e6, 1 << 20
	const rate = 80 << 20 // bytes a second, which any disk takes
	d := startDaemon(t, oneGuest+`
log = { max_size = "64MiB", keep = 100 }
`, nil)
	stalled, live := dialSilent(t, "unix", d.path("front")), dialSilent(t, "unix", d.path("front"))
	d.has("vm", 2)
	p := newPrinter(t, d, "vm")
	var one, other pageChecker
	reads := func(who *wire, c *pageChecker, n int64) {
		t.Helper()
		if err := c.reads(who.Conn, n); err != nil {
			t.Fatal(err)
		}
	}
	// both prints n bytes and reads them at those who do.
	both := func(n int64, readers ...func(int64)) {
		t.Helper()
		var printing sync.WaitGroup
		printing.Go(func() {
			if err := p.paced(n, rate); err != nil {
				t.Error(err)
			}
		})
		for _, r := range readers {
			r(n)
		}
		printing.Wait()
	}
	first := func(n int64) { t.Helper(); reads(live, &one, n) }
	second := func(n int64) { t.Helper(); reads(stalled, &other, n) }

	both(before, first, second)
	usual := d.resident()
	both(meanwhile, first)
	if i := d.info("vm"); i.Offset != before+meanwhile {
		t.Errorf("the console is at %d, want %d", i.Offset, int64(before+meanwhile))
	}
	behind := d.resident()
	second(meanwhile / 2)
	halfway := d.resident()
	second(meanwhile - meanwhile/2)
	both(after, first, second)
	for _, c := range d.clients("vm") {
		if c.Gaps != 0 {
			t.Errorf("a client is told that %d bytes are lost: %+v", c.Gaps, c)
		}
	}
	most := max(behind, halfway, d.resident())
	bound := int64(64 << 20)
	if raceEnabled {
		bound *= 4 // the detector's own
	}
	if most-usual > bound {
		t.Errorf("the daemon has %d MiB of memory, %d before", most>>20, usual>>20)
	}
	t.Logf("memory: %.1f MiB before, %.1f with a client 300 MB behind, %.1f while it catches up", float64(usual)/(1<<20), float64(behind)/(1<<20), float64(halfway)/(1<<20))
}
