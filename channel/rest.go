package channel

import (
	"os"
	"sync"
	"syscall"

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

// What rests in the process shares one epoll(7) instance. It is made with the
// first and ends with the last of them.
var sleepers struct {
	// The calls that mu is held over do not wait.
	mu      sync.Mutex
	running *sleep // nil: nothing rests
}

// A sleep is one instance and what rests on it.
type sleep struct {
	f  *os.File // on Go's poller, as an epoll instance can be polled itself
	rc syscall.RawConn
	fd int

	resting map[int32]*rest // by descriptor; guarded by sleepers.mu
}

// A rest is that of one descriptor; the zero value is awake.
type rest struct {
	// guarded by sleepers.mu
	in     *sleep // nil: awake
	fd     int32
	wake   func()
	closed bool
}

// begin rests on a descriptor, whose owner calls close before that is closed.
func (r *rest) begin(rc syscall.RawConn, wake func()) bool {
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
	var err error
	cerr := rc.Control(func(fd uintptr) {
		r.fd = int32(fd)
		err = unix.EpollCtl(in.fd, unix.EPOLL_CTL_ADD, int(fd),
			&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: r.fd})
	})
	if cerr != nil || err != nil {
		if len(in.resting) == 0 {
			in.f.Close()
		}
		return false
	}
	if len(in.resting) == 0 {
		sleepers.running = in
		go in.run()
	}
	in.resting[r.fd] = r
	r.in, r.wake = in, wake
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
	in, wake := r.in, r.wake
	r.in, r.wake = nil, nil
	delete(in.resting, r.fd)
	// The descriptor is open yet: who closes it calls close first.
	_ = unix.EpollCtl(in.fd, unix.EPOLL_CTL_DEL, int(r.fd), nil)
	if len(in.resting) == 0 {
		sleepers.running = nil
		in.f.Close()
	}
	go wake()
}

// newSleep makes an instance; nil if there can be none.
func newSleep() *sleep {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os wants that to poll it
		unix.Close(fd)
		return nil
	}
	f := os.NewFile(uintptr(fd), "epoll")
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil
	}
	return &sleep{f: f, rc: rc, fd: fd, resting: map[int32]*rest{}}
}

// run is the one goroutine of the instance, and ends when that is closed.
func (in *sleep) run() {
	var events [64]unix.EpollEvent
	for {
		n := 0
		if in.rc.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		}) != nil {
			return
		}
		for _, e := range events[:n] {
			sleepers.mu.Lock()
			if r := in.resting[e.Fd]; r != nil { // else somebody woke it meanwhile
				r.rouse()
			}
			sleepers.mu.Unlock()
		}
	}
}

// A restingListener is what the sockets that are listened on have in common:
// they are Resters whose Read is Accept. close of rest goes before the socket's.
type restingListener struct {
	rc   syscall.RawConn
	rest rest
}

func newRestingListener(l syscall.Conn) restingListener {
	rc, _ := l.SyscallConn() // fails for a closed one only
	return restingListener{rc: rc}
}

func (l *restingListener) Rest(wake func()) bool { return l.rest.begin(l.rc, wake) }
