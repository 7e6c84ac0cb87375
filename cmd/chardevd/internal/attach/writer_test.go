package attach

import (
	"fmt"
	"strings"
	"testing"

	"chardevd/chardev"
)

// some are clients that have the input or ask for it.
func some(names ...string) []chardev.WriterClient {
	var all []chardev.WriterClient
	for _, n := range names {
		all = append(all, chardev.WriterClient{Client: n, Name: n})
	}
	return all
}

// state is a message about the input, which nobody has if holder is "".
func state(turn int64, you, holder, why string, asked ...string) chardev.Message {
	m := chardev.Message{Type: "writer", You: you, Writer: &chardev.WriterInfo{Turn: turn, Why: why, Asked: some(asked...)}}
	if holder != "" {
		m.Writer.Holder = &some(holder)[0]
	}
	return m
}

// What is done about the input goes in its place among the keys, and each time there
// is one line about what became of it.
func TestSessionTakesTheInput(t *testing.T) {
	const has, asked, may = chardev.WriterHas, chardev.WriterAsked, chardev.WriterMay
	r := newRig(t)
	st := r.start(t)
	first := hello
	first.You, first.Writer = may, state(7, may, "bob", "").Writer
	st.say(t, first)
	r.screen.expect(t, "[chardevd: bob has the input; ~w asks for it]")

	r.keys.typed("a\r~wb\r~~")
	st.expect(t, "a\r<writer request>b\r~")
	for i, step := range []struct {
		is   chardev.Message
		says string // "": nothing
	}{
		{state(7, asked, "bob", "", "me"), "you asked bob for the input; ~W takes it by force"},
		{state(7, asked, "bob", "", "me"), "you asked for the input already; ~W takes it by force"},
		{state(7, asked, "bob", "", "me", "eve"), ""},
		{state(8, has, "me", "given by bob", "eve"), "you have the input: given by bob"},
		{state(8, has, "me", "given by bob", "eve", "ann"), "ann asks for the input; ~g gives it"},
		{state(8, has, "me", "given by bob", "ann"), ""},
		{state(8, has, "me", "given by bob", "ann"), "you have the input already"},
		{state(9, may, "eve", "taken from me by force", "ann"), "you have the input no more; eve has it: taken from me by force"},
		{state(10, may, "", "eve types no more"), "the input is free: eve types no more"},
		{state(11, may, "ann", ""), "ann has the input"},
		{state(13, may, "ann", ""), "ann has the input"},
	} {
		before, mark := len(r.screen.String()), fmt.Sprintf("<%d>", i)
		st.say(t, step.is, mark)
		r.screen.expect(t, mark)
		shown := strings.Trim(strings.TrimSuffix(r.screen.String()[before:], mark), "\r\n")
		if want := "[chardevd: " + step.says + "]"; step.says == "" && shown != "" || step.says != "" && shown != want {
			t.Errorf("%+v shows %q, want %q", step.is.Writer, shown, step.says)
		}
	}
	r.keys.typed("\r~W")
	st.expect(t, "\r<writer force>")
	st.say(t, state(14, has, "me", ""))
	r.screen.expect(t, "you have the input]")
	r.keys.typed("~g~W~.")
	st.expect(t, "<writer grant><writer release>")
	if _, err := r.ended(t); err != nil {
		t.Error(err)
	}
}

// Who only looks asks for nothing, and more is not asked for than a person would.
func TestSessionAsksForTheInputWithinReason(t *testing.T) {
	r := newRig(t)
	r.ReadOnly = true
	st := r.start(t)
	st.say(t, hello)
	r.keys.typed("~w")
	r.screen.expect(t, "read-only: this session types nothing")
	r.keys.typed("~.")
	if _, err := r.ended(t); err != nil {
		t.Error(err)
	}
	q := newQueue(1)
	q.open()
	for range opsMax {
		if !q.putOp("take") {
			t.Fatal("not taken")
		}
	}
	if q.putOp("take") {
		t.Error("more were taken than a queue holds")
	}
	q.close()
	if b := q.take(); len(b.ops) != 0 {
		t.Errorf("%d wait for the next connection", len(b.ops))
	}
}
