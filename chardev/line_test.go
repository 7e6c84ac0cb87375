package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/history"
)

// A port is a serial port at the far end of an RFC 2217 device.
type port struct {
	mu     sync.Mutex
	line   channel.LineConfig
	modem  channel.ModemLines
	breaks int
	purged channel.Purge
	refuse []int // numbers of data bits
	want   channel.EventKind
	notify func(channel.Event)
}

func (p *port) MaySet() error { return nil }

func (p *port) Line(context.Context) (channel.LineConfig, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line, nil
}

func (p *port) SetLine(_ context.Context, c channel.LineConfig) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, bits := range p.refuse {
		if c.DataBits == bits {
			c.DataBits = 0
		}
	}
	p.line = p.line.With(c)
	return nil
}

func (p *port) Modem(context.Context) (channel.ModemLines, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.modem, nil
}

func (p *port) SetModem(_ context.Context, set, clear channel.ModemLines) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.modem = p.modem&^clear | set
	return nil
}

func (p *port) SendBreak(context.Context, time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaks++
	return nil
}

func (p *port) Purge(_ context.Context, which channel.Purge) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.purged |= which
	return nil
}

func (p *port) Notify(want channel.EventKind, f func(channel.Event)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want, p.notify = want, f
}

func (p *port) broken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaks
}

// A lineRig is a server whose chardev has the port as its device, by way of layers.
type lineRig struct {
	t     *testing.T
	dir   string
	hub   *hub
	port  *port
	wall  channel.Listener // where the device is reached
	guest channel.Channel
}

// newLineRig runs a server whose device are the layers over a UNIX socket that the
// test listens on; config is the rest of its chardev.
func newLineRig(t *testing.T, device, config string) *lineRig {
	t.Helper()
	r := &lineRig{t: t, dir: t.TempDir(), port: &port{
		line:  channel.LineConfig{Baud: 9600, DataBits: 8, Parity: channel.ParityNone, StopBits: channel.StopOne, Flow: channel.FlowNone},
		modem: channel.DTR | channel.CTS,
	}}
	var err error
	if r.wall, err = channel.Listen(t.Context(), channel.MustParseAddress(device+"unix:"+filepath.Join(r.dir, "dev"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.wall.Close() })
	file := filepath.Join(r.dir, "chardev.toml")
	text := "state = \"state\"\ncontrol = \"unix:control\"\n[[chardev]]\nname = \"it\"\ndevice = \"" + device + "unix:dev\"\n" + config
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		s.Close()
	})
	if r.guest, err = r.wall.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, ok := channel.As[channel.PortServer](r.guest); ok {
		p.SetPort(r.port)
	}
	r.read(r.guest)
	<-ready
	r.hub = s.console("it").hub
	await(t, "the device to be up", func() bool { return r.hub.device.Load() != nil })
	return r
}

// read reads a channel to its end, and sees that this comes.
func (r *lineRig) read(c channel.Channel) {
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(io.Discard, c) })
	r.t.Cleanup(func() { c.Close(); reading.Wait() })
}

// connect comes in over one of the frontends.
func (r *lineRig) connect(address string) channel.Channel {
	r.t.Helper()
	layers, file, _ := strings.Cut(address, ":")
	c, err := channel.Dial(r.t.Context(), channel.MustParseAddress(layers+":"+filepath.Join(r.dir, file)))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// dial is connect for who reads and does not look at it.
func (r *lineRig) dial(address string) channel.Channel {
	r.t.Helper()
	c := r.connect(address)
	r.read(c)
	return c
}

// say has the device say a word, and returns what a client reads up to there.
func (r *lineRig) say(t *testing.T, c channel.Channel, word string) string {
	t.Helper()
	if _, err := r.guest.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var got []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(got), word); got = append(got, one...) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	return string(got)
}

func (r *lineRig) events(kind string) (texts []string) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	for _, e := range r.hub.events {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// comeAgain has the device leave, and come again with another port.
func (r *lineRig) comeAgain(gone func()) {
	r.t.Helper()
	r.guest.Close()
	await(r.t, "the device to be gone", func() bool { return r.hub.device.Load() == nil })
	gone()
	var err error
	if r.guest, err = r.wall.Accept(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.port = &port{line: channel.LineConfig{Baud: 9600, DataBits: 8, Parity: channel.ParityNone, StopBits: channel.StopOne, Flow: channel.FlowNone},
		modem: channel.DTR | channel.RTS | channel.CTS}
	p, _ := channel.As[channel.PortServer](r.guest)
	p.SetPort(r.port)
	r.read(r.guest)
}

func TestTheLineIsSetAnewForWhoIsThere(t *testing.T) {
	r := newLineRig(t, "rfc2217+", "frontends = [\"rfc2217+unix:a\"]\n")
	c := r.dial("rfc2217+unix:a")
	line, _ := channel.As[channel.Line](c)
	ctx := t.Context()
	if err := line.SetLine(ctx, channel.LineConfig{Baud: 57600}); err != nil {
		t.Fatal(err)
	}
	if err := line.SetModem(ctx, 0, channel.DTR); err != nil {
		t.Fatal(err)
	}
	modem := func(want channel.ModemLines, when string) {
		t.Helper()
		await(t, "CTS to be told as "+want.String()+when, func() bool {
			m, err := line.Modem(ctx)
			return err == nil && m&channel.CTS == want
		})
	}
	modem(channel.CTS, "")
	baud := func() int { l, _ := r.port.Line(ctx); return l.Baud }
	r.comeAgain(func() { modem(0, " while the device is gone") })
	await(t, "the line to be as the client has set it", func() bool {
		m, _ := r.port.Modem(ctx)
		return baud() == 57600 && m&channel.DTR == 0
	})
	modem(channel.CTS, " when it is there again")

	// Who has left wants nothing any more.
	c.Close()
	await(t, "the client to be gone", func() bool { by, _ := r.hub.lineWatch().kept(); return by == nil })
	looker := r.dial("rfc2217+unix:a")
	line, _ = channel.As[channel.Line](looker)
	modem(channel.CTS, " to the next one")
	r.comeAgain(func() { modem(0, " while the device is gone") })
	modem(channel.CTS, " when it is there again")
	if baud() != 9600 {
		t.Errorf("the line is at %d baud for a client who has left", baud())
	}

	// What an operator sets stands above it.
	if err := line.SetLine(ctx, channel.LineConfig{Baud: 57600}); err != nil {
		t.Fatal(err)
	}
	if status, text := r.ask("PATCH", "/line", `{"baud":19200}`); status != 200 {
		t.Fatal(status, text)
	}
	r.comeAgain(func() { modem(0, " while the device is gone") })
	modem(channel.CTS, " when it is there again")
	if baud() != 9600 {
		t.Errorf("the line is at %d baud, which an operator has set otherwise since", baud())
	}
}

func TestTheLineFollowsWhoMayType(t *testing.T) {
	r := newLineRig(t, "rfc2217+", `input = "exclusive"
frontends = ["rfc2217+unix:a"]
[[chardev.frontend]]
listen = "rfc2217+unix:ro"
mode = "read-only"
`)
	first, second, looker := r.dial("rfc2217+unix:a"), r.dial("rfc2217+unix:a"), r.dial("rfc2217+unix:ro")
	ctx := t.Context()
	line := func(c channel.Channel) channel.Line { l, _ := channel.As[channel.Line](c); return l }
	want, _ := r.port.Line(ctx)
	if have, err := line(looker).Line(ctx); err != nil || have != want {
		t.Errorf("who looks on is told %v, %v; want %v", have, err, want)
	}
	if err := line(looker).SetLine(ctx, channel.LineConfig{Baud: 300}); err == nil {
		t.Error("who looks on sets the line")
	}
	if err := line(first).SetLine(ctx, channel.LineConfig{Baud: 115200}); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := line(second).SetLine(ctx, channel.LineConfig{Baud: 300}); err == nil || !strings.Contains(err.Error(), "115200") {
		t.Errorf("the second sets the line of who has the input: %v", err)
	}
	if err := line(second).SetModem(ctx, 0, channel.DTR); err == nil {
		t.Error("the second drops DTR of who has the input")
	}
	if have, _ := r.port.Line(ctx); have.Baud != 115200 {
		t.Errorf("the port is at %d baud", have.Baud)
	}
	if err := line(first).SetModem(ctx, channel.RTS, channel.DTR); err != nil {
		t.Error(err)
	}
	if m, err := line(first).Modem(ctx); m != channel.RTS|channel.CTS || err != nil {
		t.Errorf("modem lines %v, %v", m, err)
	}
	if got := r.events("refused"); len(got) != 2 {
		t.Errorf("%d refusals are told, want one for each of the two: %q", len(got), got)
	}
}

func TestBreaksReachTheDevice(t *testing.T) {
	r := newLineRig(t, "rfc2217+", `frontends = ["rfc2217+unix:a", "telnet+unix:b"]`)
	for i, address := range []string{"rfc2217+unix:a", "telnet+unix:b"} {
		b, _ := channel.As[channel.Breaker](r.dial(address))
		if err := b.SendBreak(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
		await(t, "the break by "+address, func() bool { return r.port.broken() == i+1 })
	}
	await(t, "an event for each", func() bool { return len(r.events("break")) == 2 })
}

// A telnet device gets an IAC BRK, whoever's break it was.
func TestABreakOverTelnet(t *testing.T) {
	r := newLineRig(t, "telnet+", `frontends = ["rfc2217+unix:a"]`)
	n, _ := channel.As[channel.Notifier](r.guest)
	breaks := make(chan channel.Event, 1)
	n.Notify(channel.EventBreak, func(e channel.Event) { breaks <- e })
	b, _ := channel.As[channel.Breaker](r.dial("rfc2217+unix:a"))
	if err := b.SendBreak(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	<-breaks
}

func TestABreakThatTheDeviceDoesNotHaveIsToldOnce(t *testing.T) {
	r := newLineRig(t, "", `frontends = ["telnet+unix:b"]`)
	c := r.dial("telnet+unix:b")
	b, _ := channel.As[channel.Breaker](c)
	for range 3 {
		if err := b.SendBreak(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	await(t, "what is behind the breaks", func() bool { return r.hub.bytesIn.Load() == 1 })
	if got := r.events("refused"); len(got) != 1 || !strings.Contains(got[0], "no break was sent") {
		t.Errorf("events %q, want one", got)
	}
}

// What the device has said is not one client's to throw away, and what was typed is so where
// nobody else can have typed it.
func TestAPurgeTakesNothingFromOthers(t *testing.T) {
	for input, want := range map[string]channel.Purge{"shared": 0, "exclusive": channel.PurgeTransmit} {
		r := newLineRig(t, "rfc2217+", fmt.Sprintf("input = %q\nfrontends = [\"rfc2217+unix:a\"]\n", input))
		p, _ := channel.As[channel.Purger](r.dial("rfc2217+unix:a"))
		if err := p.Purge(t.Context(), channel.PurgeReceive|channel.PurgeTransmit); err != nil { // the answer comes when it is done
			t.Fatal(err)
		}
		r.port.mu.Lock()
		if r.port.purged != want {
			t.Errorf("with %s input %b is thrown away, want %b", input, r.port.purged, want)
		}
		r.port.mu.Unlock()
	}
}

func TestModemLinesAreHandedThrough(t *testing.T) {
	r := newLineRig(t, "rfc2217+", `frontends = ["rfc2217+unix:a"]`)
	n, _ := channel.As[channel.Notifier](r.dial("rfc2217+unix:a"))
	seen := make(chan channel.Event, 100)
	n.Notify(channel.EventModem, func(e channel.Event) { seen <- e })
	await(t, "somebody to want them", func() bool { return r.hub.line.Load().wanted()&channel.EventModem != 0 })
	r.port.mu.Lock()
	tell := r.port.notify
	r.port.mu.Unlock()
	tell(channel.Event{Kind: channel.EventModem, Modem: channel.CTS | channel.RI, Changed: channel.RI})
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-seen:
			if e.Modem&channel.RI != 0 {
				return
			}
		case <-timeout:
			t.Fatal("RI is not seen")
		}
	}
}

// What nobody wants to know any more the device need not tell.
func TestLinesAreWatchedWhileSomebodyAsks(t *testing.T) {
	var w lineWatch
	a, b := new(client), new(client)
	told := ""
	w.watch(a, channel.EventModem, func(channel.Event) { told += "a" })
	w.watch(b, channel.EventErrors|channel.EventModem, func(channel.Event) { told += "b" })
	if got := w.wanted(); got != channel.EventBreak|channel.EventErrors|channel.EventModem {
		t.Errorf("wanted %b", got)
	}
	for _, f := range w.who(channel.EventErrors) {
		f(channel.Event{})
	}
	w.watch(b, 0, nil)
	for _, f := range w.who(channel.EventModem) {
		f(channel.Event{})
	}
	w.unwatch(a)
	if got := w.wanted(); got != channel.EventBreak || told != "ba" {
		t.Errorf("wanted %b, told %q", got, told)
	}
}

func TestABreakFromTheDeviceIsAnEvent(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), history.New(16<<10, 0, nil), "shared")
	for range 100 {
		h.lineEvent(channel.Event{Kind: channel.EventBreak})
	}
	r := lineRig{hub: h}
	if got := r.events("break"); len(got) != floodMost {
		t.Errorf("%d events of 100 breaks in a moment", len(got))
	}
}

// Who sends breaks without end, or changes the line, or wants to and may not, does
// not push everything else out of the events.
func TestAFloodBesideTheBytesIsNotedInPart(t *testing.T) {
	r := newLineRig(t, "telnet+", `frontends = ["telnet+unix:b"]`)
	c := r.dial("telnet+unix:b")
	b, _ := channel.As[channel.Breaker](c)
	for range 200 {
		if err := b.SendBreak(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	c.Write([]byte("x"))
	await(t, "what is behind the breaks", func() bool { return r.hub.bytesIn.Load() == 1 })
	watcher := &client{hub: r.hub}
	watcher.readOnly.Store(true)
	for i := range 200 {
		r.hub.noteSome(&r.hub.lineWatch().changes, "line", fmt.Sprint("the line is set to ", i))
		watcher.tellOnce(fmt.Errorf("no %d", i))
	}
	for _, kind := range []string{"break", "line", "refused"} {
		if n := len(r.events(kind)); n != floodMost {
			t.Errorf("%d events %q", n, kind)
		}
	}
}

func TestAFloodIsToldWhenItIsOver(t *testing.T) {
	var f flood
	now := thisMoment()
	for i := range 100 {
		if untold, ok := f.pass(now); ok != (i < floodMost) || untold != "" {
			t.Fatalf("event %d: %v, %q", i, ok, untold)
		}
	}
	if untold, ok := f.pass(now.add(gapQuiet)); !ok || !strings.Contains(untold, "and 92 before") {
		t.Errorf("the next one: %v, %q", ok, untold)
	}
}

func TestTheLineOfADeviceThatIsAway(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), history.New(16<<10, 0, nil), "shared")
	p := clientPort{&client{hub: h}}
	if _, err := p.Line(t.Context()); !errors.Is(err, errDown) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	for what, err := range map[string]error{
		"set":   p.SetLine(t.Context(), channel.LineConfig{Baud: 300}),
		"modem": p.SetModem(t.Context(), channel.DTR, 0),
		"break": p.SendBreak(t.Context(), 0),
		"purge": p.Purge(t.Context(), channel.PurgeReceive),
	} {
		if !errors.Is(err, errDown) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A person with a telnet is told what happens, where the address says that it is one.
func TestNoticesAreForPeople(t *testing.T) {
	r := newLineRig(t, "", `frontends = ["telnet+unix:people?notices=true", "telnet+unix:programs"]`)
	for name, want := range map[string]string{
		"people":   "\r\n[chardevd: the device is down: the device closed the connection]\r\nmore",
		"programs": "more",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.connect("telnet+unix:" + name)
			defer c.Close()
			await(t, "the client to be attached", func() bool {
				return slices.ContainsFunc(r.hub.clientInfos(), func(i ClientInfo) bool { return strings.Contains(i.Frontend, name) })
			})
			// What comes before that may be that the device is up, which it is just now.
			r.say(t, c, "text")
			r.hub.tell(Message{Type: "device", State: StateDown, Text: reason(errDeviceEnded)})
			if got := r.say(t, c, "more"); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		})
	}
	for m, want := range map[Message]string{
		{Type: "gap", Size: 7}:                 "7 bytes are missing here",
		{Type: "gap", Size: 7, Text: "so"}:     "at most 7 bytes are missing here: so",
		{Type: "device", State: StateUp}:       "the device is up",
		{Type: "notice", Text: "not a writer"}: "not a writer",
		{Type: "bye", Text: "bye"}:             "goodbye: bye",
		{Type: "hello", Text: "unseen"}:        "",
	} {
		if got := m.notice(); got != want {
			t.Errorf("%v is told as %q, want %q", m, got, want)
		}
	}
}

func TestTelnetIsRawToPages(t *testing.T) {
	for address, want := range map[string]bool{
		"tcp://127.0.0.1:1": true, "telnet://127.0.0.1:1": true, "rfc2217://127.0.0.1:1": true, "telnet+tls://127.0.0.1:1": false,
		"telnet://127.0.0.1:1?http=allow": false, "ws://127.0.0.1:1": false, "unix:/x": false, "telnet+unix:/x": false,
	} {
		if got := rawToPages(channel.MustParseAddress(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	for address, want := range map[string]bool{
		"tcp://127.0.0.1:1": true, "tls://127.0.0.1:1": true, "telnet+tls://127.0.0.1:1": true,
		"tls://127.0.0.1:1?http=allow": false, "wss://127.0.0.1:1": false, "tls+unix:/x": true,
		"unix:/x": true, "telnet+unix:/x": true, "unix:/x?http=allow": false, "ws+unix:/x": false, "pty:/x": false,
	} {
		if got := typedByPages(channel.MustParseAddress(address)); got != want {
			t.Errorf("a console at %s: %v", address, got)
		}
	}
}
