package attach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chardevd/chardev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog is how long anything in these tests may take.
const watchdog = 10 * time.Second

// A fakeDaemon hands out streams; each Dial waits for the test to answer it.
type fakeDaemon struct {
	t     *testing.T
	dials chan fakeDial
}

type fakeDial struct {
	at     At
	answer chan<- dialAnswer
}

type dialAnswer struct {
	st  *fakeStream
	err error
}

// A fakeStream is what the session sees of a connection. The test says what
// the daemon does, and is told what the session does.
type fakeStream struct {
	onMessage func(chardev.Message)
	down      chan any    // string, chardev.Message, error: from the daemon
	up        chan string // what the session wrote; messages as <type>
	closed    chan struct{}
	once      sync.Once
	rest      string
	broken    error // of writes; nil: they go
}

func (f *fakeStream) Read(p []byte) (int, error) {
	for f.rest == "" {
		select {
		case x := <-f.down:
			switch x := x.(type) {
			case string:
				f.rest = x
			case chardev.Message:
				f.onMessage(x)
			case error:
				return 0, x
			}
		case <-f.closed:
			return 0, os.ErrClosed
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *fakeStream) give(s string) error {
	select {
	case f.up <- s:
		return nil
	case <-f.closed:
		return os.ErrClosed
	}
}

func (f *fakeStream) Write(p []byte) (int, error) {
	if f.broken != nil {
		return 0, f.broken
	}
	return len(p), f.give(string(p))
}

func (f *fakeStream) Send(m chardev.Message) error {
	if m.Type == "resize" {
		return f.give(fmt.Sprintf("<resize %dx%d>", m.Cols, m.Rows))
	}
	return f.give(strings.TrimSpace("<"+m.Type+" "+m.Text) + ">")
}
func (f *fakeStream) Close() error { f.once.Do(func() { close(f.closed) }); return nil }

func (d *fakeDaemon) dial(ctx context.Context, at At, onMessage func(chardev.Message)) (Stream, error) {
	answer := make(chan dialAnswer, 1)
	select {
	case d.dials <- fakeDial{at, answer}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-answer:
		if a.err != nil {
			return nil, a.err
		}
		a.st.onMessage = onMessage
		return a.st, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func recv[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(watchdog):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// accept answers the next dial, which must ask for at.
func (d *fakeDaemon) accept(at At) *fakeStream {
	d.t.Helper()
	x := recv(d.t, d.dials, "dial")
	if x.at != at {
		d.t.Errorf("dialled with %+v, want %+v", x.at, at)
	}
	st := &fakeStream{down: make(chan any), up: make(chan string), closed: make(chan struct{})}
	x.answer <- dialAnswer{st: st}
	return st
}

func (d *fakeDaemon) refuse(err error) { recv(d.t, d.dials, "dial").answer <- dialAnswer{err: err} }

func (f *fakeStream) say(t *testing.T, xs ...any) {
	t.Helper()
	for _, x := range xs {
		select {
		case f.down <- x:
		case <-f.closed:
			t.Fatalf("the session closed the stream before %v", x)
		case <-time.After(watchdog):
			t.Fatalf("the session does not read %v", x)
		}
	}
}

func (f *fakeStream) expect(t *testing.T, want string) {
	t.Helper()
	for got := ""; got != want; {
		got += recv(t, f.up, fmt.Sprintf("%q behind %q", want, got))
		if !strings.HasPrefix(want, got) {
			t.Fatalf("the session sent %q, want %q", got, want)
		}
	}
}

// A keyboard is an input that a test types on.
type keyboard struct {
	io.Reader
	w    *io.PipeWriter
	stop func()
}

func newKeyboard() *keyboard {
	r, w := io.Pipe()
	return &keyboard{Reader: r, w: w, stop: func() { r.CloseWithError(os.ErrClosed); w.CloseWithError(os.ErrClosed) }}
}

func (k *keyboard) Stop()          { k.stop() }
func (k *keyboard) typed(s string) { io.WriteString(k.w, s) }

// A screen remembers what was written and can be waited for.
type screen struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p)
	signal(s.more)
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *screen) expect(t *testing.T, want string) {
	t.Helper()
	late := time.After(watchdog)
	for !strings.Contains(s.String(), want) {
		select {
		case <-s.more:
		case <-late:
			t.Fatalf("the screen shows %q, and not %q", s.String(), want)
		}
	}
}

// A rig is a session at a terminal, with everything around it faked.
type rig struct {
	*Session
	daemon *fakeDaemon
	keys   *keyboard
	screen *screen
	result chan error
}

func newRig(t *testing.T) *rig {
	r := &rig{daemon: &fakeDaemon{t, make(chan fakeDial)}, keys: newKeyboard(), screen: newScreen(), result: make(chan error, 1)}
	r.Session = &Session{Name: "vm1", Dial: r.daemon.dial, Since: "-100B", In: r.keys, Out: r.screen, Notices: r.screen,
		Interactive: true, EOL: "\r\n", Together: true, Escape: NewScanner('~')}
	return r
}

func (r *rig) start(t *testing.T) *fakeStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		err := r.Connect(ctx, 0)
		if err == nil {
			err = r.Run(ctx)
		}
		r.result <- err
	}()
	return r.daemon.accept(At{Since: "-100B"})
}

// ended waits for the session and returns its error and what the screen shows.
func (r *rig) ended(t *testing.T) (string, error) {
	t.Helper()
	err := recv(t, r.result, "end of the session")
	return r.screen.String(), err
}

var hello = chardev.Message{Type: "hello", Chardev: "vm1", Epoch: "e1", Offset: 1000, State: chardev.StateUp}

func TestSessionCarriesBytesBothWays(t *testing.T) {
	r := newRig(t)
	st := r.start(t)
	st.say(t, hello, "login: ")
	r.screen.expect(t, "login: ") // who leaves sees no more of what is under way
	r.keys.typed("root\r")
	st.expect(t, "root\r")
	r.keys.typed("~b~~x\r")
	st.expect(t, "<break>~x\r")
	r.keys.typed("~?~.")
	shown, err := r.ended(t)
	if err != nil {
		t.Errorf("leaving is an error: %v", err)
	}
	for _, want := range []string{"[chardevd: attached to vm1; ~. leaves, ~? helps]\r\nlogin: ", "\r\n[chardevd: at the start of a line: ~. leaves", "]\r\n[chardevd: left]\r\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the screen shows %q, and not %q", shown, want)
		}
	}
	recv(t, st.closed, "close of the stream")
}

func TestSessionResumesExactlyWhereItWas(t *testing.T) {
	r := newRig(t)
	st := r.start(t)
	st.say(t, hello, "0123456789", chardev.Message{Type: "gap", Size: 400, Offset: 1410}, chardev.Message{Type: "gap", Size: 100, Offset: 1510, Text: "it was killed"}, "abc", io.ErrUnexpectedEOF)
	r.screen.expect(t, "connection to the daemon lost; trying again (~. leaves)]")
	r.daemon.refuse(errors.New("connection refused"))
	st = r.daemon.accept(At{Epoch: "e1", Offset: 1513})
	st.say(t, io.ErrUnexpectedEOF) // before a hello: the same place again
	st = r.daemon.accept(At{Epoch: "e1", Offset: 1513})
	st.say(t, chardev.Message{Type: "hello", Chardev: "vm1", Epoch: "e2", Offset: 7, State: chardev.StateDown, Why: "connection refused", Text: "the history is another one since the daemon began anew"}, "xy", io.EOF)
	st = r.daemon.accept(At{Epoch: "e2", Offset: 9})
	st.say(t, chardev.Message{Type: "hello", Epoch: "e2", Offset: 9, State: chardev.StateUp, Waits: true}, "z")
	r.screen.expect(t, "z")
	r.keys.typed("\r~.")
	st.expect(t, "\r")
	shown, err := r.ended(t)
	if err != nil {
		t.Error(err)
	}
	want := "0123456789\r\n[chardevd: 400 bytes lost]\r\n[chardevd: at most 100 bytes are missing here: it was killed]\r\nabc\r\n[chardevd: connection to the daemon lost; trying again (~. leaves)]\r\n" +
		"[chardevd: connection to the daemon lost; trying again (~. leaves)]\r\n" +
		"[chardevd: attached again]\r\n[chardevd: device down: connection refused]\r\n[chardevd: the history is another one since the daemon began anew]\r\nxy\r\n" +
		"[chardevd: connection to the daemon lost; trying again (~. leaves)]\r\n[chardevd: attached again]\r\n[chardevd: the device has not taken all that was typed]\r\nz"
	if !strings.Contains(shown, want) {
		t.Errorf("the screen shows\n%q, and not\n%q", shown, want)
	}
}

func TestSessionKeysWhileTheDaemonIsAway(t *testing.T) {
	r := newRig(t)
	st := r.start(t)
	st.say(t, hello, io.ErrUnexpectedEOF)
	recv(t, st.closed, "close of the stream")
	r.screen.expect(t, "lost")
	r.keys.typed("rm -rf /\r")
	r.screen.expect(t, "\a")
	st = r.daemon.accept(At{Epoch: "e1", Offset: 1000})
	st.say(t, hello)
	r.screen.expect(t, "attached again")
	r.keys.typed("ls\r")
	st.expect(t, "ls\r") // and nothing of what was typed before
	st.say(t, chardev.Message{Type: "bye", Code: chardev.ByeStopping, Text: "chardevd is going down"}, io.EOF)
	r.screen.expect(t, "the daemon stops: chardevd is going down; trying again")
	r.keys.typed("~.") // with nobody there
	if _, err := r.ended(t); err != nil {
		t.Error(err)
	}
}

// TestSessionLeavesWhateverIsStuck: nothing reads what is typed, and nothing
// takes what is printed; the escape still works.
func TestSessionLeavesWhateverIsStuck(t *testing.T) {
	r := newRig(t)
	pr, pw := io.Pipe() // a screen that stands still
	r.Out, r.Together = pw, false
	st := r.start(t)
	st.say(t, hello)
	for range 8 {
		select {
		case st.down <- strings.Repeat("x", chunk):
		case <-time.After(50 * time.Millisecond): // all buffers are full
		}
	}
	r.keys.typed(strings.Repeat("k", typedMax/2)) // and st.up is not read
	r.keys.typed("\r~?~b~.")
	if _, err := r.ended(t); err != nil {
		t.Error(err)
	}
	pr.Close() // lets the printer go
}

func TestSessionOfAScript(t *testing.T) {
	r := newRig(t)
	var notices bytes.Buffer
	r.Interactive, r.Escape, r.EOL, r.Together, r.Notices = false, nil, "\n", false, &notices
	st := r.start(t)
	st.say(t, hello)
	r.keys.typed("~.uptime\r") // no escapes here
	st.expect(t, "~.uptime\r")
	st.say(t, "up", io.ErrUnexpectedEOF)
	st = r.daemon.accept(At{Epoch: "e1", Offset: 1002})
	st.say(t, chardev.Message{Type: "hello", Epoch: "e1", Offset: 1002, State: chardev.StateUp})
	r.keys.w.Close()
	st.expect(t, "<eof>")
	st.say(t, " 1 day\r\n", chardev.Message{Type: "bye", Code: chardev.ByeEOF, Text: "end of input"}, io.EOF)
	shown, err := r.ended(t)
	if err != nil || shown != "up 1 day\r\n" {
		t.Errorf("stdout is %q, error %v; want the console's bytes alone", shown, err)
	}
	if got, want := notices.String(), "[chardevd: connection to the daemon lost; trying again]\n[chardevd: attached again]\n"; got != want {
		t.Errorf("stderr is %q, want %q", got, want)
	}
}

// failsUnlessPerson ends the session in order: it has failed all the same, but for a person,
// who has seen what went wrong.
func (r *rig) failsUnlessPerson(t *testing.T, st *fakeStream) {
	t.Helper()
	if r.Interactive {
		r.keys.typed("~.")
	} else {
		r.keys.w.Close()
		st.expect(t, "<eof>")
		st.say(t, chardev.Message{Type: "bye", Code: chardev.ByeEOF}, io.EOF)
	}
	if _, err := r.ended(t); (err == nil) != r.Interactive {
		t.Errorf("person: %v; it ends with %v", r.Interactive, err)
	}
}

// A script whose input nobody takes fails; a person has seen it.
func TestSessionWhoseInputIsNotTaken(t *testing.T) {
	for _, person := range []bool{false, true} {
		r := newRig(t)
		if r.Interactive = person; !person {
			r.Escape = nil
		}
		st := r.start(t)
		st.say(t, hello)
		r.keys.typed("uptime\r")
		st.expect(t, "uptime\r")
		st.say(t, chardev.Message{Type: "notice", Code: "input_off", Text: "input not taken: the console takes no input"})
		if person {
			r.screen.expect(t, "the console takes no input")
		}
		r.failsUnlessPerson(t, st)
	}
}

// What was about to be sent when the connection broke is told, and to a script it is a failure,
// though the connection comes back.
func TestSessionTellsWhatABreakTook(t *testing.T) {
	for _, person := range []bool{false, true} {
		r := newRig(t)
		if r.Interactive = person; !person {
			r.Escape = nil
		}
		st := r.start(t)
		st.say(t, hello)
		st.broken = io.ErrClosedPipe
		r.keys.typed("uptime\r")
		st = r.daemon.accept(At{Epoch: "e1", Offset: 1000})
		r.screen.expect(t, "7 typed bytes were not sent")
		r.failsUnlessPerson(t, st)
	}
}

// A script that waits only for the answer does not wait for ever for a daemon that is gone.
func TestSessionOfAScriptWhoseDaemonIsGone(t *testing.T) {
	r := newRig(t)
	r.Interactive, r.Escape, r.Return = false, nil, time.Millisecond
	st := r.start(t)
	st.say(t, hello)
	r.keys.typed("uptime\r")
	r.keys.w.Close()
	st.expect(t, "uptime\r<eof>")
	st.say(t, chardev.Message{Type: "bye", Code: chardev.ByeStopping, Text: "chardevd is going down"}, io.EOF)
	r.daemon.refuse(errors.New("connection refused"))
	if _, err := r.ended(t); err == nil || !strings.Contains(err.Error(), "not back") {
		t.Errorf("it ends with %v", err)
	}
}

func TestSessionHoldsAScriptsInputWhileAway(t *testing.T) {
	r := newRig(t)
	r.Interactive, r.Escape, r.Return = false, nil, watchdog
	st := r.start(t)
	st.say(t, hello, io.ErrUnexpectedEOF)
	recv(t, st.closed, "close of the stream")
	r.keys.typed("later\r")
	r.keys.w.Close()
	st = r.daemon.accept(At{Epoch: "e1", Offset: 1000})
	st.expect(t, "later\r<eof>")
	st.say(t, io.EOF)
	if _, err := r.ended(t); err != nil {
		t.Error(err)
	}
}

func TestSessionReadOnlySendsNothing(t *testing.T) {
	r := newRig(t)
	r.ReadOnly = true
	r.Size = func() [2]int { return [2]int{80, 24} }
	st := r.start(t)
	st.say(t, hello, "abc")
	r.keys.typed("typed\r~b~.")
	shown, err := r.ended(t)
	if err != nil || !strings.Contains(shown, "read-only: no break is sent") {
		t.Errorf("the screen shows %q, error %v", shown, err)
	}
	select {
	case got := <-st.up:
		t.Errorf("%q was sent", got)
	default:
	}
}

func TestSessionTellsTheSizeOfTheTerminal(t *testing.T) {
	r := newRig(t)
	resized := make(chan os.Signal, 1)
	sizes := make(chan [2]int, 3)
	sizes <- [2]int{80, 24}
	r.Resized, r.Size = resized, func() [2]int { return <-sizes }
	st := r.start(t)
	st.expect(t, "<resize 80x24>")
	sizes <- [2]int{132, 50}
	resized <- syscall.SIGWINCH
	st.expect(t, "<resize 132x50>")
	sizes <- [2]int{132, 50}
	st.say(t, hello, io.ErrUnexpectedEOF)
	st = r.daemon.accept(At{Epoch: "e1", Offset: 1000})
	st.expect(t, "<resize 132x50>")
	r.keys.typed("~.")
	if _, err := r.ended(t); err != nil {
		t.Error(err)
	}
}

func TestSessionEndings(t *testing.T) {
	for _, c := range []struct {
		why  string
		do   func(t *testing.T, r *rig, st *fakeStream)
		want string // in the error; "" no error
	}{
		{"kicked", func(t *testing.T, r *rig, st *fakeStream) {
			st.say(t, chardev.Message{Type: "bye", Code: "kicked", Text: "kicked by root\x1b[2J"}, io.EOF)
		}, "the daemon ended the session: kicked by root"},
		{"gone after a restart", func(t *testing.T, r *rig, st *fakeStream) {
			st.say(t, io.EOF)
			r.daemon.refuse(&Final{errors.New(`no chardev "vm1"`)})
		}, `no chardev "vm1"`},
		{"the terminal is gone", func(t *testing.T, r *rig, st *fakeStream) { r.keys.w.Close() }, "hung up"},
		{"stdout is closed", func(t *testing.T, r *rig, st *fakeStream) {
			st.say(t, "x")
		}, ""},
		{"stdout fails", func(t *testing.T, r *rig, st *fakeStream) { st.say(t, "x") }, "write to stdout: no space left on device"},
	} {
		t.Run(c.why, func(t *testing.T) {
			r := newRig(t)
			switch c.why {
			case "stdout is closed":
				r.Out = failing{&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}}
			case "stdout fails":
				r.Out = failing{syscall.ENOSPC}
			}
			st := r.start(t)
			st.say(t, hello)
			c.do(t, r, st)
			_, err := r.ended(t)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the session ends with %v, want %q", err, c.want)
			}
			recv(t, st.closed, "close of the stream")
		})
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestSessionEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { r.daemon.accept(At{Since: "-100B"}).say(t, hello); cancel(errors.New("killed")) }()
	if err := r.Connect(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(ctx); err == nil || err.Error() != "killed" {
		t.Errorf("it ends with %v, want the cause", err)
	}
}

func TestSessionRaisesAPanicInRun(t *testing.T) {
	r := newRig(t)
	r.Out = panicking{}
	go func() { r.daemon.accept(At{Since: "-100B"}).say(t, hello, "x") }()
	if err := r.Connect(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if x := recover(); x == nil || !strings.Contains(fmt.Sprint(x), "out of paper") {
			t.Errorf("Run panics with %v, want the printer's panic", x)
		}
	}()
	r.Run(context.Background())
	t.Error("Run returned")
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("out of paper") }

func TestConnectWaits(t *testing.T) {
	r := newRig(t)
	appeared := make(chan struct{}, 1)
	r.Watch = func() (<-chan struct{}, func()) { return appeared, func() {} }
	result := make(chan error, 1)
	go func() { result <- r.Connect(context.Background(), time.Minute) }()
	r.daemon.refuse(errors.New("no socket"))
	appeared <- struct{}{}
	r.daemon.refuse(&Final{errors.New("no such chardev yet")})
	appeared <- struct{}{}
	st := r.daemon.accept(At{Since: "-100B"})
	if err := recv(t, result, "connection"); err != nil {
		t.Error(err)
	}
	st.Close()

	go func() { result <- r.Connect(context.Background(), 1500*time.Millisecond) }()
	r.daemon.refuse(errors.New("no socket"))
	appeared <- struct{}{}
	r.daemon.refuse(errors.New("still no socket")) // and the third dial is not answered
	if err := recv(t, result, "end of the wait"); err == nil || err.Error() != "still no socket (waited 1.5s)" {
		t.Errorf("the wait ends with %v", err)
	}

	go func() { result <- r.Connect(context.Background(), 0) }()
	r.daemon.refuse(errors.New("no socket"))
	if err := recv(t, result, "refusal"); err == nil || err.Error() != "no socket" {
		t.Errorf("one try ends with %v", err)
	}
}
