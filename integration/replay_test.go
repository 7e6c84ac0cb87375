package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A late client gets exactly the last 64 KiB and then what comes: no byte is
// missing at the seam and none comes twice, with the guest at full rate.
func TestReplay(t *testing.T) {
	rounds := 5
	if long {
		rounds = 100
	}
	const replay = 64 << 10
	tcp, ws := freePort(t), freePort(t)
	d, g := newCounter(t, `
history = "256KiB"
  [[chardev.frontend]]
  listen = "unix:front"
  replay = "64KiB"
  [[chardev.frontend]]
  listen = "tcp://127.0.0.1:@tcp@"
  replay = "64KiB"
  [[chardev.frontend]]
  listen = "ws://127.0.0.1:@ws@"
  replay = "64KiB"
  [[chardev.frontend]]
  listen = "unix:live"
`, map[string]any{"tcp": tcp, "ws": ws})
	live := check(t, dialSilent(t, "unix", d.path("live")).Conn)
	early := check(t, dialSilent(t, "unix", d.path("front")).Conn)
	d.has("vm", 2)
	g.cont()
	live.gets(t, 2*replay)

	for round := range rounds {
		for name, late := range map[string]*reader{
			"unix": check(t, dialSilent(t, "unix", d.path("front")).Conn),
			"tcp":  check(t, dialSilent(t, "tcp", port(tcp)).Conn),
			"ws":   checkWS(t, port(ws)),
		} {
			late.gets(t, replay+16<<10) // well past the seam
			if c := late.checker(); c.Err() != nil {
				t.Fatalf("round %d, %s: %v", round, name, c.Err())
			}
			late.conn.Close()
		}
	}

	// With the guest held still the size of what is replayed can be seen.
	g.pause()
	var head int64
	eventually(t, patience, func() error {
		before := head
		head = d.info("vm").Offset
		if before != head || live.checker().Bytes != head {
			return fmt.Errorf("the guest is held at %d, a client has %d", head, live.checker().Bytes)
		}
		return nil
	})
	late := check(t, dialSilent(t, "unix", d.path("front")).Conn)
	late.until(t, patience, func(c *Checker) bool { return c.Bytes >= replay })
	d.has("vm", 3)
	eventually(t, patience, func() error {
		for _, c := range d.clients("vm") {
			if c.Lag != 0 {
				return fmt.Errorf("the guest is held and %+v lags", c)
			}
		}
		return nil
	})
	if n := late.checker().Bytes; n != replay {
		t.Errorf("%d bytes were replayed, want exactly %d", n, replay)
	}
	// The guest's line n is at offset 10 n, as nothing was typed.
	if c := late.checker(); int64(c.First) != (head-replay+9)/10 {
		t.Errorf("the replay begins with line %08x, want %08x", c.First, (head-replay+9)/10)
	}
	g.cont()
	for _, r := range []*reader{live, early, late} {
		r.gets(t, 32<<10)
		r.whole(t)
	}
	if c := early.checker(); c.First != 0 {
		t.Errorf("who was there from the start sees %08x first", c.First)
	}
}

// What is held is less than what is asked for: all of it comes.
func TestReplayOfLess(t *testing.T) {
	dir := folder(t)
	g := unixGuest(t, echoImage(t), dir+"/guest")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
  [[chardev.frontend]]
  listen = "unix:front"
  replay = "64KiB"
  [[chardev.frontend]]
  listen = "unix:raw"
`, nil)
	d.serve()
	d.is("vm", "up")
	early := dial(t, "unix", d.path("front"))
	d.has("vm", 1)
	g.cont()
	early.sees(t, "ECHO READY\r\n")
	early.echoes(t, "then this")
	late, raw := dial(t, "unix", d.path("front")), dial(t, "unix", d.path("raw"))
	late.sees(t, "ECHO READY\r\nthen this")
	d.has("vm", 3)
	late.echoes(t, "and on")
	raw.sees(t, "and on")
	if have := late.out.text(); have != "ECHO READY\r\nthen thisand on" {
		t.Errorf("the late one sees %q", have)
	}
	if have := raw.out.text(); have != "and on" {
		t.Errorf("one without replay sees %q", have)
	}
}

// What becomes of a client that stops reading for longer than the history
// lasts, by its frontend's on_lag. What it misses is told exactly.
func TestOnLag(t *testing.T) {
	const history = 64 << 10
	for _, policy := range []string{"catch-up", "skip", "close", "block"} {
		t.Run(policy, func(t *testing.T) {
			d, g := newCounter(t, `
history = "64KiB"
log = false
  [[chardev.frontend]]
  listen = "unix:front"
  on_lag = "@policy@"
  [[chardev.frontend]]
  listen = "unix:live"
`, map[string]any{"policy": policy})
			stuck := dialSilent(t, "unix", d.path("front"))
			d.has("vm", 1)
			g.cont()

			// Its socket holds some 200 KiB, its outbox 64 KiB, the history 64 KiB.
			const enough = 1 << 20
			var head int64
			if policy == "block" {
				still, since := int64(-1), time.Now()
				eventually(t, 30*time.Second, func() error {
					head = d.info("vm").Offset
					if head != still {
						still, since = head, time.Now()
					}
					if time.Since(since) < time.Second {
						return fmt.Errorf("the guest still runs, at %d", head)
					}
					return nil
				})
				if head > enough {
					t.Errorf("the guest ran on to %d beside a client that blocks", head)
				}
			} else {
				live := check(t, dialSilent(t, "unix", d.path("live")).Conn)
				live.gets(t, enough)
				g.pause()
				eventually(t, patience, func() error {
					before := head
					if head = d.info("vm").Offset; head != before {
						return fmt.Errorf("the guest is held at %d, was at %d", head, before)
					}
					return nil
				})
				live.whole(t)
			}

			r := check(t, stuck.Conn)
			if policy == "close" {
				select {
				case <-r.done:
				case <-time.After(patience):
					t.Fatal("a client that lags is not ended")
				}
				r.whole(t)
				return
			}
			if policy == "block" {
				r.gets(t, head+history)
				r.whole(t)
				if c := r.checker(); c.First != 0 {
					t.Errorf("its first line is %08x", c.First)
				}
				return
			}

			// While the guest is held: what came and what is told as missing is all
			// there was. Who catches up has the latest line, who skips waits for the next.
			var missing int64
			eventually(t, patience, func() error {
				for _, client := range d.clients("vm") {
					if strings.Contains(client.Frontend, "front") {
						missing = client.Gaps
					}
				}
				if n := r.checker().Bytes; missing == 0 || n+missing != head {
					return fmt.Errorf("%d bytes came and %d are told as missing of %d", n, missing, head)
				}
				return nil
			})
			caught := int64(r.checker().Last) >= head/10-1
			if caught != (policy == "catch-up") {
				t.Errorf("held at %d, the last line that came is %08x", head, r.checker().Last)
			}
			g.cont()
			r.until(t, patience, func(c *Checker) bool { return int64(c.Last)*10 > head+history })
			c := r.checker()
			most := 1
			if policy == "skip" { // it may do so once more before it is stuck for good
				most = 2
			}
			// A gap within a line makes one of two halves, which may look like any other.
			if faults := c.Repeats + c.Gaps + c.Garbled; faults == 0 || int(faults) > 2*most {
				t.Errorf("want %d gaps at most: %v", most, c.Err())
			}
			// Line n ends at offset 10 n + 10; the stream is shorter by what is missing.
			if n := int64(c.Last)*10 + 10 + int64(len(c.line)) - c.Bytes; n != missing {
				t.Errorf("%d bytes did not come, the daemon says %d", n, missing)
			}
			t.Logf("%d bytes missing of %d", missing, head)
		})
	}
}
