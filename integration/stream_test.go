package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A disk that qemu-nbd exports on a UNIX socket is read and written by qemu-img through
// TLS, with certificates on both sides; who has none gets nothing.
func TestStreamCarriesNBD(t *testing.T) {
	ca := newAuthority(t)
	dir, p := folder(t), freePort(t)
	tunnel := filepath.Join(dir, "tunnel")
	disk, socket := filepath.Join(dir, "disk"), filepath.Join(dir, "nbd")
	content := make([]byte, 8<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	write(t, disk, string(content))
	startDaemon(t, `
[credentials.guarded]
dir = "@ca@"
[[stream]]
name = "disk"
listen = "tls://127.0.0.1:@port@?credentials=guarded"
connect = "unix:@socket@"
[[stream]]
name = "tunnel"
listen = "unix:@tunnel@"
connect = "tls://localhost:@port@?credentials=guarded"
`, map[string]any{"tunnel": tunnel, "ca": ca.dir, "port": p, "socket": socket})
	start(t, program(t, "qemu-nbd"), "--persistent", "--shared=4", "-f", "raw", "-x", "disk", "-k", socket, disk)
	eventually(t, patience, func() error { _, err := os.Stat(socket); return err })

	image := "driver=nbd,export=disk,server.type=unix,server.path=" + tunnel
	copied := filepath.Join(dir, "copy")
	run(t, program(t, "qemu-img"), "convert", "--image-opts", image, "-O", "raw", copied)
	got, err := os.ReadFile(copied)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the copy is another one: %v, %d bytes", err, len(got))
	}
	run(t, program(t, "qemu-img"), "compare", "--image-opts", image, "driver=raw,file.filename="+disk)

	stranger := newAuthority(t)
	out, wrong, code := execute(t, exec.Command(program(t, "openssl"), "s_client", "-quiet", "-connect", port(p), "-CAfile", ca.file("ca-cert.pem"),
		"-cert", stranger.file("client-cert.pem"), "-key", stranger.file("client-key.pem")))
	if strings.Contains(out, "NBDMAGIC") || code == 0 {
		t.Errorf("a stranger was served: exit %d, %q, %s", code, out, wrong)
	}
}

// A guest goes on on another QEMU, its state having gone through two daemons with TLS
// between them; its console, which both print through the daemon, has no gap.
func TestStreamCarriesMigration(t *testing.T) {
	ca := newAuthority(t)
	dir, between, entry := folder(t), freePort(t), freePort(t)
	incoming := filepath.Join(dir, "incoming")
	startDaemon(t, `
[credentials.guarded]
dir = "@ca@"
[[stream]]
name = "in"
listen = "tls://127.0.0.1:@between@?credentials=guarded"
connect = "unix:@incoming@"
`, map[string]any{"ca": ca.dir, "between": between, "incoming": incoming})
	a := startDaemon(t, `
[credentials.guarded]
dir = "@ca@"
[[stream]]
name = "out"
listen = "tcp://127.0.0.1:@entry@"
connect = "tls://localhost:@between@?credentials=guarded"
[[chardev]]
name = "source"
device = { listen = "unix:source" }
[[chardev]]
name = "target"
device = { listen = "unix:target" }
`, map[string]any{"ca": ca.dir, "between": between, "entry": entry})
	source := startGuest(t, pacedImage(t), "socket,path="+a.path("source"))
	target := startGuest(t, pacedImage(t), "socket,path="+a.path("target"), "-incoming", "unix:"+incoming)
	a.is("target", "up")
	printed := func(name string) []byte {
		text, wrong, code := a.cli("log", name, "--raw", "--since", "0")
		if code != 0 {
			t.Fatalf("log of %s: %s", name, wrong)
		}
		return []byte(text)
	}
	prints := func(name string) {
		eventually(t, patience, func() error {
			if n := len(printed(name)); n < 5000 {
				return fmt.Errorf("%s has printed %d bytes", name, n)
			}
			return nil
		})
	}
	source.cont()
	prints("source")
	source.qmp("migrate", map[string]any{"uri": fmt.Sprintf("tcp:127.0.0.1:%d", entry)})
	eventually(t, patience, func() error {
		var s struct{ Status string }
		if err := json.Unmarshal(source.qmp("query-migrate", nil), &s); err != nil || s.Status != "completed" {
			return fmt.Errorf("the migration is %q, %v", s.Status, err)
		}
		return nil
	})
	target.cont()
	prints("target")
	before, after := printed("source"), printed("target")
	var c Checker
	c.Write(before)
	last := c.Lines
	c.Write(after)
	if c.Gaps+c.Repeats+c.Garbled > 0 || c.First != 0 {
		t.Errorf("%d gaps, %d repeats, %d garbled, from %08x: %v", c.Gaps, c.Repeats, c.Garbled, c.First, c.faults)
	}
	t.Logf("%d lines of the source, %d of the target", last, c.Lines-last)
}

// noVNC in a browser shows the screen of a guest, whose VNC is on a UNIX socket, and
// types.
func TestStreamCarriesVNC(t *testing.T) {
	dir, p := folder(t), freePort(t)
	vnc := filepath.Join(dir, "vnc")
	pages := httptest.NewServer(http.FileServer(http.Dir("/usr/share/novnc")))
	t.Cleanup(pages.Close)
	startDaemon(t, `
[[stream]]
name = "screen"
listen = "ws://127.0.0.1:@port@?origin=@origin@"
connect = "unix:@vnc@"
`, map[string]any{"port": p, "origin": pages.URL, "vnc": vnc})
	g := startGuest(t, echoImage(t), "null", "-vga", "std", "-monitor", "vc", "-vnc", "unix:"+vnc)
	g.cont()
	b := startBrowser(t)
	b.do(chromedp.Navigate(pages.URL + fmt.Sprintf("/vnc_lite.html?host=127.0.0.1&port=%d&path=&scale=false", p)))
	b.until(`document.getElementById("status").innerText.startsWith("Connected")`)
	b.until(`(() => { const c = document.querySelector("canvas"); if (!c || !c.width) return false;
		const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		const seen = new Set(); for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i+1] << 8 | d[i+2]);
		return seen.size > 1; })()`)

	// QEMU's monitor is the second screen, and what is typed there ends QEMU.
	b.is(`(() => {
		const canvas = document.querySelector("canvas");
		const key = (type, key, code) => canvas.dispatchEvent(new KeyboardEvent(type, {key, code, bubbles: true, cancelable: true}));
		const held = [["Control", "ControlLeft"], ["Alt", "AltLeft"], ["2", "Digit2"]];
		for (const k of held) key("keydown", ...k);
		for (const k of held.toReversed()) key("keyup", ...k);
		for (const c of "quit") { key("keydown", c, "Key" + c.toUpperCase()); key("keyup", c, "Key" + c.toUpperCase()); }
		key("keydown", "Enter", "Enter"); key("keyup", "Enter", "Enter");
	})()`)
	g.exits(t, patience)
	b.until(`!document.getElementById("status").innerText.startsWith("Connected")`)
}

// A client waits for the other side to come; a reload leaves a stream alone that is the
// same, and ends one that is another; who may not write is let in no more; the listeners
// outlive an upgrade; kick cuts one.
func TestStreamLives(t *testing.T) {
	dir := folder(t)
	config := func(second, rules string) string {
		return expand(`
[[stream]]
name = "first"
listen = "unix:@dir@/first"
connect = "unix:@dir@/other"
wait = "1m"
[[stream]]
name = "second"
listen = "unix:@dir@/second"
connect = "command:@second@"
`+rules, map[string]any{"dir": dir, "second": second})
	}
	d := startDaemon(t, config("cat", ""), nil)
	rewrite := func(text string) { write(t, d.config, "state = \"state\"\ncontrol = \"unix:control\"\n"+text) }
	come := func(name string) net.Conn {
		c, err := net.Dial("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	echoes := func(c net.Conn, text string) {
		t.Helper()
		io.WriteString(c, text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Fatalf("sent %q, got %q, %v", text, got, err)
		}
	}
	gone := func(c net.Conn) {
		t.Helper()
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("it is still there: %d, %v", n, err)
		}
	}
	does := func(args ...string) string {
		t.Helper()
		out, wrong, code := d.cli(args...)
		if code != 0 {
			t.Fatalf("%v: %s", args, wrong)
		}
		return out
	}

	waits := come("first")
	io.WriteString(waits, "early ")
	l, err := net.Listen("unix", filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	got := make([]byte, 6)
	if _, err := io.ReadFull(other, got); err != nil || string(got) != "early " {
		t.Fatalf("got %q, %v", got, err)
	}
	go io.Copy(other, other)

	changed := come("second")
	echoes(changed, "before")
	rewrite(config("cat; exit", ""))
	if out := does("reload"); !strings.Contains(out, "~ stream second") || strings.Contains(out, "first") {
		t.Errorf("the reload did %q", out)
	}
	gone(changed)
	echoes(waits, "through a reload")
	if out := does("list"); !strings.Contains(out, "first   up") || !strings.Contains(out, "second  up") {
		t.Errorf("list is\n%s", out)
	}
	for _, command := range []string{"attach", "log"} {
		if _, wrong, code := d.cli(command, "first"); code == 0 || !strings.Contains(wrong, "first is a stream, of which nothing is kept: connect to unix:") {
			t.Errorf("%s: exit code %d: %s", command, code, wrong)
		}
	}
	kicked := come("second")
	echoes(kicked, "anew")
	fields := strings.Fields(strings.Split(does("clients", "second"), "\n")[1])
	does("kick", "second", fields[0])
	gone(kicked)

	does("upgrade")
	gone(waits)
	echoes(come("second"), "after an upgrade")

	seen := come("second")
	echoes(seen, "by no rule")
	rewrite(config("cat; exit", `
[[access]]
who = "anyone"
may = ["read"]
on = "*"
`))
	does("reload")
	gone(seen)
	gone(come("second"))
}
