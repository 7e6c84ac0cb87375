package integration

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Who has only a keyboard gets out of the terminal, and is told how; where nothing that is
// typed goes anywhere, by Tab as anywhere else.
func TestBrowserIsLeftByKeys(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig+"[[chardev]]\nname = \"turns\"\ndevice = \"exec:echo ready; cat\"\ninput = \"exclusive\"\n", map[string]any{"port": port, "device": "exec:echo ready; cat"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	b := startBrowser(t)
	tab := func(modifiers ...chromedp.KeyOption) {
		t.Helper()
		b.do(chromedp.KeyEvent(kb.Tab, modifiers...))
	}
	shift := chromedp.KeyModifiers(chromedp.ModifierShift)
	inTerminal := func(told bool) {
		t.Helper()
		b.until(`document.activeElement.matches(".xterm textarea")`)
		b.until(fmt.Sprintf(`document.getElementById(document.activeElement.getAttribute("aria-describedby")).checkVisibility() &&
			document.querySelector(".bar .leaving").textContent.includes("Ctrl+Shift+F") === %t`, told))
	}

	b.logsIn(site, "alice", "a good secret", "c/vm")
	b.stands("live")
	inTerminal(true)
	tab()
	inTerminal(true)
	b.do(chromedp.KeyEvent("f", chromedp.KeyModifiers(chromedp.ModifierCtrl, chromedp.ModifierShift)))
	b.until(`document.activeElement.matches(".find input")`)
	b.types("ready") // where it is found is another place than all others where it is
	b.until(`[...document.querySelectorAll(".xterm-rows span")].some((e) => getComputedStyle(e).backgroundColor === "rgb(240, 169, 46)")`)
	tab(shift)
	b.until(`document.activeElement.matches(".top button")`)

	b.do(chromedp.Navigate(site + "/c/turns"))
	b.stands("live")
	inTerminal(false)
	tab(shift)
	b.until(`document.activeElement.matches(".top button")`)
	b.is(`document.querySelector(".take").focus()`)
	b.do(chromedp.KeyEvent(kb.Enter))
	inTerminal(true)
	tab()
	inTerminal(true)
}
