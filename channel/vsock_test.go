package channel

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// LocalVsock says whether this machine can reach itself by vsock. One that can not says so,
// and what to do; TestVsockInAGuest of package integration runs the tests of vsock in a guest
// whose kernel can.
func LocalVsock(t *testing.T) bool {
	t.Helper()
	l, err := Listen(t.Context(), MustParseAddress("vsock://local:0"))
	if err == nil {
		l.Close()
		return true
	}
	if !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EAFNOSUPPORT) || !strings.Contains(err.Error(), "modprobe vsock") {
		t.Fatal(err)
	}
	_, err = Dial(t.Context(), MustParseAddress("vsock://local:7001"))
	if err == nil || !strings.Contains(err.Error(), "modprobe vsock") {
		t.Fatalf("without a local vsock it dials: %v", err)
	}
	t.Log("NO LOCAL VSOCK HERE: these tests run in the guest of integration's TestVsockInAGuest")
	return false
}

func TestVsockAddresses(t *testing.T) {
	for text, as := range map[string]struct{ loopback, all bool }{
		"vsock://local:1": {loopback: true}, "vsock://1:1": {loopback: true}, "vsock://host:1": {}, "vsock://3:4294967294": {},
		"vsock://any:0": {all: true}, "vsock://:0": {all: true}, "vsock://4294967295:0": {all: true}, "tls+vsock://2:700?from=3&from=host": {},
	} {
		a, err := ParseAddress(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if a.String() != text || a.Loopback() != as.loopback || a.AllHosts() != as.all || !a.Network() || a.ServerName() != "" {
			t.Errorf("%s: it is %s, loopback %v, all %v, network %v, named %q", text, a, a.Loopback(), a.AllHosts(), a.Network(), a.ServerName())
		}
	}
	for text, says := range map[string]string{
		"vsock:2:1": "//", "vsock://2": "CID:port", "vsock://-1:1": `"-1"`, "vsock://01:1": `"01"`, "vsock://guest:1": `"guest"`,
		"vsock://4294967296:1": `"4294967296"`, "vsock://2:": `port ""`, "vsock://2:4294967295": "4294967294", "vsock://2:07": `port "07"`,
		"vsock://any:1?from=10.0.0.0/8": "option from", "vsock://any:1?from=any": "option from", "vsock://2:1/p": "path",
	} {
		if _, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %s", text, err, says)
		}
	}
	for _, text := range []string{"vsock://any:5", "vsock://2:0"} {
		if _, err := Dial(t.Context(), MustParseAddress(text)); err == nil || !strings.Contains(err.Error(), "must say which") {
			t.Errorf("dialling %s: %v", text, err)
		}
	}
}

func TestVsockParked(t *testing.T) {
	if !LocalVsock(t) {
		return
	}
	socketLivesOn(t, "vsock://local:0")
	listenerLivesOn(t, "vsock://1:0?from=local", "")
}

// Whoever is not in from= is refused, and told of; nobody listening is an error at once.
func TestVsockFrom(t *testing.T) {
	if !LocalVsock(t) {
		return
	}
	noLeaks(t)
	refused := make(chan string, 1)
	env := &Env{Refused: func(peer net.Addr, err error) { refused <- peer.String() + " " + err.Error() }}
	l, err := env.Listen(t.Context(), MustParseAddress("vsock://local:0?from=3"))
	if err != nil {
		t.Fatal(err)
	}
	l.Serve(func(ch Channel) { t.Error("let in"); ch.Close() }, func(err error) { t.Error(err) })
	to := MustParseAddress("vsock://" + l.Addr().String())
	c, err := Dial(inTime(t), to)
	if err != nil {
		t.Fatal(err)
	}
	if got := next(t, refused); got != c.LocalAddr().String()+" "+errNotFrom.Error() {
		t.Errorf("refused: %s", got)
	}
	c.SetReadDeadline(time.Now().Add(watchdog))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !IsGone(err) {
		t.Errorf("a refused client reads %d, %v", n, err)
	}
	c.Close()
	l.Close()
	if _, err := Dial(inTime(t), to); err == nil || errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("where nobody listens: %v", err)
	}
}
