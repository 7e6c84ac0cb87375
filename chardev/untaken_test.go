package chardev

import (
	"io"
	"testing"
	"time"
)

// All who are attached are told once of a device that neither takes what is typed nor
// prints, and again of the next time.
func TestAllAreToldOfWhatIsNotTaken(t *testing.T) {
	was := takenAfter
	takenAfter = time.Hour // no look comes by itself
	t.Cleanup(func() { takenAfter = was })
	b := newBench(t, 256<<10, "shared")
	b.plug()
	notices := make(chan string, 9)
	person := func(c *client) {
		c.person = func(m Message) error { notices <- m.Text; return nil }
	}
	far, _ := b.attach(64<<10, 0, person)
	b.attach(64<<10, 0, person)
	s := b.hub.device.Load()
	u := s.untaken
	hang := func() {
		t.Helper()
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
	comes := func() bool { // a look
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.timer != nil
	}
	look := func(printed int64) {
		t.Helper()
		await(t, "a look to come", comes)
		u.end()
		s.lookAtTaken(printed)
	}

	hang()
	look(b.hub.lastOut.Load())
	for range 2 {
		if text := <-notices; text != "the device has not taken all that was typed" {
			t.Errorf("a client is told %q", text)
		}
	}
	s.watchTaken()
	if comes() {
		t.Error("it is told again")
	}
	read(40 << 10)

	hang()
	look(b.hub.lastOut.Load() - 1) // it prints, and so it lives
	if !comes() {
		t.Error("it is looked at no more, as it has printed")
	}
	read(40 << 10)
	look(b.hub.lastOut.Load())
	if comes() || len(notices) != 0 {
		t.Errorf("%d notices of a device that takes", len(notices))
	}

	hang()
	look(b.hub.lastOut.Load())
	for range 2 {
		<-notices
	}
	read(40 << 10)
	far.Write([]byte("x"))
	await(t, "the next look to come", comes)
	read(1)
}
