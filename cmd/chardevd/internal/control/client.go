// Package control is the client of the daemon's control socket: it finds the
// socket and speaks the API of package chardev over it.
package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"chardevd/channel"
	"chardevd/chardev"
)

// answerMax is how long an answer may be, in bytes.
const answerMax = 64 << 20

// answerTime is how long an answer may take: the daemon answers from memory, or
// gives up to ask a device before.
const answerTime = 10 * time.Second

// A Client speaks to one daemon. It keeps no connection between calls.
type Client struct {
	Place Place
	http  http.Client
	query url.Values // of each request
}

// New makes a client of the daemon whose control socket is at p.
func New(p Place) *Client {
	c := &Client{Place: p}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ch, err := p.env.Dial(ctx, p.Address)
			if err != nil {
				return nil, &Unreachable{p, err}
			}
			return ch, nil
		},
	}
	return c
}

// Unreachable is the error of a daemon to which no connection can be made.
type Unreachable struct {
	Place Place
	Err   error
}

// Absent says whether that is as none is there: nobody listens.
func (u *Unreachable) Absent() bool {
	return errors.Is(u.Err, fs.ErrNotExist) || errors.Is(u.Err, syscall.ECONNREFUSED) || errors.Is(u.Err, syscall.ENOTDIR)
}

func (u *Unreachable) Error() string {
	switch {
	case errors.Is(u.Err, fs.ErrPermission):
		return fmt.Sprintf("%v is not open to you: %v; run this as the daemon's user or root, or name an address of its [http] with --control, with a token in $%s", u.Place, u.Err, EnvToken)
	case !u.Absent():
		return fmt.Sprintf("daemon on %v: %v", u.Place, u.Err)
	}
	text := fmt.Sprintf("no daemon on %v: %v; start one with \"chardevd serve\", or name another socket with --control", u.Place, u.Err)
	if u.Place.file {
		text += "; one that was started before state or control was changed there is still at the old address"
	}
	return text
}
func (u *Unreachable) Unwrap() error { return u.Err }

// Refused is an error that the daemon answered with.
type Refused chardev.Problem

func (r *Refused) Error() string {
	for _, s := range []string{r.Detail, r.Title, http.StatusText(r.Status)} {
		if s != "" {
			return s
		}
	}
	return fmt.Sprintf("the daemon answers with status %d", r.Status)
}

// call makes one request without a body and returns that of the answer.
func (c *Client) call(ctx context.Context, method string, path ...string) ([]byte, error) {
	return c.send(ctx, answerTime, method, nil, path...)
}

// send makes one request, with body as its JSON unless it is nil, and returns the
// body of the answer, which has to come within the given time.
func (c *Client) send(ctx context.Context, within time.Duration, method string, body any, path ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Place.site.url(path...), sent)
	if err != nil {
		return nil, err
	}
	req.Header = c.Place.header()
	req.URL.RawQuery = c.query.Encode()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.plain(err, within)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return nil, fmt.Errorf("daemon on %v: %w", c.Place, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, c.refused(resp, answer)
	}
	return answer, nil
}

// refused is the error in an answer.
func (c *Client) refused(resp *http.Response, answer []byte) *Refused {
	r := &Refused{}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		json.Unmarshal(answer, r) // without words the status still tells
	} else { // a proxy's, or somebody else's
		r.Detail = fmt.Sprintf("daemon on %v: the answer is %s", c.Place, resp.Status)
		switch resp.StatusCode {
		case http.StatusNotFound:
			r.Detail += "; chardevd is not at this path"
		case http.StatusBadRequest: // as a console's websocket says it
			r.Detail += c.Place.doubt()
		}
	}
	r.Status = resp.StatusCode
	if r.Status == http.StatusUnauthorized {
		r.Detail = r.Error() + c.Place.shows()
	}
	return r
}

// url is that of an API's resource. What is dialled is the place's address.
func (s site) url(path ...string) string { return "http://" + s.name() + s.path(path...) }

// name is what the daemon is called: localhost, which its check of the Host header lets
// pass, where no proxy looks at it.
func (s site) name() string { return cmp.Or(s.host, "localhost") }

// path is that of an API's resource.
func (s site) path(path ...string) string {
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	return s.base + "/api/v1/" + strings.Join(path, "/")
}

// plain takes the request's method and URL, which say nothing to a user, off an
// error of net/http.
func (c *Client) plain(err error, within time.Duration) error {
	if u, ok := errors.AsType[*Unreachable](err); ok {
		return u
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return fmt.Errorf("daemon on %v: no answer within %v%s", c.Place, within, c.Place.doubt())
		}
		err = u.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("daemon on %v: %w", c.Place, err)
	case strings.Contains(err.Error(), "readLoopPeekFailLocked"): // of net/http, which tells nothing behind it
		err = errors.New("it speaks before it is asked")
	}
	// A console's frontend cuts who talks HTTP to it, or says what the console prints.
	return fmt.Errorf("daemon on %v: %w%s", c.Place, err, c.Place.doubt())
}

func get[T any](ctx context.Context, c *Client, path ...string) (v T, raw []byte, err error) {
	if raw, err = c.call(ctx, http.MethodGet, path...); err != nil {
		return v, nil, err
	}
	return decoded[T](c, raw)
}

// decoded is an answer as a T, and as it came.
func decoded[T any](c *Client, raw []byte) (v T, _ []byte, err error) {
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&v); err != nil {
		return v, nil, fmt.Errorf("daemon on %v: an answer that is not of this API: %w%s", c.Place, err, c.Place.doubt())
	}
	return v, raw, nil
}

// List returns all chardevs, and the JSON they came as.
func (c *Client) List(ctx context.Context) ([]chardev.Info, []byte, error) {
	return get[[]chardev.Info](ctx, c, "chardevs")
}

// Streams returns all pass-through streams, and the JSON they came as.
func (c *Client) Streams(ctx context.Context) ([]chardev.StreamInfo, []byte, error) {
	infos, raw, err := get[[]chardev.StreamInfo](ctx, c, "streams")
	if r, ok := errors.AsType[*Refused](err); ok && r.Status == http.StatusNotFound { // a daemon of before there were any
		return nil, []byte("[]"), nil
	}
	return infos, raw, err
}

// kind is where the API has what is called name: "streams" or "chardevs". An error tells
// the nearest name.
func (c *Client) kind(ctx context.Context, name string) (string, error) {
	err := c.Known(ctx, name)
	if _, ok := errors.AsType[*NotKept](err); ok {
		return "streams", nil
	}
	return "chardevs", err
}

// Clients returns who is attached to a chardev, or uses a stream, and the JSON they came as.
func (c *Client) Clients(ctx context.Context, name string) ([]chardev.ClientInfo, []byte, error) {
	kind, err := c.kind(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return get[[]chardev.ClientInfo](ctx, c, kind, name, "clients")
}

// Kick cuts a client off a chardev or a stream.
func (c *Client) Kick(ctx context.Context, name, id string) error {
	kind, err := c.kind(ctx, name)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, http.MethodDelete, kind, name, "clients", id)
	if r, ok := errors.AsType[*Refused](err); ok && r.Status == http.StatusNotFound {
		return fmt.Errorf("%s has no client %q; \"chardevd clients %s\" lists them", name, id, name)
	}
	return err
}

// Known returns an error that tells the nearest name if the daemon has no
// chardev of this name, and a *NotKept if that is a stream's.
func (c *Client) Known(ctx context.Context, name string) error {
	infos, _, err := c.List(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(infos))
	for i, info := range infos {
		if info.Name == name {
			return nil
		}
		names[i] = info.Name
	}
	streams, _, err := c.Streams(ctx)
	if err != nil {
		return err
	}
	for _, s := range streams {
		if s.Name == name {
			return &NotKept{Stream: s}
		}
	}
	return &Unknown{name, names, c.Place}
}

// NotKept is the error of a stream, where a chardev is wanted.
type NotKept struct{ Stream chardev.StreamInfo }

func (n *NotKept) Error() string {
	return fmt.Sprintf("%s is a stream, of which nothing is kept: connect to %s", n.Stream.Name, n.Stream.Listen[0].Address)
}

// Unknown is the error of a chardev that the daemon does not have.
type Unknown struct {
	Name  string
	Names []string // that it has
	Place Place
}

func (u *Unknown) Error() string {
	if near := channel.Nearest(u.Name, u.Names); near != "" {
		return fmt.Sprintf("no chardev %q; did you mean %q?", u.Name, near)
	}
	if len(u.Names) == 0 {
		return fmt.Sprintf("no chardev %q; %s", u.Name, u.Place.Nothing())
	}
	if len(u.Names) <= 10 {
		return fmt.Sprintf("no chardev %q; there is %s", u.Name, strings.Join(u.Names, ", "))
	}
	return fmt.Sprintf("no chardev %q; \"chardevd list\" shows all %d", u.Name, len(u.Names))
}
