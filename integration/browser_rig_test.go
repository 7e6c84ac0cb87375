package integration

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/input"
	cdp "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A browser is chromium with one tab.
type browser struct {
	t   testing.TB
	ctx context.Context
}

// listens keeps what a page's terminal is given: where each piece stands and its bytes.
const listens = `window.pieces = [];
document.addEventListener("console-bytes", (e) => pieces.push({at: e.detail.at, data: e.detail.data}));`

// startBrowser starts chromium, which asks no other host and draws without a graphics
// card, so that a terminal's text is in the page. It is ended with all that it started.
func startBrowser(t testing.TB) *browser {
	t.Helper()
	var started *exec.Cmd
	alloc, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program(t, "chromium")),
		chromedp.UserDataDir(folder(t)),
		chromedp.WindowSize(1200, 800),
		chromedp.NoSandbox, // which the rest of it is not worth in a container
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-3d-apis", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			started = cmd
		}),
	)...)
	ctx, leave := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		leave()
		end()
		if started != nil && started.Process != nil {
			syscall.Kill(-started.Process.Pid, syscall.SIGKILL) // what did not go with it
		}
	})
	return newTab(t, ctx) // the browser lives as long as this context
}

func newTab(t testing.TB, ctx context.Context) *browser {
	t.Helper()
	b := &browser{t, ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	if _, err := chromedp.Call(ctx, cdp.AddScriptToEvaluateOnNewDocument, cdp.AddScriptToEvaluateOnNewDocumentParams{Source: listens}); err != nil {
		t.Fatal(err)
	}
	return b
}

// do does something in the tab, in bounded time.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
}

// is is the value of an expression in the page.
func (b *browser) is(expression string) any { b.t.Helper(); return value[any](b, expression) }

// value is the value of an expression in the page.
func value[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
	return v
}

// until waits until an expression is true in the page.
func (b *browser) until(expression string) {
	b.t.Helper()
	eventually(b.t, patience, func() error {
		if value := b.is(expression); value != true {
			return fmt.Errorf("in the page %s is %v; it shows: %v", expression, value, b.is(`document.body?.innerText.slice(0, 1500) ?? "nothing yet"`))
		}
		return nil
	})
}

// shows waits for text in the terminal.
func (b *browser) shows(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("[...document.querySelectorAll('.xterm-rows > div')].some((row) => row.textContent.includes(%q))", text))
}

// types types into what has the focus, as a phone's keyboard does.
func (b *browser) types(text string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		b.t.Fatal(err)
	}
}

// presses presses a key as a page sees it: to a key that it keeps for itself the tool
// would add a character.
func (b *browser) presses(key string) {
	b.t.Helper()
	b.is(fmt.Sprintf("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: %q, bubbles: true, cancelable: true}))", key))
}

// logsIn logs in and goes on at a path of the pages.
func (b *browser) logsIn(site, user, password, path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(site+"/login?next="+path),
		chromedp.SendKeys("#user", user), chromedp.SendKeys("#password", password+"\r"))
	b.until(fmt.Sprintf("location.pathname === %q", "/"+path))
}

// stream is what the page's terminal was given: bytes that stand together from an
// offset on, or an error that says where they do not.
func (b *browser) stream() (from int64, data []byte, err error) {
	b.t.Helper()
	all := value[struct {
		From, Torn int64
		Data       string
	}](b, `(() => {
		let text = "", next = pieces[0]?.at ?? 0, torn = -1;
		for (const {at, data} of pieces) {
			if (at !== next && torn < 0) torn = at;
			next = at + data.length;
			for (let i = 0; i < data.length; i += 4096) text += String.fromCharCode(...data.subarray(i, i + 4096));
		}
		return {From: pieces[0]?.at ?? 0, Torn: torn, Data: btoa(text)};
	})()`)
	if data, err = base64.StdEncoding.DecodeString(all.Data); err == nil && all.Torn >= 0 {
		err = fmt.Errorf("the stream is torn at offset %d", all.Torn)
	}
	return all.From, data, err
}

// A cable is a network between the browser and the daemon that can be cut.
type cable struct {
	site  string
	to    string
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
	gone  bool
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &cable{site: "http://" + l.Addr().String(), to: to, l: l}
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
		w.cut()
		w.wg.Wait()
	})
	return w
}

func (w *cable) accept() {
	for {
		near, err := w.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		if w.gone {
			near.Close()
			far.Close()
		}
		w.mu.Unlock()
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			w.wg.Go(func() {
				io.Copy(way[0], way[1])
				way[0].Close()
				way[1].Close()
			})
		}
	}
}

// cut breaks all connections there are, in the middle of whatever is under way.
func (w *cable) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	w.conns = nil
}

// axe looks for what keeps people out of the page that is shown (axe-core, by the
// rules of WCAG), and fails the test where that is serious.
func (b *browser) axe(what string) {
	b.t.Helper()
	const file = "../chardev/web/node_modules/axe-core/axe.min.js"
	script, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatalf("%v: run npm ci in chardev/web (integration/run.sh does)", err)
	}
	b.is(string(script) + "; window.findings = undefined; axe.run().then((r) => window.findings = r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')); true")
	b.until("window.findings !== undefined")
	found := b.is("findings.map((v) => v.id + ': ' + v.help + ' in ' + v.nodes.map((n) => n.html).slice(0, 3).join(' and ')).join('\\n')")
	if text, _ := found.(string); strings.TrimSpace(text) != "" {
		b.t.Errorf("%s: %s", what, text)
	}
}
