package chardev

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"chardevd/chardev/internal/access"
)

// What is done about an exclusive input: by those who are attached, with messages, and
// over the API by whoever may control.

// A notExclusive is why nothing can be done about who has the input.
type notExclusive struct{ input string }

func (e *notExclusive) Error() string {
	if e.input == "off" {
		return `nobody types here (input = "off")`
	}
	return `everybody who may write types here (input = "` + e.input + `")`
}

var (
	errNotHolder = errors.New("you do not have the input")
	errNobodyAsk = errors.New("nobody asks for the input")
	errManyAsk   = fmt.Errorf("%d others ask for the input already: wait for one of them to get it", askedMost)
	errHasty     = fmt.Errorf("more than %d messages about the input in a second: this one was not heard", opsMost)
	errNoClient  = errors.New("no such client")
)

// opsMost is how often in a second a client may do something about the input, as all
// people are told of it each time.
const opsMost = 20

// writerOp does what an attached client wants about the input. to is the ID of the
// other client in a grant; "": who asked first. Unless it returns an error the client
// is told how the input is then.
func (h *hub) writerOp(c *client, op, to string) error {
	return h.changeWriter(func() (event writerEvent, err error) {
		now := thisMoment()
		if now.since(c.opsSince) >= time.Second {
			c.opsSince, c.ops = now, 0
		}
		if c.ops++; c.ops > opsMost {
			return writerEvent{}, errHasty
		}
		switch op {
		case WriterTake, WriterRequest, WriterForce:
			event, err = h.want(c, op)
		case WriterGrant:
			event, err = h.grant(c, to)
		case WriterRelease:
			event, err = h.release(c)
		default:
			err = fmt.Errorf("%q is nothing that is done about the input: want %s, %s, %s, %s or %s",
				op, WriterTake, WriterRequest, WriterGrant, WriterRelease, WriterForce)
		}
		if err == nil {
			h.oweWriter(c)
		}
		return event, err
	})
}

// want is for c to get the input: at once if it is free, else as op says. Called with
// the pen and mu held, as the others are.
func (h *hub) want(c *client, op string) (event writerEvent, err error) {
	w := &h.writer
	if why, ok := h.mayHold(c); !ok {
		return writerEvent{}, fmt.Errorf("you may not have the input: %s", inWords[why])
	}
	switch {
	case w.holder == c:
		return writerEvent{}, nil
	case w.holder == nil:
		return h.handTo(c, ""), nil
	case op == WriterRequest:
		return h.ask(c)
	case op == WriterForce && c.may(access.Control):
		return h.handTo(c, "taken from "+w.holder.String()+" by force"), nil
	case op == WriterForce:
		return writerEvent{}, fmt.Errorf("%s has the input, and to take it by force is not permitted to you", w.holder)
	}
	return writerEvent{}, fmt.Errorf("%s has the input", w.holder)
}

// ask puts c on the list of those who ask the holder.
func (h *hub) ask(c *client) (event writerEvent, err error) {
	w := &h.writer
	switch {
	case slices.Contains(w.asked, c):
		return writerEvent{}, nil
	case len(w.asked) == askedMost:
		return writerEvent{}, errManyAsk
	}
	w.asked = append(w.asked, c)
	h.oweAll()
	return writerEvent{c, fmt.Sprintf("%s asks %s for the input", c, w.holder)}, nil
}

// grant hands the input over from c to one who asks for it.
func (h *hub) grant(c *client, to string) (event writerEvent, err error) {
	w := &h.writer
	switch {
	case w.holder != c:
		return writerEvent{}, errNotHolder
	case len(w.asked) == 0:
		return writerEvent{}, errNobodyAsk
	case to == "":
		return h.handTo(w.asked[0], "given by "+c.String()), nil
	}
	i := slices.IndexFunc(w.asked, func(c *client) bool { return strconv.Itoa(c.id) == to })
	if i < 0 {
		return writerEvent{}, fmt.Errorf("client %s does not ask for the input", to)
	}
	return h.handTo(w.asked[i], "given by "+c.String()), nil
}

// release lets go of the input, or asks for it no more.
func (h *hub) release(c *client) (event writerEvent, err error) {
	w := &h.writer
	switch {
	case w.holder == c:
		return h.handTo(nil, "let go by "+c.String()), nil
	case w.forget(c):
		h.oweAll()
		return writerEvent{}, nil
	}
	return writerEvent{}, errNotHolder
}

// forceTo gives the input to the client with the given ID, whoever has it. by is who
// wants that, and may.
func (h *hub) forceTo(id, by string) error {
	return h.changeWriter(func() (event writerEvent, err error) {
		w := &h.writer
		i := slices.IndexFunc(h.clients, func(c *client) bool { return strconv.Itoa(c.id) == id })
		if i < 0 {
			return writerEvent{}, fmt.Errorf("%w: %q", errNoClient, id)
		}
		c := h.clients[i]
		why, ok := h.mayHold(c)
		switch {
		case !ok:
			return writerEvent{}, fmt.Errorf("%s may not have the input: %s", c, inWords[why])
		case c.typesNoMore:
			return writerEvent{}, fmt.Errorf("%s may not have the input: its own has ended", c)
		case w.holder == c:
			return writerEvent{}, nil
		case w.holder == nil:
			return h.handTo(c, "given by "+by), nil
		}
		return h.handTo(c, "taken from "+w.holder.String()+" by "+by), nil
	})
}

// takeAway frees the input; if id is not "" only if that client has it.
func (h *hub) takeAway(id, by string) error {
	return h.changeWriter(func() (event writerEvent, err error) {
		switch holder := h.writer.holder; {
		case holder == nil:
			return writerEvent{}, errors.New("nobody has the input")
		case id != "" && strconv.Itoa(holder.id) != id:
			return writerEvent{}, fmt.Errorf("%s has the input, and not client %s", holder, id)
		default:
			return h.handTo(nil, "taken from "+holder.String()+" by "+by), nil
		}
	})
}

func (c *control) writer(w http.ResponseWriter, r *http.Request, con *console) {
	con.hub.mu.Lock()
	i := con.hub.writerInfo()
	con.hub.mu.Unlock()
	answer(w, i)
}

func (c *control) setWriter(w http.ResponseWriter, r *http.Request, con *console) {
	var want WriterChange
	if !readBody(w, r, &want) {
		return
	}
	var err error
	switch by := callerOf(r).String(); want.Op {
	case WriterForce:
		err = con.hub.forceTo(want.Client, by)
	case WriterRelease:
		err = con.hub.takeAway(want.Client, by)
	default:
		problem(w, http.StatusBadRequest, fmt.Sprintf("op: want %s or %s, have %q", WriterForce, WriterRelease, want.Op))
		return
	}
	switch {
	case errors.Is(err, errNoClient):
		problem(w, http.StatusNotFound, con.name+": "+err.Error())
	case err != nil:
		problem(w, http.StatusConflict, con.name+": "+err.Error())
	default:
		c.writer(w, r, con)
	}
}
