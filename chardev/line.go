package chardev

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/audit"
)

// What stands beside the bytes goes between a client and the device here: breaks,
// window sizes, the settings of the line and its modem lines.

// beside has the client's channel tell what comes beside its bytes, until
// endBeside, and gives it the device's line if it serves one (RFC 2217). Breaks and
// settings are those of somebody who types: they take the same right, and that to
// control besides.
func (c *client) beside() {
	if n, ok := channel.As[channel.Notifier](c.ch); ok {
		n.Notify(channel.EventBreak|channel.EventWindow, c.happened)
	}
	if s, ok := channel.As[channel.PortServer](c.ch); ok {
		s.SetPort(clientPort{c})
	}
}

// endBeside is called when the client is gone: its channel is closed.
func (c *client) endBeside() {
	if c.hub.line.Load().unwatch(c) {
		c.hub.watchLine()
	}
}

// happened acts on what a client's channel tells. For a break it returns when that
// is over, so that what the client sends behind it comes behind it.
func (c *client) happened(e channel.Event) {
	switch e.Kind {
	case channel.EventWindow:
		c.hub.resize(c, e.Cols, e.Rows)
	case channel.EventBreak:
		if err := c.hub.sendBreak(c, 0); err != nil {
			c.tellOnce(err)
		}
	}
}

// tellOnce notes why something beside the bytes was not done, unless that was the
// last thing of the client's that was not done.
func (c *client) tellOnce(err error) {
	text := err.Error()
	c.mu.Lock()
	known := c.undone == text
	c.undone = text
	c.mu.Unlock()
	if !known {
		c.hub.noteSome(&c.hub.lineWatch().refusals, "refused", c.String()+": "+text)
	}
}

// A clientPort is the device's line for one client.
type clientPort struct{ c *client }

// errDown stands for a line that is away: what is asked of it is not done.
var errDown = errors.New("the device is down")

// errNone stands for what the device does not have. It is errors.ErrUnsupported.
var errNone = lacking{}

type lacking struct{}

func (lacking) Error() string        { return "this kind of device has none" }
func (lacking) Is(target error) bool { return target == errors.ErrUnsupported }

// lineOf finds an ability of the device.
func lineOf[T any](h *hub) (T, error) {
	var none T
	s := h.device.Load()
	if s == nil {
		return none, errDown
	}
	if t, ok := channel.As[T](s.in.ch); ok {
		return t, nil
	}
	return none, errNone
}

func (p clientPort) MaySet() error {
	why, ok := p.c.hub.takeControl(p.c)
	if ok {
		return nil
	}
	err := fmt.Errorf("the line was left as it is: %s", inWords[why])
	p.c.tellOnce(err)
	return err
}

func (p clientPort) Line(ctx context.Context) (channel.LineConfig, error) {
	l, err := lineOf[channel.Line](p.c.hub)
	if err != nil {
		return channel.LineConfig{}, err
	}
	return l.Line(ctx)
}

func (p clientPort) SetLine(ctx context.Context, want channel.LineConfig) error {
	err := p.done(p.c.hub.setLine(ctx, p.c, want))
	if err == nil {
		p.c.hub.lineWatch().keep(p.c, lineSet{line: want})
	}
	return err
}

func (p clientPort) Modem(ctx context.Context) (channel.ModemLines, error) {
	l, err := lineOf[channel.Line](p.c.hub)
	if err != nil {
		return 0, err
	}
	return l.Modem(ctx)
}

func (p clientPort) SetModem(ctx context.Context, set, clear channel.ModemLines) error {
	err := p.done(p.c.hub.setModem(ctx, p.c, set, clear))
	if err == nil {
		p.c.hub.lineWatch().keep(p.c, lineSet{raised: set, dropped: clear})
	}
	return err
}

func (p clientPort) SendBreak(ctx context.Context, d time.Duration) error {
	b, err := lineOf[channel.Breaker](p.c.hub)
	if err != nil {
		p.c.tellOnce(fmt.Errorf("no break was sent: %w", err))
		return err
	}
	p.c.hub.noteSome(&p.c.hub.lineWatch().breaks, "break", p.c.String())
	p.c.hub.audit.did(p.c, audit.Break, "")
	err = b.SendBreak(ctx, d)
	if err != nil && ctx.Err() == nil { // else it lasted until the client ended it
		p.c.tellOnce(fmt.Errorf("no break was sent: %w", err))
	}
	return err
}

// Purge throws away nothing that others have a part in: what the device has said is for the
// log and for everybody, and what was typed is that one's alone who has the input. (Programs
// purge both whenever they open a port.)
func (p clientPort) Purge(ctx context.Context, which channel.Purge) error {
	b, err := lineOf[channel.Purger](p.c.hub)
	which &^= channel.PurgeReceive
	if err != nil || which == 0 || p.c.hub.inputMode() != "exclusive" {
		return err
	}
	return b.Purge(ctx, which)
}

// Notify is for the lines of the device that is there, and of each that comes.
func (p clientPort) Notify(want channel.EventKind, f func(channel.Event)) {
	p.c.hub.lineWatch().watch(p.c, want, f)
	p.c.hub.watchLine()
}

// done notes why the client could not change the line, unless there is none now.
func (p clientPort) done(err error) error {
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, errDown) {
		p.c.tellOnce(err)
	}
	return err
}

// setLine sets the device's line and, if that changes it, notes by whom.
func (h *hub) setLine(ctx context.Context, by actor, want channel.LineConfig) error {
	l, err := lineOf[channel.Line](h)
	if err != nil {
		return fmt.Errorf("the line is not set: %w", err)
	}
	before, _ := l.Line(ctx)
	after := before.With(want)
	if err = l.SetLine(ctx, want); err != nil {
		err = fmt.Errorf("the line is not set to %v: %w", after, err)
		after = before
		if now, e := l.Line(ctx); e == nil && now != before { // what else was wanted was done
			after = now
			err = fmt.Errorf("%w; it is %v now", err, now)
		}
	}
	if after != before {
		h.noteSome(&h.lineWatch().changes, "line", by.String()+": the line is set to "+after.String())
		h.audit.did(by, audit.Line, after.String())
	}
	return err
}

// setModem raises and drops modem lines of the device and, if that changes them,
// notes by whom.
func (h *hub) setModem(ctx context.Context, by actor, set, clear channel.ModemLines) error {
	l, err := lineOf[channel.Line](h)
	if err != nil {
		return fmt.Errorf("the modem lines are not set: %w", err)
	}
	before, _ := l.Modem(ctx)
	after := before&^clear | set
	if err := l.SetModem(ctx, set, clear); err != nil {
		return fmt.Errorf("the modem lines are not set: %w", err)
	}
	if after != before {
		h.noteSome(&h.lineWatch().changes, "line", fmt.Sprintf("%s: the modem lines that are on: %v", by, after))
		h.audit.did(by, audit.Line, fmt.Sprintf("the modem lines that are on: %v", after))
	}
	return nil
}

// A lineWatch is who wants to know what of the device's line, and what was noted
// about it. nil: nobody does, and nothing was.
type lineWatch struct {
	mu     sync.Mutex
	by     map[*client]lineWatcher
	setBy  *client // who has set the line last, and is there; nil: nobody
	set    lineSet // what he has set
	giveUp func()  // ends coming

	coming sync.WaitGroup // of lineCame

	received flood // breaks of the device
	breaks   flood // those of clients
	changes  flood
	refusals flood
}

// lineWatch is the hub's, which is made when it is first needed.
func (h *hub) lineWatch() *lineWatch {
	if w := h.line.Load(); w != nil {
		return w
	}
	h.line.CompareAndSwap(nil, new(lineWatch))
	return h.line.Load()
}

// A lineSet is what somebody has set of a line.
type lineSet struct {
	line            channel.LineConfig
	raised, dropped channel.ModemLines
}

// keep notes what c has set, for a device that is opened anew while c is there.
func (w *lineWatch) keep(c *client, s lineSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.setBy != c {
		w.setBy, w.set = c, lineSet{}
	}
	w.set = lineSet{w.set.line.With(s.line), w.set.raised&^s.dropped | s.raised, w.set.dropped&^s.raised | s.dropped}
}

// forget has nothing set anew: somebody else has said how the line is to be.
func (w *lineWatch) forget() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setBy, w.set = nil, lineSet{}
}

func (w *lineWatch) kept() (by *client, s lineSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.setBy, w.set
}

type lineWatcher struct {
	want channel.EventKind
	f    func(channel.Event)
}

func (w *lineWatch) watch(c *client, want channel.EventKind, f func(channel.Event)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[*client]lineWatcher{}
	}
	w.by[c] = lineWatcher{want, f}
}

// unwatch forgets c; it says whether c was there.
func (w *lineWatch) unwatch(c *client) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, was := w.by[c]
	delete(w.by, c)
	if w.setBy == c {
		w.setBy, w.set = nil, lineSet{}
	}
	return was
}

// wanted is what any of them wants, and breaks, which are events of the console.
func (w *lineWatch) wanted() channel.EventKind {
	if w == nil {
		return channel.EventBreak
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	want := channel.EventBreak
	for _, one := range w.by {
		want |= one.want
	}
	return want
}

// who is to be told of events of a kind.
func (w *lineWatch) who(kind channel.EventKind) []func(channel.Event) {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []func(channel.Event)
	for _, one := range w.by {
		if one.want&kind != 0 {
			all = append(all, one.f)
		}
	}
	return all
}

// watchLine has the device tell what is wanted. It is called when that changes, and
// when a device has come.
func (h *hub) watchLine() {
	n, err := lineOf[channel.Notifier](h)
	if err != nil {
		return
	}
	for {
		want := h.line.Load().wanted()
		n.Notify(want, h.lineEvent)
		if h.line.Load().wanted() == want { // else somebody else may have been first
			return
		}
	}
}

// lineCame has the line of a device that has come set as it is for whoever has set it and is
// still there, who knows nothing of another one, and tells the modem lines. It does not wait.
func (h *hub) lineCame() {
	w := h.line.Load()
	if w == nil || len(w.ports()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lineTime)
	w.mu.Lock()
	w.giveUp = cancel
	w.mu.Unlock()
	w.coming.Go(func() {
		defer cancel()
		for by, set := w.kept(); by != nil; {
			h.setAnew(ctx, by, set)
			now, its := w.kept()
			if now == by && its == set { // else what was set meanwhile may have come first
				break
			}
			by, set = now, its
		}
		h.tellPorts(ctx)
	})
}

// setAnew sets what by has set before.
func (h *hub) setAnew(ctx context.Context, by *client, set lineSet) {
	port := clientPort{by}
	if set.line != (channel.LineConfig{}) {
		_ = port.done(h.setLine(ctx, by, set.line)) // which tells it
	}
	if set.raised|set.dropped != 0 {
		_ = port.done(h.setModem(ctx, by, set.raised, set.dropped))
	}
}

// lineGone tells that the modem lines went with the device.
func (h *hub) lineGone() {
	w := h.line.Load()
	if w == nil {
		return
	}
	w.mu.Lock()
	giveUp := w.giveUp
	w.giveUp = nil
	w.mu.Unlock()
	if giveUp != nil {
		giveUp()
	}
	w.coming.Wait()
	h.tellPorts(context.Background())
}

// tellPorts has who serves the line (RFC 2217) look at it again.
func (h *hub) tellPorts(ctx context.Context) {
	for _, s := range h.line.Load().ports() {
		s.LookAgain(ctx)
	}
}

// ports are the channels of those who are served the line.
func (w *lineWatch) ports() (all []channel.PortServer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.by {
		if s, ok := channel.As[channel.PortServer](c.ch); ok {
			all = append(all, s)
		}
	}
	return all
}

// lineEvent is what the device's channel tells.
func (h *hub) lineEvent(e channel.Event) {
	if e.Kind == channel.EventBreak {
		h.noteSome(&h.lineWatch().received, "break", "received from the device")
	}
	for _, f := range h.line.Load().who(e.Kind) {
		f(e)
	}
}

// rawToPages says whether what a web page can make a browser send to a listening
// address would be taken for keys: there is no layer that keeps browsers out, and
// telnet is none.
func rawToPages(a channel.Address) bool { return isRaw(a, "tcp", "fd") }

// typedByPages says whether a console at a listening address has to be on its guard against
// web pages: behind TLS as well, which keeps out no browser that trusts the certificate, and
// has one of its own that it shows if that is asked for; and at a UNIX socket, to which
// ssh -L leads from a port, and chardevd's own commands if they are given its name for that
// of the control socket. (A stream may carry what it likes there.)
func typedByPages(a channel.Address) bool {
	a.Layers = slices.DeleteFunc(slices.Clone(a.Layers), func(l string) bool { return l == "tls" })
	return isRaw(a, "tcp", "fd", "unix")
}

// isRaw says whether an address has one of the transports, nothing on it but telnet, and
// is not said to let in HTTP.
func isRaw(a channel.Address, transports ...string) bool {
	for _, l := range a.Layers {
		if l != "telnet" && l != "rfc2217" {
			return false
		}
	}
	return slices.Contains(transports, a.Transport) && a.Get("http") != "allow"
}
