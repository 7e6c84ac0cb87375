package attach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chardevd/chardev"
)

// A Stream is one connection to a chardev: its bytes both ways and the messages
// beside them. Close frees a blocked Read, Write and Send.
type Stream interface {
	io.ReadWriteCloser
	Send(chardev.Message) error
}

// At is where in the history to start.
type At struct {
	Since  string // without an epoch: this place, see chardev.PlaceForms
	Epoch  string // else exactly at Offset of this epoch
	Offset int64
}

// A Dial connects to the chardev. onMessage is called from within the stream's
// Read, before the bytes that follow the message are returned. An error that
// will not mend by itself is a *Final.
type Dial func(ctx context.Context, at At, onMessage func(chardev.Message)) (Stream, error)

// A Final is an error of Dial that trying again does not mend: the daemon is
// there and says no.
type Final struct{ Err error }

func (f *Final) Error() string { return f.Err.Error() }
func (f *Final) Unwrap() error { return f.Err }

// A Session is one person's (or script's) stay on a chardev, over as many
// connections as it takes.
type Session struct {
	// Fixed before Connect.
	Name        string
	Dial        Dial
	Since       string        // where to begin, see chardev.PlaceForms
	In          Reader        // what is typed; nil: nothing is ever sent
	Out         io.Writer     // gets the console's bytes, unchanged
	Notices     io.Writer     // gets what the session has to say
	Interactive bool          // In is a terminal in raw mode: what is typed while the daemon is away is dropped
	EOL         string        // ends a notice
	Together    bool          // Out and Notices are the same screen
	Escape      *Scanner      // nil: no escapes
	Answer      time.Duration // how long the console may go on printing when the input has ended
	Return      time.Duration // how long a daemon that went away may stay away when a script's input has ended
	ReadOnly    bool          // what is typed is not sent, escapes work
	Size        func() [2]int // columns and rows of the terminal, 0 if unknown; nil: no terminal
	Resized     <-chan os.Signal
	Watch       func() (appeared <-chan struct{}, stop func()) // signals when it makes sense to dial again; may be nil

	// Fixed in Run, used by all its goroutines.
	queue   *queue
	printer *printer
	done    <-chan struct{}
	cancel  context.CancelCauseFunc
	holds   atomic.Bool // this connection has the input, as far as is known

	// Owned by the goroutine that calls Connect and then Run.
	stream Stream
	at     At
	seen   bool             // a hello has come
	writer chardev.Message  // how an exclusive input is: the last hello or writer
	bye    *chardev.Message // why this connection is about to end
	denied string           // why input was not taken; "": all was
}

// A Reader is an input whose Read can be ended from outside by Stop.
type Reader interface {
	io.Reader
	Stop()
}

// What ends a session without being a failure, and what is one.
var (
	errLeft    = errors.New("left")
	errOutput  = errors.New("nobody reads stdout")
	errHungUp  = errors.New("the terminal hung up")
	errStopped = errors.New("stopped") // Run is over
)

// A crash is a panic of one of the session's goroutines, carried to Run so that
// whoever called it can restore the terminal.
type crash struct {
	value any
	stack []byte
}

func (c *crash) Error() string { return fmt.Sprintf("panic: %v\n\n%s", c.value, c.stack) }

// Typed bytes wait in a queue of this size for a daemon or device that takes
// none; a keystroke behind a longer paste waits in the terminal.
const typedMax = 256 << 10

// How long what was typed before the escape to leave has to go out.
const leaveTime = 500 * time.Millisecond

// How long to wait between dials, and how long a connection must have lived
// for the next wait to be the shortest again.
const (
	retryMin = 100 * time.Millisecond
	retryMax = time.Second
	lived    = 5 * time.Second
)

// Connect makes the first connection, trying for as long as wait says; with 0
// it tries once. While it waits, an error that is Final is tried again too: the
// chardev may be about to be there.
func (s *Session) Connect(ctx context.Context, wait time.Duration) error {
	s.at = At{Since: s.Since}
	appeared, stop := s.watch()
	defer stop()
	var err error
	if s.stream, err = s.Dial(ctx, s.at, s.message); err == nil || wait == 0 {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for p := (pace{}); p.pause(limited.Done(), appeared); {
		var next error
		if s.stream, next = s.Dial(limited, s.at, s.message); next == nil {
			return nil
		}
		if limited.Err() == nil {
			err = next
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w (waited %v)", err, wait)
}

// Run carries bytes until the user leaves, the input and the stream have ended,
// ctx ends (its cause is returned), or the daemon ends the session for good. To a script
// that the console did not take all of its input is an error, too. It follows Connect. A panic in one of its goroutines is raised again by Run.
func (s *Session) Run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	s.done, s.cancel = ctx.Done(), cancel
	s.queue = newQueue(typedMax)
	s.printer = newPrinter(s.Out, s.Notices, s.EOL, s.Together, s.outputFailed)

	printed := make(chan struct{})
	go func() {
		defer close(printed)
		defer s.caught()
		s.printer.print()
	}()
	var reader sync.WaitGroup
	if s.In != nil {
		s.spawn(&reader, s.read)
	}
	err := s.stay(ctx)
	switch {
	case s.Interactive && errors.Is(context.Cause(ctx), errLeft):
		s.try(piece{notice: "left"}) // the shell's prompt goes below the console's last line
	case !s.Interactive && err == nil && s.denied != "": // a person has seen it
		err = errors.New("not all input was taken: " + s.denied)
	}
	cancel(errStopped)
	if s.In != nil {
		s.In.Stop()
	}
	reader.Wait()
	close(s.printer.pieces)
	s.flush(printed)

	if c, ok := errors.AsType[*crash](context.Cause(ctx)); ok {
		panic(c)
	}
	return err
}

// flush waits until all is printed, but for a second only: a screen that was
// stopped (^S, a pager) holds a write(2) that nothing can free, and must not
// hold up the end.
func (s *Session) flush(printed <-chan struct{}) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-printed:
	case <-t.C:
	}
}

// spawn starts a goroutine of the session, for wg.
func (s *Session) spawn(wg *sync.WaitGroup, f func()) {
	wg.Go(func() {
		defer s.caught()
		f()
	})
}

func (s *Session) caught() {
	if r := recover(); r != nil {
		s.cancel(&crash{r, debug.Stack()})
	}
}

// stay holds one connection after the other.
func (s *Session) stay(ctx context.Context) error {
	var p pace
	for {
		began := time.Now()
		err := s.converse(ctx)
		if over, err := s.over(ctx, err); over {
			return err
		}
		if time.Since(began) > lived {
			p = pace{}
		}
		s.sayLost()
		if over, err := s.reconnect(ctx, &p); over {
			return err
		}
	}
}

// over decides what the end of a connection means.
func (s *Session) over(ctx context.Context, err error) (bool, error) {
	if ctx.Err() != nil {
		return true, ended(ctx)
	}
	switch {
	case s.bye != nil && s.bye.Code == chardev.ByeEOF:
		return true, nil
	case s.bye != nil && s.bye.Code != chardev.ByeStopping:
		return true, errors.New("the daemon ended the session: " + s.bye.Text)
	case s.bye == nil && err == io.EOF && s.queue.ended():
		return true, nil
	}
	return false, nil
}

// ended is what Run returns when its context has ended.
func ended(ctx context.Context) error {
	switch err := context.Cause(ctx); {
	case errors.Is(err, errLeft), errors.Is(err, errOutput):
		return nil
	default:
		return err
	}
}

// reconnect dials until the stream is there again, or the session is over. A person, and
// who has more to send, waits for as long as it takes; a script that waits for nothing but
// an answer does not.
func (s *Session) reconnect(ctx context.Context, p *pace) (over bool, err error) {
	appeared, stop := s.watch()
	defer stop()
	var until time.Time
	for p.pause(ctx.Done(), appeared) {
		switch {
		case s.Interactive || !s.queue.ended():
		case until.IsZero():
			until = time.Now().Add(s.Return)
		case time.Now().After(until):
			return true, fmt.Errorf("the daemon went away, and was not back within %v: the console may not have had all of the input", s.Return)
		}
		if s.stream, err = s.Dial(ctx, s.at, s.message); err == nil {
			return false, nil
		}
		if f, ok := errors.AsType[*Final](err); ok && ctx.Err() == nil {
			return true, f.Err
		}
	}
	return true, ended(ctx)
}

// converse carries bytes over one connection until it ends, and closes it.
func (s *Session) converse(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	st := s.stream
	s.bye = nil
	s.queue.open()
	var wg sync.WaitGroup
	s.spawn(&wg, func() {
		<-ctx.Done()
		st.Close()
	})
	var lost int // of what was typed
	s.spawn(&wg, func() {
		defer cancel()
		lost = s.send(ctx, st)
	})
	err := s.receive(st)
	cancel()
	wg.Wait()
	if s.Interactive {
		lost += s.queue.close()
	} else if lost > 0 && parent.Err() == nil {
		s.denied = cmp.Or(s.denied, "the connection broke")
	}
	if lost > 0 {
		s.say(fmt.Sprintf("%d typed bytes were not sent", lost))
	}
	return err
}

// receive is the way from the stream to the printer.
func (s *Session) receive(st Stream) error {
	for {
		var buf []byte
		select {
		case buf = <-s.printer.free:
		case <-s.done:
			return errStopped
		}
		n, err := st.Read(buf)
		if n > 0 {
			s.at.Offset += int64(n)
			s.print(piece{data: buf[:n]})
		} else {
			s.printer.free <- buf
		}
		if err != nil {
			return err
		}
	}
}

// send is the way from the queue to the stream. It returns when the stream
// takes no more, or when ctx ends: how many of the bytes that it took from the queue may not
// be on their way.
func (s *Session) send(ctx context.Context, st Stream) (lost int) {
	if s.sendSize(st) != nil {
		return 0
	}
	eof := time.NewTimer(0)
	eof.Stop()
	defer eof.Stop()
	for ended := false; ctx.Err() == nil; {
		b := s.queue.take()
		for range b.breaks {
			if st.Send(chardev.Message{Type: "break", Millis: 250}) != nil {
				return len(b.data)
			}
		}
		if lost, err := sendTyped(st, b); err != nil {
			return lost
		}
		if b.eof && !ended {
			ended = true
			eof.Reset(s.Answer)
		}
		if b.leave {
			s.cancel(errLeft)
			return 0
		}
		select {
		case <-s.queue.ready:
		case <-eof.C:
			if st.Send(chardev.Message{Type: "eof"}) != nil {
				return 0
			}
		case <-s.Resized:
			if s.sendSize(st) != nil {
				return 0
			}
		case <-ctx.Done():
			return 0
		}
	}
	return 0
}

// sendTyped sends a batch's data, and what is to be done about the input in its place. lost
// is as of send.
func sendTyped(st Stream, b batch) (lost int, err error) {
	at := 0
	for _, o := range append(b.ops, inputOp{at: len(b.data)}) {
		if at < o.at {
			if _, err := st.Write(b.data[at:o.at]); err != nil {
				return len(b.data) - at, err
			}
			at = o.at
		}
		if o.op == "" {
			continue
		}
		if err := st.Send(chardev.Message{Type: "writer", Text: o.op}); err != nil {
			return len(b.data) - at, err
		}
	}
	return 0, nil
}

// sendSize tells the size of the terminal, where there is one and it may type.
func (s *Session) sendSize(st Stream) error {
	if s.Size == nil || s.ReadOnly {
		return nil
	}
	size := s.Size()
	if size[0] <= 0 || size[1] <= 0 {
		return nil
	}
	return st.Send(chardev.Message{Type: "resize", Cols: size[0], Rows: size[1]})
}

// outputFailed ends the session: there is nobody to show it to.
func (s *Session) outputFailed(err error) {
	if errors.Is(err, syscall.EPIPE) {
		err = errOutput
	} else {
		err = fmt.Errorf("write to stdout: %w", err)
	}
	s.cancel(err)
}

// A pace spaces dials out: from retryMin, doubling, to retryMax.
type pace struct{ next time.Duration }

// pause waits until it is time for the next dial, or appeared has a signal: the
// daemon's socket is there. It returns false when done is closed.
func (p *pace) pause(done, appeared <-chan struct{}) bool {
	p.next = max(p.next, retryMin)
	t := time.NewTimer(p.next)
	defer t.Stop()
	p.next = min(2*p.next, retryMax)
	select {
	case <-appeared:
		return true
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// watch is Watch, if there is one.
func (s *Session) watch() (appeared <-chan struct{}, stop func()) {
	if s.Watch == nil {
		return nil, func() {}
	}
	return s.Watch()
}
