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
//  1. somebody opens the slave: inotify(7) says so, poll(2) confirms it
//  2. begin: a session (master) on the pty; Accept takes it
//  3. the last opener leaves: the pty hangs up; the session keeps what there is
//     to read yet and is off the pty
//  4. what was written to the leaving and not read is thrown away; go to 1
//
// If we end the session while somebody has the pty open then that pty is given
// up, so that the opener gets a hang-up, and the link goes to a new one.
//
// Between a last close and the hang-up's detection, some microseconds, the next
// opener joins the session that ends, as several openers at a time share one.
type ptyListener struct {
	// fixed
	link     string
	mode     fs.FileMode
	uid, gid int
	ready    chan *master  // unbuffered: a session is run's until Accept has it
	opened   chan struct{} // told by watch; capacity 1
	stopping chan struct{} // closed by Close
	stop     func()        // closes stopping
	stopped  chan struct{} // closed by run when the link is gone and nothing is handed out any more
	err      error         // why; before stopped is closed

	// owned by run
	pair    *ptyPair
	watch   *inodeWatch    // of pair's slave
	cur     *master        // the session on the pty, or nil
	next    *master        // the one to hand out: cur, or one that is off the pty already; or nil
	waiting sync.WaitGroup // the goroutine that waits for cur's hang-up
}

func listenPty(ctx context.Context, _ *Env, a Address) (Listener, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	mode, uid, gid, err := fileRights(a)
	if err != nil {
		return nil, err
	}
	stopping := make(chan struct{})
	l := &ptyListener{
		link: a.Where, mode: mode, uid: uid, gid: gid,
		ready:    make(chan *master),
		opened:   make(chan struct{}, 1),
		stopping: stopping,
		stop:     sync.OnceFunc(func() { close(stopping) }),
		stopped:  make(chan struct{}),
	}
	if err := l.renew(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *ptyListener) Addr() net.Addr { return addr{"pty", l.link} }

func (l *ptyListener) Accept(ctx context.Context) (Channel, error) {
	select {
	case m := <-l.ready:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.stopped:
		return nil, l.err
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
	l.err = l.serve()
	l.watch.Close()
	removeLink(l.pair.name, l.link)
	if l.cur != nil && l.cur != l.next { // it lives on
		close(l.stopped)
		select {
		case <-l.cur.hungUp:
		case <-l.cur.closing:
		}
		l.detach()
		l.pair.close()
		close(l.cur.over)
		return
	}
	if l.cur != nil { // nobody will have it
		l.detach()
		close(l.cur.over)
	}
	l.pair.close()
	close(l.stopped)
}

// serve goes through the sessions until Close or an error.
func (l *ptyListener) serve() error {
	for {
		if l.cur == nil && l.next == nil {
			if err := l.begin(); err != nil {
				return err
			}
		}
		var ready chan<- *master
		if l.next != nil {
			ready = l.ready
		}
		var hungUp, closing <-chan struct{}
		if l.cur != nil {
			hungUp, closing = l.cur.hungUp, l.cur.closing
		}
		var err error
		select {
		case <-l.stopping:
			err = net.ErrClosed
		case <-l.opened: // see begin
		case ready <- l.next:
			l.next = nil
		case <-hungUp:
			err = l.left()
		case <-closing:
			err = l.kicked()
		}
		if err != nil {
			return err
		}
	}
}

// begin starts a session if somebody is there, or was and has left something to
// read. No other may wait to be handed out, so that one who opens and closes
// again and again fills the pty's buffer and not our memory.
func (l *ptyListener) begin() error {
	hup, input := l.pair.poll()
	if hup && !input {
		return nil
	}
	m, err := newMaster(l.pair, l.Addr(), addr{"pty", l.pair.name})
	if err != nil {
		return err
	}
	l.cur, l.next = m, m
	l.waiting.Go(func() {
		if l.pair.waitHangup() {
			m.hang()
		}
	})
	return nil
}

// detach takes the session off the pty. Its over is still to be closed.
func (l *ptyListener) detach() {
	l.cur.detach(l.pair)
	// A session can also end because it read EIO, when the next opener was
	// quick and hid the hang-up from waitHangup.
	l.pair.hang.SetReadDeadline(time.Unix(1, 0))
	l.waiting.Wait()
	l.pair.hang.SetReadDeadline(time.Time{})
}

// left ends the session after the last opener left.
func (l *ptyListener) left() error {
	m := l.cur
	l.detach()
	l.cur = nil
	if l.next == m && len(m.rest) == 0 {
		l.next = nil // come and gone before anybody saw it
	}
	defer close(m.over)
	return l.pair.flush()
}

// kicked ends the session that its user has closed. Who has the pty open yet
// gets a hang-up.
func (l *ptyListener) kicked() error {
	m := l.cur
	l.detach()
	l.cur = nil
	defer close(m.over)
	if hup, _ := l.pair.poll(); hup {
		return l.pair.flush()
	}
	return l.renew()
}

// renew makes a pty and lets the link point to it; then the old one, if any, is
// closed. If it fails then all is as before.
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
		l.pair.close()
	}
	l.pair, l.watch = pair, watch
	return nil
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
