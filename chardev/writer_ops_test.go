package chardev

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
)

// A person whose connection takes nothing is told how the input is when it takes
// something again: once, however often it changed hands, and he stays.
func TestWhoTakesNothingIsToldOnceWhoHasTheInput(t *testing.T) {
	const turns = 5000
	b := newBench(t, 16<<10, "exclusive")
	told := make(chan Message, turns)
	far, _ := b.attach(16, 0, func(c *client) {
		c.person = func(m Message) error {
			told <- m
			_, err := io.WriteString(c.ch, strings.Repeat("x", 100))
			return err
		}
	})
	_, c := b.attach(4<<10, 0, nil)
	for range turns {
		b.hub.forceTo("2", "a test")
		b.hub.takeAway("2", "a test")
	}
	b.hub.forceTo("2", "a test")
	end := make(chan struct{})
	b.wg.Go(func() { defer close(end); io.Copy(io.Discard, far) })
	n, last := 0, Message{}
	await(t, "it to be told of the last turn", func() bool {
		for len(told) > 0 {
			n, last = n+1, <-told
		}
		return last.Writer != nil && last.Writer.Turn == 2*turns+1
	})
	if n > 10 {
		t.Errorf("it was told %d times of %d turns", n, 2*turns+1)
	}
	if last.Type != "writer" || last.You != WriterMay || last.Writer.Holder == nil || last.Writer.Holder.Name != c.String() {
		t.Errorf("it was told %+v, %+v last", last, last.Writer)
	}
	if n := len(b.hub.clientInfos()); n != 2 {
		t.Errorf("%d clients are left", n)
	}
	far.Close()
	<-end
}

// Who has the input and does not use it loses it, nobody gets it unasked, and no timer
// goes on while it is free.
func TestAnIdleWriterLosesTheInput(t *testing.T) {
	b := newBench(t, 16<<10, "exclusive")
	b.hub.writer.idle = 50 * time.Millisecond
	b.plug()
	far, c := b.attach(4<<10, 0, nil)
	_, other := b.attach(4<<10, 0, nil)
	far.Write([]byte("1"))
	await(t, "the first to have it", func() bool { return b.hub.hasEvent("writer", c.String()+" has the input") })
	if err := b.hub.writerOp(other, WriterRequest, ""); err != nil {
		t.Fatal(err)
	}
	await(t, "the first to lose it", func() bool {
		return b.hub.hasEvent("writer", "the input is free: "+c.String()+" did not use it for 50ms")
	})
	b.hub.writer.timing.Wait()
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if w := &b.hub.writer; w.holder != nil || w.timer != nil || len(w.asked) > 0 {
		t.Errorf("%v has the input then", w.holder)
	}
}

// A client does not get to have all people told as often as it can ask for.
func TestChangesOfTheInputAreLimited(t *testing.T) {
	b := newBench(t, 16<<10, "exclusive")
	_, c := b.attach(4<<10, 0, nil)
	var err error
	for range 10 * opsMost {
		if err = b.hub.writerOp(c, WriterTake, ""); err != nil {
			break
		}
	}
	if err != errHasty {
		t.Errorf("it went on and on: %v", err)
	}
}

// What is told and done about the input over the API.
func TestWriterOverTheAPI(t *testing.T) {
	b := newBench(t, 16<<10, "exclusive")
	b.hub.name = "vm1"
	con := consoleOf(b.hub, "vm1", &Endpoint{Address: channel.MustParseAddress("null:")})
	api := &control{server: serverOf(con), ctx: b.ctx}
	far, c := b.attach(4<<10, 0, nil)
	b.attach(4<<10, 0, func(c *client) { c.readOnly.Store(true) })
	b.attach(4<<10, 0, nil)
	ask := func(method, body string) (int, string) {
		w := httptest.NewRecorder()
		api.handler().ServeHTTP(w, fromProcess(0, httptest.NewRequest(method, "/api/v1/chardevs/vm1/writer", strings.NewReader(body))))
		return w.Code, w.Body.String()
	}
	for _, step := range []struct {
		method, body string
		code         int
		has          string // in the answer
	}{
		{"GET", "", 200, `"holder":null,"asked":[],"turn":0}`},
		{"POST", `{"op":"release"}`, 409, "nobody has the input"},
		{"POST", `{"op":"force","client":"2"}`, 409, "client 2 test on test may not have the input: this way in is read-only"},
		{"POST", `{"op":"force","client":"9"}`, 404, `no such client: \"9\"`},
		{"POST", `{"op":"grab"}`, 400, `want force or release, have \"grab\"`},
		{"POST", `{"op":"force","client":"1"}`, 200, `"holder":{"client":"1",`},
		{"POST", `{"op":"force","client":"3"}`, 200, `"why":"taken from client 1 test on test by `},
		{"POST", `{"op":"release","client":"1"}`, 409, "client 3 test on test has the input, and not client 1"},
		{"POST", `{"op":"release"}`, 200, `"holder":null,"asked":[],"turn":3,`},
		{"POST", `{"op":"force","client":"1"}`, 200, `"turn":4,`},
	} {
		if code, body := ask(step.method, step.body); code != step.code || !strings.Contains(body, step.has) {
			t.Errorf("%s %s: %d %s, want %d %s", step.method, step.body, code, body, step.code, step.has)
		}
	}
	if all := b.hub.clientInfos(); all[0].Writer != WriterHas || all[1].Writer != "" {
		t.Errorf("the clients are %+v", all)
	}
	if i := con.info(false); i.Writer != c.String() {
		t.Errorf("%q has the input", i.Writer)
	}
	far.Close()
	await(t, "the input to be free", func() bool {
		var w WriterInfo
		_, body := ask("GET", "")
		return json.Unmarshal([]byte(body), &w) == nil && w.Holder == nil && w.Turn == 5
	})
	for _, input := range []string{"shared", "off"} {
		b.hub.input.Store(&input)
		if code, body := ask("POST", `{"op":"force","client":"3"}`); code != 409 || !strings.Contains(body, "types here (input = ") {
			t.Errorf("%s: %d %s", input, code, body)
		}
	}
}
