package integration

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// stands waits for the bar to say how it is, and nothing else.
func (b *browser) stands(state string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector('.bar .text')?.textContent === %q && document.querySelector('.bar .said').textContent === ''", state))
}

// The bar says how it is, whatever else is said there for a while.
func TestBrowserTellsHowItIs(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig, map[string]any{"port": port, "device": "exec:seq 500; cat"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	b := startBrowser(t)
	b.logsIn(fmt.Sprintf("http://127.0.0.1:%d", port), "alice", "a good secret", "c/vm")
	b.shows("500")
	b.stands("live")

	b.is("Object.defineProperty(navigator, 'clipboard', {value: {writeText: async () => {}}, configurable: true}), 0")
	b.menu("Copy a link")
	b.says("the link is copied")
	if is := b.is("document.querySelector('.bar .said').matches('.trouble')"); is != false {
		t.Error("what was done is shown as a trouble")
	}
	b.clicks("header button", "Pause")
	b.says("paused")
	b.stands("paused") // when the remark is over
	b.clicks(".bar button", "Go on")
	b.stands("live")
	b.menu("Send a break")
	b.until("document.querySelector('.bar .said.trouble')?.textContent === 'no break was sent: this kind of device has none'")

	d.stops()
	b.until("document.querySelector('.bar .text').textContent.startsWith('reconnecting: ')")
	b.until("document.querySelector('.bar .said').textContent === ''")
	b.is("document.querySelector('textarea').focus()")
	b.types("x")
	b.until("document.querySelector('.bar .said.trouble')?.textContent === 'not sent'")
	b.is("document.querySelector('#people').showPopover()")
	b.until("document.querySelector('#people .wrong')?.textContent === 'the daemon does not answer'")
	b.is("document.querySelector('#people').hidePopover()")
	d.serve()
	b.until("document.querySelector('.bar .text').textContent === 'live'")
	if said := b.is("document.querySelector('.bar .said').textContent"); said != "" {
		t.Errorf("connected again, the bar says %q", said)
	}

	d.stops() // and so it is with the list: what it could not ask it asks then
	b.is("document.querySelector('.back').click()")
	b.until("document.querySelector('.list .summary')?.textContent === 'the daemon does not answer; trying again…'")
	d.serve()
	b.until("document.querySelector('.account button')?.textContent === 'Log out'")
}

// Who sees something that is past is told so, and has a way back, with a wheel and with
// a finger.
func TestBrowserLeadsBack(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig+"[[chardev]]\nname = \"off\"\ndevice = \"exec:echo ready; cat\"\ninput = \"off\"\n", map[string]any{"port": port, "device": "exec:seq -f 'line %03g' 1 500; cat"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	b.logsIn(site, "alice", "a good secret", "c/vm")
	for _, phone := range []bool{false, true} {
		b.phone(phone)
		b.shows("line 500")
		b.stands("live")
		b.scrolls(300)
		b.stands("in the past")
		b.until("document.querySelector('.bar button').getBoundingClientRect().right <= innerWidth")
		b.clicks(".bar button", "To the live end")
		b.shows("line 500")
		b.stands("live")
	}
	b.do(chromedp.Navigate(site + "/c/vm?at=1210")) // lines of 10 bytes
	b.shows("line 122")
	b.stands("in the past")
	b.looks("the past")
	b.clicks("header button", "Live")
	b.shows("line 500")
	b.stands("live")

	// A phone has keys where something may be typed.
	b.until("document.querySelector('.keys').offsetHeight > 0")
	b.do(chromedp.Navigate(site + "/c/off"))
	b.shows("ready")
	b.until("document.querySelector('.take').textContent === 'No input' && document.querySelector('.keys').offsetHeight === 0")
}

// Where nothing is, a page says so and leads to the list; and a page that was left is
// on its console no longer, until one comes back to it.
func TestBrowserFindsNothing(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig, map[string]any{"port": port, "device": "exec:echo ready; cat"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	b.logsIn(site, "alice", "a good secret", "")
	for path, says := range map[string]string{"/c/nope": "There is no console nope", "/nope": "There is nothing at /nope", "/c/": "There is nothing at /c/", "/a/b": "There is nothing at /a/b"} {
		b.do(chromedp.Navigate(site + path))
		b.until(fmt.Sprintf("document.querySelector('h1')?.textContent === %q && document.querySelectorAll('button').length === 0", says))
		b.looks(path)
		b.is("document.querySelector('a').click()")
		b.until("location.pathname === '/' && document.querySelectorAll('.list li').length === 1")
	}
	b.do(chromedp.Navigate(site + "/c/nope"))
	b.until("document.querySelector('.missing .hint')?.textContent === 'Or you may not read it.'")
	b.do(chromedp.Navigate(site + "/c/vm"))
	b.stands("live")
	b.do(chromedp.Navigate(site + "/"))
	b.until("document.querySelector('.list .people:not(.columns *)')?.textContent === ''")
	b.is("history.back()") // the page as it was is no page that loads
	b.stands("live")
}

// More windows than a browser has connections to one daemon (six, over HTTP/1.1) have each
// its console, and a list that is not looked at holds none.
func TestBrowserHasManyTabs(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig, map[string]any{"port": port, "device": "exec:echo ready; cat"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	first := startBrowser(t)
	first.logsIn(site, "alice", "a good secret", "")
	const here = "document.querySelector('.list .people:not(.columns *)')?.textContent"
	first.until(here + " === ''")
	first.seen(false)
	for range 7 {
		b := first.tab()
		b.do(chromedp.Navigate(site + "/c/vm"))
		b.stands("live")
		b.until("!document.querySelector('[popovertarget=people]').hidden") // what the daemon tells beside the bytes came, too
	}
	first.seen(true) // and comes again where somebody looks again
	first.until(here + " === '7 people'")
}
