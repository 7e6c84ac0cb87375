package chardev

import (
	"sync"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/history"
)

// A core is ceded after two blocks, and what was written before counts no more.
func TestItIsTimeToCedeAfterTwoBlocks(t *testing.T) {
	c := newCeder()
	for range 2 {
		if c.wrote(history.MaxBlock) {
			t.Error("time to cede after one block")
		}
		if !c.wrote(history.MaxBlock) {
			t.Error("not after two")
		}
		c.cede()
	}
	if (*ceder)(nil).wrote(1 << 30) {
		t.Error("who has none is to cede")
	}
}

// Who waits for his device does not work: that pays nobody's debt.
func TestWaitingIsNoWork(t *testing.T) {
	pay := func(worked time.Duration) { strangers.mayHave(worked) }
	defer pay(time.Hour)
	pay(time.Hour)
	strangers.had(strangersMost)
	c := newCeder()
	c.since -= moment(time.Hour)
	c.cede()
	if paid := strangersMost - strangers.due; paid > workMost/strangersPart {
		t.Errorf("an hour that was waited has paid %v", paid)
	}
}

// Who are no readers get what they may have in advance, and then their part of the time
// that is worked; what readers take is no debt.
func TestStrangersHaveTheirPart(t *testing.T) {
	var d debt
	had := 0
	for range 1000 { // each takes a slice for a third of a ms that is worked
		if d.mayHave(time.Millisecond / 3) {
			had++
			d.had(3 * time.Millisecond)
		}
	}
	const want = int((strangersMost + 1000*time.Millisecond/3/strangersPart) / (3 * time.Millisecond))
	if had < want || had > want+1 {
		t.Errorf("strangers had %d slices, want %d", had, want)
	}
	d.had(-time.Second)
	if d.mayHave(0) {
		t.Error("what was not taken pays debts")
	}
	if d.mayHave(2 * strangersPart * strangersMost); d.due != 0 {
		t.Errorf("%v is due after work", d.due)
	}
}

// Who was stopped for long while he had ceded his core soon cedes it again.
func TestToBeStoppedIsNoGreatDebt(t *testing.T) {
	var d debt
	d.had(time.Hour)
	if d.mayHave(0) {
		t.Error("an hour is no debt")
	}
	if !d.mayHave(time.Second) {
		t.Errorf("%v is due yet after a second of work", d.due)
	}
}

// heardOutlet counts what it is given.
type heardOutlet struct {
	outlet // nil
	heavy  int
	n      int64
}

func (o *heardOutlet) bear(bool)   {}
func (o *heardOutlet) weight() int { return 1 + o.heavy }

func (o *heardOutlet) give(bufs [][]byte) (int64, bool, error) {
	n := channel.SizeOf(bufs)
	o.n += n
	return n, true, nil
}

// Whoever writes, and cedes his core meanwhile: each client gets all, once.
func TestACrowdGetsEachChunkOnce(t *testing.T) {
	h := newBench(t, 16<<10, "shared").hub
	var outs []*heardOutlet
	for range 100 {
		out := new(heardOutlet)
		outs = append(outs, out)
		h.mu.Lock()
		h.setState(&client{hub: h, out: out}, live)
		h.mu.Unlock()
	}
	ced := newCeder()
	for range 100 {
		h.publish(h.hist.Space())
		h.giveOut(ced)
	}
	h.helpers.Wait()
	for i, out := range outs {
		if out.n != h.hist.Head() {
			t.Fatalf("client %d got %d bytes of %d", i, out.n, h.hist.Head())
		}
	}
}

// For those who decrypt no core is ceded: they need one of their own.
func TestBytesUnderTLSCedeNoCore(t *testing.T) {
	h := newBench(t, 16<<10, "shared").hub
	h.publish(h.hist.Space())
	size := len(h.chunk[0])
	for heavy, want := range []int{size, 0} {
		c := &client{hub: h, out: &heardOutlet{heavy: heavy}}
		if n := h.write(c, 0); n != want {
			t.Errorf("who weighs %d: %d of %d bytes count, want %d", 1+heavy, n, size, want)
		}
	}
}

// A helper who has ceded comes back to a round or finds it over, and is not waited for.
func TestWhoCedesIsNotWaitedFor(t *testing.T) {
	r := new(round)
	var both sync.WaitGroup
	if !r.join() {
		t.Fatal("nobody may join a round that goes on")
	}
	both.Go(r.joined.Wait)
	r.joined.Done()
	both.Wait()
	r.over = true
	if r.join() {
		t.Error("somebody joined a round that is over")
	}
	r.joined.Wait()
}
