package integration

import (
	"testing"
	"time"
)

// The guests themselves, without a daemon between: what the other tests stand on.

func TestCounterGuest(t *testing.T) {
	path := folder(t) + "/guest"
	g := unixGuest(t, counterImage(t), path)
	w := dialSilent(t, "unix", path)
	r := check(t, w.Conn)
	g.cont()
	r.gets(t, 1000)
	w.types(t, "a\xff")
	r.until(t, patience, func(c *Checker) bool { return len(c.Typed) == 2 })
	r.gets(t, 1000)
	r.whole(t)
	if c := r.checker(); c.First != 0 || string(c.Typed) != "a\xff" {
		t.Errorf("the first line is %08x, typed %q", c.First, c.Typed)
	}
	t.Logf("%.0f lines a second", r.rate(t, time.Second))
}

func TestEchoGuest(t *testing.T) {
	path := folder(t) + "/guest"
	g := unixGuest(t, echoImage(t), path)
	w := dial(t, "unix", path)
	g.cont()
	w.sees(t, "ECHO READY\r\n")
	w.echoes(t, "all\x00 bytes\xff")
	g.kill()
	w.isCut(t, patience)
	g.restart()
	w = dial(t, "unix", path)
	g.cont()
	w.sees(t, "ECHO READY\r\n")
}
