package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Everything at once for a while: a guest at full rate that is killed and
// started again, clients of every kind that come, read, type, stop reading and
// go in every way, and a few that stay through all of it. What the ones that stay
// see is the guest's output without a fault, from each start to each kill; the
// daemon's descriptors do not grow.
func TestSoak(t *testing.T) {
	lives, length := 2, 2*time.Second
	if long {
		lives, length = 30, 20*time.Second
	}
	ca := newAuthority(t)
	v := map[string]any{"tcp": freePort(t), "tls": freePort(t), "ws": freePort(t)}
	dir := folder(t)
	d := newDaemon(t, dir, ca.credentials()+`
[[chardev]]
name = "vm"
device = "unix:guest"
history = "128KiB"
  [[chardev.frontend]]
  listen = "unix:front"
  [[chardev.frontend]]
  listen = "tcp://127.0.0.1:@tcp@"
  [[chardev.frontend]]
  listen = "tls://127.0.0.1:@tls@?credentials=test"
  on_lag = "close"
  [[chardev.frontend]]
  listen = "ws://127.0.0.1:@ws@"
  on_lag = "skip"
`, v)
	d.serve()
	at := func(key string) string { return fmt.Sprint("127.0.0.1:", v[key]) }
	var g *guest
	var fds int
	for life := range lives {
		before := time.Now()
		if g == nil {
			g = unixGuest(t, counterImage(t), dir+"/guest")
		} else {
			g.restart()
		}
		d.event("vm", "up", before)
		stay := []*reader{
			check(t, dialSilent(t, "unix", d.path("front")).Conn),
			checkTLS(t, at("tls"), ca),
			checkWS(t, at("ws")),
		}
		d.has("vm", len(stay))
		g.cont()
		for end := time.Now().Add(length); time.Now().Before(end); {
			w := dialSilent(t, "tcp", at("tcp"))
			if rand.IntN(2) == 0 {
				w.types(t, "x")
			}
			passing := check(t, w.Conn)
			passing.gets(t, 32<<10)
			passing.whole(t)
			stuck := dialSilent(t, "unix", d.path("front"))
			conn, _ := dialWS(t, at("ws"))
			stay[0].gets(t, 64<<10)
			stuck.Close()
			abort(t, conn)
			abort(t, w.Conn)
		}
		g.kill()
		d.is("vm", "down")
		for _, r := range stay {
			r.whole(t)
			c := r.checker()
			if c.First != 0 {
				t.Errorf("life %d: the first line is %08x", life, c.First)
			}
			r.conn.Close()
		}
		d.has("vm", 0)
		if life == 0 {
			fds = d.fds()
		} else if n := d.fds(); n > fds+3 { // a probe of the guest's socket may be open
			t.Errorf("life %d: %d descriptors, %d after the first", life, n, fds)
		}
		if t.Failed() {
			return
		}
	}
}
