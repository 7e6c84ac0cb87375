package channel

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
)

// A shortListener has no descriptors for the first tries.
type shortListener struct {
	left   int
	ch     Channel
	closed chan struct{}
}

func (l *shortListener) Accept() (Channel, error) {
	if l.left > 0 {
		l.left--
		return nil, plain("accept", syscall.EMFILE)
	}
	if ch := l.ch; ch != nil {
		l.ch = nil
		return ch, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *shortListener) Addr() net.Addr { return addr{"test", "short"} }
func (l *shortListener) Close() error   { close(l.closed); return nil }

// A listener without descriptors goes on when there are some, and has told that
// once and not with every try: a thousand listeners may be in that state.
func TestListenerShortageIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	near, far := Pipe(16)
	e := &Env{Log: slog.New(slog.NewTextHandler(&log, nil))}
	s := e.serve(&shortListener{left: 4, ch: near, closed: make(chan struct{})}, nil)
	ch := accept(t, s)
	must(t, s.Close())
	ch.Close()
	far.Close()
	if l := log.String(); strings.Count(l, "cannot accept") != 1 || strings.Count(l, "accepting again") != 1 {
		t.Errorf("the log of a shortage of four tries:\n%s", l)
	}
}
