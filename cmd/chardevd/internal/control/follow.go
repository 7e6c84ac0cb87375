package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"chardevd/channel"
	"chardevd/chardev"
)

// How long to wait between tries to reach a daemon that went away.
const (
	followMin = 100 * time.Millisecond
	followMax = time.Second
)

// Follow writes what is asked for of what a chardev prints on w, until ctx ends, w takes no
// more, or the daemon refuses. When the connection ends, as the daemon stops or nothing was
// read for long, it goes on where that was, with no byte missing or twice. say is told what
// happens beside. The query's format is text, raw or json.
func (c *Client) Follow(ctx context.Context, name string, q chardev.LogQuery, w io.Writer, say func(string)) error {
	if q.Format == "" {
		q.Format = "text"
	}
	q.Names = q.Names || q.Format == "json" // as without server-sent events
	f := &follower{c: c, name: name, query: q, w: w, say: say}
	appeared, stop := c.Place.Watch()
	defer stop()
	for wait := followMin; ; wait = min(2*wait, followMax) {
		came := f.events
		err := f.once(ctx)
		if ctx.Err() != nil || f.final(err) {
			return err
		}
		if f.events > came {
			wait = followMin
			say("the daemon went away, or cut the connection; going on where that was when it is there")
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-appeared:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// Watch tells when the daemon's socket appears, where that is a file, until stop is called.
func (p Place) Watch() (appeared <-chan struct{}, stop func()) {
	a := p.Address
	if a.File() == "" {
		return nil, func() {}
	}
	w, err := channel.WatchPath(a.File())
	if err != nil {
		return nil, func() {} // it is tried every second anyway
	}
	return w.C, w.Close
}

// A follower follows one console.
type follower struct {
	c     *Client
	name  string
	query chardev.LogQuery
	w     io.Writer
	say   func(string)

	id     string // of the last event that had one: where to go on
	events int    // that came, on all connections
	part   int    // bytes written since that one, of a line that is not whole
	again  int    // how many of them come again
}

// An outputError is the error of what is written to.
type outputError struct{ error }

func (o outputError) Unwrap() error { return o.error }

// final says whether an error is for good: what is written to takes no more, or the daemon
// says no. One that was never reached is not waited for.
func (f *follower) final(err error) bool {
	_, output := errors.AsType[outputError](err)
	refused, isRefused := errors.AsType[*Refused](err)
	return output || f.events == 0 || isRefused && refused.Status/100 == 4
}

// once follows over one connection, until that ends.
func (f *follower) once(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.c.Place.site.url("chardevs", f.name, "log")+"?"+f.query.Values().Encode(), nil)
	if err != nil {
		return err
	}
	r.Header = f.c.Place.header()
	r.Header.Set("Accept", "text/event-stream")
	if f.id != "" {
		r.Header.Set("Last-Event-ID", f.id)
	}
	answer, err := f.c.http.Do(r)
	if err != nil {
		return f.c.plain(err, 0)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusConflict && f.id != "":
		f.say("the daemon was started anew and has not what was printed before; this is what it has")
		f.id, f.part, f.query.Since, f.query.Lines = "", 0, "start", 0
		return f.once(ctx)
	case answer.StatusCode != http.StatusOK:
		text, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
		if err != nil {
			return fmt.Errorf("daemon on %v: %w", f.c.Place, err)
		}
		return f.c.refused(answer, text)
	case answer.Header.Get("Content-Type") != "text/event-stream":
		return fmt.Errorf("daemon on %v: an answer that is not of this API: %s", f.c.Place, answer.Header.Get("Content-Type"))
	}
	f.again = f.part
	return f.read(bufio.NewReader(answer.Body))
}

// read reads events to their end. What is not finished does not count.
func (f *follower) read(from *bufio.Reader) error {
	var kind, id, data string
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return fmt.Errorf("daemon on %v: %w", f.c.Place, err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			kind = value
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if data != "" {
				if err := f.event(kind, id, data); err != nil {
					return err
				}
			}
			kind, id, data = "", "", ""
		}
	}
}

// event writes what came.
func (f *follower) event(kind, id, data string) error {
	f.events++
	text := []byte(data + "\n")
	switch f.query.Format {
	case "text":
		var shown string
		if err := json.Unmarshal([]byte(data), &shown); err != nil {
			return fmt.Errorf("daemon on %v: an answer that is not of this API: %w", f.c.Place, err)
		}
		known := min(f.again, len(shown))
		f.again -= known
		text = []byte(shown[known:])
	case "raw":
		var run struct {
			Offset, Gap int64
			Why         string
			Base64      []byte
		}
		if err := json.Unmarshal([]byte(data), &run); err != nil {
			return fmt.Errorf("daemon on %v: an answer that is not of this API: %w", f.c.Place, err)
		}
		if kind == "gap" {
			text := fmt.Sprintf("at most %d bytes are missing at offset %d", run.Gap, run.Offset)
			if run.Why != "" {
				text += ": " + run.Why
			}
			f.say(text)
		}
		text = run.Base64
	}
	if _, err := f.w.Write(text); err != nil {
		return outputError{err}
	}
	f.part += len(text)
	if id != "" && id != f.id { // the first event tells only where it begins
		f.id, f.part, f.again = id, 0, 0
	}
	return nil
}
