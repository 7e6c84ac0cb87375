package integration

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// ticks is a guest that prints numbered lines for as long as it is there, and shows
// what is typed.
const ticks = `exec:(i=0; while i=$((i+1)); do echo \"tick $i of a guest that goes on — ü\"; sleep 0.01; done) & cat`

const pagesConfig = `
[http]
listen = ["tcp://127.0.0.1:@port@"]

[[chardev]]
name = "vm"
device = "@device@"
history = "64KiB"
`

// Somebody logs in, sees a console, types into it, and stays on it over broken
// connections and restarts of the daemon: what the page was given is what the journal
// has, every byte once.
func TestBrowserStays(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig, map[string]any{"port": port, "device": ticks})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	w := newCable(t, fmt.Sprintf("127.0.0.1:%d", port))
	b := startBrowser(t)
	began := time.Now()
	b.logsIn(w.site, "alice", "a good secret", "c/vm")
	b.shows("tick ")
	t.Logf("the login and the console's first text took %v", time.Since(began).Round(time.Millisecond))

	b.types("typed in a page")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("pieces.map((p) => new TextDecoder().decode(p.data)).join('').includes('typed in a page')")

	rounds := 2
	if long {
		rounds = 5
	}
	grows := func() {
		t.Helper()
		n := b.is("pieces.length").(float64)
		b.until(fmt.Sprintf("pieces.length > %v + 10", n))
	}
	b.sleeps(w.cut) // the tab, and the network meanwhile
	grows()
	b.network(false)
	b.until("document.querySelector('.bar').textContent.includes('the network is gone')")
	b.network(true)
	grows()
	for range rounds {
		w.cut()
		grows()
		d.stops()
		b.until("document.querySelector('.bar').textContent.includes('reconnecting')")
		d.serve()
		grows()
	}
	b.until("!document.querySelector('.bar').textContent.includes('connecting')")

	from, data, err := b.stream()
	if err != nil {
		t.Fatal(err)
	}
	_, want := d.log("vm", url.Values{"format": {"raw"}, "since": {fmt.Sprint(from)}, "until": {fmt.Sprint(from + int64(len(data)))}})
	if !bytes.Equal(data, want) {
		t.Errorf("the page was given %d bytes from offset %d on, and they are not the journal's %d", len(data), from, len(want))
	}
	b.axe("the terminal")
}

// The past is above what is shown, and a link leads to a place in it.
func TestBrowserLooksBack(t *testing.T) {
	port := freePort(t)
	d := startDaemon(t, pagesConfig, map[string]any{"port": port, "device": "exec:seq -f 'line %06g' 1 40000; cat"})
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	const line = len("line 000001\r\n")
	eventually(t, patience, func() error {
		if o := d.info("vm").Offset; o != int64(40000*line) {
			return fmt.Errorf("%d bytes were printed", o)
		}
		return nil
	})
	b := startBrowser(t)
	b.do(chromedp.Navigate(fmt.Sprintf("%s/c/vm?at=%d", site, 20000*line)))
	b.shows("line 020001")
	b.until("document.querySelector('.bar').textContent.includes('in the past, ')")

	// Up, above what came at first.
	eventually(t, patience, func() error {
		b.do(chromedp.DragAndDropXY(1193, 300, 1193, 5, 4))
		if first := value[string](b, `document.querySelector(".xterm-rows > div").textContent`); first > "line 013" {
			return fmt.Errorf("the first line is %q", first)
		}
		return nil
	})
	b.do(chromedp.Click(".bar button"))
	b.shows("line 040000")

	// The search finds what is in the log only, and leads there.
	b.do(chromedp.KeyEvent("f", chromedp.KeyModifiers(chromedp.ModifierCtrl, chromedp.ModifierShift)), chromedp.WaitVisible(".find input"), chromedp.SendKeys(".find input", "line 000777"))
	b.is(`[...document.querySelectorAll(".find button")].find((e) => e.textContent === "Whole log").click()`)
	b.do(chromedp.WaitVisible(".found button"), chromedp.Click(".found button"))
	b.shows("line 000777")
}

// questions are what a terminal may be asked, each of which one of them answers.
var questions = strings.Join([]string{
	"\x05", "\x1bZ", "\x1b[c", "\x1b[>c", "\x1b[=c", "\x1b[>q", "\x1b[x", // who and what it is (ENQ, DECID, DA1 to DA3, XTVERSION, DECREQTPARM)
	"\x1b[5n", "\x1b[6n", "\x1b[?6n", "\x1b[?15n", "\x1b[?25n", "\x1b[?996n", // DSR
	"\x1b]4;1;?\x07", "\x1b]10;?\x07", "\x1b]11;?\x1b\\", "\x1b]12;?\x07", "\x1b]52;c;?\x07", "\x1b]10;?;?;?\x07", // colours, the clipboard
	"\x1bP$qm\x1b\\", "\x1bP$qr\x1b\\", "\x1bP$q\"p\x1b\\", "\x1bP$q q\x1b\\", // DECRQSS
	"\x1bP+q544e;436f\x1b\\",              // XTGETTCAP
	"\x1b[?2026$p", "\x1b[4$p", "\x1b[?u", // modes: DECRQM, of the keyboard
	"\x1b[14t", "\x1b[18t", "\x1b[20t", "\x1b[21t", // sizes and titles (XTWINOPS)
}, "")

// What a console prints is shown, and does nothing else.
func TestBrowserIsNotScripted(t *testing.T) {
	hostile := strings.Join([]string{
		"\x1b]0;<script>document.title='pwned'</script>\x07", "\x1b]2;pwned\x1b\\\\", // titles
		"\x1b]52;c;cHduZWQ=\x07",                                    // the clipboard
		"\x1b]8;;javascript:window.pwned=1\x07a link\x1b]8;;\x07\n", // a link
		questions,
		"\xff\xfe\xc3\xe2\x82<img src=x onerror=window.pwned=1>\n", strings.Repeat("x", 1<<14), "\x1bc\x1b[3J", "the end\n",
	}, "")
	dir := folder(t)
	write(t, dir+"/hostile", hostile)
	port := freePort(t)
	d := newDaemon(t, dir, pagesConfig+"[[chardev]]\nname = \"other\"\ndevice = \"exec:cat\"\n", map[string]any{"port": port, "device": "exec:stty raw -echo; cat @dir@/hostile; cat >/dev/null"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	b.logsIn(site, "alice", "a good secret", "c/vm")
	b.shows("the end")
	b.until("document.querySelector('.bar').textContent.includes('live')")
	if title := b.is("document.title"); title != "vm · Consoles" {
		t.Errorf("the title is %q", title)
	}
	b.do(chromedp.Click(".screen"))
	if pwned := b.is("window.pwned === undefined && !document.querySelector('.screen img, .screen script')"); pwned != true {
		t.Error("the console's output became a part of the page")
	}
	// What a person types stands behind whatever the terminal would have answered.
	b.types("ok")
	eventually(t, patience, func() error {
		if n := d.info("vm").BytesIn; n < int64(len("ok")) {
			return fmt.Errorf("%d bytes were typed", n)
		}
		return nil
	})
	if n := d.info("vm").BytesIn; n != int64(len("ok")) {
		t.Errorf("%d bytes were typed by nobody", n-int64(len("ok")))
	}
	if n := d.info("other").BytesIn; n != 0 {
		t.Errorf("%d bytes were typed into another console", n)
	}
}

// Hundreds of consoles are a list that comes at once and is for the keyboard.
func TestBrowserLists(t *testing.T) {
	const consoles = 300
	port := freePort(t)
	var config strings.Builder
	fmt.Fprintf(&config, "[http]\nlisten = [\"tcp://127.0.0.1:%d\"]\n[defaults]\nlog = false\n", port)
	for i := range consoles {
		fmt.Fprintf(&config, "[[chardev]]\nname = \"rack%d-node%03d\"\ndevice = \"null:\"\n", i/40, i)
	}
	d := startDaemon(t, config.String()+"[[chardev]]\nname = \"talker\"\ndevice = \"exec:echo '<b>says</b> hello'; cat\"\n", nil)
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	began := time.Now()
	b.do(chromedp.Navigate(site + "/"))
	b.until(fmt.Sprintf("document.querySelectorAll('.list li').length === %d", consoles+1))
	t.Logf("%d consoles were shown after %v", consoles+1, time.Since(began).Round(time.Millisecond))
	b.until("[...document.querySelectorAll('.last')].some((e) => e.textContent === '<b>says</b> hello')")
	b.axe("the list")

	b.presses("/")
	b.until("document.activeElement.id === 'filter'")
	b.do(chromedp.SendKeys("#filter", "rack3"))
	b.until("document.querySelectorAll('.list li:not([hidden])').length === 40")
	b.presses("ArrowDown")
	b.presses("j")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("location.pathname === '/c/rack3-node121'")
	b.do(chromedp.NavigateBack())
	b.until(fmt.Sprintf("document.querySelectorAll('.list li').length === %d", consoles+1))
	b.until("document.activeElement.getAttribute('href') === 'c/rack3-node121'")

	// Who moves up sees where he is: the header stays at the top, and covers nothing of it.
	b.is("document.querySelectorAll('.list li a')[60].focus()")
	for range 40 {
		b.presses("k")
		b.until("document.activeElement.getBoundingClientRect().top >= document.querySelector('.list > header').getBoundingClientRect().bottom")
	}

	// It lives: who attaches is seen.
	u := startCmd(t, d.command("attach", "talker", "--control", "unix:"+d.path("control")))
	b.until("[...document.querySelectorAll('.list li')].some((e) => e.textContent.includes('talker') && e.textContent.includes('1 person'))")
	u.stdin.Close()
	b.until("![...document.querySelectorAll('.list li')].some((e) => e.textContent.includes('1 person'))")

	b.do(chromedp.Navigate(site + "/login"))
	b.until("document.querySelector('.login') !== null")
	b.axe("the login")
	b.do(chromedp.SendKeys("#user", "alice\r")) // nothing is asked of the daemon, which would count it as a guess
	b.until("document.activeElement.id === 'password' && document.querySelector('.wrong').textContent === ''")
	b.do(chromedp.SendKeys("#password", "a wrong secret\r"))
	b.until("document.querySelector('.wrong').textContent.startsWith('User and password do not fit')")
}
