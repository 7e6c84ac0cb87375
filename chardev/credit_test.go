package chardev

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// A client that gives credit gets exactly as much, whatever the device prints, and
// then goes on where it was; another one beside it gets all at once.
func TestCredit(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	m := &metered{on: true, left: 10}
	far, c := b.attach(1<<20, 0, func(c *client) { c.out, c.onLag = m, "close" })
	free, _ := b.attach(1<<20, 0, nil)
	b.print(8 << 10)
	readNumbers(t, free, 0, 8<<10)
	readNumbers(t, far, 0, 10)
	at := int64(10)
	for range 200 {
		n := 1 + rand.Int64N(60)
		if err := m.add(n); err != nil {
			t.Fatal(err)
		}
		readNumbers(t, far, at, int(n))
		at += n
		await(t, "the credit to be spent, and no more", func() bool { return c.got.Load() == at && m.may() == 0 })
	}
	// what is left is spent by who keeps up, too
	if err := m.add(8<<10 - at + 100); err != nil {
		t.Fatal(err)
	}
	readNumbers(t, far, at, int(8<<10-at))
	await(t, "it to be live", func() bool { return b.is(c, live) })
	b.print(800)
	readNumbers(t, free, 8<<10, 800)
	readNumbers(t, far, 8<<10, 100)
	await(t, "it to lag", func() bool { return b.is(c, lagging) })
	if got := c.got.Load(); got != 8<<10+100 {
		t.Errorf("it got %d bytes", got)
	}

	// what memory has no more is missed as by anybody who lags
	b.print(128 << 10)
	readNumbers(t, free, 8<<10+800, 128<<10)
	if err := m.add(1); err != nil {
		t.Fatal(err)
	}
	await(t, "it to have ended", func() bool { return b.is(c, detached) })
}

// is says whether a client is in a state.
func (b *bench) is(c *client, s state) bool {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return c.state == s
}

// Without credit it is given everything; the first credit begins it.
func TestCreditBegins(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	m := new(metered)
	far, c := b.attach(1<<20, 0, func(c *client) { c.out = m })
	b.print(8 << 10)
	readNumbers(t, far, 0, 8<<10)
	for _, n := range []int64{0, -1, creditMost + 1} {
		if err := m.add(n); err == nil {
			t.Errorf("a credit of %d is taken", n)
		}
	}
	if err := m.add(5); err != nil {
		t.Fatal(err)
	}
	b.print(800)
	readNumbers(t, far, 8<<10, 5)
	await(t, "it to lag", func() bool { return b.is(c, lagging) })
	if got := c.got.Load(); got != 8<<10+5 {
		t.Errorf("it got %d bytes", got)
	}
	m.add(creditMost)
	m.add(creditMost) // more than that it never has
	readNumbers(t, far, 8<<10+5, 795)
	if left := m.may(); left > creditMost {
		t.Errorf("it has a credit of %d", left)
	}
}

// Without credit a client leaves as any other one does, and leaves nothing behind.
func TestEndWithoutCredit(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	var bye sync.WaitGroup
	bye.Add(1)
	_, c := b.attach(1<<20, 0, func(c *client) {
		c.out = &metered{on: true, left: 1}
		c.person = func(m Message) error {
			if m.Type == "bye" {
				bye.Done()
			}
			return nil
		}
		c.hello = func(int64) Message { return Message{Type: "hello"} }
	})
	b.print(800)
	await(t, "its credit to be spent", func() bool { return c.got.Load() == 1 })
	began := time.Now()
	if !b.hub.kick(c.id) {
		t.Fatal("it is not there")
	}
	bye.Wait()
	await(t, "it to be gone", func() bool { b.hub.mu.Lock(); defer b.hub.mu.Unlock(); return len(b.hub.clients) == 0 })
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("that took %v", took)
	}
}
