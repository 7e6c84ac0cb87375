package integration

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"

	empty "github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A page tells, where it is looked at and in the list, that a guest which is frozen has not
// taken what was typed; and no more when it goes on.
func TestBrowserOfAFrozenGuest(t *testing.T) {
	port := freePort(t)
	d, g := newEcho(t, "[http]\nlisten = [\"tcp://127.0.0.1:@port@\"]\n", map[string]any{"port": port})
	d.makes("a good secret\n", "user", "add", "alice")
	b := startBrowser(t)
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b.logsIn(site, "alice", "a good secret", "c/vm")
	b.says("live")
	b.types("before")
	b.shows("before")
	const waits = "the device has not taken all that was typed"
	g.signal(t, syscall.SIGSTOP)
	b.types("meanwhile")
	b.says(waits)
	b.do(chromedp.Navigate(site + "/"))
	b.until("document.querySelector('li .state')?.textContent === 'up, input waits'")
	b.do(chromedp.Navigate(site + "/c/vm"))
	b.says(waits)
	g.signal(t, syscall.SIGCONT)
	b.shows("meanwhile")
	b.says("live")
}

// A Linux guest boots in front of a page; somebody logs in there and reads dmesg; and
// while the guest prints and prints, the page's connection is cut and the daemon is
// started anew, again and again: what the page was given is what the journal has.
func TestBrowserOfLinux(t *testing.T) {
	if !long { // a minute; TestBrowserStays is the short form of it
		return
	}
	const rounds = 10
	port := freePort(t)
	d := newDaemon(t, folder(t), oneGuest+"[http]\nlisten = [\"tcp://127.0.0.1:@port@\"]\n", map[string]any{"port": port})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	w := newCable(t, fmt.Sprintf("127.0.0.1:%d", port))
	b := startBrowser(t)
	b.logsIn(w.site, "alice", "a good secret", "c/vm")
	b.says("waiting for the guest")
	l := bootLinux(t, map[string]file{"etc/passwd": {[]byte("root::0:0::/:/bin/sh\n"), aPlainFile}},
		"path="+d.path("vm.guest")+",reconnect=1", d.path("front"),
		"-append", "console=ttyS0 loglevel=7 panic=-1 mitigations=off nokaslr random.trust_cpu=on")
	b.has("Linux version ")
	l.shell.types(t, "while :; do login; done\n")
	b.shows("login:")
	line := func(text string) {
		t.Helper()
		b.types(text)
		b.do(chromedp.KeyEvent(kb.Enter))
	}
	line("root")
	b.shows("# ")
	line("dmesg; echo the end of $((40+2)) words")
	b.shows("the end of 42 words")
	b.do(chromedp.KeyEvent(kb.PageUp, chromedp.KeyModifiers(chromedp.ModifierShift)))
	b.until("![...document.querySelectorAll('.xterm-rows > div')].some((row) => row.textContent.includes('the end of 42'))")
	line("while :; do dmesg | tail -n 20; done")

	// A login ends with the daemon: who stays over its restarts looks on.
	if _, err := chromedp.Call(b.ctx, network.ClearBrowserCookies, empty.Empty{}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(w.site + "/c/vm"))
	b.says("live")
	grows := func() {
		t.Helper()
		n := b.is("pieces.length").(float64)
		b.until(fmt.Sprintf("pieces.length > %v + 10", n))
	}
	for i := range rounds {
		grows()
		if i%2 == 0 {
			w.cut()
			continue
		}
		d.stops()
		b.says("reconnecting")
		d.serve()
	}
	grows()
	from, data, err := b.stream()
	if err != nil {
		t.Fatal(err)
	}
	_, want := d.log("vm", query("format", "raw", "since", from, "until", from+int64(len(data))))
	if !bytes.Equal(data, want) {
		t.Errorf("the page was given %d bytes from offset %d on, and they are not the journal's %d", len(data), from, len(want))
	}
	t.Logf("%d bytes over %d broken connections", len(data), rounds)
}

// has waits for text among what the page was given.
func (b *browser) has(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("pieces.map((p) => new TextDecoder().decode(p.data)).join('').includes(%q)", text))
}
