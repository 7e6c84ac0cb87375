package chardev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"chardevd/channel"
)

// What is done with a device's line over the API. It is not asked who types: the right
// to control is enough. What is changed is an event that says who.

// MaxBreak is the longest break that is sent for who asks for one over the API.
const MaxBreak = 10 * time.Second

// lineTime is how long a device may take for what is asked of its line, a break's
// own length apart. It is less than those who ask wait for.
const lineTime = 8 * time.Second

// bodyMax is how long a request's body may be, in bytes.
const bodyMax = 64 << 10

// readBody reads a request's JSON into v; none is as good as an empty object. It
// answers if that fails.
func readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMax))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && err != io.EOF {
		why := "not understood: " + err.Error()
		if _, ok := v.(*ChardevRequest); ok && strings.Contains(err.Error(), "unknown field") {
			why += "; the keys of [[chardev]] but name, device and frontends are in \"settings\""
		}
		problem(w, http.StatusBadRequest, why)
		return false
	}
	return true
}

// lineProblem answers with why something was not done with a device's line.
func lineProblem(w http.ResponseWriter, con *console, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, errDown):
		status = http.StatusConflict
	case errors.Is(err, errors.ErrUnsupported):
		status = http.StatusNotImplemented
	}
	problem(w, status, con.name+": "+err.Error())
}

func (c *control) sendBreak(w http.ResponseWriter, r *http.Request, con *console) {
	var want BreakRequest
	if !readBody(w, r, &want) {
		return
	}
	d := defaultBreak
	if want.Duration != "" {
		var err error
		if d, err = channel.ParseDuration(want.Duration); err == nil && (d == 0 || d > MaxBreak) {
			err = fmt.Errorf("want 1ms to %v, have %s", MaxBreak, want.Duration)
		}
		if err != nil {
			problem(w, http.StatusBadRequest, "duration: "+err.Error())
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), d+lineTime)
	defer cancel()
	if err := con.hub.breakDevice(ctx, callerOf(r), d); err != nil {
		lineProblem(w, con, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *control) line(w http.ResponseWriter, r *http.Request, con *console) {
	ctx, cancel := context.WithTimeout(r.Context(), lineTime)
	defer cancel()
	con.answerLine(ctx, w)
}

func (c *control) setLine(w http.ResponseWriter, r *http.Request, con *console) {
	var want LineSettings
	if !readBody(w, r, &want) {
		return
	}
	line, set, clear, err := want.parse()
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lineTime)
	defer cancel()
	con.hub.line.Load().forget()
	if line != (channel.LineConfig{}) {
		err = con.hub.setLine(ctx, callerOf(r), line)
	}
	if err == nil && set|clear != 0 {
		err = con.hub.setModem(ctx, callerOf(r), set, clear)
	}
	if err != nil {
		lineProblem(w, con, err)
		return
	}
	con.answerLine(ctx, w)
}

// answerLine answers with how the line is.
func (con *console) answerLine(ctx context.Context, w http.ResponseWriter) {
	info, err := con.hub.lineInfo(ctx)
	if err != nil {
		lineProblem(w, con, fmt.Errorf("the serial line: %w", err))
		return
	}
	answer(w, info)
}

// lineInfo asks the device for all that is to be known of its line.
func (h *hub) lineInfo(ctx context.Context) (LineInfo, error) {
	l, err := lineOf[channel.Line](h)
	if err != nil {
		return LineInfo{}, err
	}
	have, err := l.Line(ctx)
	if err != nil {
		return LineInfo{}, err
	}
	info := LineInfo{LineSettings: SettingsOf(have)}
	var untold []string
	tried := func(err error) (ok bool) {
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			untold = append(untold, err.Error())
		}
		return err == nil
	}
	if on, err := l.Modem(ctx); tried(err) {
		info.Modem = map[string]bool{}
		for one := channel.DTR; one <= channel.DCD; one <<= 1 {
			info.Modem[one.String()] = on&one != 0
		}
	}
	if counter, err := lineOf[channel.LineCounter](h); err == nil {
		if n, err := counter.LineCounters(); tried(err) {
			info.Counters = (*LineCounters)(&n)
		}
	}
	if sharer, err := lineOf[channel.PortSharer](h); err == nil {
		info.OtherUser = sharer.OtherUser()
	}
	info.Error = strings.Join(untold, "; ")
	return info, nil
}

// SettingsOf is c as the API has it.
func SettingsOf(c channel.LineConfig) LineSettings {
	s := LineSettings{Baud: c.Baud, Flow: c.Flow.String()}
	s.Mode = channel.LineConfig{DataBits: c.DataBits, Parity: c.Parity, StopBits: c.StopBits}.String()
	return s
}

// parse reads what s asks for. An error names the first field that is wrong.
func (s LineSettings) parse() (line channel.LineConfig, set, clear channel.ModemLines, err error) {
	if s.Mode != "" {
		line, err = channel.ParseLineConfig(s.Mode)
		if err == nil && (line.Baud != 0 || line.Flow != 0) {
			err = fmt.Errorf("want a mode like 8n1, have %q", s.Mode)
		}
		if err != nil {
			return line, 0, 0, fmt.Errorf("mode: %w", err)
		}
	}
	line.Baud = s.Baud
	if s.Flow != "" {
		if line.Flow, err = channel.ParseFlow(s.Flow); err != nil {
			return line, 0, 0, fmt.Errorf("flow: %w", err)
		}
	}
	if err := line.Check(); err != nil {
		return line, 0, 0, err
	}
	for name, on := range s.Modem {
		one, err := channel.ParseModemLine(name)
		if err == nil && one&(channel.DTR|channel.RTS) == 0 {
			err = fmt.Errorf("the other side drives %v: dtr and rts can be set", one)
		}
		if err != nil {
			return line, 0, 0, fmt.Errorf("modem: %w", err)
		}
		if on {
			set |= one
		} else {
			clear |= one
		}
	}
	return line, set, clear, nil
}
