package chardev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/audit"
)

// attach makes a connection of the API a client. One that asks for AttachProtocol is
// a person: it gets messages beside the bytes, and may send some. To any other one it
// is the bare stream.
func (c *control) attach(w http.ResponseWriter, r *http.Request, con *console) {
	caller := callerOf(r)
	query := r.URL.Query() // and not FormValue, which waits for a body if one is announced
	start, refusal := con.startAt(query.Get("since"), query.Get("epoch"))
	if refusal != nil {
		refuse(w, refusal)
		return
	}
	person := channel.WebsocketOffers(r, AttachProtocol)
	var credit int64
	if n := query.Get("credit"); n != "" {
		var err error
		if credit, err = strconv.ParseInt(n, 10, 64); err != nil || credit < 1 || credit > creditMost || !person {
			problem(w, http.StatusBadRequest, fmt.Sprintf("credit: want 1 to %d bytes, and the subprotocol %s; have %q", int64(creditMost), AttachProtocol, n))
			return
		}
	}
	left := c.comes(w, caller.who)
	if left == nil {
		return
	}
	cl := &client{
		hub:      con.hub,
		frontend: "attach",
		who:      caller.who,
		peer:     caller.peer,
		onLag:    "catch-up",
	}
	cl.readOnly.Store(query.Get("read_only") == "true")
	options := channel.WebsocketOptions{
		Hosts:     []string{(&url.URL{Host: r.Host}).Hostname()}, // on a UNIX socket there is no name to be misled by, and else it is looked at
		Origins:   c.origins(),
		Protocols: []string{AttachProtocol, StreamProtocol},
	}
	if person {
		options.OnText = func(text []byte) { con.message(cl, text) }
	}
	ws, err := channel.UpgradeWebsocket(w, r, options, func(under channel.Channel) channel.Channel {
		return channel.NewOutbox(under)
	})
	if err != nil {
		left()
		con.hub.log.Info("attach failed", "error", err)
		return
	}
	ctx, release := c.ctx, func() {}
	if caller.session != nil {
		ctx, release = caller.session.ctx, caller.session.hold()
	}
	cl.ch = ws
	if person {
		con.greet(cl, ws, start.note, credit)
	}
	cl.serve(ctx, start.replay, start.from, func(error) {
		release()
		left()
	})
}

// greet makes a client a person, who begins with a hello. note is what that tells.
func (con *console) greet(cl *client, ws *channel.Websocket, note string, credit int64) {
	cl.out = &metered{on: credit > 0, left: credit}
	cl.person = func(m Message) error {
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return ws.SendText(text)
	}
	cl.hello = func(at int64) Message {
		state, why, _ := con.device.Load().state()
		clients, _ := con.hub.countFor(cl)
		m := Message{Type: "hello", Chardev: con.name, Client: fmt.Sprint(cl.id), Clients: clients, Epoch: con.epoch, Offset: at, State: state, Why: why, Mode: cl.mode(), Text: note}
		if s := con.hub.device.Load(); s != nil {
			m.Waits = s.waits()
		}
		return con.hub.addWriter(m, cl)
	}
}

// message acts on what an attached client says beside the bytes. It runs in the
// goroutine that reads the client.
func (con *console) message(cl *client, text []byte) {
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		cl.tell(Message{Type: "notice", Text: "not understood: " + err.Error()})
		return
	}
	var err error
	switch m.Type {
	case "eof":
		cl.inputEnded = true
		cl.ch.SetReadDeadline(longAgo)
	case "break":
		if m.Millis > int(MaxBreak/time.Millisecond) {
			err = fmt.Errorf("no break was sent: one lasts %v at most, and not %d ms", MaxBreak, m.Millis)
			break
		}
		err = con.hub.sendBreak(cl, time.Duration(m.Millis)*time.Millisecond)
	case "credit":
		err = cl.out.(*metered).add(m.Bytes)
	case "writer":
		err = con.hub.writerOp(cl, m.Text, m.Client)
	case "resize":
		con.hub.resize(cl, m.Cols, m.Rows)
	default:
		err = fmt.Errorf("no message %q is known", m.Type)
	}
	if err != nil {
		cl.tell(Message{Type: "notice", Text: err.Error()})
	}
}

// defaultBreak is how long a break lasts if nobody says.
const defaultBreak = 250 * time.Millisecond

// sendBreak sends a break of a client to the device, past whatever input waits.
func (h *hub) sendBreak(c *client, d time.Duration) error {
	if why, ok := h.takeControl(c); !ok {
		return fmt.Errorf("no break was sent: %s", inWords[why])
	}
	if d <= 0 {
		d = defaultBreak
	}
	ctx, cancel := context.WithTimeout(context.Background(), d+finishTime)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-c.going.done():
			cancel()
		case <-ctx.Done():
		}
	})
	return h.breakDevice(ctx, c, d)
}

var errBreakLate = errors.New("what was written before has not left the device in time: its flow control may hold it")

// breakDevice sends a break to the device and notes by whom. It returns when the
// break is over, or fails: at ctx's end, or the session's, whose device is closed.
func (h *hub) breakDevice(ctx context.Context, by actor, d time.Duration) error {
	b, err := lineOf[channel.Breaker](h)
	if err == nil {
		err = b.SendBreak(ctx, d)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errBreakLate
	}
	if err != nil {
		return fmt.Errorf("no break was sent: %w", err)
	}
	h.noteSome(&h.lineWatch().breaks, "break", fmt.Sprintf("%s, %v", by, d))
	h.audit.did(by, audit.Break, d.String())
	return nil
}

// resize tells a device that has a window how large the client's is, if the
// client may type; a size alone does not make it the writer. Where there is no
// window it does nothing: most consoles do not know of such a thing.
func (h *hub) resize(c *client, cols, rows int) {
	if _, ok := h.mayType(c); !ok || cols < 1 || rows < 1 || cols > 65535 || rows > 65535 {
		return
	}
	if s := h.device.Load(); s != nil {
		if r, ok := channel.As[channel.Resizer](s.in.ch); ok {
			if err := r.Resize(cols, rows); err != nil {
				h.log.Debug("resize", "error", err)
			}
		}
	}
}
