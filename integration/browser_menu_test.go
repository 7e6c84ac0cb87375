package integration

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// awaits is the text that a promise gives.
func (b *browser) awaits(promise string) string {
	b.t.Helper()
	b.is(`(window.given = undefined, ` + promise + `.then((text) => { window.given = text; }, (e) => { window.given = String(e); }), 0)`)
	b.until("window.given !== undefined")
	return value[string](b, "window.given")
}

// What the menu of a console has: sizes, files, links to a place, and the log.
func TestBrowserMenu(t *testing.T) {
	port := freePort(t)
	dir := folder(t)
	d := newDaemon(t, dir, pagesConfig, map[string]any{"port": port, "device": "exec:stty raw -echo; i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i of the past; done; echo ready; cat >@dir@/got"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	b := startBrowser(t)
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b.logsIn(site, "alice", "a good secret", "c/vm")
	b.shows("ready")
	b.says("live")

	// A size is that of the terminal until another is chosen; people who want no motion have none.
	size := func(value, rows string) {
		t.Helper()
		b.is(fmt.Sprintf(`(() => {
			const panel = document.querySelector("#more");
			panel.showPopover();
			const sizes = document.querySelector("#size");
			sizes.value = %q;
			sizes.dispatchEvent(new Event("change"));
			panel.hidePopover();
		})()`, value))
		if rows != "" {
			b.until("document.querySelectorAll('.xterm-rows > div').length === " + rows)
		}
	}
	size("132x43", "43")
	size("80x24", "24")
	b.phone(true) // which is too small for it: the last lines are in sight, and each line from its beginning on
	size("132x43", "43")
	b.until(`(() => {
		const s = document.querySelector(".screen");
		return s.scrollHeight > s.clientHeight && s.scrollTop + s.clientHeight >= s.scrollHeight - 1
			&& s.scrollLeft === 0 && s.querySelector(".xterm").getBoundingClientRect().left >= 0;
	})()`)
	b.phone(false)
	size("fit", "")

	// A file goes line after line.
	const script = "first\nsecond <b>\n\xc3\xbcnd der Rest"
	b.is(fmt.Sprintf(`(() => {
		const click = HTMLInputElement.prototype.click;
		HTMLInputElement.prototype.click = function () {
			HTMLInputElement.prototype.click = click;
			const data = new DataTransfer();
			data.items.add(new File([%q], "a <i>script</i>.sh"));
			this.files = data.files;
			this.dispatchEvent(new Event("change"));
		};
	})()`, script))
	b.menu("Send a file")
	b.until("document.querySelector('dialog')?.textContent.includes('a <i>script</i>.sh')")
	b.looks("the file")
	b.is("document.querySelector('#pace').value = '100'")
	b.clicks("dialog button", "Send")
	b.says("sent: 3 lines")
	eventually(t, patience, func() error {
		want := strings.ReplaceAll(script, "\n", "\r")
		if got, err := os.ReadFile(d.path("got")); err != nil || string(got) != want {
			return fmt.Errorf("the guest has %q (%v), not %q", got, err, want)
		}
		return nil
	})

	// The log is a file, whole.
	got := b.awaits(`(async () => {
		const panel = document.querySelector("#more");
		panel.showPopover();
		const all = [...panel.querySelectorAll("a[download]")].map((a) => [a.download, a.href]);
		panel.hidePopover();
		const texts = await Promise.all(all.map(async ([name, href]) => name + ":" + (await (await fetch(href)).text()).slice(-200)));
		return texts.join("\n---\n");
	})()`)
	for _, want := range []string{"vm.txt:", "vm.log:", "vm.cast:", "line 300 of the past"} {
		if strings.Count(got, want) == 0 {
			t.Errorf("the downloads have no %q: %q", want, got)
		}
	}

	// A link leads to the place that was shown when it was copied.
	link := b.awaits(`(async () => {
		let copied = "";
		Object.defineProperty(navigator, "clipboard", {value: {writeText: async (text) => { copied = text; }}, configurable: true});
		const panel = document.querySelector("#more");
		panel.showPopover();
		[...panel.querySelectorAll(".item")].find((e) => e.textContent.startsWith("Copy a link")).click();
		await new Promise((next) => setTimeout(next));
		return copied;
	})()`)
	if at, err := url.Parse(link); err != nil || !strings.HasPrefix(link, site+"/c/vm") || at.Fragment+at.RawQuery == "" {
		t.Fatalf("the link is %q, %v", link, err)
	}
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(link))
	b.shows("of the past")
}

// Who may read only does not type, and neither does his terminal: not what a console asks it
// while he looks. What others have named is shown as it is.
func TestBrowserReadsOnly(t *testing.T) {
	port := freePort(t)
	dir := folder(t)
	write(t, dir+"/hostile", questions+"\r\nthe end\r\n")
	d := newDaemon(t, dir, pagesConfig+`
[[access]]
who = "user:alice"
may = "read"
on = "*"
`, map[string]any{"port": port, "device": "exec:stty raw -echo; : '<script>window.pwned=1</script><img src=x onerror=window.pwned=1>'; echo ready; while [ ! -e @dir@/go ]; do sleep 0.1; done; cat @dir@/hostile; cat >/dev/null"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	b.logsIn(site, "alice", "a good secret", "c/vm")
	b.shows("ready")
	b.says("live")
	write(t, dir+"/go", "")
	b.shows("the end")
	b.do(chromedp.Click(".screen"))
	b.types("not by me")
	// What is asked later is answered later: whatever the page has sent is there by then.
	if has := b.awaits(`fetch("../api/v1/chardevs/vm").then((r) => r.json()).then((i) => String(i.bytes_in))`); has != "0" {
		t.Errorf("%s bytes were typed by who may not", has)
	}
	if n := d.info("vm").BytesIn; n != 0 {
		t.Errorf("%d bytes were typed by who may not", n)
	}
	clean := func(where string) {
		t.Helper()
		if pwned := b.is("window.pwned === undefined && !document.querySelector('body img, body script:not([src])')"); pwned != true {
			t.Errorf("%s: a name became a part of the page", where)
		}
	}
	clean("the console")
	b.do(chromedp.Navigate(site + "/"))
	b.until("document.querySelectorAll('.list li').length === 1")
	clean("the list")

	// Who is nobody has no such console, and a way to be somebody.
	b.clicks(".account button", "Log out")
	b.until("location.pathname === '/login'")
	b.do(chromedp.Navigate(site + "/c/vm"))
	b.until("document.querySelector('h1')?.textContent === 'There is no console vm'")
	b.clicks(".missing a", "Log in")
	b.until("location.pathname === '/login'")
	b.looks("the login")
	b.do(chromedp.SendKeys("#user", "alice"), chromedp.SendKeys("#password", "a good secret\r"))
	b.shows("the end")
}
