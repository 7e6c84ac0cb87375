package channel

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Rester can wait for its peer while nobody waits: no goroutine with its stack,
// and no buffer in the hands of a layer. It is what makes a silent channel cheap.
type Rester interface {
	// Rest has wake called once, in a goroutine of its own, when there is
	// something to read, be it the end or an error, or when a deadline of reading
	// is set or Close is called. Until then there may be neither another Rest nor
	// a Read. It returns false if it cannot; wake is not called then.
	//
	// A channel with layers may rest when a Read of its topmost layer ran into its
	// deadline: then no layer holds anything that it could return.
	Rest(wake func()) bool
}

// RestAfter is how long a busy channel is best waited for in Read, at least and up to twice
// as long, before it rests. A Read notices what comes some µs sooner, but a goroutine that
// waits keeps its stack.
const RestAfter = 100 * time.Millisecond

// An Attended channel ends in a socket, or is a pty. One goroutine can attend to thousands
// of them that each say little, for about what the system calls cost (measured: a goroutine
// each costs half as much again, and when many are due the last of them is late).
type Attended interface {
	// TryRead is Read that never waits: (0, nil) means that there is nothing yet. Of a
	// channel with layers it is to be called until it says so; that it then has something
	// all the same, which has just come, is told to who attends.
	TryRead(p []byte) (int, error)

	// Attend is Rest, but while try returns true wake is not called: try is,
	// whenever there is something to read. It is called by the goroutine that attends
	// to all others as well, so it must not wait; and it must read, until it has
	// found nothing or wants to be called again.
	//
	// What try has read is best written in then, which is called after it, whatever it
	// returned, and before wake: of some that have something to read at the same time
	// all are read before the first is written. It must not wait either. It may be nil.
	Attend(try func() bool, then, wake func()) bool
}

// AsAttended is the plain socket that a channel is, if it is one, and takes no files (see
// FDPasser), or the pty; an Outbox may stand above it.
func AsAttended(c Channel) (Attended, bool) {
	if o, ok := c.(*Outbox); ok {
		c = o.Unwrap()
	}
	if p, ok := c.(*ptyChannel); ok {
		return p, true
	}
	if s := plainSocket(c); s != nil {
		return s, true
	}
	return nil, false
}

// AsAttendedLayers is a channel with layers over a plain socket, if each of them reads
// without waiting for anything but that: TLS, and a websocket without OnText.
func AsAttendedLayers(c Channel) (Attended, bool) {
	for at := c; ; {
		switch l := at.(type) {
		case *tlsChannel:
		case *Websocket:
			if l.onText != nil { // which may take its time
				return nil, false
			}
		case *Outbox:
		default:
			s := plainSocket(at)
			return &hurried{c, s}, s != nil && at != c
		}
		at = at.(interface{ Unwrap() Channel }).Unwrap()
	}
}

// A hurried channel is one with layers whose medium does not wait during TryRead.
type hurried struct {
	Channel
	medium *socket
}

// hurriedReads is how many reads of the medium a TryRead has: who sends what only layers
// see, like pings without end, must not keep the one that attends to all.
const hurriedReads = 8

func (h *hurried) TryRead(p []byte) (int, error) {
	r := &h.medium.rest
	r.hurry = hurriedReads + 1
	if r.dry {
		r.hurry = 1
	}
	n, err := h.Read(p)
	r.dry = n > 0 && r.hurry == 1 && !r.dry
	r.hurry = 0
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil // an error comes again
	}
	return 0, err
}

func (h *hurried) Attend(try func() bool, then, wake func()) bool {
	return h.medium.Attend(try, then, wake)
}

// What rests in the process shares one epoll(7) instance. It is made with the
// first and ends with the last of them.
var sleepers struct {
	// The calls that mu is held over do not wait.
	mu      sync.Mutex
	running *sleep // nil: nothing rests
}

// A sleep is one instance and what rests on it.
type sleep struct {
	fd   int
	over int // an eventfd(2), written to at the end

	resting map[int32]*rest // by descriptor; guarded by sleepers.mu
}

// A rest is that of one descriptor; the zero value is awake.
type rest struct {
	// guarded by sleepers.mu
	in     *sleep      // nil: awake
	try    func() bool // nil: it is not attended to
	then   func()      // may be nil
	wake   func()
	fd     int32
	trying bool // it is the attending goroutine's
	closed bool

	// Owned by who reads; of hurried. They stand here, as there is room.
	hurry int8 // one more than the reads that are left
	dry   bool // the next TryRead has what the layers hold: the medium had no more
}

// begin rests on a descriptor, whose owner calls close before that is closed. try and then
// may be nil.
func (r *rest) begin(rc syscall.RawConn, try func() bool, then, wake func()) bool {
	sleepers.mu.Lock()
	defer sleepers.mu.Unlock()
	if r.closed {
		return false
	}
	in := sleepers.running
	if in == nil {
		if in = newSleep(); in == nil {
			return false
		}
	}
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP)
	if try == nil {
		events |= unix.EPOLLONESHOT
	}
	var err error
	cerr := rc.Control(func(fd uintptr) {
		r.fd = int32(fd)
		err = unix.EpollCtl(in.fd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: events, Fd: r.fd})
	})
	if cerr != nil || err != nil {
		if len(in.resting) == 0 {
			in.close()
		}
		return false
	}
	if len(in.resting) == 0 {
		sleepers.running = in
		go in.run()
	}
	in.resting[r.fd] = r
	r.in, r.try, r.then, r.wake = in, try, then, wake
	return true
}

// end wakes what rests.
func (r *rest) end() {
	sleepers.mu.Lock()
	defer sleepers.mu.Unlock()
	r.rouse()
}

// close wakes what rests, for the last time.
func (r *rest) close() {
	sleepers.mu.Lock()
	defer sleepers.mu.Unlock()
	r.closed = true
	r.rouse()
}

// rouse is end with the lock held.
func (r *rest) rouse() {
	if r.in == nil {
		return
	}
	in := r.in
	r.in = nil
	delete(in.resting, r.fd)
	// The descriptor is open yet: who closes it calls close first.
	_ = unix.EpollCtl(in.fd, unix.EPOLL_CTL_DEL, int(r.fd), nil)
	if len(in.resting) == 0 {
		sleepers.running = nil
		in.end()
	}
	if !r.trying { // else attended does it
		r.awake()
	}
}

// awake calls wake. Called with the lock held.
func (r *rest) awake() {
	wake := r.wake
	r.try, r.then, r.wake = nil, nil, nil
	go wake()
}

// attended is called after try, and then, with what try returned. Called with the lock held.
func (r *rest) attended(more bool) {
	r.trying = false
	switch {
	case r.in == nil: // it was roused meanwhile
		r.awake()
	case !more:
		r.rouse()
	}
}

// newSleep makes an instance; nil if there can be none.
func newSleep() *sleep {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	over, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil
	}
	in := &sleep{fd: fd, over: over, resting: map[int32]*rest{}}
	if unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, over, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(over)}) != nil {
		in.close()
		return nil
	}
	return in
}

func (in *sleep) close() {
	unix.Close(in.over)
	unix.Close(in.fd)
}

// end ends run.
func (in *sleep) end() {
	one := [8]byte{1}
	unix.Write(in.over, one[:])
}

// rouseAll wakes what rests on an instance that tells nothing any more. What rests again
// has another one.
func (in *sleep) rouseAll() {
	sleepers.mu.Lock()
	defer sleepers.mu.Unlock()
	for _, r := range in.resting {
		r.rouse()
	}
}

// How the goroutine that attends waits. Measured with a key that is echoed: what comes in
// the first 10 µs is noticed a fifth of the time sooner by asking again than by sleeping;
// and who does not let the scheduler see him for 10 ms is taken for stuck in a system call,
// whereupon the runtime looks for such every 20 µs.
const (
	askAgain = 8
	beSeen   = 7 * time.Millisecond
)

// run is the one goroutine of the instance, until end. It waits in epoll_wait(2) itself:
// by way of Go's poller each event costs three more system calls.
func (in *sleep) run() {
	defer in.close()
	var events [256]unix.EpollEvent
	for seen := time.Now(); ; {
		if now := time.Now(); now.Sub(seen) >= beSeen {
			seen = now
			runtime.Gosched()
		}
		n, err := in.wait(events[:])
		if err != nil && err != unix.EINTR { // the descriptor is another one by now, whoever did that
			in.rouseAll()
			return
		}
		for some := range slices.Chunk(events[:max(n, 0)], together) {
			if !in.tend(some) {
				return
			}
		}
	}
}

// together is how many are read before the first of them is written. To write wakes
// somebody, who then comes to several at once (measured for 200 guests that boot: a tenth
// of the CPU time), and many would have the first of them wait.
const together = 64

// tend wakes what the events are of, at most together, or has it read and written. It
// returns false at the end.
func (in *sleep) tend(events []unix.EpollEvent) bool {
	var few [together]*rest
	var more [together]bool
	trying := few[:0]
	sleepers.mu.Lock()
	defer sleepers.mu.Unlock()
	for _, e := range events {
		if e.Fd == int32(in.over) { // nothing rests any more
			return false
		}
		switch r := in.resting[e.Fd]; {
		case r == nil: // somebody woke it meanwhile
		case r.try != nil:
			r.trying = true
			trying = append(trying, r)
		default:
			r.rouse()
		}
	}
	sleepers.mu.Unlock()
	for i, r := range trying {
		more[i] = r.try()
	}
	for _, r := range trying {
		if r.then != nil {
			r.then()
		}
	}
	sleepers.mu.Lock()
	for i, r := range trying {
		r.attended(more[i])
	}
	return true
}

// wait is epoll_wait(2) that asks some times before it sleeps.
func (in *sleep) wait(events []unix.EpollEvent) (n int, err error) {
	for range askAgain {
		if n, err = unix.EpollWait(in.fd, events, 0); n != 0 {
			return n, err
		}
	}
	return unix.EpollWait(in.fd, events, -1)
}
