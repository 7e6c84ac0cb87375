package integration

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// unhandy is what of a page is too small for a finger, is cut, or makes the page wider
// than the phone.
const unhandy = `(() => {
	const seen = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
	const named = (e) => e.tagName + " " + (e.getAttribute("aria-label") || e.textContent || e.id);
	const small = seen("a, button, select, input:not([type=checkbox])").filter((e) => {
		const {width, height} = e.getBoundingClientRect();
		return width < 39.5 || height < 39.5;
	});
	const cut = seen("button, .list .name, .list .state, .bar .text, .bar .said, .panel *").filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0);
	const wide = document.documentElement.scrollWidth > innerWidth ? ["the page is too wide"] : [];
	return [...small.map((e) => "too small: " + named(e)), ...cut.map((e) => "cut: " + named(e)), ...wide].join("; ");
})()`

// On a phone what is to be pressed is large enough for a finger, and what is told is
// there whole.
func TestBrowserIsForFingers(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig+`
[[chardev]]
name = "rack1-node1-with-a-name-that-is-as-long-as-a-name-may-ever-be.64"
device = "unix:@dir@/nobody-has-made-this-socket-for-the-daemon-that-dials-it"
[[chardev]]
name = "turns"
device = "exec:echo ready; cat"
input = "exclusive"
`, map[string]any{"port": port, "device": "exec:echo ready; cat"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	b.phone(true)
	handy := func(what string) {
		t.Helper()
		eventually(t, patience, func() error { // what was just shown may not be laid out yet
			if is := value[string](b, unhandy); is != "" {
				return fmt.Errorf("%s: %s", what, is)
			}
			return nil
		})
	}

	b.do(chromedp.Navigate(site + "/"))
	b.until("document.querySelector('.account a') !== null && document.querySelectorAll('.list li').length === 3")
	handy("the list of nobody")
	b.do(chromedp.Navigate(site + "/c/nope"))
	b.until("document.querySelector('.missing') !== null")
	handy("what is missing")
	b.do(chromedp.Navigate(site + "/login"))
	b.until("document.querySelector('.login') !== null")
	handy("the login")
	b.logsIn(site, "alice", "a good secret", "")
	b.until("document.querySelector('.account button') !== null && document.querySelectorAll('.list li').length === 3")
	handy("the list")

	b.do(chromedp.Navigate(site + "/c/turns"))
	b.stands("live")
	b.shows("ready")
	handy("a console")
	b.types("x")
	b.says("not sent: take the keyboard to type")
	handy("what is not sent")
	b.is("document.querySelector('#more').showPopover()")
	handy("the menu")
	b.is("document.querySelector('#more').hidePopover()")
	u := startCmd(t, d.command("attach", "turns", "--control", "unix:"+d.path("control")))
	b.until("document.querySelector('[popovertarget=people]').textContent === '2 here'")
	b.is("document.querySelector('#people').showPopover()")
	b.until("document.querySelectorAll('#people button').length === 1")
	handy("who is here")
	b.is("document.querySelector('#people').hidePopover()")
	u.stdin.Close()
	b.clicks("header button", "Find")
	b.types("ready")
	b.clicks(".find button", "Whole log")
	b.until("document.querySelectorAll('.found li').length > 0")
	handy("what is found")
	b.menu("Paste")
	b.until("document.querySelector('dialog') !== null")
	handy("a dialog")

	b.do(chromedp.Navigate(site + "/c/rack1-node1-with-a-name-that-is-as-long-as-a-name-may-ever-be.64"))
	b.until("document.querySelector('.bar .text')?.textContent.includes('no such file')")
	handy("a device that is down")
	b.width(320)
	b.until("document.querySelector('.top').offsetHeight < 60") // one row
	handy("a small phone")
	d.stops()
	b.until("document.querySelector('.bar .text').textContent.startsWith('reconnecting: ')")
	handy("a daemon that is gone")
}
