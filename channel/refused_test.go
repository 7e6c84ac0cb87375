package channel

import (
	"net"
	"strings"
	"testing"
)

// Whoever a listener does not let in is told of, with why and from where.
func TestRefused(t *testing.T) {
	for address, want := range map[string]string{"tcp://127.0.0.1:0?from=10.0.0.0/8": "from=", "ws://127.0.0.1:0": "HTTP"} {
		type refusal struct {
			peer string
			err  error
		}
		told := make(chan refusal, 1)
		env := &Env{Refused: func(peer net.Addr, err error) { told <- refusal{peer.String(), err} }}
		l, err := env.Listen(t.Context(), MustParseAddress(address))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.Serve(func(ch Channel) { t.Errorf("%s: let in", address); ch.Close() }, func(error) {})
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("nonsense\r\n\r\n"))
		if r := <-told; r.peer != c.LocalAddr().String() || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: %v, want %s from %v", address, r, want, c.LocalAddr())
		}
	}
}
