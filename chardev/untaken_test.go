package chardev

import (
	"io"
	"testing"
)

// All who are attached are told once of a device that neither takes what is typed nor
// prints, and again of the next time.
func TestAllAreToldOfWhatIsNotTaken(t *testing.T) {
	b := newBench(t, 256<<10, "shared")
	b.plug()
	notices := make(chan string, 9)
	person := func(c *client) {
		c.person = func(m Message) error { notices <- m.Text; return nil }
	}
	far, _ := b.attach(64<<10, 0, person)
	b.attach(64<<10, 0, person)
	s := b.hub.device.Load()
	hang := func() {
		t.Helper()
		s.look.Store(lookSoon)          // and no other one comes by itself
		far.Write(make([]byte, 40<<10)) // more than the pipe has room for
		await(t, "the device to be full", s.waits)
	}
	read := func(n int64) {
		t.Helper()
		if _, err := io.CopyN(io.Discard, b.guest, n); err != nil {
			t.Fatal(err)
		}
		await(t, "all to be taken", func() bool { return !s.waits() })
	}

	hang()
	s.lookAtTaken(b.hub.lastOut.Load())
	for range 2 {
		if text := <-notices; text != "the device has not taken all that was typed" {
			t.Errorf("a client is told %q", text)
		}
	}
	s.watchTaken()
	if s.look.Load() != lookedAtUntaken {
		t.Error("it is told again")
	}
	read(40 << 10)

	hang()
	s.lookAtTaken(b.hub.lastOut.Load() - 1) // it prints, and so it lives
	if s.look.Load() != lookSoon {
		t.Error("it is told of one that prints, or looked at no more")
	}
	read(40 << 10)

	s.look.Store(lookedAtUntaken)
	far.Write([]byte("x"))
	await(t, "the next look to come", func() bool { return s.look.Load() == lookSoon })
	read(1)
	s.lookAtTaken(b.hub.lastOut.Load())
	if len(notices) != 0 || s.look.Load() != noLook {
		t.Errorf("%d notices of a device that takes", len(notices))
	}
}
