package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// readers read for many clients with as few threads and system calls as they
// can: two threads with epoll, one read of 256 KiB at a time, or under tls what
// crypto/tls asks for (some 32 KiB) until there is no more.
type readers struct {
	clients []*client
	groups  []*group
	wake    [2]int // a pipe: when it closes, the groups end
	running sync.WaitGroup
}

type group struct {
	ep      int
	clients []*client
}

const groupsMax = 2

// readAll begins to read for clients.
func readAll(clients []*client) (*readers, error) {
	r := &readers{clients: clients}
	if err := unix.Pipe2(r.wake[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range min(groupsMax, len(clients)) {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			r.stop()
			return nil, err
		}
		g := &group{ep: ep}
		r.groups = append(r.groups, g)
		if err := g.watch(r.wake[0], -1); err != nil {
			r.stop()
			return nil, err
		}
		for j := i; j < len(clients); j += groupsMax {
			g.clients = append(g.clients, clients[j])
		}
		for j, c := range g.clients {
			if err := g.watch(c.fd, j); err != nil {
				r.stop()
				return nil, err
			}
		}
		r.running.Go(g.run)
	}
	return r, nil
}

func (g *group) watch(fd, index int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(g.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)}))
}

func (g *group) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buf := make([]byte, chunkMax)
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(g.ep, events, -1)
		if err != nil && err != unix.EINTR {
			return
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd < 0 {
				return
			}
			c := g.clients[e.Fd]
			err := c.readReady(buf)
			if err != nil {
				c.fail(err)
				unix.EpollCtl(g.ep, unix.EPOLL_CTL_DEL, c.fd, nil)
			}
		}
	}
}

// pause stops reading for a client; resume goes on.
func (r *readers) pause(c *client) error {
	for _, g := range r.groups {
		for _, other := range g.clients {
			if other == c {
				return os.NewSyscallError("epoll_ctl", unix.EpollCtl(g.ep, unix.EPOLL_CTL_DEL, c.fd, nil))
			}
		}
	}
	return nil
}

func (r *readers) resume(c *client) error {
	for _, g := range r.groups {
		for i, other := range g.clients {
			if other == c {
				return g.watch(c.fd, i)
			}
		}
	}
	return nil
}

// stop ends the clients and waits for those who read.
func (r *readers) stop() {
	unix.Close(r.wake[1])
	for _, c := range r.clients {
		c.shut()
	}
	r.running.Wait()
	unix.Close(r.wake[0])
	for _, g := range r.groups {
		unix.Close(g.ep)
	}
}

// heard says whether all clients have heard of their device.
func heard(clients []*client) bool {
	for _, c := range clients {
		if !c.heard.Load() {
			return false
		}
	}
	return true
}

// received is how many bytes of the stream clients have in sum.
func received(clients []*client) (n int64) {
	for _, c := range clients {
		n += c.got.Load()
	}
	return n
}

// failure is why a client ended, if one did.
func failure(clients []*client) error {
	for i, c := range clients {
		if err := c.failed(); err != nil {
			return fmt.Errorf("client %d of %d: %w", i+1, len(clients), err)
		}
	}
	return nil
}

// stuckTime is how long nothing comes until the target is asked what it lost.
const stuckTime = 50 * time.Millisecond

// settle waits until clients have want bytes in sum, or nothing has come for a
// while, which is then all that comes. told returns how many bytes the target
// says they can not have; it is asked only when nothing comes, as the answer is work that
// would be measured, and not small with hundreds of clients.
func settle(clients []*client, want int64, quiet time.Duration, told func() (int64, error)) (missing int64, err error) {
	last, since, asked := int64(-1), time.Now(), time.Time{}
	for {
		n := received(clients)
		if n != last {
			last, since = n, time.Now()
		}
		gaps := int64(0)
		if now := time.Now(); n < want && now.Sub(since) >= stuckTime && now.Sub(asked) >= stuckTime {
			if gaps, err = told(); err != nil {
				return 0, err
			}
			asked = now
		}
		if n+gaps >= want {
			return want - n, nil
		}
		if time.Since(since) > quiet {
			return want - n, nil
		}
		if err := failure(clients); err != nil {
			return want - n, err
		}
		time.Sleep(time.Millisecond)
	}
}
