package chardev

import (
	"context"
	"os"
	"time"

	"chardevd/channel"
)

// What a service manager wants of the daemon, whichever manager it is.

// Inherit takes sockets that a service manager listens on for the daemon: the control
// socket, frontends, devices and [http] that listen at the address of one take it
// instead of making one. It is called before Run. An error is of those that are no
// such sockets, which are closed; the others are taken all the same.
func (s *Server) Inherit(files []*os.File) error { return s.inherited.Take(files) }

// tellUnused tells of inherited sockets that nobody serves: who connects there waits in
// vain.
func (s *Server) tellUnused() {
	for _, at := range s.inherited.Unused() {
		s.log.Warn("a socket was passed that nothing in the config listens on: who connects there waits for ever; give its address to a frontend, or take it from the socket unit", "socket", at)
	}
}

// Alive returns when every chardev has answered how it is, as "chardevd list" asks, and so has
// who attends to those that say little: it does not return while one of them hangs.
func (s *Server) Alive() {
	channel.AwaitAttending()
	for _, c := range s.all() {
		c.info(false)
	}
}

// Up counts the chardevs whose device is up, and all of them.
func (s *Server) Up() (up, all int) {
	consoles := s.all()
	for _, c := range consoles {
		if state, _, _ := c.device.Load().state(); state == StateUp {
			up++
		}
	}
	return up, len(consoles)
}

// followPause is how far apart what Follow tells is at least.
const followPause = time.Second

// Follow calls told with what Up counts, each time that it is another, until ctx ends.
func (s *Server) Follow(ctx context.Context, told func(up, all int)) {
	w := s.board.watch(happened)
	defer w.leave()
	wasUp, were := -1, -1
	for {
		w.clear()
		if up, all := s.Up(); up != wasUp || all != were {
			told(up, all)
			wasUp, were = up, all
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		if sleep(ctx, followPause) != nil {
			return
		}
	}
}
