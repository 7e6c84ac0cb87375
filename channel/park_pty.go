package channel

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Park makes a session a Parker. What is parked is empty but for what its outbox
// adds: the owner of the pty has the rest.
func (m *master) Park() (*Parked, error) {
	select {
	case <-m.over:
		return nil, net.ErrClosed
	default:
		m.leave()
		return new(Parked), nil
	}
}

// give gives up the pty but for its master, which whoever has it open does not feel,
// and returns that.
func (p *ptyPair) give() int {
	if p.hang != nil {
		p.hang.Close()
	}
	fd := p.fd
	p.fd = -1
	return fd
}

// adoptPair is a pty whose master was given up.
func adoptPair(fd int, name string) *ptyPair { return &ptyPair{fd: fd, name: name} }

// Park makes a listener a Parker; the link stays.
func (l *ptyListener) Park() (*Parked, error) {
	l.park()
	<-l.stopped
	if l.parked == nil {
		return nil, net.ErrClosed
	}
	return l.parked, nil
}

func (l *ptyListener) isParking() bool {
	select {
	case <-l.parking:
		return true
	default:
		return false
	}
}

// handOver parks the pty, when the session that was handed out is parked, or over. One
// that was not handed out begins anew where the pty is adopted.
func (l *ptyListener) handOver() {
	session := false
	if m := l.cur; m != nil && m == l.next {
		l.drop()
		close(m.over)
	}
	for l.cur != nil {
		m := l.cur
		select {
		case <-m.parked:
			session = true
			l.drop()
			close(m.over)
		case <-m.hungUp:
			if l.left() != nil {
				l.replace()
			}
		case <-m.closing:
			l.kicked()
		}
	}
	if l.pair == nil {
		return
	}
	l.watch.Close()
	l.parked = &Parked{Name: l.pair.name, Session: session}
	l.parked.FDs = []int{l.pair.give()}
	l.pair = nil
}

func adoptPtyListener(_ *Env, a Address, p *Parked) (accepter, Channel, error) {
	l, err := newPtyListener(a)
	if err != nil {
		p.Drop()
		return nil, nil, err
	}
	fd, err := oneFD(p)
	if err != nil {
		return nil, nil, err
	}
	session, err := l.goOn(adoptPair(fd, p.Name), p.Session)
	if err != nil {
		return nil, nil, err
	}
	go l.run()
	if session == nil {
		return l, nil, nil
	}
	return l, session, nil
}

// goOn makes the pty the listener's, which does not run yet, and begins a session if
// there was one, and its opener is there yet or has left something to read.
func (l *ptyListener) goOn(pair *ptyPair, session bool) (*master, error) {
	err := pair.watchHangup()
	if err == nil {
		l.watch, err = watchInode(pair.name, unix.IN_OPEN, "", l.opened)
	}
	if err != nil {
		pair.close()
		return nil, err
	}
	l.pair = pair
	if err := placeLink(pair.name, l.link); err != nil {
		l.watch.Close()
		l.giveUp()
		return nil, err
	}
	if !session {
		return nil, nil
	}
	err = l.begin()
	if err == nil && l.cur == nil { // as when a session ends
		err = pair.flush()
	}
	if err != nil {
		l.replace()
	}
	m := l.next
	l.next = nil // it is not for Accept
	return m, nil
}

// Park makes a process a Parker. The command stays; only its parent can adopt it.
func (p *process) Park() (*Parked, error) {
	err := net.ErrClosed // unless this is what closes it
	p.stop.Do(func() {
		if _, err = p.master.Park(); err != nil {
			p.master.Close()
			p.stopErr = p.terminate()
			return
		}
		<-p.over
		if p.handed == nil {
			err = net.ErrClosed
			p.stopErr = p.terminate()
		}
	})
	return p.handed, err
}

func adoptExec(a Address, parked *Parked) (Channel, error) {
	if len(parked.FDs) != 2 {
		parked.Drop()
		return nil, errNotParked
	}
	pair := adoptPair(parked.FDs[0], parked.Name)
	slave := os.NewFile(uintptr(parked.FDs[1]), parked.Name)
	parked.FDs = nil
	p, err := adoptProcess(pair, slave, parked.PID, a.Where)
	if err != nil {
		slave.Close()
		pair.close()
		return nil, err
	}
	return p, nil
}

// adoptProcess goes on with a command. On success pair and slave belong to the process.
func adoptProcess(pair *ptyPair, slave *os.File, pid int, command string) (*process, error) {
	proc, err := findChild(pid)
	if err != nil {
		return nil, err
	}
	m, err := newMaster(pair, addr{"exec", pair.name}, addr{"exec", command})
	if err != nil {
		proc.Release()
		return nil, err
	}
	return runProcess(m, proc, pair, slave), nil
}
