package channel

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel ends a connection whose peer has acknowledged nothing of what is under way for
// TCP_USER_TIMEOUT, which is what notices a peer that is gone; but also one whose peer is
// there, and answers each probe, and takes nothing for so long (tcp_probe_timer of
// net/ipv4/tcp_timer.c): a terminal that was stopped, a slow line, a paused guest. So
// while the peer's window is closed the option is off.

// deadPeer is how long a peer may acknowledge nothing of what is under way, and lookAgain
// how long after something was sent the connection is looked at, as long as not all of it
// has arrived. Variables are for tests.
var (
	deadPeer  = 30 * time.Second
	lookAgain = 10 * time.Second
)

// probesLost is how many probes of a closed window in a row are not answered by a peer that
// is gone. The kernel sends the next one when the last is due or was answered.
const probesLost = 3

// A peerWatch looks at a TCP connection on which something is under way. Where nothing is,
// it costs nothing.
type peerWatch struct {
	f file // of the connection

	looks atomic.Bool // the timer runs

	mu    sync.Mutex // held for moments
	timer *time.Timer
	over  bool

	shut atomic.Bool // the window is closed
}

// sent is called when something was sent.
func (w *peerWatch) sent() {
	if !w.looks.Load() && w.looks.CompareAndSwap(false, true) {
		w.wait()
	}
}

// wait has look called in a while.
func (w *peerWatch) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case w.timer == nil:
		w.timer = time.AfterFunc(lookAgain, w.look)
	default:
		w.timer.Reset(lookAgain)
	}
}

// stop ends the looking.
func (w *peerWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

func setUserTimeout(fd int, d time.Duration) error {
	return setTCPOption(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// look has the option as it is to be, and looks again unless all has arrived. A connection
// that is closed meanwhile is not looked at.
func (w *peerWatch) look() {
	w.looks.Store(false) // before the look: what is sent from now on may be missed by it
	var info *unix.TCPInfo
	var err error
	if w.f.Control(func(fd uintptr) {
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
			return // not of TCP alone, as MPTCP
		}
		// What waits while nothing is under way waits for the window.
		if shut := info.Unacked == 0 && info.Notsent_bytes > 0 && info.Probes < probesLost; w.shut.Swap(shut) != shut {
			timeout := deadPeer
			if shut {
				timeout = 0
			}
			err = setUserTimeout(int(fd), timeout)
		}
	}) == nil && err == nil && (info.Unacked > 0 || info.Notsent_bytes > 0) {
		w.sent()
	}
}
