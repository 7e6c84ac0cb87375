package channel

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wsMaxHead is how long the head of a handshake may be, in bytes, with all its
// cookies.
const wsMaxHead = 32 << 10

// A HandshakeError is a websocket handshake refused, in the words of HTTP. It is
// an http.Handler that says so.
type HandshakeError struct {
	Status int
	Reason string      // one line, for people
	Header http.Header // of the response; may be nil
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("refused with %d %s: %s", e.Status, http.StatusText(e.Status), e.Reason)
}

// ServeHTTP answers with the refusal and ends the connection.
func (e *HandshakeError) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for k, v := range e.Header {
		w.Header()[k] = v
	}
	w.Header().Set("Connection", "close")
	http.Error(w, e.Reason, e.Status)
}

// response is the refusal as it goes over a channel that no HTTP server has.
func (e *HandshakeError) response() []byte {
	h := http.Header{}
	for k, v := range e.Header {
		h[k] = v
	}
	body := e.Reason + "\n"
	h.Set("Connection", "close")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	return append(responseHead(e.Status, h), body...)
}

// responseHead writes the head of a response. The names of websocket's headers
// get the spelling of RFC 6455, which not everybody compares without case.
func responseHead(status int, h http.Header) []byte {
	var b bytes.Buffer
	for k, v := range h {
		for _, v := range v {
			fmt.Fprintf(&b, "%s: %s\r\n", strings.Replace(k, "Sec-Websocket-", "Sec-WebSocket-", 1), v)
		}
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%s\r\n", status, http.StatusText(status), b.Bytes())
}

// AcceptWebsocket decides about a request to speak websocket: it returns the header
// of the 101 response, or why not (RFC 6455 §4.2). Of o it needs Path, Hosts,
// Origins and Protocols; the subprotocol agreed upon is in the header as
// Sec-Websocket-Protocol.
func AcceptWebsocket(r *http.Request, o WebsocketOptions) (http.Header, *HandshakeError) {
	refuse := func(status int, format string, args ...any) (http.Header, *HandshakeError) {
		return nil, &HandshakeError{Status: status, Reason: fmt.Sprintf(format, args...)}
	}
	key := r.Header.Get("Sec-Websocket-Key")
	nonce, keyErr := base64.StdEncoding.DecodeString(key)
	switch {
	case r.Method != http.MethodGet:
		return refuse(400, "this is a websocket: the method must be GET")
	case r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return refuse(400, "this is a websocket: the protocol must be HTTP/1.1")
	case r.Host == "":
		return refuse(400, "no Host header")
	case !HostAllowed(r.Host, o.Hosts):
		return refuse(403, "host %q is not one of this server's names (host=)", r.Host)
	case o.Path != "" && r.URL.Path != o.Path:
		return refuse(404, "nothing is served here")
	case !OriginAllowed(r, o.Origins):
		return refuse(403, "origin %q may not connect (origin=)", r.Header.Get("Origin"))
	case !hasToken(r.Header, "Upgrade", "websocket") || !hasToken(r.Header, "Connection", "upgrade"):
		return refuse(400, "this is a websocket: the request must ask for it with Upgrade: websocket and Connection: Upgrade")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return nil, &HandshakeError{Status: 426, Reason: "only version 13 of websocket is spoken here",
			Header: http.Header{"Sec-Websocket-Version": {"13"}, "Upgrade": {"websocket"}}}
	case keyErr != nil || len(nonce) != 16:
		return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64")
	}
	h := http.Header{}
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-Websocket-Accept", acceptKey(key))
	for _, p := range o.Protocols {
		// Names of subprotocols are compared with case (§11.3.4).
		if WebsocketOffers(r, p) {
			h.Set("Sec-Websocket-Protocol", p)
			break
		}
	}
	return h, nil
}

// WebsocketOffers says whether a request to speak websocket offers a subprotocol.
func WebsocketOffers(r *http.Request, protocol string) bool {
	return slices.Contains(tokens(r.Header, "Sec-Websocket-Protocol"), protocol)
}

// acceptKey proves that the key was read by one who speaks websocket (§4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// tokens are the values of a header that is a list.
func tokens(h http.Header, name string) []string {
	var all []string
	for _, line := range h.Values(name) {
		for t := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(t))
		}
	}
	return all
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(t string) bool { return strings.EqualFold(t, token) })
}

// HostAllowed says whether a Host header names this server: by one of names, by an IP
// address or as localhost.
func HostAllowed(host string, names []string) bool {
	h := hostOnly(host)
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	same := func(n string) bool { return strings.EqualFold(n, h) }
	return same("localhost") || slices.ContainsFunc(names, same)
}

// hostOnly is a Host header without the port and the brackets.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// OriginAllowed says whether a request is of no web page, of one of the server itself,
// or of one of the origins. A request that came by TLS (r.TLS is set) is of no page that
// came without: whoever is in the way can write that one, though its host and port are
// the server's. (The other way round TLS may have ended at a proxy.)
func OriginAllowed(r *http.Request, origins []string) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true // no browser
	}
	if len(values) > 1 {
		return false
	}
	origin := normalOrigin(values[0])
	if slices.ContainsFunc(origins, func(o string) bool { return normalOrigin(o) == origin }) {
		return true
	}
	scheme, _, _ := strings.Cut(origin, "://")
	return (scheme == "http" && r.TLS == nil || scheme == "https") && origin == normalOrigin(scheme+"://"+r.Host)
}

// TLSOf is the TLS state of a channel as http.Request has it; nil: it is not secured.
func TLSOf(c Channel) *tls.ConnectionState {
	s, ok := As[Secured](c)
	if !ok {
		return nil
	}
	return new(s.ConnectionState())
}

// normalOrigin is an origin (RFC 6454 §6.2) with small letters and without the
// port that its scheme stands for.
func normalOrigin(s string) string {
	s = strings.ToLower(s)
	scheme, host, _ := strings.Cut(s, "://")
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	if port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return scheme + "://" + host
}

// WebsocketServer waits for a client's request on a channel that it owns, and
// answers it. What it refuses is told in HTTP before the channel is closed.
func WebsocketServer(ctx context.Context, under Channel, o WebsocketOptions) (*Websocket, error) {
	var early []byte
	var who any
	err := closeWhenDone(ctx, under, func() (err error) {
		early, who, err = serveHandshake(ctx, under, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("websocket handshake: %w", err)
	}
	c := NewWebsocket(under, early, o)
	c.who = who
	return c, nil
}

// closeWhenDone runs a handshake on under and closes that when ctx ends, which
// ends the waiting, and when the handshake fails.
func closeWhenDone(ctx context.Context, under Channel, handshake func() error) error {
	stop := context.AfterFunc(ctx, func() { under.Close() })
	err := handshake()
	if !stop() {
		err = ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the peer did not finish it in time: %w", err)
		}
	}
	if err != nil {
		under.Close() // and waits for the one that ctx may have begun
	}
	return err
}

// serveHandshake returns what came behind the request's head, and who Admit says that
// it is of.
func serveHandshake(ctx context.Context, under Channel, o WebsocketOptions) (early []byte, who any, err error) {
	head, early, err := readHead(under)
	if refusal, ok := errors.AsType[*HandshakeError](err); ok {
		return nil, nil, refuseHandshake(under, refusal)
	} else if err != nil {
		return nil, nil, err
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, nil, refuseHandshake(under, &HandshakeError{Status: 400, Reason: "not an HTTP request: " + oneLine(err.Error())})
	}
	r.TLS = TLSOf(under)
	header, refusal := AcceptWebsocket(r, o)
	if refusal == nil && o.Admit != nil {
		who, refusal = o.Admit(ctx, under, r)
	}
	if refusal != nil {
		return nil, nil, refuseHandshake(under, refusal)
	}
	if _, err := under.Write(responseHead(101, header)); err != nil {
		return nil, nil, err
	}
	return early, who, nil
}

// readHead reads a request up to its empty line, and what comes with it.
func readHead(under Channel) (head, early []byte, err error) {
	buf := make([]byte, 0, 1024) // a browser's head is shorter, most times
	for {
		buf = slices.Grow(buf, 1)
		from := max(0, len(buf)-3)
		n, err := under.Read(buf[len(buf):cap(buf)])
		if n == 0 {
			if err == io.EOF {
				err = fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
			}
			return nil, nil, err
		}
		buf = buf[:len(buf)+n]
		if end := endOfHead(buf, from); end >= 0 && end <= wsMaxHead {
			return buf[:end], bytes.Clone(buf[end:]), nil
		}
		if len(buf) >= wsMaxHead {
			return nil, nil, &HandshakeError{Status: 431, Reason: fmt.Sprintf("the request's head is longer than %d bytes", wsMaxHead)}
		}
	}
}

// endOfHead finds the end of the empty line that ends a head, from an index on;
// a line may end in a bare LF (RFC 9112 §2.2). It is -1 when there is none yet.
func endOfHead(b []byte, from int) int {
	for i := from; i < len(b); i++ {
		switch {
		case b[i] != '\n':
		case bytes.HasPrefix(b[i+1:], []byte("\n")):
			return i + 2
		case bytes.HasPrefix(b[i+1:], []byte("\r\n")):
			return i + 3
		}
	}
	return -1
}

// refuseHandshake tells the peer, and returns the refusal.
func refuseHandshake(under Channel, refusal *HandshakeError) error {
	if _, err := under.Write(refusal.response()); err != nil {
		return refusal
	}
	// Closing while there is something unread would reset the connection, and
	// the peer might never see the answer: read what it still sends, for a while.
	under.CloseWrite()
	under.SetReadDeadline(time.Now().Add(goodbye))
	io.Copy(io.Discard, io.LimitReader(under, 4*wsMaxHead))
	return refusal
}

// oneLine is a message as it may stand in a line of text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// UpgradeWebsocket answers a request to an HTTP server whose connections are
// channels, and takes the connection over. below, if not nil, wraps the channel
// before the websocket is put on it. When it returns an error, that has been
// answered.
func UpgradeWebsocket(w http.ResponseWriter, r *http.Request, o WebsocketOptions, below func(Channel) Channel) (*Websocket, error) {
	header, refusal := AcceptWebsocket(r, o)
	if refusal != nil {
		refusal.ServeHTTP(w, r)
		return nil, refusal
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot become a websocket", http.StatusInternalServerError)
		return nil, fmt.Errorf("websocket handshake: %w", err)
	}
	under, ok := conn.(Channel)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("websocket handshake: the server's connection is a %T, not a channel", conn)
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	early = bytes.Clone(early)
	if below != nil {
		under = below(under)
	}
	if err == nil {
		_, err = under.Write(responseHead(101, header))
	}
	if err != nil {
		under.Close()
		return nil, fmt.Errorf("websocket handshake: %w", err)
	}
	return NewWebsocket(under, early, o), nil
}

// wsPath is the path of an address of a ws layer, as it goes into a request. An
// address has one at most (ParseAddress).
func wsPath(a Address) string {
	// The address is unescaped by now. A ? in it (written %3F) begins a query.
	path, query, has := strings.Cut(cmp.Or(a.Path, a.Get("path")), "?")
	path = (&url.URL{Path: path}).EscapedPath()
	if has {
		path += "?" + query
	}
	return path
}

func isRequestPath(v string) error {
	if !strings.HasPrefix(v, "/") || oneLine(v) != v {
		return fmt.Errorf("want a path that begins with /, have %q", v)
	}
	return nil
}

// CheckOrigin is nil for an origin as RFC 6454 section 6.2 writes it, and for null.
func CheckOrigin(v string) error {
	u, err := url.Parse(v)
	if v != "null" && (err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("want an origin like https://ops.example, have %q", v)
	}
	return nil
}

// CheckHostName is nil for the name of a host, without a port.
func CheckHostName(v string) error {
	if v == "" || strings.ContainsAny(v, "/:[] \t\r\n") {
		return fmt.Errorf("want a host name without port, have %q", v)
	}
	return nil
}
