package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// since= at a thousand offsets, over memory, the current segment and compressed
// ones, by the log and by attach, gives exactly the bytes that were printed there;
// after a restart as well. So do all the other forms.
func TestSince(t *testing.T) {
	const half = 3<<20 + 100*pageSize // of what is printed
	const all = 2 * half
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
history = "256KiB"
log = { max_size = "1MiB", keep = 100, compress = true }
`, nil)
	p := newPrinter(t, d, "vm")
	first := d.attachAt("vm", nil)
	if err := p.prints(half); err != nil {
		t.Fatal(err)
	}
	var seen consoleCopy
	first.copyTo(t, &seen, half)
	// Between the two halves at least two of the clock's milliseconds end.
	between := time.Now().Truncate(time.Millisecond).Add(2 * time.Millisecond)
	eventually(t, patience, func() error {
		if time.Since(between) < 2*time.Millisecond {
			return fmt.Errorf("it is not yet after %v", between)
		}
		return nil
	})
	if err := p.prints(all - half); err != nil {
		t.Fatal(err)
	}
	d.at("vm", all)
	text := printed(0, all)
	lines := func(n int) int64 {
		rest := text
		for range n + 1 { // the last one ends the text
			rest = rest[:max(0, bytes.LastIndexByte(rest, '\n'))]
		}
		return int64(len(rest) + 1)
	}
	forms := map[string]int64{
		"start":      0,
		"-64KiB":     all - 64<<10,
		"-1":         all - 1,
		"-3MiB":      all - 3<<20,
		"5m":         0,
		"1lines":     lines(1),
		"200lines":   lines(200),
		"60000lines": lines(60000),
		between.UTC().Format("2006-01-02T15:04:05.000Z07:00"): half,
	}

	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	epoch := first.hello.Epoch
	check := func(t *testing.T) {
		gives := func(what string, at, want int64, have []byte) {
			t.Helper()
			if i := firstDifference(have, text[want:min(all, want+int64(len(have)))]); at != want || i >= 0 {
				t.Errorf("%s begins at %d, want %d; byte %d of %d is another", what, at, want, i, len(have))
			}
		}
		const most = 20 << 10
		for i := range 1000 {
			from := random.Int64N(all)
			to := min(all, from+1+random.Int64N(most))
			if i%2 == 0 {
				at, have := d.log("vm", query("since", from, "until", to, "epoch", epoch, "format", "raw"))
				gives(fmt.Sprintf("log since=%d until=%d", from, to), at, from, have)
				if int64(len(have)) != to-from {
					t.Errorf("log since=%d until=%d: %d bytes", from, to, len(have))
				}
				continue
			}
			a := d.attachAt("vm", query("since", from, "epoch", epoch, "read_only", true))
			var have consoleCopy
			a.copyTo(t, &have, to)
			a.conn.Close()
			gives(fmt.Sprintf("attach since=%d", from), a.hello.Offset, from, have.stretches[0].data)
			if len(a.gaps) > 0 {
				t.Errorf("attach since=%d: gaps %v", from, a.gaps)
			}
			if t.Failed() {
				return
			}
		}
		for since, want := range forms {
			at, have := d.log("vm", query("since", since, "format", "raw"))
			gives("log since="+since, at, want, have)
			if int64(len(have)) != all-want {
				t.Errorf("log since=%s: %d bytes, want %d", since, len(have), all-want)
			}
			a := d.attachAt("vm", query("since", since))
			if a.hello.Offset != want {
				t.Errorf("attach since=%s begins at %d, want %d", since, a.hello.Offset, want)
			}
			a.conn.Close()
		}
	}
	d.compressed("vm", 6)
	t.Run("running", check)
	p.Close()
	d.stops()
	d.serve()
	if i := d.info("vm"); i.Offset != all || i.Epoch != epoch {
		t.Fatalf("after a restart %+v; want offset %d and epoch %s", i, int64(all), epoch)
	}
	t.Run("restarted", check)
	d.kill()
	d.serve()
	if i := d.info("vm"); i.Offset < all || i.Epoch != epoch {
		t.Fatalf("after kill -9 %+v; want offset %d and epoch %s", i, int64(all), epoch)
	}
}
