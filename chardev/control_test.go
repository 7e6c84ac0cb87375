package chardev

import (
	"io"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"chardevd/channel"
)

// An attach is answered at once, whatever body its request announces and does
// not send.
func TestAttachWaitsForNoBody(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	c := &control{server: serverOf(&console{name: "vm1", hub: b.hub}), ctx: b.ctx}
	body, never := io.Pipe()
	defer never.Close()
	watchdog := time.AfterFunc(10*time.Second, func() { never.CloseWithError(io.ErrUnexpectedEOF); t.Error("it waited for the body") })
	defer watchdog.Stop()
	r := httptest.NewRequest("GET", "/api/v1/chardevs/vm1/ws", body)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, fromProcess(0, r))
	if w.Code != 400 && w.Code != 403 {
		t.Errorf("a request that is no websocket handshake was answered with %d", w.Code)
	}
}

// reach leaves the address alone: many lists are made at once.
func TestReachOnlyReads(t *testing.T) {
	a, err := channel.ParseAddress("tls://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	a.Layers = append(make([]string, 0, 2), a.Layers...)
	reach(&Endpoint{Address: a, Listen: true})
	if got := a.Layers[:2][1]; got != "" {
		t.Errorf("it wrote %q behind the layers", got)
	}
}

// Over a device that leads back to the daemon nobody is the operator, or its user.
func TestTheDaemonItselfIsNobody(t *testing.T) {
	at := socketPath(t)
	l, err := channel.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := channel.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if who := operatorIdentity(far); !who.Operator || len(who.Names) == 0 {
		t.Errorf("another process of its user is %+v", who)
	}
	defer func(pid int) { daemonPID = pid }(daemonPID)
	daemonPID = os.Getpid()
	if who := operatorIdentity(far); who.Operator || len(who.Names) > 0 || !who.Guest {
		t.Errorf("at the control socket it is %+v", who)
	}
	if who := identify(far); len(who.Names) > 0 {
		t.Errorf("at a frontend it is %+v", who)
	}
}
