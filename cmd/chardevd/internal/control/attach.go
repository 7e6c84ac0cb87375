package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"

	"chardevd/channel"
	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/attach"
)

// Attach connects to a chardev's stream. It is an attach.Dial but for its first
// arguments.
func (c *Client) Attach(ctx context.Context, name string, readOnly bool, at attach.At, onMessage func(chardev.Message)) (attach.Stream, error) {
	if err := c.Known(ctx, name); err != nil {
		return nil, final(err)
	}
	under, err := c.Place.env.Dial(ctx, c.Place.Address)
	if err != nil {
		return nil, &Unreachable{c.Place, err}
	}
	s := &stream{}
	s.ws, err = channel.WebsocketClient(ctx, under, channel.WebsocketOptions{
		Host:      c.Place.site.name(),
		Path:      c.Place.site.path("chardevs", name, "ws") + "?" + attachQuery(readOnly, at).Encode(),
		Protocols: []string{chardev.AttachProtocol},
		Header:    c.Place.header(),
		OnText: func(text []byte) {
			var m chardev.Message
			if err := json.Unmarshal(text, &m); err != nil {
				err = fmt.Errorf("a message that is not of this protocol: %w", err)
				s.broken.CompareAndSwap(nil, &err)
				return
			}
			onMessage(m)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("daemon on %v: %w", c.Place, err) // it may be about to stop: not final
	}
	return s, nil
}

// final marks an error that the daemon itself told.
func final(err error) error {
	r, refused := errors.AsType[*Refused](err)
	_, unknown := errors.AsType[*Unknown](err)
	_, notKept := errors.AsType[*NotKept](err)
	if unknown || notKept || refused && r.Status/100 == 4 {
		return &attach.Final{Err: err}
	}
	return err
}

// attachQuery is what is asked of a chardev's stream.
func attachQuery(readOnly bool, at attach.At) url.Values {
	q := url.Values{}
	if at.Epoch == "" {
		q.Set("since", at.Since)
	} else {
		q.Set("since", strconv.FormatInt(at.Offset, 10))
		q.Set("epoch", at.Epoch)
	}
	if readOnly {
		q.Set("read_only", "true")
	}
	return q
}

// A stream is an attach.Stream over a websocket.
type stream struct {
	ws     *channel.Websocket
	broken atomic.Pointer[error] // a message could not be read
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ws.Read(p)
	if e := s.broken.Load(); e != nil {
		return n, *e
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) { return s.ws.Write(p) }
func (s *stream) Close() error                { return s.ws.Close() }

func (s *stream) Send(m chardev.Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.ws.SendText(text)
}
