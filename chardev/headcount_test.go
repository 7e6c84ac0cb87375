package chardev

import (
	"sync/atomic"
	"testing"
)

// People are told how many are attached when that has changed, and others nothing.
func TestPeopleAreToldHowManyAreAttached(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	var last, told atomic.Int64
	person, _ := b.attach(16<<10, 0, func(c *client) {
		c.counted = 1 // the hello has told it
		c.person = func(m Message) error {
			if m.Type == "clients" {
				last.Store(int64(m.Clients))
				told.Add(1)
			}
			return nil
		}
	})
	is := func(n int64) func() bool { return func() bool { return last.Load() == n } }
	program, _ := b.attach(16<<10, 0, nil)
	await(t, "two to be told", is(2))
	for range 3 {
		b.attach(16<<10, 0, nil)
	}
	await(t, "five to be told", is(5))
	program.Break()
	await(t, "four to be told", is(4))
	if n := told.Load(); n > 5 {
		t.Errorf("five changes were told in %d messages", n)
	}
	person.Break()
	await(t, "nobody to count for", func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		return len(b.hub.clients) == 3 && b.hub.headcount.people == 0 && b.hub.headcount.timer == nil
	})
	b.hub.headcount.timing.Wait()
}

// Nobody's pump comes to tell him how many are attached if he was told when he came.
func TestWhoKnowsHowManyAreAttachedIsNotTold(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	_, c := b.attach(16<<10, 0, func(c *client) {
		c.counted = 1 // the hello has told it
		c.person = func(Message) error { return nil }
	})
	c.mu.Lock() // its pump pays with that held
	defer c.mu.Unlock()
	for told, owed := range map[int32]bool{1: false, 2: true} {
		b.hub.mu.Lock()
		c.counted = told
		b.hub.mu.Unlock()
		c.owed.Store(0)
		b.hub.tellCount()
		if (c.owed.Load() != 0) != owed {
			t.Errorf("who was told of %d, and is alone, is owed that: %t", told, !owed)
		}
	}
}
