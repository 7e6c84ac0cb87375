package channel

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Relay carries bytes between two channels, both ways, until both have ended. It
// buffers nothing beyond what is under way: who takes slowly holds up who gives.
//
// The end of one side's stream is passed on as a half close; where the other side has
// none, both are closed, and what still was to come the other way is lost. A stream that
// breaks off breaks the other one off too, so that nobody takes what came for all.
//
// Two silent channels that are Resters cost neither a goroutine nor a buffer. Between two
// plain sockets (tcp, unix) the bytes go by splice(2), and never come into the process.
type Relay struct {
	// Look is given what comes from a, before b is, until it says that it has seen enough.
	// An error breaks the relay off. nil: it is not to be looked at. Set before Start.
	Look func(p []byte) (enough bool, err error)

	// fixed
	a, b  Channel
	there relayWay // from a to b
	back  relayWay
	ended func(error)

	// of both flows
	left  atomic.Int32 // that are not over
	once  sync.Once    // breaks off, or closes
	cause error        // why it broke off; nil: it did not; before left is 0
	shut  atomic.Bool  // closed on purpose, so that an error of a closed channel is none
}

// NewRelay makes a Relay, which owns a and b from Start on.
func NewRelay(a, b Channel) *Relay {
	r := &Relay{a: a, b: b}
	r.there = relayWay{relay: r, from: a, to: b}
	r.back = relayWay{relay: r, from: b, to: a}
	for _, f := range []*relayWay{&r.there, &r.back} {
		f.rests, _ = As[Rester](f.from)
		f.src, f.dst = plainSocket(f.from), plainSocket(f.to)
	}
	r.there.other, r.back.other = &r.back, &r.there
	return r
}

// Start begins, and returns at once. ended is called when both directions are over and
// both channels are closed: with nil after two ends of file, else with why it broke off.
func (r *Relay) Start(ended func(error)) {
	r.ended = ended
	r.left.Store(2)
	go r.there.run()
	go r.back.run()
}

// Counts are the bytes that b, and that a was given so far.
func (r *Relay) Counts() (there, back int64) { return r.there.moved.Load(), r.back.moved.Load() }

// Break breaks both channels off, because of why.
func (r *Relay) Break(why error) {
	r.once.Do(func() {
		r.cause = why
		r.shut.Store(true)
		Abort(r.a)
		Abort(r.b)
	})
}

// close closes both channels in an orderly way.
func (r *Relay) close() {
	r.once.Do(func() {
		r.shut.Store(true)
		r.a.Close()
		r.b.Close()
	})
}

// over is the end of one direction.
func (r *Relay) over() {
	if r.left.Add(-1) == 0 {
		r.close()
		r.ended(r.cause)
	}
}

// Abort closes a channel so that its peer notices that the stream broke off, where the
// medium has a way to say so: a reset of TCP, a TLS stream without close_notify, a
// websocket without a close frame.
func Abort(c Channel) error {
	if under, ok := As[interface{ abort() error }](c); ok {
		under.abort()
	}
	return c.Close()
}

// abort closes a socket; of TCP with a reset (SO_LINGER of socket(7), with no time). A
// UNIX socket has none.
func (s *socket) abort() error {
	if _, tcp := s.at.(*tcpAddrs); tcp {
		s.handle.Control(func(fd uintptr) {
			unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
	}
	return s.Close()
}

// plainSocket is the socket that a channel without layers is; nil: it is none, or it takes
// the files that come, which only its own Read does.
func plainSocket(c Channel) *socket {
	switch c := c.(type) {
	case *socket:
		return c
	case *unixChannel:
		if c.inbox.Load().room() == 0 {
			return &c.socket
		}
	}
	return nil
}

// A relayWay is one direction of a relay.
type relayWay struct {
	// fixed
	relay    *Relay
	other    *relayWay
	from, to Channel
	src, dst *socket // nil: it is not a plain one

	moved atomic.Int64 // bytes that to was given
	ended atomic.Bool  // from has ended

	// owned by run
	rests     Rester // nil: it can not
	noSplice  bool   // the kernel refused
	until     time.Time
	buf       *[]byte
	pipe      *splicePipe
	lookedOut bool
}

// relaySize is how much is moved at once: four records of TLS, a pipe's default.
const relaySize = 64 << 10

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, relaySize); return &b }}

// run moves what comes, and is called again when something comes after a silence.
func (f *relayWay) run() {
	for {
		err := f.move()
		if f.rests != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			f.drop()
			f.until = time.Time{}
			if f.rests.Rest(f.run) {
				return
			}
			f.rests = nil
			f.from.SetReadDeadline(time.Time{})
			continue
		}
		if err != nil {
			f.drop()
			f.end(err)
			return
		}
	}
}

// drop gives back what a direction needs while it moves something.
func (f *relayWay) drop() {
	if f.buf != nil {
		relayBuffers.Put(f.buf)
		f.buf = nil
	}
	if f.pipe != nil {
		f.pipe.free()
		f.pipe = nil
	}
}

// end passes on how the direction ended.
func (f *relayWay) end(err error) {
	r := f.relay
	defer r.over()
	switch {
	case r.shut.Load(): // this is what ended it
	case err != io.EOF:
		r.Break(err)
	default:
		f.ended.Store(true)
		err := f.to.CloseWrite()
		if _, whole := As[*Websocket](f.from); whole { // it has ended both ways
			r.close()
		} else if err == nil || f.other.ended.Load() {
			return
		} else if errors.Is(err, errors.ErrUnsupported) {
			r.close()
		} else if !r.shut.Load() {
			r.Break(err)
		}
	}
}

// move moves what comes next.
func (f *relayWay) move() error {
	if now := time.Now(); f.rests != nil && f.until.Sub(now) < RestAfter {
		f.until = now.Add(2 * RestAfter)
		if err := f.from.SetReadDeadline(f.until); err != nil {
			return err
		}
	}
	looks := f == &f.relay.there && f.relay.Look != nil && !f.lookedOut
	if f.src != nil && f.dst != nil && !f.noSplice && !looks {
		if moved, err := f.splice(); moved {
			return err
		}
	}
	if f.buf == nil {
		f.buf = relayBuffers.Get().(*[]byte)
	}
	n, err := f.from.Read(*f.buf)
	if n > 0 {
		p := (*f.buf)[:n]
		if looks {
			var wrong error
			if f.lookedOut, wrong = f.relay.Look(p); wrong != nil {
				return wrong
			}
		}
		w, werr := f.to.Write(p)
		f.moved.Add(int64(w))
		if werr != nil {
			return f.refused(werr)
		}
	}
	return err
}

// refused is the error of a write. A websocket whose peer has closed it takes nothing
// any more, which is no break: the peer wants no more.
func (f *relayWay) refused(err error) error {
	if f.other.ended.Load() && IsGone(err) && errors.Is(f.to.CloseWrite(), errors.ErrUnsupported) {
		return io.EOF
	}
	if err == io.EOF {
		return io.ErrClosedPipe // not the end of what is read
	}
	return err
}

// A splicePipe is what bytes go through from one socket to another.
type splicePipe struct{ r, w int }

// splicePipes keeps a few pipes, as to make one costs two calls and to close it two.
var splicePipes struct {
	mu   sync.Mutex
	free []*splicePipe
}

const splicePipesMost = 16

func newSplicePipe() (*splicePipe, error) {
	splicePipes.mu.Lock()
	defer splicePipes.mu.Unlock()
	if n := len(splicePipes.free); n > 0 {
		p := splicePipes.free[n-1]
		splicePipes.free = splicePipes.free[:n-1]
		return p, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &splicePipe{fds[0], fds[1]}, nil
}

// free gives back a pipe, which is empty.
func (p *splicePipe) free() {
	splicePipes.mu.Lock()
	if len(splicePipes.free) < splicePipesMost {
		splicePipes.free = append(splicePipes.free, p)
		p = nil
	}
	splicePipes.mu.Unlock()
	if p != nil {
		p.close()
	}
}

func (p *splicePipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

// splice moves what comes next without a copy. It returns false where the kernel can not,
// and nothing was moved: if it never can, noSplice is set.
//
// splice(2) does not get past a byte that TCP's peer sent as urgent: it says that there is
// nothing to read, or behind the peer's FIN that this is the end. So recv(2) is to tell both.
//
// And it waits at a socket that whoever else has it has made block: SPLICE_F_NONBLOCK is about
// the pipe. So the socket is made not to block each time.
func (f *relayWay) splice() (moved bool, err error) {
	if f.pipe == nil {
		p, err := newSplicePipe()
		if err != nil { // no descriptor is left
			f.noSplice = true
			return false, nil
		}
		f.pipe = p
	}
	if err := f.dst.dead.check(); err != nil {
		return true, err
	}
	var n int64
	if werr := f.src.f.Read(func(fd uintptr) bool {
		if err = unix.SetNonblock(int(fd), true); err != nil {
			return true
		}
		n, err = spliceOnce(int(fd), f.pipe.w, relaySize)
		if err != unix.EAGAIN || !unread(int(fd)) {
			return err != unix.EAGAIN
		}
		n, err = spliceOnce(int(fd), f.pipe.w, relaySize) // it may just have come
		return true
	}); werr != nil {
		return true, plain("read", werr)
	}
	switch {
	case err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM:
		f.noSplice = true
		f.drop()
		return false, nil
	case err == unix.EAGAIN || err == nil && n == 0:
		return false, nil
	case err != nil:
		return true, plain("read", err)
	}
	werr := f.dst.f.Write(func(fd uintptr) bool {
		for n > 0 {
			if err = unix.SetNonblock(int(fd), true); err != nil {
				return true
			}
			var m int64
			m, err = spliceOnce(f.pipe.r, int(fd), int(n))
			f.dst.sent() // also before it waits
			if err != nil {
				return err != unix.EAGAIN
			}
			n -= m
			f.moved.Add(m)
		}
		return true
	})
	if werr == nil {
		werr = err
	}
	if n > 0 { // it is not empty, so nobody else's
		f.pipe.close()
		f.pipe = nil
	}
	return true, f.dst.dead.note(plain("write", werr))
}

// unread says whether a socket has bytes that nobody has read.
func unread(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ) // SIOCINQ of tcp(7) and unix(7)
	return err == nil && n > 0
}

func spliceOnce(from, to, most int) (int64, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int64(n), err // an int on 32 bits
		}
	}
}
