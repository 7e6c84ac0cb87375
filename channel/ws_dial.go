package channel

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// WebsocketClient asks for a websocket on a channel that it owns.
func WebsocketClient(ctx context.Context, under Channel, o WebsocketOptions) (*Websocket, error) {
	target, err := url.ParseRequestURI(cmp.Or(o.Path, "/"))
	if err != nil {
		under.Close()
		return nil, fmt.Errorf("websocket: the path is not one: %w", err)
	}
	target.Host = cmp.Or(o.Host, "localhost")
	var early []byte
	err = closeWhenDone(ctx, under, func() (err error) {
		early, err = dialHandshake(under, target, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("websocket handshake: %w", err)
	}
	return newWebsocketClient(under, early, o), nil
}

// dialHandshake returns what came behind the answer's head.
func dialHandshake(under Channel, target *url.URL, o WebsocketOptions) ([]byte, error) {
	said := ""
	d := ws.Dialer{
		Protocols: o.Protocols,
		Header:    ws.HandshakeHeaderHTTP(o.Header),
		OnStatusError: func(_ int, _ []byte, resp io.Reader) {
			// Nothing says that the body ends, so it is not waited for.
			under.SetReadDeadline(time.Now().Add(goodbye))
			said = readRefusal(resp)
		},
	}
	head := &limitedHead{Channel: under, left: wsMaxHead}
	br, hs, err := d.Upgrade(head, target)
	if status, ok := errors.AsType[ws.StatusError](err); ok {
		return nil, fmt.Errorf("the server says %d %s%s", int(status), http.StatusText(int(status)), said)
	}
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, err
	case o.OnText != nil && hs.Protocol == "":
		return nil, fmt.Errorf("the server does not speak %s", strings.Join(o.Protocols, " or "))
	}
	if br == nil {
		return nil, nil
	}
	defer ws.PutReader(br)
	early := make([]byte, br.Buffered())
	_, err = io.ReadFull(br, early)
	return early, err
}

// readRefusal is the first line of the body of a refusal, ready to be appended.
func readRefusal(resp io.Reader) string {
	r, err := http.ReadResponse(bufio.NewReader(io.LimitReader(resp, wsMaxHead)), nil)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	// Whatever there is of it will do.
	body, _ := io.ReadAll(io.LimitReader(r.Body, 256))
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line = oneLine(line); line != "" {
		line = ": " + line
	}
	return line
}

// A limitedHead fails when an answer does not come to its end.
type limitedHead struct {
	Channel
	left int
}

func (l *limitedHead) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the head of the answer is longer than %d bytes", wsMaxHead)
	}
	n, err := l.Channel.Read(p)
	l.left -= n
	return n, err
}
