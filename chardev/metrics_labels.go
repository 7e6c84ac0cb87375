package chardev

import (
	"context"
	"errors"

	"chardevd/channel"
	"chardevd/chardev/internal/accounts"
)

// The reasons for which bytes are dropped that somebody was to get; each is counted
// under its name. (Those for which input is refused stand in input.go.)
const (
	droppedOverrun = iota
	droppedSkipped
	droppedUnreadable
	droppedJournal
	droppedDevice
)

var drops = [...]string{
	droppedOverrun:    "overrun",     // a client lagged for so long that neither memory nor the journal had them any more
	droppedSkipped:    "skipped",     // so it was, and on_lag = skip had it go on at the head
	droppedUnreadable: "unreadable",  // a client lagged, and the journal has them and could not be read
	droppedJournal:    "journal",     // the disk did not take them in time: the journal lacks them
	droppedDevice:     "device_gone", // the device was given them and went before it took them; as its layers encode them
}

// missed is how many bytes of the console its clients could not have, in sum.
func (h *hub) missed() int64 {
	return h.dropped[droppedOverrun].Load() + h.dropped[droppedSkipped].Load() + h.dropped[droppedUnreadable].Load()
}

// remain counts what a client had who is gone. Called with mu held, when nothing moves
// for it any more.
func (h *hub) remain(c *client) {
	if h.gone == nil {
		h.gone = map[string]traffic{}
	}
	t := h.gone[c.way()]
	t.add(c)
	h.gone[c.way()] = t
}

// way is what the client came by, as the metrics tell it: all that are passed are one, as
// each has an address that no other one will have.
func (c *client) way() string {
	if c.via != nil && c.via.passed != nil {
		return wayPassed
	}
	return c.frontend
}

const wayPassed = "passed"

// The results of a login.
const (
	loginRight = iota
	loginWrong
	loginLimited
	loginLate
)

var loginResults = [...]string{
	loginRight:   "right",
	loginWrong:   "wrong",
	loginLimited: "limited", // too much was wrong before: it was not looked at
	loginLate:    "late",    // it was not looked at in time
}

// loginResult is the one of an error of accounts.
func loginResult(err error) int {
	_, limited := errors.AsType[*accounts.LimitedError](err)
	switch {
	case err == nil:
		return loginRight
	case limited:
		return loginLimited
	case errors.Is(err, errSecretLate), errors.Is(err, context.Canceled):
		return loginLate
	}
	return loginWrong
}

// uartErrors are the kinds of errors of a serial port.
var uartErrors = []struct {
	label string
	of    func(*channel.LineCounters) int
}{
	{metricLabel("kind", "frame"), func(n *channel.LineCounters) int { return n.Frame }},
	{metricLabel("kind", "parity"), func(n *channel.LineCounters) int { return n.Parity }},
	{metricLabel("kind", "overrun"), func(n *channel.LineCounters) int { return n.Overrun }},
	{metricLabel("kind", "buffer_overrun"), func(n *channel.LineCounters) int { return n.BufferOverrun }},
}

// besideFrontends are the ways in that are no frontends: for client.way.
var besideFrontends = []string{"attach", wayPassed}

var (
	refusedLabels = labelsOf("reason", reasons[:])
	droppedLabels = labelsOf("reason", drops[:])
	loginLabels   = labelsOf("result", loginResults[:])
)

// labelsOf has the labels of a metric that is there for each of values.
func labelsOf(name string, values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, metricLabel(name, v))
	}
	return all
}
