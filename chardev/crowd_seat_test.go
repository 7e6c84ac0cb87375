package chardev

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"chardevd/channel"
)

// kinds are the ways in; a pipe holds little, so that who stops on one soon has
// gaps. Those with ws are persons: they are told theirs in the stream.
var kinds = [...]string{"pipe", "unix", "tcp", "tls", "ws", "ws+pipe"}

// A hall is where clients come in, on listeners as the daemon has them.
type hall struct {
	b     *bench
	doors map[string]*door

	mu      sync.Mutex
	tallies map[string]tally // by kind
}

// A tally is what clients that ended had, in bytes.
type tally struct{ clients, given, missed int64 }

// A door is one listener. Clients come in one at a time, so that it is known
// which of those that are accepted is which.
type door struct {
	mu sync.Mutex
	channel.Listener
}

func newHall(b *bench) *hall {
	dir, err := os.MkdirTemp("", "hall") // shorter than b.t.TempDir, as a UNIX socket's path must be
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { os.RemoveAll(dir) })
	env := &channel.Env{
		Below:      func(c channel.Channel) channel.Channel { return channel.NewOutbox(c) },
		SelfSigned: func() (*tls.Certificate, error) { return channel.SelfSigned(dir) },
		Log:        b.hub.log,
	}
	h := &hall{b: b, doors: map[string]*door{}, tallies: map[string]tally{}}
	for kind, where := range map[string]string{
		"unix": "unix:" + dir + "/s", "tcp": "tcp://127.0.0.1:0", "tls": "tls://127.0.0.1:0", "ws": "ws://127.0.0.1:0",
	} {
		l, err := env.Listen(b.ctx, channel.MustParseAddress(where))
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { l.Close() })
		h.doors[kind] = &door{Listener: l}
	}
	return h
}

// all says whether something is so of everybody who is here.
func (h *hall) all(seats []*seat, so func(*visit) bool) bool {
	for _, s := range seats {
		if !s.visit.over() && !so(s.visit) {
			return false
		}
	}
	return true
}

// A seat is one client's; when it is gone, another one comes.
type seat struct {
	hall   *hall
	kind   string
	steady bool // has on_lag = "block", and only reads

	busy  sync.Mutex // held by who makes trouble
	visit *visit
}

// A visit is one client, from both sides.
type visit struct {
	t        testing.TB
	seat     *seat
	follower follower
	far      far
	client   *client
	start    int64
	served   chan struct{} // closed when the hub is done with it
	read     chan struct{} // closed when nothing more is read
	err      error         // of the read; after read
}

// sit lets a new client in.
func (s *seat) sit(r *rand.Rand) {
	b := s.hall.b
	v := &visit{t: b.t, seat: s, served: make(chan struct{}), read: make(chan struct{})}
	near := s.connect(v)
	start := make(chan int64, 1)
	v.client = &client{
		hub: b.hub, ch: near, frontend: s.kind, peer: "test",
		onLag: []string{"catch-up", "catch-up", "skip", "close"}[r.IntN(4)],
		hello: func(at int64) Message {
			v.follower.at.Store(at) // before the first byte
			start <- at
			return Message{Type: "hello", Offset: at}
		},
	}
	if s.steady {
		v.client.onLag = "block"
	}
	if ws, ok := near.(*channel.Websocket); ok {
		v.follower.person = true
		v.client.person = func(m Message) error {
			text, err := json.Marshal(m)
			if err != nil {
				return err
			}
			return ws.SendText(text)
		}
	}
	replay := r.IntN(96 << 10)
	b.wg.Go(func() {
		defer close(v.served)
		v.client.serve(b.ctx, replay, -1)
	})
	v.start = <-start
	b.wg.Go(v.follow)
	s.visit = v
}

// connect makes the client's end and returns the hub's.
func (s *seat) connect(v *visit) channel.Channel {
	ctx, cancel := context.WithTimeout(s.hall.b.ctx, 20*time.Second)
	defer cancel()
	d := s.hall.doors[s.kind]
	if d == nil {
		return s.pipe(ctx, v)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	conn, err := new(net.Dialer).DialContext(ctx, d.Addr().Network(), d.Addr().String())
	if err != nil {
		v.t.Fatal(err)
	}
	f := &socketFar{stream: conn, conn: conn}
	v.far = f
	switch s.kind {
	case "tls":
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		err, f.stream = c.HandshakeContext(ctx), c
	case "ws":
		f.stream, err = channel.WebsocketClient(ctx, wire{conn.(*net.TCPConn)}, v.websocket())
	}
	if err != nil {
		v.t.Fatal(err)
	}
	near, err := d.Accept(ctx)
	if err != nil {
		v.t.Fatal(err)
	}
	return near
}

// pipe is connect where nobody has to listen.
func (s *seat) pipe(ctx context.Context, v *visit) channel.Channel {
	mine, its := channel.Pipe(4 << 10)
	f := &pipeFar{Reader: mine, end: mine}
	v.far = f
	near := channel.NewOutbox(its)
	if s.kind == "pipe" {
		return near
	}
	var server *channel.Websocket
	var serr error
	var wg sync.WaitGroup
	wg.Go(func() { server, serr = channel.WebsocketServer(ctx, near, v.websocket()) })
	client, err := channel.WebsocketClient(ctx, mine, v.websocket())
	wg.Wait()
	if err := errors.Join(err, serr); err != nil {
		v.t.Fatal(err)
	}
	f.Reader = client
	return server
}

func (v *visit) websocket() channel.WebsocketOptions {
	return channel.WebsocketOptions{Protocols: []string{"binary"}, OnText: v.message}
}

// message takes what a person is told beside the bytes.
func (v *visit) message(text []byte) {
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		v.t.Errorf("%q: %v", text, err)
	}
	if m.Type == "gap" {
		v.follower.told(m)
	}
}

// follow reads until the end.
func (v *visit) follow() {
	defer close(v.read)
	buf := make([]byte, 16<<10)
	for v.err == nil && v.follower.err == nil {
		var n int
		n, v.err = v.far.Read(buf)
		v.follower.take(buf[:n])
	}
	v.far.abort() // nothing more can be learned
}

// over says whether the client is gone.
func (v *visit) over() bool {
	select {
	case <-v.read:
		return true
	default:
		return false
	}
}

// trouble does one of the things that clients do, until over at most.
func (s *seat) trouble(r *rand.Rand, over <-chan struct{}) {
	stop := func() {
		s.visit.far.stop()
		t := time.NewTimer(time.Duration(r.ExpFloat64() * float64(400*time.Millisecond)))
		defer t.Stop()
		select {
		case <-t.C:
		case <-over:
		}
		s.visit.far.resume()
	}
	switch r.IntN(4) {
	case 0, 1:
		stop()
		if !s.visit.over() {
			return
		}
		s.visit.wasCut()
	case 2:
		stop()
		s.visit.far.abort()
	case 3:
		s.visit.far.leave()
	}
	s.visit.judge()
	s.sit(r)
}

// wasCut is for a client that is gone, and did not want to.
func (v *visit) wasCut() {
	if v.client.onLag != "close" && v.follower.err == nil {
		v.t.Errorf("%s, %s, from offset %d: cut off: %v", v.seat.kind, v.client.onLag, v.start, v.err)
	}
}

// judge waits for the end of a client, and checks what it got until then: the
// stream, less no more than it was told.
func (v *visit) judge() {
	<-v.read
	<-v.served
	f, c := &v.follower, v.client
	got, missed, cursor := c.got.Load(), c.missed.Load(), c.cursor.Load()
	h := v.seat.hall
	h.mu.Lock()
	n := h.tallies[v.seat.kind]
	h.tallies[v.seat.kind] = tally{n.clients + 1, n.given + got, n.missed + missed}
	h.mu.Unlock()
	switch {
	case f.err != nil:
		v.t.Errorf("%s, %s, from offset %d: %v", v.seat.kind, c.onLag, v.start, f.err)
	case v.start+got+missed != cursor:
		v.t.Errorf("%s, %s, from offset %d: given %d and missed %d, but the cursor is at %d", v.seat.kind, c.onLag, v.start, got, missed, cursor)
	case f.got > got || f.lost > missed || f.at.Load() > cursor:
		v.t.Errorf("%s, %s, from offset %d: read %d of %d given, lost %d of %d told", v.seat.kind, c.onLag, v.start, f.got, got, f.lost, missed)
	case c.onLag == "block" && missed != 0:
		v.t.Errorf("%s, from offset %d: missed %d with on_lag = \"block\"", v.seat.kind, v.start, missed)
	}
}

// judgeWhole is judge for a client that has read up to the head.
func (v *visit) judgeWhole(head int64) {
	v.judge()
	f, c := &v.follower, v.client
	if f.got != c.got.Load() || f.lost != c.missed.Load() || v.start+f.got+f.lost != head {
		v.t.Errorf("%s, %s, from offset %d to %d: read %d of %d given, lost %d of %d told",
			v.seat.kind, c.onLag, v.start, head, f.got, c.got.Load(), f.lost, c.missed.Load())
	}
}

// A far is a client's end. It is stopped and resumed, aborted and left by
// somebody else than who reads.
type far interface {
	io.Reader
	stop()
	resume()
	abort() // with what was not read lost
	leave() // with a half close, where there is one
}

type pipeFar struct {
	io.Reader // the end itself, or what is on it
	end       *channel.PipeEnd
}

func (f *pipeFar) stop()   { f.end.Stall() }
func (f *pipeFar) resume() { f.end.Resume() }
func (f *pipeFar) abort()  { f.end.Break() }
func (f *pipeFar) leave()  { leave(f.Reader.(channel.Channel)) }

type socketFar struct {
	stream io.ReadCloser
	conn   net.Conn   // below the stream
	gate   sync.Mutex // held while stopped
}

// Read reads unless it is stopped; one that waits already gets one piece more.
func (f *socketFar) Read(p []byte) (int, error) {
	f.gate.Lock()
	stream := f.stream
	f.gate.Unlock()
	return stream.Read(p)
}

func (f *socketFar) stop()   { f.gate.Lock() }
func (f *socketFar) resume() { f.gate.Unlock() }
func (f *socketFar) leave()  { leave(f.stream) }

// abort resets a TCP connection (SO_LINGER of 0, socket(7)), and a UNIX socket if
// bytes wait in it (unix(7)).
func (f *socketFar) abort() {
	if c, ok := f.conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	f.conn.Close()
}

// leave ends the client's input: it goes on reading what was printed until then.
func leave(c io.Closer) {
	if h, ok := c.(interface{ CloseWrite() error }); !ok || errors.Is(h.CloseWrite(), errors.ErrUnsupported) {
		c.Close()
	}
}

// A wire makes a plain connection a channel.
type wire struct{ *net.TCPConn }

func (w wire) Writev(bufs [][]byte) (int64, error) {
	v := append(net.Buffers(nil), bufs...)
	return v.WriteTo(w.TCPConn)
}
