package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakePort is a serial port that notes what is done to it.
type fakePort struct {
	virtualPort
	mu      sync.Mutex
	refuse  error // what MaySet says
	broken  error // what SetLine says
	story   []string
	want    EventKind
	notify  func(Event)
	changed chan struct{} // has a value when story has grown
}

func newFakePort() *fakePort {
	p := &fakePort{changed: make(chan struct{}, 100)}
	p.line = LineConfig{9600, 7, ParityEven, StopTwo, FlowRTSCTS}
	p.modem = DTR | CTS
	return p
}

func (p *fakePort) note(format string, args ...any) {
	p.mu.Lock()
	p.story = append(p.story, fmt.Sprintf(format, args...))
	p.mu.Unlock()
	p.changed <- struct{}{}
}

func (p *fakePort) MaySet() error { return p.refuse }

func (p *fakePort) SetLine(ctx context.Context, c LineConfig) error {
	if p.broken != nil {
		return p.broken
	}
	if c.Baud > 1000000 {
		return errors.New("too fast")
	}
	return p.virtualPort.SetLine(ctx, c)
}

func (p *fakePort) SendBreak(ctx context.Context, _ time.Duration) error {
	p.note("break on")
	<-ctx.Done()
	p.note("break off")
	return ctx.Err()
}

func (p *fakePort) Purge(_ context.Context, which Purge) error {
	p.note("purge %d", which)
	return nil
}

func (p *fakePort) Notify(want EventKind, f func(Event)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want, p.notify = want, f
}

func (p *fakePort) watched() EventKind {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}

func (p *fakePort) tell(e Event) {
	p.mu.Lock()
	f := p.notify
	p.mu.Unlock()
	f(e)
}

const (
	comServerOpening = "\xff\xfd\x2c" + telnetServerOpening
	comClientOpening = "\xff\xfb\x2c" + telnetClientOpening
	comTerminal      = "\xff\xfb\x2c\xff\xfb\x03\xff\xfc\x1f\xff\xfc\x18\xff\xfd\x01\xff\xfd\x03\xff\xfb\x00\xff\xfd\x00"
)

// comServerWith is a server with a port, and the peer that talks to it.
func comServerWith(t *testing.T, port Port) (Channel, *telnetPeer) {
	t.Helper()
	_, server := testStack(t, "rfc2217")
	c, p := telnetAgainst(t, server, comTerminal)
	p.want(comServerOpening + "\xff\xfa\x2c\x6b\xb0\xff\xf0") // the virtual port's lines
	if port != nil {
		s, ok := As[PortServer](c)
		if !ok {
			t.Fatal("no PortServer")
		}
		s.SetPort(port)
		p.want("\xff\xfa\x2c\x6b\x10\xff\xf0") // CTS
	}
	return c, p
}

// A step is a command without IAC SB 44 and IAC SE, and its answer.
type comStep struct{ say, want string }

func (s comStep) run(t *testing.T, c Channel, p *telnetPeer) {
	t.Helper()
	p.send("\xff\xfa\x2c" + s.say + "\xff\xf0")
	if s.want == "" {
		nothingToRead(t, c)
		return
	}
	p.send(".") // lets the Read return when the command is done
	wantRead(t, c, ".")
	p.want("\xff\xfa\x2c" + s.want + "\xff\xf0")
}

func TestRFC2217ServerAnswersEveryCommand(t *testing.T) {
	port := newFakePort()
	c, p := comServerWith(t, port)
	for _, s := range []comStep{
		{"\x00", "\x64chardevd"}, {"\x00kermit", ""},
		{"\x01\x00\x00\x00\x00", "\x65\x00\x00\x25\x80"}, {"\x01\x00\x01\xc2\x00", "\x65\x00\x01\xc2\x00"},
		{"\x01\x00\x1e\x84\x80", "\x65\x00\x01\xc2\x00"},                               // the port refuses 2 Mbaud
		{"\x01\xff\xff\xff\xff\xff\xff\xff\xff", "\x65\x00\x01\xc2\x00"}, {"\x01", ""}, // what is no rate
		{"\x02\x00", "\x66\x07"}, {"\x02\x08", "\x66\x08"}, {"\x02\x09", "\x66\x08"},
		{"\x03\x00", "\x67\x03"}, {"\x03\x01", "\x67\x01"}, {"\x03\x05", "\x67\x05"}, {"\x03\x06", "\x67\x05"},
		{"\x04\x00", "\x68\x02"}, {"\x04\x03", "\x68\x03"}, {"\x04\x01", "\x68\x01"},
		{"\x05\x00", "\x69\x03"}, {"\x05\x02", "\x69\x02"}, {"\x05\x01", "\x69\x01"}, {"\x05\x03", "\x69\x03"},
		{"\x05\x0d", "\x69\x10"}, {"\x05\x0e", "\x69\x10"}, {"\x05\x10", "\x69\x10"}, {"\x05\x12", "\x69\x10"},
		{"\x05\x11", "\x69\x03"}, {"\x05\x13", "\x69\x03"},
		{"\x05\x04", "\x69\x06"}, {"\x05\x05", "\x69\x05"}, {"\x05\x04", "\x69\x05"}, {"\x05\x06", "\x69\x06"},
		{"\x05\x07", "\x69\x08"}, {"\x05\x09", "\x69\x09"}, {"\x05\x07", "\x69\x09"}, {"\x05\x08", "\x69\x08"},
		{"\x05\x0a", "\x69\x0c"}, {"\x05\x0b", "\x69\x0b"}, {"\x05\x0c", "\x69\x0c"},
		{"\x06", "\x6a\x00"}, {"\x07", "\x6b\x10"},
		{"\x0a\x7e", "\x6e\x7e"}, {"\x06", "\x6a\x60"}, {"\x0b\x80", "\x6f\x80"}, {"\x07", "\x6b\x00"},
		{"\x0c\x01", "\x70\x01"}, {"\x0c\x02", "\x70\x02"}, {"\x0c\x03", "\x70\x03"},
		{"\x63", ""}, {"\x05", ""}, {"\x08", ""}, {"\x09", ""},
	} {
		t.Run(fmt.Sprintf("%x", s.say), func(t *testing.T) { s.run(t, c, p) })
	}
	want := []string{"break on", "break off", "purge 1", "purge 2", "purge 3"}
	if !slices.Equal(port.story, want) {
		t.Errorf("done to the port: %v, want %v", port.story, want)
	}
}

// Who may not set gets what holds.
func TestRFC2217ServerRefusesWithWhatHolds(t *testing.T) {
	port := newFakePort()
	port.refuse = errors.New("somebody else types")
	c, p := comServerWith(t, port)
	for _, s := range []comStep{
		{"\x01\x00\x01\xc2\x00", "\x65\x00\x00\x25\x80"}, {"\x02\x08", "\x66\x07"}, {"\x03\x01", "\x67\x03"}, {"\x04\x01", "\x68\x02"},
		{"\x05\x01", "\x69\x03"}, {"\x05\x05", "\x69\x06"}, {"\x05\x09", "\x69\x08"}, {"\x05\x0b", "\x69\x0c"}, {"\x0c\x03", "\x70\x03"},
	} {
		s.run(t, c, p)
	}
	if port.story != nil {
		t.Errorf("done to the port: %v", port.story)
	}
}

// What a port does not have the virtual one stands for.
func TestRFC2217VirtualPort(t *testing.T) {
	for name, port := range map[string]Port{"none": nil, "one without a line": lineless{newFakePort()}} {
		t.Run(name, func(t *testing.T) {
			c, p := comServerWith(t, nil)
			if port != nil {
				s, _ := As[PortServer](c)
				s.SetPort(port)
				p.want("\xff\xfa\x2c\x6b\xb0\xff\xf0")
			}
			for _, s := range []comStep{
				{"\x01\x00\x00\x00\x00", "\x65\x00\x01\xc2\x00"}, {"\x01\x00\x00\x01\x2c", "\x65\x00\x00\x01\x2c"}, {"\x01\x00\x00\x00\x00", "\x65\x00\x00\x01\x2c"},
				{"\x02\x07", "\x66\x07"}, {"\x03\x02", "\x67\x02"}, {"\x04\x02", "\x68\x02"}, {"\x05\x03", "\x69\x03"},
				{"\x05\x05", "\x69\x05"}, {"\x05\x06", "\x69\x06"}, {"\x05\x09", "\x69\x09"}, {"\x05\x0b", "\x69\x0b"}, {"\x07", "\x6b\xb0"}, {"\x0c\x03", "\x70\x03"},
			} {
				s.run(t, c, p)
			}
		})
	}
}

// lineless is a port that has nothing.
type lineless struct{ *fakePort }

func (lineless) Line(context.Context) (LineConfig, error)          { return LineConfig{}, errors.ErrUnsupported }
func (lineless) SetLine(context.Context, LineConfig) error         { return errors.ErrUnsupported }
func (lineless) Modem(context.Context) (ModemLines, error)         { return 0, errors.ErrUnsupported }
func (lineless) SetModem(_ context.Context, _, _ ModemLines) error { return errors.ErrUnsupported }
func (lineless) SendBreak(context.Context, time.Duration) error    { return errors.ErrUnsupported }
func (lineless) Purge(context.Context, Purge) error                { return errors.ErrUnsupported }

func TestRFC2217Notifications(t *testing.T) {
	port := newFakePort()
	c, p := comServerWith(t, port)
	if port.watched() != EventModem {
		t.Errorf("watched: %b; only modem lines are, by default", port.watched())
	}
	port.tell(Event{Kind: EventModem, Modem: DTR | CTS | DSR | RI, Changed: DSR | RI})
	p.want("\xff\xfa\x2c\x6b\x72\xff\xf0")
	port.tell(Event{Kind: EventModem, Modem: DTR | CTS | DSR, Changed: RI})
	p.want("\xff\xfa\x2c\x6b\x34\xff\xf0")
	comStep{"\x0a\x12", "\x6e\x12"}.run(t, c, p) // breaks and overruns
	if port.watched() != EventModem|EventBreak|EventErrors {
		t.Errorf("watched: %b", port.watched())
	}
	port.tell(Event{Kind: EventErrors, Errors: ParityError})
	port.tell(Event{Kind: EventBreak})
	port.tell(Event{Kind: EventErrors, Errors: OverrunError | FramingError})
	p.want("\xff\xfa\x2c\x6a\x10\xff\xf0\xff\xfa\x2c\x6a\x02\xff\xf0")
	comStep{"\x0b\x00", "\x6f\x00"}.run(t, c, p)
	comStep{"\x0a\x00", "\x6e\x00"}.run(t, c, p)
	if port.watched() != 0 {
		t.Errorf("watched though nobody wants it: %b", port.watched())
	}
}

// A break that the client does not end is ended by Close.
func TestRFC2217CloseEndsTheBreak(t *testing.T) {
	port := newFakePort()
	c, p := comServerWith(t, port)
	comStep{"\x05\x05", "\x69\x05"}.run(t, c, p)
	<-port.changed
	ends(t, limit, "Close", func() { c.Close() })
	if want := []string{"break on", "break off"}; !slices.Equal(port.story, want) {
		t.Errorf("%v, want %v", port.story, want)
	}
	if port.watched() != 0 {
		t.Error("the port is still watched")
	}
}

// comEnds is a client and a server with a port, both of them read.
func comEnds(t *testing.T, port Port) (client, server Channel) {
	t.Helper()
	client, server, _, _ = layeredPair(t, "rfc2217", 64<<10)
	s, _ := As[PortServer](server)
	s.SetPort(port) // what the client asks for when it begins is told of this one
	var reading sync.WaitGroup
	for _, c := range []Channel{client, server} {
		reading.Go(func() { io.Copy(io.Discard, c) })
	}
	t.Cleanup(func() { client.Close(); server.Close(); reading.Wait() })
	return client, server
}

func TestRFC2217ClientSetsAndAsks(t *testing.T) {
	port := newFakePort()
	c, _ := comEnds(t, port)
	l, ok := As[Line](c)
	if !ok {
		t.Fatal("no Line")
	}
	ctx := testCtx(t)
	if have, err := l.Line(ctx); have != port.line || err != nil {
		t.Errorf("the line is %v, %v; want %v", have, err, port.line)
	}
	want := LineConfig{115200, 8, ParityNone, StopOne, FlowXONXOFF}
	if err := l.SetLine(ctx, want); err != nil || port.line != want {
		t.Errorf("set to %v, %v; want %v", port.line, err, want)
	}
	if err := l.SetLine(ctx, LineConfig{Baud: 2000000}); err == nil || !strings.Contains(err.Error(), "115200") {
		t.Errorf("2 Mbaud: %v; want an error that says what holds", err)
	}
	if err := l.SetLine(ctx, LineConfig{DataBits: 9}); err == nil {
		t.Error("nine data bits are set")
	}
	if have, err := l.Line(ctx); have != want || err != nil {
		t.Errorf("the line is %v, %v; want %v", have, err, want)
	}
	if m, err := l.Modem(ctx); m != DTR|CTS || err != nil {
		t.Errorf("modem lines %v, %v", m, err)
	}
	if err := l.SetModem(ctx, RTS, DTR); err != nil || port.modem != RTS|CTS {
		t.Errorf("modem lines are set to %v, %v", port.modem, err)
	}
	if m, err := l.Modem(ctx); m != RTS|CTS || err != nil {
		t.Errorf("modem lines %v, %v", m, err)
	}
	if err := l.SetModem(ctx, CTS, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CTS is set: %v", err)
	}
	b, _ := As[Breaker](c)
	if err := b.SendBreak(ctx, time.Millisecond); err != nil {
		t.Error(err)
	}
	g, _ := As[Purger](c)
	if err := g.Purge(ctx, PurgeReceive|PurgeTransmit); err != nil {
		t.Error(err)
	}
	if want := []string{"break on", "break off", "purge 3"}; !slices.Equal(port.story, want) {
		t.Errorf("done to the port: %v, want %v", port.story, want)
	}
}

func TestRFC2217ClientIsTold(t *testing.T) {
	port := newFakePort()
	c, _ := comEnds(t, port)
	n, _ := As[Notifier](c)
	events := make(chan Event, 10)
	n.Notify(EventBreak|EventErrors|EventModem, func(e Event) { events <- e })
	l, _ := As[Line](c)
	if _, err := l.Line(testCtx(t)); err != nil { // the mask is there before that
		t.Fatal(err)
	}
	port.tell(Event{Kind: EventModem, Modem: CTS | DCD, Changed: DCD})
	port.tell(Event{Kind: EventBreak})
	port.tell(Event{Kind: EventErrors, Errors: FramingError | OverrunError})
	for got := []Event(nil); len(got) < 3; {
		e := <-events
		got = append(got, e)
		switch {
		case e.Kind == EventModem && e.Changed == 0: // of the beginning
			got = got[:len(got)-1]
		case e.Kind == EventModem && e.Modem&modemInputs == CTS|DCD && e.Changed == DCD:
		case e == Event{Kind: EventBreak}, e == Event{Kind: EventErrors, Errors: FramingError | OverrunError}:
		default:
			t.Fatalf("told %+v", e)
		}
	}
}

func TestRFC2217ClientOfATelnetServer(t *testing.T) {
	client, _ := testStack(t, "rfc2217")
	c, p := telnetAgainst(t, client, "\xff\xfe\x2c\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00")
	p.want(comClientOpening)
	l, _ := As[Line](c)
	if _, err := l.Line(testCtx(t)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	p.send("data goes through")
	wantRead(t, c, "data goes through")
}

func TestRFC2217ClientGivesUp(t *testing.T) {
	client, _ := testStack(t, "rfc2217")
	c, p := telnetAgainst(t, client, "\xff\xfd\x2c\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00")
	p.want(comClientOpening + "\xff\xfa\x2c\x0a\x00\xff\xf0\xff\xfa\x2c\x05\x07\xff\xf0\xff\xfa\x2c\x05\x0a\xff\xf0")
	l, _ := As[Line](c)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Line(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that of ctx", err)
	}
	asked := make(chan error)
	go func() { asked <- l.SetLine(context.Background(), LineConfig{Baud: 300}) }()
	p.want("\xff\xfa\x2c\x01\x00\x00\x00\x00\xff\xf0\xff\xfa\x2c\x01\x00\x00\x01\x2c\xff\xf0")
	c.Close()
	if err := <-asked; !isClosed(err) {
		t.Errorf("a question when the channel is closed: %v", err)
	}
}

// Who asks through this client, over a console's RFC 2217 frontend, has an answer before he
// gives up himself, also where the server has none.
func TestRFC2217ClientGivesUpBeforePyserial(t *testing.T) {
	client, _ := testStack(t, "rfc2217")
	c, p := telnetAgainst(t, client, "\xff\xfd\x2c\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00")
	p.want(comClientOpening + "\xff\xfa\x2c\x0a\x00\xff\xf0\xff\xfa\x2c\x05\x07\xff\xf0\xff\xfa\x2c\x05\x0a\xff\xf0")
	l, _ := As[Line](c)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second) // serial/rfc2217.py: _network_timeout
	defer cancel()
	if err := l.SetModem(ctx, DTR, 0); !errors.Is(err, errComSilent) {
		t.Errorf("DTR on, which is not answered: %v", err)
	}
	if m, err := l.Modem(ctx); m&DTR == 0 {
		t.Errorf("the lines that hold are %v, %v", m, err)
	}
}

// What was asked at the beginning may be answered when something else is asked.
func TestRFC2217ClientTakesLateAnswers(t *testing.T) {
	client, _ := testStack(t, "rfc2217")
	c, p := telnetAgainst(t, client, "\xff\xfd\x2c\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00")
	p.want(comClientOpening + "\xff\xfa\x2c\x0a\x00\xff\xf0\xff\xfa\x2c\x05\x07\xff\xf0\xff\xfa\x2c\x05\x0a\xff\xf0")
	l, _ := As[Line](c)
	set := make(chan error)
	for i, answer := range []string{"\xff\xfa\x2c\x69\x08\xff\xf0\xff\xfa\x2c\x69\x09\xff\xf0.", "\xff\xfa\x2c\x69\x08\xff\xf0."} {
		go func() { set <- l.SetModem(context.Background(), 0, DTR) }()
		p.want("\xff\xfa\x2c\x05\x09\xff\xf0")
		p.send(answer)
		wantRead(t, c, ".")
		if err := <-set; (err == nil) != (i == 0) {
			t.Errorf("DTR off, answered %q: %v", answer, err)
		}
	}
}

// ser2net 4.3 says "on" to the end of a break.
func TestRFC2217ClientTakesSer2netsBreak(t *testing.T) {
	client, _ := testStack(t, "rfc2217")
	c, p := telnetAgainst(t, client, "\xff\xfd\x2c\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00")
	p.want(comClientOpening + "\xff\xfa\x2c\x0a\x00\xff\xf0\xff\xfa\x2c\x05\x07\xff\xf0\xff\xfa\x2c\x05\x0a\xff\xf0")
	b, _ := As[Breaker](c)
	sent := make(chan error)
	go func() { sent <- b.SendBreak(context.Background(), time.Millisecond) }()
	for _, say := range []string{"\x05", "\x06"} {
		p.want("\xff\xfa\x2c\x05" + say + "\xff\xf0")
		p.send("\xff\xfa\x2c\x69\x05\xff\xf0.")
		wantRead(t, c, ".")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Suspended, nothing goes to the client, and later all of it: when it resumes, or
// its input has ended and it never will.
func TestRFC2217Suspend(t *testing.T) {
	a, b := Pipe(64 << 10)
	defer b.Close()
	p := &telnetPeer{t, b}
	p.send(comTerminal)
	_, server := testStack(t, "rfc2217")
	out := NewOutbox(a)
	c, err := server(testCtx(t), out)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.want(comServerOpening + "\xff\xfa\x2c\x6b\xb0\xff\xf0")
	comStep{"\x08", ""}.run(t, c, p)
	if _, err := c.Write([]byte("later")); err != nil {
		t.Fatal(err)
	}
	if out.Kept() != 5 || b.Buffered() != 0 {
		t.Fatalf("%d bytes are kept, %d are sent", out.Kept(), b.Buffered())
	}
	p.send("\xff\xfa\x2c\x09\xff\xf0.")
	wantRead(t, c, ".")
	p.want("later")
	<-out.Drained()
	comStep{"\x08", ""}.run(t, c, p)
	if _, err := c.Write([]byte("at last")); err != nil {
		t.Fatal(err)
	}
	b.CloseWrite()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read %d, %v", n, err)
	}
	<-out.Drained()
	p.want("at last")
}

func TestOutboxHoldEndsWithClose(t *testing.T) {
	a, b := Pipe(64 << 10)
	out := NewOutbox(a)
	out.Hold(true)
	out.Write([]byte("kept"))
	select {
	case <-out.Drained():
		t.Error("drained, though it is held")
	default:
	}
	ends(t, limit, "Close", func() { out.Close() })
	if got, err := io.ReadAll(b); string(got) != "kept" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// FuzzRFC2217Commands: neither end falls over a command, and the server answers
// each one with at most one of its own.
func FuzzRFC2217Commands(f *testing.F) {
	for _, s := range []string{"\x01\x00\x01\xc2\x00", "\x05\x05\x00", "\x05\xff", "\x00", "\x0a\xff", "\x65\x00\x00\x00\x00", "\x69\x08", "\x6b\xff", "\x6a\xff", "\x6c", "\x64"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sub []byte) {
		if len(sub) == 0 {
			return
		}
		for _, makeEnd := range []func(Channel) Channel{
			func(c Channel) Channel { return newComServer(c) },
			func(c Channel) Channel { return newComClient(c) },
		} {
			a, b := Pipe(4 << 10)
			b.CloseWrite()
			c := makeEnd(a)
			c.(interface{ command([]byte) }).command(sub)
			c.Close()
			sent, err := io.ReadAll(b)
			b.Close()
			if err != nil {
				t.Fatal(err)
			}
			var d telnetDecoder
			if data, story := decodeTelnet(t, &d, sent); len(data) > 0 || len(story) > 1 {
				t.Fatalf("%x is answered with %v and %d bytes of data", sub, story, len(data))
			}
		}
	})
}
