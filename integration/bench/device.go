package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A device is a guest's console as QEMU plays it: a server on a UNIX socket or
// TCP (-chardev socket,server=on), or the master of a pty (-chardev pty). It is
// written with plain blocking system calls, so that it costs as little as it can.
type device struct {
	kind, addr string // unix and a path, tcp and a port, pty and the tty's path

	listener int      // -1: none
	master   *os.File // of the pty
	slave    *os.File // held, so that the tty keeps its settings
	conn     atomic.Int64

	sent   int64 // bytes of the stream
	ending atomic.Bool
	echoes sync.WaitGroup
}

// stallPoll is how long a device that can not write waits until it looks
// whether it is to end.
const stallPoll = 100 * time.Millisecond

// newDevice makes a device: where is the path of a UNIX socket.
func newDevice(kind, where string) (*device, error) {
	d := &device{kind: kind, listener: -1}
	d.conn.Store(-1)
	switch kind {
	case "pty":
		m, s, err := pty.Open()
		if err != nil {
			return nil, err
		}
		d.master, d.slave, d.addr = m, s, s.Name()
		if _, err := term.MakeRaw(int(s.Fd())); err != nil {
			d.close()
			return nil, err
		}
		d.conn.Store(int64(m.Fd())) // Fd makes it blocking; play polls
		return d, unix.SetNonblock(int(m.Fd()), true)
	case "unix":
		d.addr = where
	case "tcp":
		d.addr = fmt.Sprint(freePort())
	}
	return d, d.listen()
}

func (d *device) listen() error {
	fd, err := listenAt(d.kind, d.addr)
	d.listener = fd
	return err
}

// accepted waits until the target is there.
func (d *device) accepted(deadline time.Time) error {
	if d.kind == "pty" || d.conn.Load() >= 0 {
		return nil
	}
	if err := pollIn(d.listener, deadline); err != nil {
		return fmt.Errorf("the target does not come to its device: %w", err)
	}
	fd, _, err := unix.Accept4(d.listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	nodelay(fd)
	tv := unix.NsecToTimeval(int64(stallPoll))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return err
	}
	d.conn.Store(int64(fd))
	return nil
}

// write writes all of p, unless the device ends; it returns how much it wrote.
func (d *device) write(p []byte) (int, error) {
	fd, done := int(d.conn.Load()), 0
	for done < len(p) {
		n, err := unix.Write(fd, p[done:])
		if n > 0 {
			done += n
			continue
		}
		switch {
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return done, fmt.Errorf("the device's write: %w", err)
		case d.ending.Load():
			return done, nil
		default:
			poll(fd, unix.POLLOUT, stallPoll)
		}
	}
	return done, nil
}

// play writes the stream in pieces of a size for a time, as fast as it goes.
func (d *device) play(size int, forTime time.Duration) error {
	end := time.Now().Add(forTime)
	for i := 0; ; i++ {
		if (size >= 4096 || i%64 == 0) && !time.Now().Before(end) {
			return nil
		}
		n, err := d.write(streamAt(d.sent, size))
		d.sent += int64(n)
		if err != nil || n < size {
			return err
		}
	}
}

// playAt writes the stream in pieces of a size for a time, at a rate (bytes a second).
func (d *device) playAt(size int, rate float64, forTime time.Duration) error {
	const every = time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	begin, from := time.Now(), d.sent
	for now := begin; now.Sub(begin) < forTime; now = <-tick.C {
		for float64(d.sent-from) < rate*(now.Sub(begin)+every).Seconds() {
			n, err := d.write(streamAt(d.sent, size))
			d.sent += int64(n)
			if err != nil || n < size {
				return err
			}
		}
	}
	return nil
}

// echo writes back what is typed until the device is closed.
func (d *device) echo() {
	fd := int(d.conn.Load())
	d.echoes.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := unix.Read(fd, buf)
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN: // a pty's master
				if d.ending.Load() {
					return
				}
				poll(fd, unix.POLLIN, stallPoll)
			case n <= 0:
				return
			default:
				if _, err := d.write(buf[:n]); err != nil {
					return
				}
			}
		}
	})
}

// leave ends the target's connection and the listener, as a guest that dies does.
func (d *device) leave() {
	if d.listener >= 0 {
		unix.Close(d.listener)
		d.listener = -1
		if d.kind == "unix" {
			os.Remove(d.addr)
		}
	}
	if fd := int(d.conn.Swap(-1)); fd >= 0 && d.master == nil {
		unix.Shutdown(fd, unix.SHUT_RDWR)
		d.echoes.Wait()
		unix.Close(fd)
	}
}

func (d *device) close() {
	d.ending.Store(true)
	d.leave()
	d.echoes.Wait()
	if d.master != nil {
		d.master.Close()
		d.slave.Close()
	}
}
