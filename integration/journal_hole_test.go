package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"chardevd/chardev"
)

// holeTold is what everybody is told who comes over offsets of which a daemon that was
// killed has said nothing.
const holeTold = "at most %d bytes are missing%s: the daemon was killed or crashed"

// After kill -9 the last words are still the last: whoever asks for so much of the past is
// given what was printed before and since, and told once what may be missing between. It
// is nobody's loss, and stays what it is over restarts, another kill, and in sealed and
// compressed files.
func TestTheLastWordsOfAKilledDaemon(t *testing.T) {
	t.Parallel()
	const first, second, asked = 100_000, 2000, 8 << 10
	d := startDaemon(t, oneGuest+`
log = { max_size = "64KiB", keep = 100, compress = true }
  [[chardev.frontend]]
  listen = "unix:replayed"
  replay = "8KiB"
  on_lag = "close"
`, nil)
	kill := func(words int64) { // when all is in the file
		t.Helper()
		eventually(t, patience, func() error {
			data, err := os.ReadFile(d.current("vm"))
			if last := printed(words-100, words); err != nil || !bytes.HasSuffix(data, last) {
				return fmt.Errorf("the last 100 of %d bytes are not written: %v", words, err)
			}
			return nil
		})
		d.kill()
		d.serve()
	}
	p := newPrinter(t, d, "vm")
	if err := p.prints(first); err != nil {
		t.Fatal(err)
	}
	kill(first)
	kill(first) // before anything came
	start := d.info("vm").Offset
	if start <= first {
		t.Fatalf("it goes on at %d, and offsets up to %d were given out", start, first)
	}

	check := func(t *testing.T, since int64) {
		t.Helper()
		head := d.info("vm").Offset
		want := append(printed(first-asked+since, first), printed(start, start+since)...)
		size := start - first

		a := d.attachAt("vm", query("since", fmt.Sprintf("-%d", asked)))
		var have consoleCopy
		a.copyTo(t, &have, start+since)
		if a.hello.Offset != first-asked+since || len(a.gaps) != 1 || a.gaps[0] != (gap{first, start}) {
			t.Errorf("attach begins at %d with the gaps %v; want %d and one from %d to %d", a.hello.Offset, a.gaps, first-asked+since, first, start)
		}
		var all []byte
		for _, s := range have.stretches {
			all = append(all, s.data...)
		}
		if i := firstDifference(all, want); i >= 0 {
			t.Errorf("attach gives %d bytes, want %d; byte %d is another", len(all), len(want), i)
		}
		a.conn.Close()

		front := dialSilent(t, "unix", d.path("replayed"))
		replayed := make([]byte, len(want))
		if _, err := io.ReadFull(front, replayed); err != nil {
			t.Error(err)
		}
		if i := firstDifference(replayed, want); i >= 0 {
			t.Errorf("of what is replayed byte %d is another", i)
		}
		front.Close()

		at, raw := d.log("vm", query("since", fmt.Sprintf("-%d", asked), "format", "raw"))
		if i := firstDifference(raw, want); i >= 0 || at != first-asked+since {
			t.Errorf("the log begins at %d and has %d bytes, byte %d is another", at, len(raw), i)
		}
		told := fmt.Sprintf("[gap: "+holeTold+"]\n", size, fmt.Sprintf(" at offset %d", first))
		if _, text := d.log("vm", query("since", "-8KiB")); strings.Count(string(text), told) != 1 || strings.Count(string(text), "[gap") != 1 {
			t.Errorf("the log does not tell once %q:\n%s", told, text)
		}
		told = fmt.Sprintf("[chardevd: "+holeTold+"]\n", size, " here")
		if out, notices, _ := d.cli("attach", "vm", "--since", "-8KiB"); out != string(want) || strings.Count(notices, told) != 1 || strings.Count(notices, "missing") != 1 {
			t.Errorf("chardevd attach prints %d bytes and tells %q, not once %q", len(out), notices, told)
		}
		_, page := d.page("/metrics")
		counted := regexp.MustCompile(`(?m)^chardevd_(dropped_bytes_total|frontend_gap_bytes_total)\{.*\} [^0]`)
		if lost := counted.FindString(page); lost != "" || !strings.Contains(page, "\nchardevd_dropped_bytes_total{") {
			t.Errorf("it is counted as a loss: %s", lost)
		}
		if now := d.info("vm").Offset; now != head {
			t.Errorf("the head went from %d to %d", head, now)
		}
	}
	t.Run("before more comes", func(t *testing.T) { check(t, 0) })
	p = newPrinter(t, d, "vm")
	p.printed = start
	if err := p.prints(second); err != nil {
		t.Fatal(err)
	}
	d.at("vm", start+second)
	t.Run("since", func(t *testing.T) { check(t, second) })
	p.Close()
	d.stops()
	d.serve()
	t.Run("restarted", func(t *testing.T) { check(t, second) })

	// Another kill, and so much that the holes are in sealed files.
	p = newPrinter(t, d, "vm")
	p.printed = start + second
	kill(start + second)
	again := d.info("vm").Offset
	if again <= start+second {
		t.Fatalf("it goes on at %d, and offsets up to %d were given out", again, start+second)
	}
	p = newPrinter(t, d, "vm")
	p.printed = again
	if err := p.prints(first); err != nil {
		t.Fatal(err)
	}
	d.at("vm", again+first)
	d.compressed("vm", 3)
	d.stops()
	d.serve()
	if at, have := d.log("vm", query("since", fmt.Sprintf("-%d", first+second+1), "format", "raw")); at != first-1 ||
		!bytes.Equal(have, append(append(printed(first-1, first), printed(start, start+second)...), printed(again, again+first)...)) {
		t.Errorf("the log over both holes begins at %d, want %d, and has %d bytes", at, first-1, len(have))
	}
	var full struct{ Holes []chardev.Hole }
	if err := d.get("/chardevs/vm", &full); err != nil || len(full.Holes) != 2 || full.Holes[0].From != first || full.Holes[0].To != start || full.Holes[1].To != again {
		t.Errorf("the holes are %+v, %v", full.Holes, err)
	}
	d.stops()
	out, _, code := d.offline("log", "vm", "--raw", "--since", "-8KiB", "--until", fmt.Sprint(again))
	if code == 0 {
		t.Errorf("until stands before since, and %d bytes are given", len(out))
	}
	out, notices, _ := d.offline("log", "vm", "--since", fmt.Sprint(first-100))
	if n := strings.Count(out, ": the daemon was killed or crashed]\n"); n != 2 {
		t.Errorf("without a daemon %d holes are told: %s", n, notices)
	}
}

// A page goes back over what a daemon that was killed left.
func TestBrowserLooksBackOverAKill(t *testing.T) {
	port := freePort(t)
	d := startDaemon(t, pagesConfig, map[string]any{"port": port, "device": "exec:seq -f 'line %06g' 1 20000; cat"})
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	const line = int64(len("line 000001\r\n"))
	d.at("vm", 20000*line)
	eventually(t, patience, func() error {
		if data, err := os.ReadFile(d.current("vm")); err != nil || !bytes.HasSuffix(data, []byte("line 020000\r\n")) {
			return fmt.Errorf("not all is written: %v", err)
		}
		return nil
	})
	d.kill()
	d.serve()
	start := d.info("vm").Oldest
	eventually(t, patience, func() error {
		var full struct{ Holes []chardev.Hole }
		if err := d.get("/chardevs/vm", &full); err != nil || len(full.Holes) != 1 {
			return fmt.Errorf("the holes are %+v, %v", full.Holes, err)
		}
		start = full.Holes[0].To
		return nil
	})
	d.at("vm", start+20000*line)

	b := startBrowser(t)
	flagged := "[...document.querySelectorAll('.flag-gap')].some((e) => e.title.includes('missing here: the daemon was killed or crashed'))"
	// A place behind it is shown with what was before, and so is one in it.
	for _, at := range []int64{start + line, start - 1000} {
		b.do(chromedp.Navigate(fmt.Sprintf("%s/c/vm?at=%d", site, at)))
		b.shows("line 020000")
		b.shows("line 000001")
		b.until(flagged)
	}
	// Up from a page behind it.
	b.do(chromedp.Navigate(fmt.Sprintf("%s/c/vm?at=%d", site, start+8000*line)))
	b.shows("line 008001")
	eventually(t, patience, func() error {
		b.do(chromedp.DragAndDropXY(1193, 300, 1193, 5, 4))
		if first := value[string](b, `document.querySelector(".xterm-rows > div").textContent`); first < "line 012" || first > "line 020" {
			return fmt.Errorf("the first line is %q", first)
		}
		return nil
	})
}
