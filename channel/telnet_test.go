package channel

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// A telnetPeer is a peer that the test plays byte by byte.
type telnetPeer struct {
	t  testing.TB
	ch *PipeEnd
}

// telnetAgainst puts one side of a layer on a pipe whose other end has said answer
// already.
func telnetAgainst(t testing.TB, layer Layer, answer string) (Channel, *telnetPeer) {
	t.Helper()
	a, b := Pipe(64 << 10)
	t.Cleanup(func() { b.Close() })
	p := &telnetPeer{t, b}
	p.send(answer)
	c, err := layer(testCtx(t), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, p
}

func (p *telnetPeer) send(s string) {
	p.t.Helper()
	if _, err := p.ch.Write([]byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

// want reads what the layer sends.
func (p *telnetPeer) want(s string) {
	p.t.Helper()
	p.ch.SetReadDeadline(time.Now().Add(limit))
	got := make([]byte, len(s))
	if n, err := io.ReadFull(p.ch, got); err != nil || string(got) != s {
		p.t.Fatalf("sent %q, %v; want %q", got[:n], err, s)
	}
}

// wantRead reads what the layer gives to its user.
func wantRead(t testing.TB, c Channel, s string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(limit))
	got := make([]byte, len(s))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != s {
		t.Fatalf("read %q, %v; want %q", got[:n], err, s)
	}
	c.SetReadDeadline(time.Time{})
}

// nothingToRead has the layer handle what has come, which is no data.
func nothingToRead(t testing.TB, c Channel) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); n != 0 || !isTimeout(err) {
		t.Fatalf("Read = %d, %v; want nothing", n, err)
	}
	c.SetReadDeadline(time.Time{})
}

func isTimeout(err error) bool {
	te, ok := err.(interface{ Timeout() bool })
	return ok && te.Timeout()
}

const (
	telnetServerOpening = "\xff\xfd\x03\xff\xfd\x1f\xff\xfd\x18\xff\xfb\x01\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00"
	telnetClientOpening = "\xff\xfd\x03\xff\xfd\x00\xff\xfb\x00"
	// What a telnet client like inetutils answers to the server.
	telnetTerminal = "\xff\xfb\x03\xff\xfb\x1f\xff\xfb\x18\xff\xfd\x01\xff\xfd\x03\xff\xfb\x00\xff\xfd\x00"
)

func telnetLayers(t testing.TB) (client, server Layer) { return testStack(t, "telnet") }

func TestTelnetServerOffersAndAgrees(t *testing.T) {
	_, server := telnetLayers(t)
	c, p := telnetAgainst(t, server, telnetTerminal)
	p.want(telnetServerOpening)
	p.send("ab\r\x00\r\n\xff\xff") // BINARY: bytes as they are
	wantRead(t, c, "ab\r\x00\r\n\xff")
	if _, err := c.Write([]byte("x\r\xff\ry")); err != nil {
		t.Fatal(err)
	}
	p.want("x\r\xff\xff\ry")
}

func TestTelnetClientAsksAndGrants(t *testing.T) {
	client, _ := telnetLayers(t)
	c, p := telnetAgainst(t, client, "")
	p.want(telnetClientOpening)
	p.send(telnetServerOpening)
	nothingToRead(t, c)
	// Only what was not asked for is answered.
	p.want("\xff\xfb\x03\xff\xfb\x1f\xff\xfb\x18\xff\xfd\x01")
	p.send("\xff\xfa\x18\x01\xff\xf0")
	nothingToRead(t, c)
	p.want("\xff\xfa\x18\x00UNKNOWN\xff\xf0")
}

func TestTelnetServesWhoNegotiatesNothing(t *testing.T) {
	for _, side := range []int{0, 1} {
		cl, sl := telnetLayers(t)
		c, p := telnetAgainst(t, []Layer{cl, sl}[side], "hello ")
		p.want([]string{telnetClientOpening, telnetServerOpening}[side])
		p.send("there")
		wantRead(t, c, "hello there")
		if _, err := c.Write([]byte("a\r\nb\r")); err != nil {
			t.Fatal(err)
		}
		p.want("a\r\nb\r")
	}
}

func TestTelnetWaitsNotLongForAnswers(t *testing.T) {
	_, server := telnetLayers(t)
	a, b := Pipe(1 << 10)
	defer b.Close()
	ends(t, limit, "the opening with a silent peer", func() {
		c, err := server(testCtx(t), a)
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
}

// A peer that refuses BINARY gets the NUL behind CR, and its own are taken out.
func TestTelnetWithoutBinary(t *testing.T) {
	_, server := telnetLayers(t)
	c, p := telnetAgainst(t, server, "\xff\xfc\x03\xff\xfc\x1f\xff\xfc\x18\xff\xfe\x01\xff\xfe\x03\xff\xfc\x00\xff\xfe\x00")
	p.want(telnetServerOpening)
	p.send("a\r\x00b\r\nc")
	wantRead(t, c, "a\rb\rc")
	if _, err := c.Write([]byte("a\rb\r\nc")); err != nil {
		t.Fatal(err)
	}
	p.want("a\r\x00b\r\nc")
	p.send("\xff\xfb\x00\xff\xfd\x00\xff\xf6") // BINARY after all
	nothingToRead(t, c)
	p.want("\xff\xfd\x00\xff\xfb\x00\r\n[chardevd: yes]\r\n")
	if _, err := c.Write([]byte("a\rb")); err != nil {
		t.Fatal(err)
	}
	p.want("a\rb")
}

func TestTelnetTellsWhatIsBesideTheStreamInItsPlace(t *testing.T) {
	_, server := telnetLayers(t)
	c, p := telnetAgainst(t, server, telnetTerminal+"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0")
	n, ok := As[Notifier](c)
	if !ok {
		t.Fatal("no Notifier")
	}
	var events []Event
	p.want(telnetServerOpening)
	n.Notify(EventBreak|EventWindow|EventTerminal, func(e Event) { events = append(events, e) })
	nothingToRead(t, c)
	p.want("\xff\xfa\x18\x01\xff\xf0") // which terminal?
	if want := (Event{Kind: EventWindow, Cols: 80, Rows: 24}); len(events) != 1 || events[0] != want {
		t.Fatalf("events %v, want %v", events, want)
	}
	p.send("sys\xff\xf3rq\xff\xfa\x1f\x00\xff\xff\x00\x30\xff\xf0\xff\xfa\x18\x00xterm\xff\xf0h")
	wantRead(t, c, "sys")
	if len(events) != 1 {
		t.Fatal("the break came before what was sent before it")
	}
	wantRead(t, c, "rq")
	if len(events) != 2 || events[1].Kind != EventBreak {
		t.Fatalf("events %v; want the break second", events)
	}
	wantRead(t, c, "h")
	want := []Event{{Kind: EventWindow, Cols: 255, Rows: 48}, {Kind: EventTerminal, Terminal: "xterm"}}
	if len(events) != 4 || events[2] != want[0] || events[3] != want[1] {
		t.Fatalf("events %v; want %v at the end", events, want)
	}
	n.Notify(EventWindow, func(e Event) { events = append(events, e) })
	if len(events) != 5 || events[4] != want[0] {
		t.Fatalf("a window that is known is not told at once: %v", events)
	}
	n.Notify(0, nil)
	p.send("\xff\xf3x")
	wantRead(t, c, "x")
	if len(events) != 5 {
		t.Fatalf("told after it was ended: %v", events[5:])
	}
}

func TestTelnetClientTellsItsWindow(t *testing.T) {
	client, _ := telnetLayers(t)
	c, p := telnetAgainst(t, client, "\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00")
	r, ok := As[Resizer](c)
	if !ok {
		t.Fatal("no Resizer")
	}
	p.want(telnetClientOpening)
	if err := r.Resize(80, 24); err != nil {
		t.Fatal(err)
	}
	p.send("\xff\xfd\x1f")
	nothingToRead(t, c)
	p.want("\xff\xfb\x1f\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0")
	if err := r.Resize(255, 255); err != nil {
		t.Fatal(err)
	}
	p.want("\xff\xfa\x1f\x00\xff\xff\x00\xff\xff\xff\xf0")
	if _, ok := As[Resizer](serverOver(t)); ok {
		t.Error("a server has a window to tell")
	}
}

func serverOver(t testing.TB) Channel {
	_, server := telnetLayers(t)
	c, _ := telnetAgainst(t, server, telnetTerminal)
	return c
}

func TestTelnetBreakAndAreYouThere(t *testing.T) {
	client, server := telnetLayers(t)
	c, p := telnetAgainst(t, client, "\xff\xfb\x03\xff\xfd\x00\xff\xfb\x00\xff\xf6")
	p.want(telnetClientOpening)
	nothingToRead(t, c)
	p.want("\xff\xf1") // nothing that would be typed
	b, _ := As[Breaker](c)
	if err := b.SendBreak(testCtx(t), time.Second); err != nil {
		t.Fatal(err)
	}
	p.want("\xff\xf3")
	c, p = telnetAgainst(t, server, telnetTerminal+"\xff\xf6")
	p.want(telnetServerOpening)
	nothingToRead(t, c)
	p.want("\r\n[chardevd: yes]\r\n")
}

// A peer that asks and asks, and takes no answer, is given up and not kept for.
func TestTelnetAnswersAreBounded(t *testing.T) {
	_, server := telnetLayers(t)
	a, b := Pipe(1 << 20)
	defer b.Close()
	b.Write([]byte(telnetTerminal))
	c, err := server(testCtx(t), a)
	if err != nil {
		t.Fatal(err)
	}
	b.Stall() // it takes nothing
	b.Write(bytes.Repeat([]byte{telnetIAC, telnetDO, 77}, 300000))
	ends(t, limit, "reading a flood of questions", func() {
		if _, err := c.Read(make([]byte, 4096)); err != errTelnetFlood {
			t.Errorf("Read: %v; want %v", err, errTelnetFlood)
		}
	})
	ends(t, limit, "Close", func() { c.Close() })
}

// Many small events in one buffer cost no copy of its rest each.
func TestTelnetManyBreaksAtOnce(t *testing.T) {
	_, server := telnetLayers(t)
	c, p := telnetAgainst(t, server, telnetTerminal)
	var breaks atomic.Int64
	n, _ := As[Notifier](c)
	n.Notify(EventBreak, func(Event) { breaks.Add(1) })
	p.want(telnetServerOpening)
	const many = 20000
	p.send(string(bytes.Repeat([]byte{telnetIAC, telnetBRK}, many)) + "x")
	buf := make([]byte, 64<<10)
	ends(t, limit, "reading breaks", func() {
		if m, err := c.Read(buf); m != 1 || err != nil {
			t.Errorf("Read = %d, %v", m, err)
		}
	})
	if breaks.Load() != many {
		t.Errorf("%d breaks of %d", breaks.Load(), many)
	}
}

// Who closes without having read takes nothing from the peer over a socket.
func TestTelnetCloseLosesNothing(t *testing.T) {
	e := new(Env)
	l, err := e.Listen(testCtx(t), MustParseAddress("telnet://127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := MustParseAddress("telnet://127.0.0.1:1")
	to.Where = l.Addr().String()
	for range 20 {
		cc, err := e.Dial(testCtx(t), to)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := l.Accept(testCtx(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sc.Write([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		want := randomBytes(100000)
		if _, err := cc.Write(want); err != nil {
			t.Fatal(err)
		}
		cc.Close()
		got, err := io.ReadAll(sc)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
		}
		sc.Close()
	}
}

func TestTelnetOpeningEndsWithThePeer(t *testing.T) {
	_, server := telnetLayers(t)
	a, b := Pipe(1 << 10)
	b.Close()
	if _, err := server(testCtx(t), a); !errors.Is(err, io.ErrUnexpectedEOF) && !IsGone(err) {
		t.Errorf("error %v", err)
	}
	if _, err := a.Write([]byte("x")); !isClosed(err) {
		t.Errorf("the channel below is not closed: %v", err)
	}
}
