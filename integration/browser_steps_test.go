package integration

import (
	"fmt"

	empty "github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	cdp "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What a person does on a page, and what happens to his tab.

// tab opens another tab of the same browser: with the same session.
func (b *browser) tab() *browser {
	b.t.Helper()
	ctx, leave := chromedp.NewContext(b.ctx)
	b.t.Cleanup(leave)
	return newTab(b.t, ctx)
}

// front brings the tab to the front, where it has the focus.
func (b *browser) front() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, cdp.BringToFront, empty.Empty{}); err != nil {
		b.t.Fatal(err)
	}
}

// seen tells the page that somebody looks at it, or that another tab is before it: each
// of this browser's tabs is in a window of its own.
func (b *browser) seen(is bool) {
	b.t.Helper()
	b.is(fmt.Sprintf(`Object.defineProperty(document, "hidden", {value: %t, configurable: true}); document.dispatchEvent(new Event("visibilitychange"))`, !is))
}

// clicks presses a button by what it says, when that is there and enabled.
func (b *browser) clicks(within, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`(() => {
		const e = [...document.querySelectorAll(%q)].find((e) => !e.disabled && !e.hidden && e.textContent.startsWith(%q));
		e?.click();
		return e !== undefined;
	})()`, within, text))
}

// menu chooses something of the menu of a console: it has what the page knows of the
// console when it is opened.
func (b *browser) menu(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`(() => {
		const panel = document.querySelector("#more");
		panel.showPopover();
		const item = [...panel.querySelectorAll(".item")].find((e) => e.textContent.startsWith(%q));
		if (item) item.click();
		else panel.hidePopover();
		return item !== undefined;
	})()`, text))
}

// says waits for words in the bar below the terminal.
func (b *browser) says(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("(document.querySelector('.bar')?.textContent ?? '').includes(%q)", text))
}

// sleeps freezes the tab, as a browser does with one that nobody looks at, while
// something happens.
func (b *browser) sleeps(meanwhile func()) {
	b.t.Helper()
	state := func(s cdp.SetWebLifecycleStateState) {
		b.t.Helper()
		if _, err := chromedp.Call(b.ctx, cdp.SetWebLifecycleState, cdp.SetWebLifecycleStateParams{State: s}); err != nil {
			b.t.Fatal(err)
		}
	}
	state("frozen")
	meanwhile()
	state("active")
}

// network takes the browser's network away, as far as it knows of one, or gives it back.
func (b *browser) network(on bool) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: !on, DownloadThroughput: -1, UploadThroughput: -1}); err != nil {
		b.t.Fatal(err)
	}
}

// scrolls moves what the terminal shows down by so many pixels, or up: with the wheel,
// or on a phone with a finger.
func (b *browser) scrolls(pixels float64) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, input.SynthesizeScrollGesture, input.SynthesizeScrollGestureParams{X: 150, Y: 300, YDistance: pixels, Speed: 4000}); err != nil {
		b.t.Fatal(err)
	}
}

// phone makes the tab one of a phone's, with a touch screen, or of a desk's again.
func (b *browser) phone(on bool) {
	b.t.Helper()
	width := int64(1200)
	if on {
		width = 390
	}
	b.width(width)
	if _, err := chromedp.Call(b.ctx, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: on}); err != nil {
		b.t.Fatal(err)
	}
}

// width makes the tab so many pixels wide, on a phone or at a desk by that.
func (b *browser) width(pixels int64) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: pixels, Height: 800, DeviceScaleFactor: 1, Mobile: pixels < 1000}); err != nil {
		b.t.Fatal(err)
	}
}

// scheme chooses the light or the dark colours.
func (b *browser) scheme(name string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	}); err != nil {
		b.t.Fatal(err)
	}
}

// looks has axe look at what is shown, by day and by night.
func (b *browser) looks(what string) {
	b.t.Helper()
	for _, s := range []string{"dark", "light"} {
		b.scheme(s)
		b.axe(what + ", " + s)
	}
}
