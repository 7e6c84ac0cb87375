package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// A job is what a target is asked to carry.
type job struct {
	device   string // how it reaches the devices: unix, tcp, pty
	front    string // how clients reach it: tcp, unix, tls, ws, telnet
	consoles int
	clients  int    // of each console
	lossy    bool   // some clients do not keep up and must not hold up the others
	log      string // what a console prints is kept in a file: chardevd's setting of that name; "": in none
}

// A console is one device and its clients.
type console struct {
	name    string
	dev     *device
	front   front
	clients []*client
}

// A target is a program that joins devices with clients, in some setting.
type target interface {
	name() string
	// can says whether it can do a job at all.
	can(j job) bool
	// start starts it for consoles, with dir for its files; it may change their fronts' greet.
	start(dir string, j job, consoles []*console) (*instance, error)
}

// An instance is a target that runs.
type instance struct {
	procs []*process
	// told is how many bytes the target says that clients lost, in sum. It is nil
	// where a target tells nobody.
	told func() (int64, error)
	api  *api // of chardevd; else nil
}

// A rig is a target that runs, its devices and its clients, all attached: every
// client has heard its device.
type rig struct {
	*instance
	target   target
	job      job
	dir      string
	consoles []*console
	clients  []*client     // of all consoles
	attached time.Duration // from the target's start until every client had heard its device
	readers  *readers
	watchdog *time.Timer
}

const (
	attachTime = 30 * time.Second // what a target has to start and take all clients
	runTime    = 60 * time.Second // what a round may take then
	dialers    = 16
	heraldTick = 20 * time.Millisecond
)

// setup starts a target with fresh devices and attaches the clients.
func setup(t target, j job) (*rig, error) {
	r := &rig{target: t, job: j}
	if err := r.setup(); err != nil {
		r.close()
		return nil, fmt.Errorf("%s: %w", t.name(), err)
	}
	return r, nil
}

func (r *rig) setup() (err error) {
	if r.dir, err = tempDir(); err != nil {
		return err
	}
	for i := range r.job.consoles {
		con := &console{name: fmt.Sprintf("c%d", i)}
		if con.dev, err = newDevice(r.job.device, filepath.Join(r.dir, fmt.Sprintf("d%d", i))); err != nil {
			return err
		}
		con.front = front{kind: r.job.front}
		if con.front.kind == "unix" {
			con.front.addr = filepath.Join(r.dir, fmt.Sprintf("f%d", i))
		} else {
			con.front.addr = fmt.Sprint(freePort())
		}
		r.consoles = append(r.consoles, con)
	}
	t0 := time.Now()
	deadline := t0.Add(attachTime)
	if r.instance, err = r.target.start(r.dir, r.job, r.consoles); err != nil {
		return err
	}
	// A target that hangs must not hang the benchmark.
	r.watchdog = time.AfterFunc(attachTime+runTime, r.abandon)
	if err := r.dialAll(deadline); err != nil {
		return errors.Join(err, r.err())
	}
	if err := r.hearAll(deadline); err != nil {
		return errors.Join(err, r.err())
	}
	r.attached = time.Since(t0)
	return nil
}

// abandon ends what a round could wait for.
func (r *rig) abandon() {
	for _, p := range r.procs {
		p.cmd.Process.Kill()
	}
	for _, con := range r.consoles {
		con.dev.ending.Store(true)
	}
}

// dialAll connects all clients.
func (r *rig) dialAll(deadline time.Time) error {
	for _, con := range r.consoles {
		con.clients = make([]*client, r.job.clients)
	}
	defer func() {
		for _, con := range r.consoles {
			for i, c := range con.clients {
				if c == nil {
					con.clients = con.clients[:i]
					break
				}
				r.clients = append(r.clients, c)
			}
		}
	}()
	// The first of each console goes ahead: some targets give it a role.
	err := inParallel(r.job.consoles, func(i int) (err error) {
		r.consoles[i].clients[0], err = dial(r.consoles[i].front, deadline)
		return err
	})
	if n := r.job.clients - 1; err == nil && n > 0 {
		err = inParallel(r.job.consoles*n, func(i int) (err error) {
			con := r.consoles[i/n]
			con.clients[1+i%n], err = dial(con.front, deadline)
			return err
		})
	}
	return err
}

// hearAll has every device speak until each of its clients has heard it: only
// then is it sure that the target has them.
func (r *rig) hearAll(deadline time.Time) error {
	var herald sync.WaitGroup
	var said error
	stop := make(chan struct{})
	herald.Go(func() {
		tick := time.NewTicker(heraldTick)
		defer tick.Stop()
		for {
			for _, con := range r.consoles {
				if heard(con.clients) {
					continue
				}
				if said = errors.Join(con.dev.accepted(deadline), r.err()); said == nil {
					_, said = con.dev.write([]byte{preamble})
				}
				if said != nil || time.Now().After(deadline) {
					said = errors.Join(said, errTime)
					for _, c := range r.clients {
						c.shut()
					}
					return
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	err := inParallel(len(r.clients), func(i int) error {
		buf := make([]byte, 4096)
		for c := r.clients[i]; !c.heard.Load(); {
			if err := c.read(buf); err != nil {
				return fmt.Errorf("client %d does not hear its device: %w", i, err)
			}
		}
		return nil
	})
	close(stop)
	herald.Wait()
	return errors.Join(said, err)
}

// inParallel does n things, some at a time; it returns the first error.
func inParallel(n int, do func(i int) error) error {
	var next atomic.Int64
	var first atomic.Pointer[error]
	var all sync.WaitGroup
	for range min(dialers, n) {
		all.Go(func() {
			for first.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if p := first.Load(); p != nil {
		return *p
	}
	return nil
}

// read begins to read for all clients.
func (r *rig) read() (err error) {
	r.readers, err = readAll(r.clients)
	return err
}

// err is why the target is not there any more.
func (r *rig) err() error {
	if r.instance == nil {
		return nil
	}
	var err error
	for _, p := range r.procs {
		err = errors.Join(err, p.err())
	}
	return err
}

// use is what the target has used so far.
func (r *rig) use() (usage, error) { return use(r.procs) }

// gaps is how many bytes the target has told that clients lost.
func (r *rig) gaps() (int64, error) {
	if r.told == nil {
		return 0, nil
	}
	return r.told()
}

// close ends everything.
func (r *rig) close() {
	if r.watchdog != nil {
		r.watchdog.Stop()
	}
	if r.readers != nil {
		r.readers.stop()
	}
	for _, c := range r.clients {
		c.close()
	}
	if r.instance != nil {
		for _, p := range r.procs {
			p.stop()
		}
	}
	for _, con := range r.consoles {
		if con.dev != nil {
			con.dev.close()
		}
	}
	if r.dir != "" {
		os.RemoveAll(r.dir)
	}
}
