package channel

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A ptyListener makes a pty with a stable link to it and hands out a session
// each time when somebody has it open. One goroutine, run, owns it:
//
//  1. somebody opens the slave: inotify(7) says so, poll(2) confirms it. (Only
//     IN_OPEN is asked for: the events of a close come before the tty has hung
//     up, so they tell nothing that could be confirmed.)
//  2. begin: a session (master) on the pty; Accept takes it
//  3. the last opener leaves: the pty hangs up, which wakes waitHangup or the
//     session's Read
//  4. left: the session keeps what there is to read yet and is off the pty; what
//     was written to the leaving and not read is thrown away; go to 1
//
// If its user closes the session while somebody has the pty open (kicked) then
// that pty is given up, so that the opener gets a hang-up, and the link goes to
// a new one.
//
// Several openers at a time share the session. So does one who opens between the
// last one's close and step 4, some microseconds or, on a busy machine, more; to
// the kernel it is one tty, and he may read what was written for the one before.
type ptyListener struct {
	// fixed
	link     string
	mode     fs.FileMode
	uid, gid int
	ready    chan *master  // unbuffered: a session is run's until Accept has it
	opened   chan struct{} // told by watch; capacity 1
	stopping chan struct{} // closed by Close
	stop     func()        // closes stopping
	parking  chan struct{} // closed by Park
	park     func()        // closes parking
	stopped  chan struct{} // closed by run when the link is gone, or all is parked, and nothing is handed out any more
	failed   chan error    // unbuffered: why there is no session; it is tried again when Accept has it

	// owned by run
	pair    *ptyPair
	watch   *inodeWatch    // of pair's slave
	cur     *master        // the session on the pty, or nil
	next    *master        // the one to hand out: cur, or one that is off the pty already; or nil
	waiting sync.WaitGroup // the goroutine that waits for cur's hang-up
	parked  *Parked        // set before stopped is closed; nil: there was no pty
}

func listenPty(ctx context.Context, _ *Env, a Address) (accepter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := newPtyListener(a)
	if err == nil {
		err = l.renew()
	}
	if err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// newPtyListener returns a listener without a pty that does not run.
func newPtyListener(a Address) (*ptyListener, error) {
	mode, uid, gid, err := fileRights(a)
	if err != nil {
		return nil, err
	}
	stopping, parking := make(chan struct{}), make(chan struct{})
	return &ptyListener{
		link: a.Where, mode: mode, uid: uid, gid: gid,
		ready:    make(chan *master),
		opened:   make(chan struct{}, 1),
		stopping: stopping,
		stop:     sync.OnceFunc(func() { close(stopping) }),
		parking:  parking,
		park:     sync.OnceFunc(func() { close(parking) }),
		stopped:  make(chan struct{}),
		failed:   make(chan error),
	}, nil
}

func (l *ptyListener) Addr() net.Addr { return addr{"pty", l.link} }

func (l *ptyListener) Accept() (Channel, error) {
	select {
	case m := <-l.ready:
		return m, nil
	case err := <-l.failed:
		return nil, err
	case <-l.stopped:
		return nil, net.ErrClosed
	}
}

// Close removes the link if it is still ours. Who has the pty open keeps it
// until the session ends; what is left of the listener ends with that.
func (l *ptyListener) Close() error {
	l.stop()
	<-l.stopped
	return nil
}

// run is the one goroutine of the listener; listenPty starts it. Close waits
// for it, or for it to have nothing left but a session that was handed out.
func (l *ptyListener) run() {
	l.serve()
	if l.isParking() {
		l.handOver()
		close(l.stopped)
		return
	}
	l.unlink()
	if l.cur == nil || l.cur == l.next { // nobody has one
		l.giveUp()
		close(l.stopped)
		return
	}
	close(l.stopped)
	for l.cur != nil {
		select {
		case <-l.cur.hungUp:
			l.left()
		case <-l.cur.closing:
			l.giveUp()
		case <-l.cur.parked:
			l.giveUp()
		}
	}
	l.giveUp()
}

// serve goes through the sessions until Close.
func (l *ptyListener) serve() {
	for {
		var failure error
		if l.cur == nil && l.next == nil {
			failure = l.begin()
		}
		var failed chan<- error
		if failure != nil {
			failed = l.failed
		}
		var ready chan<- *master
		if l.next != nil {
			ready = l.ready
		}
		var hungUp, closing <-chan struct{}
		if l.cur != nil {
			hungUp, closing = l.cur.hungUp, l.cur.closing
		}
		select {
		case <-l.stopping:
			return
		case <-l.parking:
			return
		case <-l.opened: // begin looks
		case ready <- l.next:
			l.next = nil
		case failed <- failure: // begin tries again
		case <-hungUp:
			if l.left() != nil {
				l.replace()
			}
		case <-closing:
			l.kicked()
		}
	}
}

// begin starts a session if somebody is there, or was and has left something to
// read. No other may wait to be handed out, so that one who opens and closes
// again and again fills the pty's buffer and not our memory.
func (l *ptyListener) begin() error {
	if l.pair == nil {
		if err := l.renew(); err != nil {
			return err
		}
	}
	if hup, input := l.pair.poll(); hup && !input {
		return nil
	}
	m, err := newMaster(l.pair, l.Addr(), addr{"pty", l.pair.name})
	if err != nil {
		return err
	}
	l.cur, l.next = m, m
	l.waitHangup()
	return nil
}

// left ends the session after the last opener left. If the next one was quick
// then he shares it and it goes on. It is an error if the pty is not fit for
// another session.
func (l *ptyListener) left() error {
	m := l.cur
	m.stopReading()
	l.stopWaiting()
	if hup, _ := l.pair.poll(); !hup && m.resumeReading(l.pair) == nil {
		l.waitHangup()
		return nil
	}
	m.letGo()
	// Before the rest is read: it ends the echo, if somebody has put that on.
	err := l.pair.flush()
	m.end(l.pair.drainLeft())
	l.cur = nil
	if l.next == m && len(m.left) == 0 {
		l.next = nil // come and gone before anybody saw it
	}
	close(m.over)
	return err
}

// kicked ends the session that its user has closed. Who has the pty open yet
// gets a hang-up.
func (l *ptyListener) kicked() {
	m := l.cur
	l.drop()
	if hup, _ := l.pair.poll(); !hup || l.pair.flush() != nil {
		l.replace()
	} else {
		l.pair.drainLeft()
	}
	close(m.over)
}

// drop takes cur off the pty. Its over is still to be closed.
func (l *ptyListener) drop() {
	l.cur.stopReading()
	l.cur.end(nil)
	l.cur = nil
	l.stopWaiting()
}

// waitHangup waits for cur's hang-up in a goroutine.
func (l *ptyListener) waitHangup() {
	pair, m := l.pair, l.cur
	l.waiting.Go(func() {
		if pair.waitHangup() {
			m.hang()
		}
	})
}

// stopWaiting ends that goroutine, which need not have seen a hang-up: a Read
// that got EIO tells of one too, and the next opener may have hidden it.
func (l *ptyListener) stopWaiting() {
	l.pair.hang.SetReadDeadline(longAgo)
	l.waiting.Wait()
	l.pair.hang.SetReadDeadline(time.Time{})
}

// replace gives up the pty for a new one. If there is none to be had then begin
// tries again.
func (l *ptyListener) replace() {
	if l.renew() != nil {
		l.unlink()
		l.giveUp()
	}
}

// renew makes a pty and lets the link point to it; then the old one, if any, is
// given up. If it fails then all is as before.
func (l *ptyListener) renew() error {
	pair, err := l.newPair()
	if err != nil {
		return err
	}
	watch, err := watchInode(pair.name, unix.IN_OPEN, "", l.opened)
	if err == nil {
		if err = placeLink(pair.name, l.link); err != nil {
			watch.Close()
		}
	}
	if err != nil {
		pair.close()
		return err
	}
	if l.pair != nil {
		l.watch.Close()
		l.giveUp()
	}
	l.pair, l.watch = pair, watch
	return nil
}

// unlink ends that others find the pty.
func (l *ptyListener) unlink() {
	if l.pair != nil {
		l.watch.Close()
		removeLink(l.pair.name, l.link)
	}
}

// giveUp closes the pty, so that who has it open gets a hang-up, and ends the
// session on it if there is one.
func (l *ptyListener) giveUp() {
	m := l.cur
	if m != nil {
		l.drop()
	}
	if l.pair != nil {
		l.pair.close()
		l.pair = nil
	}
	if m != nil {
		close(m.over)
	}
}

// newPair makes a pty whose slave is raw and has the rights that were asked
// for. Nobody has it open, which is a hang-up as after any session.
func (l *ptyListener) newPair() (*ptyPair, error) {
	p, slave, err := openPty()
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	if err = setRaw(p.fd, unix.TCSETS); err == nil {
		err = slave.Chown(l.uid, l.gid)
	}
	if err == nil {
		err = slave.Chmod(l.mode)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("pty: %w", err)
	}
	return p, nil
}
