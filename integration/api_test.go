package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"chardevd/chardev"
)

// An eventSource reads server-sent events of the daemon as a browser does: it comes
// again with the ID of the last event that it had.
type eventSource struct {
	d    *daemon
	path string
	last string // ID of the last event

	cut  context.CancelFunc
	body *bufio.Reader // nil: not connected
}

// A sseEvent is one that came.
type sseEvent struct{ kind, id, data string }

func (d *daemon) events(path string, query url.Values) *eventSource {
	e := &eventSource{d: d, path: path + "?" + query.Encode()}
	d.t.Cleanup(e.drop)
	return e
}

// drop cuts the connection, whatever is under way on it.
func (e *eventSource) drop() {
	if e.cut != nil {
		e.cut()
	}
	e.cut, e.body = nil, nil
}

func (e *eventSource) connect() error {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/api/v1/"+e.path, nil)
	if err != nil {
		cancel()
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	if e.last != "" {
		r.Header.Set("Last-Event-ID", e.last)
	}
	a, err := (&http.Client{Transport: e.d.api.Transport}).Do(r)
	if err != nil {
		cancel()
		return err
	}
	e.cut, e.body = cancel, bufio.NewReader(a.Body)
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(a.Body)
		return fmt.Errorf("%s: %s", a.Status, text)
	}
	return nil
}

// next is the next event that has data, on this connection or the next one.
func (e *eventSource) next() (sseEvent, error) {
	var v sseEvent
	for {
		if e.body == nil {
			if err := e.connect(); err != nil {
				return v, err
			}
		}
		line, err := e.body.ReadString('\n')
		if err != nil { // what is not finished does not count
			e.drop()
			return v, err
		}
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); key {
		case "event":
			v.kind = value
		case "id":
			v.id = value
		case "data":
			v.data = value
		case "":
			if v.data != "" {
				if v.id != "" {
					e.last = v.id
				}
				return v, nil
			}
		}
	}
}

// An EventSource that is cut again and again, and once by a restart of the daemon,
// while the guest prints gets what the journal has: no byte missing or twice.
func TestEventSourceResumes(t *testing.T) {
	size, cuts := int64(2<<20), 40
	if long {
		size, cuts = 64<<20, 1000
	}
	d := startDaemon(t, "[[chardev]]\nname = \"vm\"\ndevice = { listen = \"unix:vm.guest\" }\nhistory = \"64KiB\"\nlog = { max_size = \"1MiB\", keep = 1000, compress = true }\n", nil)
	p := newPrinter(t, d, "vm")
	e := d.events("chardevs/vm/log", query("follow", "true"))
	var got []byte
	reads := func(n int64) {
		t.Helper()
		for until := int64(len(got)) + n; int64(len(got)) < until; {
			v, err := e.next()
			if err != nil {
				t.Fatalf("at %d: %v", len(got), err)
			}
			var o struct {
				Offset int64
				Base64 []byte
			}
			if err := json.Unmarshal([]byte(v.data), &o); err != nil || v.kind != "" || o.Offset != int64(len(got)) || v.id != strconv.FormatInt(o.Offset+int64(len(o.Base64)), 10) {
				t.Fatalf("at %d comes %.200v, %v", len(got), v, err)
			}
			got = append(got, o.Base64...)
		}
	}
	for half := range int64(2) {
		printing := make(chan error, 1)
		go func() { printing <- p.paced(size/2, 4<<20) }()
		for range cuts / 2 {
			reads(1 + rand.Int64N(size/int64(cuts)/2))
			e.drop()
		}
		if err := <-printing; err != nil {
			t.Fatal(err)
		}
		d.at("vm", (half+1)*size/2)
		if half == 0 {
			p.Close()
			d.stops()
			d.serve()
			again := newPrinter(t, d, "vm")
			again.printed, p = p.printed, again
		}
	}
	reads(size - int64(len(got)))
	if i := firstDifference(got, printed(0, size)); i >= 0 {
		t.Errorf("byte %d is another than was printed", i)
	}
	if _, journal := d.log("vm", query("format", "raw")); !bytes.Equal(got, journal) {
		t.Errorf("the journal has %d bytes, and it got %d", len(journal), len(got))
	}
}

// curl -N shows what comes when it comes, and a reader that is stuck beside it is felt
// by nobody.
func TestCurlTails(t *testing.T) {
	d := startDaemon(t, "[[chardev]]\nname = \"vm\"\ndevice = { listen = \"unix:vm.guest\" }\nhistory = \"1MiB\"\n", nil)
	p := newPrinter(t, d, "vm")
	curl := func(args ...string) *prog {
		return startCmd(t, exec.Command(program(t, "curl"), append([]string{"-sSN", "--unix-socket", d.path("control")}, args...)...))
	}
	const log = "http://localhost/api/v1/chardevs/vm/log?follow"
	lines, stuck := curl(log), dialSilent(t, "unix", d.path("control"))
	fmt.Fprint(stuck.Conn, "GET /api/v1/chardevs/vm/log?follow&format=raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for _, text := range []string{"login: ", "root\r\n", "# "} {
		io.WriteString(p.Conn, text)
		if err := lines.out.sees(patience, strings.ReplaceAll(text, "\r", "")); err != nil {
			t.Fatal(err)
		}
	}
	lines.kill()
	begin := d.info("vm").Offset
	raw := curl(log + "&format=raw&since=" + strconv.FormatInt(begin, 10))
	const size = 8 << 20 // of which the daemon holds all for a disk that is slow
	if err := p.paced(size, 32<<20); err != nil {
		t.Fatal(err)
	}
	if !raw.out.until(patience, func(data []byte) bool { return len(data) >= size }) {
		t.Fatalf("curl got %d bytes of %d", len(raw.out.text()), size)
	}
	if i := firstDifference([]byte(raw.out.text()), printed(0, size)); i >= 0 {
		t.Errorf("byte %d is another than was printed", i)
	}
	raw.kill()
}

// The states of all consoles: as they are, and as they change.
func TestStatesOfAll(t *testing.T) {
	d := startDaemon(t, "[defaults]\nlog = false\n[[chardev]]\nname = \"vm\"\ndevice = { listen = \"unix:vm.guest\" }\nfrontends = [\"unix:front\"]\n[[chardev]]\nname = \"other\"\ndevice = \"sim:echo\"\n", nil)
	e := d.events("events", nil)
	v, err := e.next()
	var all []chardev.Summary
	if err == nil {
		err = json.Unmarshal([]byte(v.data), &all)
	}
	if err != nil || v.kind != "snapshot" || len(all) != 2 || all[0].Name != "vm" || all[0].State != "opening" || all[1].State != "up" {
		t.Fatalf("it begins with %v, %v", v, err)
	}
	until := func(what string, is func(chardev.Summary) bool) {
		t.Helper()
		for {
			v, err := e.next()
			var one chardev.Summary
			if err == nil {
				err = json.Unmarshal([]byte(v.data), &one)
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if v.kind == "chardev" && is(one) {
				return
			}
		}
	}
	p := newPrinter(t, d, "vm")
	until("the guest", func(one chardev.Summary) bool { return one.Name == "vm" && one.State == "up" })
	io.WriteString(p.Conn, "\x1b[1mboot\x1b[0m\r\nlogin: ")
	until("the last line", func(one chardev.Summary) bool { return one.LastLine == "login:" && one.Offset == 21 })
	w := dial(t, "unix", d.path("front"))
	until("a client", func(one chardev.Summary) bool { return one.Clients == 1 && strings.HasPrefix(one.Attached[0], "unix:") })
	w.Close()
	until("its end", func(one chardev.Summary) bool { return one.Clients == 0 })
	p.Close()
	until("the guest's end", func(one chardev.Summary) bool { return one.Name == "vm" && one.State == "opening" })
}

// Who asks for no messages gets the bare stream; who gives credit gets as much.
func TestAttachBareAndByCredit(t *testing.T) {
	d := startDaemon(t, "[[chardev]]\nname = \"vm\"\ndevice = { listen = \"unix:vm.guest\" }\nhistory = \"64KiB\"\n", nil)
	p := newPrinter(t, d, "vm")
	const size = 3 << 20
	credited := d.attachAt("vm", query("credit", 1000))
	w := dialSilent(t, "unix", d.path(d.control))
	answer, br := upgrade(t, w.Conn, "http://localhost/api/v1/chardevs/vm/ws", map[string]string{"Sec-WebSocket-Protocol": "other, binary"})
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Protocol") != "binary" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	d.has("vm", 2)
	printing := make(chan error, 1)
	go func() { printing <- p.prints(size) }()
	var bare []byte
	for len(bare) < size {
		op, payload, err := readFrame(w.Conn, br)
		if err != nil || op == opText {
			t.Fatalf("after %d bytes frame %d %.100q, %v", len(bare), op, payload, err)
		}
		if op == opBinary || op == 0 {
			bare = append(bare, payload...)
		}
	}
	if err := <-printing; err != nil {
		t.Fatal(err)
	}
	if i := firstDifference(bare, printed(0, size)); i >= 0 {
		t.Errorf("byte %d of the bare stream is another", i)
	}
	w.Conn.Write(frame(opText, "typed as text, "))
	w.Conn.Write(frame(opBinary, "and as bytes"))
	typed := make([]byte, len("typed as text, and as bytes"))
	if _, err := io.ReadFull(p.Conn, typed); err != nil || string(typed) != "typed as text, and as bytes" {
		t.Errorf("the guest was typed %q, %v", typed, err)
	}

	// meanwhile the other one had its credit, and not a byte more
	var seen []byte
	reads := func(want int) {
		t.Helper()
		for len(seen) < want {
			data, err := credited.next()
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, data...)
		}
		if len(seen) != want {
			t.Fatalf("it got %d bytes for a credit of %d", len(seen), want)
		}
	}
	reads(1000)
	if c := d.clients("vm"); c[0].BytesOut != 1000 || c[0].Lag != size-1000 {
		t.Errorf("it is %+v", c[0])
	}
	for len(seen) < size {
		n := min(1+rand.IntN(200<<10), size-len(seen))
		credited.conn.Write(frame(opText, fmt.Sprintf(`{"type":"credit","bytes":%d}`, n)))
		reads(len(seen) + n)
	}
	if i := firstDifference(seen, printed(0, size)); i >= 0 || len(credited.gaps) > 0 {
		t.Errorf("byte %d of who gives credit is another; gaps %v", i, credited.gaps)
	}
}

// asks sends a body to the API, which answers with a problem or nothing.
func (d *daemon) asks(path, body string) (int, chardev.Problem) {
	d.t.Helper()
	a, err := d.api.Post("http://localhost/api/v1/"+path, "application/octet-stream", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Body.Close()
	var p chardev.Problem
	if err := json.NewDecoder(a.Body).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		d.t.Fatal(err)
	}
	return a.StatusCode, p
}

// What is typed over the API reaches the guest or is refused with the reason, and a
// device is opened anew when somebody wants that, however long it has been away.
func TestTypeAndReconnect(t *testing.T) {
	port := freePort(t)
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
input = "exclusive"
frontends = ["unix:front"]
[[chardev]]
name = "far"
device = "tcp://127.0.0.1:@port@"
`, map[string]any{"port": port})
	if status, p := d.asks("chardevs/vm/input", "x"); status != 409 || p.Reason != "device_down" {
		t.Errorf("nobody is there: %d %+v", status, p)
	}
	if status, p := d.asks("chardevs/vm/reconnect", ""); status != 409 {
		t.Errorf("no guest is there: %d %+v", status, p)
	}
	guest := dial(t, "unix", d.path("vm.guest"))
	d.is("vm", "up")
	if status, p := d.asks("chardevs/vm/input", "root\r"); status != 204 {
		t.Errorf("%d %+v", status, p)
	}
	guest.sees(t, "root\r")
	w := dial(t, "unix", d.path("front"))
	w.types(t, "mine")
	guest.sees(t, "mine")
	if status, p := d.asks("chardevs/vm/input", "x"); status != 409 || p.Reason != "not_writer" {
		t.Errorf("another one has the input: %d %+v", status, p)
	}
	if status, p := d.asks("chardevs/vm/reconnect", ""); status != 202 {
		t.Errorf("%d %+v", status, p)
	}
	guest.isCut(t, patience)
	d.has("vm", 1) // clients stay
	d.is("vm", "opening")

	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if status, p := d.asks("chardevs/far/reconnect", ""); status != 202 {
		t.Errorf("%d %+v", status, p)
	}
	for range 3 {
		l.SetDeadline(time.Now().Add(patience))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		d.is("far", "up")
		if status, p := d.asks("chardevs/far/reconnect", ""); status != 202 {
			t.Errorf("%d %+v", status, p)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read %d, %v", n, err)
		}
		c.Close()
	}
}
