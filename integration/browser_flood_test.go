package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"chardevd/channel"
	"chardevd/chardev"
)

// bursts is a guest that prints @lines@ lines as fast as it can when it is let, and
// gives back what is typed meanwhile.
const bursts = "exec:stty raw -echo; (read _ <@dir@/go; seq -f '%08g of a guest that prints as fast as it can' 1 @lines@; echo THE END) & exec cat"

// types ~ again and again, and measures how long it takes until that is shown and
// painted, and how long the page paints nothing.
const measures = `window.echoes = []; window.longest = 0; window.over = false;
(() => {
	let heard;
	document.addEventListener("console-shown", (e) => { if (heard && e.detail.data.includes(0x7e)) heard(); });
	const painted = () => new Promise((done) => requestAnimationFrame(done));
	(async () => {
		for (let last = performance.now(); !over; ) {
			await painted();
			longest = Math.max(longest, performance.now() - last);
			last = performance.now();
		}
	})();
	(async () => {
		const typed = document.querySelector(".xterm-helper-textarea");
		while (!over) {
			const began = performance.now();
			const echo = new Promise((done) => heard = done);
			typed.dispatchEvent(new InputEvent("input", {data: "~", inputType: "insertText", bubbles: true}));
			await echo;
			await painted();
			echoes.push(performance.now() - began);
		}
	})();
})(); true`

// A guest at full rate: the tab goes on painting and taking keys, does not grow, and
// has every byte, as has everybody else who is attached.
func TestBrowserUnderAFlood(t *testing.T) {
	lines, others := 20_000, 4
	if long {
		lines, others = 200_000, 200 // 10 MB
	}
	dir := folder(t)
	port := freePort(t)
	if err := syscall.Mkfifo(dir+"/go", 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, dir, pagesConfig, map[string]any{"port": port, "device": strings.ReplaceAll(bursts, "@lines@", fmt.Sprint(lines))})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	b := startBrowser(t)
	b.logsIn(fmt.Sprintf("http://127.0.0.1:%d", port), "alice", "a good secret", "c/vm")
	b.says("live")
	rest := watchers(t, d, others)
	d.has("vm", 1+others)
	b.is(measures)
	b.until("echoes.length > 10")
	before := b.heap()
	b.is("echoes.length = 0; longest = 0")
	began := time.Now()
	let, err := os.OpenFile(dir+"/go", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	let.Close()
	b.shows("THE END")
	took := time.Since(began)
	b.is("over = true")
	after := b.heap()

	echo := value[[]float64](b, "echoes")
	slices.Sort(echo)
	longest := value[float64](b, "longest")
	t.Logf("%d lines in %v beside %d websockets: a key is seen after %.0f ms (median of %d), %.0f ms at most; the page painted nothing for %.0f ms at most; its heap grew from %d to %d KiB",
		lines, took.Round(time.Millisecond), others, echo[len(echo)/2], len(echo), echo[len(echo)-1], longest, before>>10, after>>10)
	if grown := after - before; grown > 100<<20 {
		t.Errorf("the tab's heap grew by %d MiB", grown>>20)
	}

	from, data, err := b.stream()
	if err != nil {
		t.Fatal(err)
	}
	_, want := d.log("vm", query("format", "raw", "since", from, "until", from+int64(len(data))))
	if string(data) != string(want) {
		t.Errorf("the page was given %d bytes from offset %d on, and they are not the journal's %d", len(data), from, len(want))
	}
	rest.have(t, d.info("vm").Offset)
}

// heap is how much memory the scripts of the page use, in bytes.
func (b *browser) heap() int64 {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, performance.Enable, performance.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	r, err := chromedp.Call(b.ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range r.Metrics {
		if m.Name == "JSHeapUsedSize" {
			return int64(m.Value)
		}
	}
	b.t.Fatal("the browser tells no heap size")
	return 0
}

// An audience is attached as a page is: with credit that it gives for what it has read.
type audience struct {
	wg   sync.WaitGroup
	read []atomic.Int64
	told []atomic.Pointer[string] // a gap or a goodbye
}

func watchers(t *testing.T, d *daemon, n int) *audience {
	t.Helper()
	c := &audience{read: make([]atomic.Int64, n), told: make([]atomic.Pointer[string], n)}
	t.Cleanup(c.wg.Wait) // when those below have closed the connections
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range n {
		under, err := channel.Dial(ctx, channel.MustParseAddress("unix:"+d.path(d.control)))
		if err != nil {
			t.Fatal(err)
		}
		ws, err := channel.WebsocketClient(ctx, under, channel.WebsocketOptions{
			Path: "/api/v1/chardevs/vm/ws?since=0&credit=262144", Protocols: []string{chardev.AttachProtocol},
			OnText: func(text []byte) {
				if s := string(text); strings.Contains(s, `"gap"`) || strings.Contains(s, `"bye"`) {
					c.told[i].Store(&s)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { under.Close() })
		c.wg.Go(func() {
			buf := make([]byte, 64<<10)
			owed := 0
			for {
				n, err := ws.Read(buf)
				c.read[i].Add(int64(n))
				if owed += n; owed > 32<<10 && err == nil {
					err = ws.SendText(fmt.Appendf(nil, `{"type":"credit","bytes":%d}`, owed))
					owed = 0
				}
				if err != nil {
					return
				}
			}
		})
	}
	return c
}

// have waits until all have read so many bytes, without a gap.
func (c *audience) have(t *testing.T, bytes int64) {
	t.Helper()
	eventually(t, 3*patience, func() error {
		for i := range c.read {
			if told := c.told[i].Load(); told != nil {
				return fmt.Errorf("websocket %d was told %s", i, *told)
			}
			if n := c.read[i].Load(); n < bytes {
				return fmt.Errorf("websocket %d has %d of %d bytes", i, n, bytes)
			}
		}
		return nil
	})
}
