package integration

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// Two people on one console: the keyboard is taken, asked for, given, taken away and let
// go, and is lost by who does nothing. Who has it not types nothing.
func TestBrowserHandsOver(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), `
[http]
listen = ["tcp://127.0.0.1:@port@"]
[defaults]
input = "exclusive"
[[chardev]]
name = "vm"
device = "sim:echo"
[[chardev]]
name = "lull"
device = "sim:echo"
writer_idle = "1s"
`, map[string]any{"port": port})
	d.makes("a good secret\n", "user", "add", "alice")
	d.makes("another secret\n", "user", "add", "bob")
	d.serve()
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	a := startBrowser(t)
	a.logsIn(site, "alice", "a good secret", "c/vm")
	a.says("live")
	a.types("early")
	a.says("take the keyboard to type")
	a.clicks(".take", "Take the keyboard")
	a.says("you have the keyboard")
	a.types("one ")
	a.shows("one ")

	b := a.tab()
	b.do(chromedp.Navigate(site + "/c/vm"))
	b.clicks(".take", "alice types")
	a.clicks(".take", "Give it to alice")
	b.says("you have the keyboard")
	a.says("alice has the keyboard now")
	b.front()
	b.is("document.querySelector('textarea').focus()")
	b.types("two ")
	b.shows("one two ")
	a.clicks(".keyboard .quiet", "Take it away")
	a.front()
	a.looks("a question")
	a.clicks("dialog button", "Take it")
	b.says("alice has the keyboard now")
	a.clicks(".take", "Release the keyboard")
	b.until("document.querySelector('.take').textContent === 'Take the keyboard'")

	a.do(chromedp.Navigate(site + "/c/lull"))
	a.clicks(".take", "Take the keyboard")
	a.says("did not use it for 1s")
	a.until("document.querySelector('.take').textContent === 'Take the keyboard'")
	if n := d.info("vm").BytesIn; n != int64(len("one two ")) {
		t.Errorf("%d bytes were typed, not those of who had the keyboard", n)
	}
}

// The line of a serial device is seen and changed on the page, and a break is sent.
func TestBrowserMindsTheLine(t *testing.T) {
	port, far := freePort(t), freePort(t)
	server := start(t, program(t, "/usr/bin/python3"), "serialserver.py", fmt.Sprint(far))
	if err := server.stderr.sees(patience, "TCP/IP port"); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, folder(t), pagesConfig, map[string]any{"port": port, "device": fmt.Sprintf("rfc2217://127.0.0.1:%d", far)})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	d.is("vm", "up")
	b := startBrowser(t)
	b.logsIn(fmt.Sprintf("http://127.0.0.1:%d", port), "alice", "a good secret", "c/vm")
	b.says("live")
	b.menu("Serial line…")
	b.until("document.querySelector('#baud')?.value === '9600'")
	b.looks("the serial line")
	b.is(`document.querySelector("#baud").value = 19200; document.querySelector("#mode").value = "7e2"; document.querySelector("[name=rts]").checked = false`)
	b.clicks("dialog button", "Set")
	for _, w := range []string{"set baud rate: 19200", "set data size: 7", "changed RTS to inactive"} {
		if err := server.stderr.sees(patience, w); err != nil {
			t.Error("the server: ", err)
		}
	}
	b.says("the line is 19200 7e2")
	b.menu("Send a break")
	b.says("a break was sent")
	if e := d.info("vm").Events; e[len(e)-1].Kind != "break" {
		t.Errorf("the last event is %+v", e[len(e)-1])
	}
}

// More than a line is pasted only when it was looked at, and as slowly as is wanted.
func TestBrowserMindsWhatIsPasted(t *testing.T) {
	port := freePort(t)
	d := newDaemon(t, folder(t), pagesConfig, map[string]any{"port": port, "device": "exec:stty raw -echo; echo ready; cat >@dir@/got"})
	d.makes("a good secret\n", "user", "add", "alice")
	d.serve()
	b := startBrowser(t)
	b.logsIn(fmt.Sprintf("http://127.0.0.1:%d", port), "alice", "a good secret", "c/vm")
	b.shows("ready")
	b.says("live")
	got := func(want string) {
		t.Helper()
		eventually(t, patience, func() error {
			if data, err := os.ReadFile(d.path("got")); err != nil || string(data) != want {
				return fmt.Errorf("the guest has %q (%v), not %q", data, err, want)
			}
			return nil
		})
	}
	paste := func(text string) {
		t.Helper()
		b.is(fmt.Sprintf(`(() => {
			const data = new DataTransfer();
			data.setData("text/plain", %q);
			document.querySelector("textarea").dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
		})()`, text))
	}
	paste("a part of a line")
	got("a part of a line")
	const two = "rm -r <b>x</b>\necho two\n"
	paste(two)
	b.until("document.querySelector('dialog pre').textContent.includes('<b>x</b>')")
	b.looks("the paste")
	b.clicks("dialog button", "Cancel")
	b.until("document.activeElement === document.querySelector('.xterm-helper-textarea')")
	paste(two)
	b.until("document.querySelector('dialog') !== null")
	b.is("document.querySelector('#pace').value = '20'")
	b.clicks("dialog button", "Send")
	b.says("sent: 2 lines")
	got("a part of a linerm -r <b>x</b>\recho two\r")

	// The other dialogs and panels, for those who do not see them.
	b.menu("Paste…")
	b.looks("the box to paste into")
	b.clicks("dialog button", "Cancel")
	for _, panel := range []string{"more", "people"} {
		b.is(fmt.Sprintf("document.querySelector('[popovertarget=%s]').click()", panel))
		b.until(fmt.Sprintf("document.querySelector('#%s:popover-open')?.childElementCount > 0", panel))
		b.looks("the panel " + panel)
		b.is(fmt.Sprintf("document.querySelector('#%s').hidePopover()", panel))
	}
	b.clicks("header button", "Find")
	b.looks("the search")
}
