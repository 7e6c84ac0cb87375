package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev"
)

// input = "exclusive" in a crowd. Each seat types bytes of its own, so whatever the
// guest hears tells who typed it.
const (
	crowdSeats    = 50
	judgeBegins   = 201 // the first byte of what the judge types
	judgeGoesOn   = 202
	judgeEnds     = 203
	judgedSilence = 100 * time.Millisecond // how long nobody but the judge may be heard
)

// A contender is one who wants to type: attached, or a program on a raw port.
type contender struct {
	io.Writer
	ws     *channel.Websocket // nil: it is a program
	close  func() error
	heard  chan struct{} // the daemon has taken all that was sent to it
	read   chan struct{} // closed when nothing reads it any more
	writer atomic.Pointer[chardev.Message]
}

// contend comes: over the control socket if there is no port.
func (d *daemon) contend(ctx context.Context, port any) (*contender, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &contender{heard: make(chan struct{}, 1), read: make(chan struct{})}
	var from io.Reader
	if port != nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			return nil, err
		}
		c.Writer, c.close, from = conn, conn.Close, conn
	} else {
		under, err := channel.Dial(ctx, channel.MustParseAddress("unix:"+d.path(d.control)))
		if err != nil {
			return nil, err
		}
		c.ws, err = channel.WebsocketClient(ctx, under, channel.WebsocketOptions{
			Path: "/api/v1/chardevs/vm/ws", Protocols: []string{chardev.AttachProtocol}, OnText: c.told,
		})
		if err != nil {
			return nil, err
		}
		c.Writer, c.close, from = c.ws, under.Close, c.ws // no goodbye
	}
	go func() {
		defer close(c.read)
		io.Copy(io.Discard, from)
	}()
	return c, nil
}

// told takes a message of the daemon. What it does not know it says so of, in order.
func (c *contender) told(text []byte) {
	var m chardev.Message
	json.Unmarshal(text, &m)
	switch {
	case m.Type == "writer" || m.Type == "hello":
		c.writer.Store(&m)
	case strings.Contains(m.Text, "nonsense"):
		c.heard <- struct{}{}
	}
}

// does asks for something about the input, and waits until that is done or refused.
func (c *contender) does(op string) error {
	for _, m := range []chardev.Message{{Type: "writer", Text: op}, {Type: "nonsense"}} {
		text, err := json.Marshal(m)
		if err == nil {
			err = c.ws.SendText(text)
		}
		if err != nil {
			return err
		}
	}
	select {
	case <-c.heard:
		return nil
	case <-c.read:
		return io.EOF
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer within %v", op, patience)
	}
}

func (c *contender) leaves() {
	c.close()
	<-c.read
}

// post changes who has the input, as a program that is not attached.
func (d *daemon) post(change chardev.WriterChange) (chardev.WriterInfo, error) {
	var i chardev.WriterInfo
	body, err := json.Marshal(change)
	if err != nil {
		return i, err
	}
	r, err := d.api.Post("http://localhost/api/v1/chardevs/vm/writer", "application/json", bytes.NewReader(body))
	if err != nil {
		return i, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, &i)
	}
	return i, err
}

// A melee is a daemon whose guest remembers who typed.
type melee struct {
	*daemon
	port  int
	guest *wire

	action sync.RWMutex // held for reading by who does something
	riot   bool         // they take it from each other by force; guarded by action
	over   atomic.Bool  // nobody comes again
}

// sit is what one of them does until it is over.
func (c *melee) sit(seat int) error {
	r := rand.New(rand.NewPCG(uint64(seat), 7))
	key := []byte{byte(seat)}
	var port any
	if seat%2 == 1 {
		port = c.port
	}
	for !c.over.Load() {
		one, err := c.contend(context.Background(), port)
		if err != nil {
			return err
		}
		for n := r.IntN(100); n > 0 && err == nil && !c.over.Load(); n-- {
			c.action.RLock()
			switch act := r.IntN(6); {
			case act < 3 || one.ws == nil:
				_, err = one.Write(bytes.Repeat(key, 1+r.IntN(200)))
			case act == 3 && c.riot:
				err = one.does(chardev.WriterForce)
			default:
				err = one.does([]string{chardev.WriterTake, chardev.WriterRequest, chardev.WriterGrant, chardev.WriterRelease}[r.IntN(4)])
			}
			c.action.RUnlock()
			if err == nil {
				<-time.After(time.Duration(r.IntN(2000)) * time.Microsecond)
			}
		}
		if one.leaves(); err != nil {
			return err
		}
	}
	return nil
}

// holderIsHere waits until the one who has the input is one who is attached.
func (c *melee) holderIsHere() {
	c.t.Helper()
	eventually(c.t, patience, func() error {
		var w chardev.WriterInfo
		var all []chardev.ClientInfo
		if err := c.get("chardevs/vm/writer", &w); err != nil {
			return err
		}
		if err := c.get("chardevs/vm/clients", &all); err != nil {
			return err
		}
		has := []string{}
		for _, one := range all {
			if one.Writer == chardev.WriterHas {
				has = append(has, one.ID)
			}
		}
		if w.Holder == nil && len(has) == 0 || w.Holder != nil && len(has) == 1 && has[0] == w.Holder.Client {
			return nil
		}
		return fmt.Errorf("%+v has the input, and of those who are here %v", w.Holder, has)
	})
}

// Fifty clients, attached ones and programs, take the input, ask for it, give it, take
// it by force, type without it, and vanish. Again and again the judge is given it: from
// then on until he is done not one byte of anybody else comes to the guest, although
// all of them type. Who has the input is always somebody who is here; and when they are
// gone it is free. CHARDEVD_LONG=1 makes it last a minute.
func TestACrowdFightsForTheInput(t *testing.T) {
	lasting := 3 * time.Second
	if long {
		lasting = time.Minute
	}
	c := &melee{port: freePort(t), riot: true}
	c.daemon = startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:guest" }
input = "exclusive"
writer_idle = "30s"
log = false
frontends = ["tcp://127.0.0.1:@port@"]
`, map[string]any{"port": c.port})
	c.guest = dial(t, "unix", c.path("guest"))
	c.is("vm", "up")
	judge, err := c.contend(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer judge.leaves()
	eventually(t, patience, func() error {
		if judge.writer.Load() == nil {
			return fmt.Errorf("no hello")
		}
		return nil
	})
	me := c.clients("vm")[0].ID

	var crowd sync.WaitGroup
	stop := sync.OnceFunc(func() { c.over.Store(true); crowd.Wait() })
	defer stop()
	for seat := range crowdSeats {
		crowd.Go(func() {
			if err := c.sit(seat); err != nil {
				t.Errorf("seat %d: %v", seat, err)
			}
		})
	}
	judged := 0
	for end := time.Now().Add(lasting); time.Now().Before(end); judged++ {
		<-time.After(2 * judgedSilence)
		c.action.Lock()
		c.riot = false
		c.holderIsHere()
		if w, err := c.post(chardev.WriterChange{Op: chardev.WriterForce, Client: me}); err != nil || w.Holder == nil || w.Holder.Client != me {
			t.Fatalf("the judge is not given the input: %+v, %v", w.Holder, err)
		}
		c.action.Unlock()
		begin := len(c.guest.out.text())
		judge.Write([]byte{judgeBegins})
		for range 10 {
			<-time.After(judgedSilence / 10)
			judge.Write([]byte{judgeGoesOn})
		}
		judge.Write([]byte{judgeEnds})
		c.guest.sees(t, string([]byte{judgeEnds}))
		heard := c.guest.out.text()[begin:]
		_, heard, ok := strings.Cut(heard, string([]byte{judgeBegins}))
		if want := strings.Repeat(string([]byte{judgeGoesOn}), 10) + string([]byte{judgeEnds}); !ok || heard != want {
			t.Fatalf("while the judge had the input the guest heard %q", heard)
		}
		c.action.Lock()
		c.riot = true
		c.action.Unlock()
	}
	stop()
	c.has("vm", 1)
	turns := judge.writer.Load().Writer.Turn
	judge.leaves()
	c.has("vm", 0)
	var w chardev.WriterInfo
	if err := c.get("chardevs/vm/writer", &w); err != nil || w.Holder != nil || len(w.Asked) > 0 || w.Turn < turns {
		t.Errorf("everybody is gone: %+v, %v", w, err)
	}
	late := dial(t, "tcp", fmt.Sprint("127.0.0.1:", c.port))
	late.types(t, "the last")
	c.guest.sees(t, "the last")
	i := c.info("vm")
	if n := int64(len(c.guest.out.text())); i.BytesIn != n {
		t.Errorf("%d bytes count as typed, the guest has heard %d", i.BytesIn, n)
	}
	t.Logf("judged %d times, the input changed hands %d times, %d bytes were typed, %d refused", judged, w.Turn, i.BytesIn, i.Refused["not_writer"])
	if w.Turn < 20 || i.Refused["not_writer"] == 0 {
		t.Error("nothing happened")
	}
}

// Two people at terminals, and a program on a raw port: the input is had, asked for,
// given, let go and taken by force, and each sees what happened.
func TestAttachTakesTheInput(t *testing.T) {
	d, _ := newEcho(t, `input = "exclusive"
frontends = ["unix:front"]`, nil)
	ann := d.attach()
	ann.types(t, "\r~w")
	ann.sees(t, "[chardevd: you have the input]")
	ann.echoes(t, "ann types")
	bob := d.attach()
	bob.sees(t, "has the input; ~w asks for it]")
	bob.types(t, "not mine")
	bob.sees(t, "[chardevd: input not taken: client 1 ")
	d.refuses("vm", int64(len("not mine")))
	bob.types(t, "\r~w")
	bob.sees(t, "for the input; ~W takes it by force]")
	ann.sees(t, "asks for the input; ~g gives it]")
	ann.types(t, "\r~g")
	ann.sees(t, "you have the input no more; client 2 ")
	bob.sees(t, "you have the input: given by client 1 ")
	bob.echoes(t, "bob types")
	if out, _, code := d.cli("list", "-v"); code != 0 || !strings.Contains(out, "exclusive  client 2 ") {
		t.Errorf("list -v: %d, %s", code, out)
	}
	if out, _, code := d.cli("clients", "vm"); code != 0 || !strings.Contains(out, "read-write, has input") {
		t.Errorf("clients: %d, %s", code, out)
	}
	ann.types(t, "~W")
	ann.sees(t, "you have the input: taken from client 2 ")
	bob.sees(t, "you have the input no more; client 1 ")
	ann.types(t, "~W")
	ann.sees(t, "the input is free: let go by client 1 ")
	bob.sees(t, "the input is free: let go by client 1 ")

	raw := dial(t, "unix", d.path("front"))
	raw.echoes(t, "a program")
	bob.sees(t, "client 3 ")
	raw.Close()
	bob.sees(t, "the input is free: client 3 ")
	bob.types(t, "\r~.")
	if code := bob.exits(t, patience); code != 0 {
		t.Errorf("exit %d", code)
	}
}
