package chardev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// ask makes a request at the rig's control socket, about its chardev, and returns
// the status and the answer.
func (r *lineRig) ask(method, path, body string) (int, string) {
	r.t.Helper()
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(r.dir, "control"))
		},
	}}
	q, err := http.NewRequest(method, "http://localhost/api/v1/chardevs/it"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := c.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return a.StatusCode, strings.TrimSpace(string(text))
}

// known is what a list says of the line.
func (r *lineRig) known() string {
	r.t.Helper()
	var i Info
	if _, text := r.ask("GET", "", ""); json.Unmarshal([]byte(text), &i) != nil {
		r.t.Fatal(text)
	}
	return i.Line
}

// The operator does what he likes with the line, whoever has the input.
func TestTheOperatorHasTheLine(t *testing.T) {
	r := newLineRig(t, "rfc2217+", `input = "exclusive"
frontends = ["unix:a"]
`)
	c := r.dial("unix:a")
	if _, err := c.Write([]byte("mine")); err != nil {
		t.Fatal(err)
	}
	await(t, "the client to have the input", func() bool { return r.hub.bytesIn.Load() == 4 })
	if got := r.known(); got != "" {
		t.Errorf("before anybody has asked the list knows %q", got)
	}
	const modem = `"modem":{"cts":true,"dcd":false,"dsr":false,"dtr":%v,"ri":false,"rts":%v}`
	for _, step := range []struct{ method, body, want string }{
		{"GET", "", `{"baud":9600,"mode":"8n1","flow":"none",` + fmt.Sprintf(modem, true, false) + `}`},
		{"PATCH", `{"baud":115200,"mode":"7e2"}`, `{"baud":115200,"mode":"7e2","flow":"none",` + fmt.Sprintf(modem, true, false) + `}`},
		{"PATCH", `{"flow":"rtscts","modem":{"dtr":false,"rts":true}}`, `{"baud":115200,"mode":"7e2","flow":"rtscts",` + fmt.Sprintf(modem, false, true) + `}`},
		{"PATCH", `{}`, `{"baud":115200,"mode":"7e2","flow":"rtscts",` + fmt.Sprintf(modem, false, true) + `}`},
	} {
		if status, got := r.ask(step.method, "/line", step.body); status != 200 || got != step.want {
			t.Errorf("%s %s: %d, %s\nwant %s", step.method, step.body, status, got, step.want)
		}
	}
	if got := r.known(); got != "115200e72 rtscts" {
		t.Errorf("the list says %q", got)
	}
	have, _ := r.port.Line(t.Context())
	on, _ := r.port.Modem(t.Context())
	if have.String() != "115200e72 rtscts" || on != channel.RTS|channel.CTS {
		t.Errorf("the port is set to %v, %v", have, on)
	}
	for i, body := range []string{"", `{"duration":"20ms"}`} {
		if status, got := r.ask("POST", "/break", body); status != 204 || got != "" {
			t.Errorf("a break with %q: %d, %s", body, status, got)
		}
		await(t, "the break", func() bool { return r.port.broken() == i+1 })
	}
	for kind, want := range map[string][]string{
		"line":  {"the line is set to 115200e72", "the line is set to 115200e72 rtscts", "the modem lines that are on: rts,cts"},
		"break": {", 250ms", ", 20ms"},
	} {
		got := r.events(kind)
		for i := range max(len(want), len(got)) {
			if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], "the operator unix:") || !strings.HasSuffix(got[i], want[i]) {
				t.Errorf("events %q, want %q, each with the operator", got, want)
				break
			}
		}
	}
	if got := r.events("refused"); got != nil {
		t.Errorf("refused: %q", got)
	}
}

func TestWhatTheLineRefuses(t *testing.T) {
	r := newLineRig(t, "rfc2217+", "")
	before, _ := r.port.Line(t.Context())
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/break", `{"duration":"11s"}`, "duration: want 1ms to 10s, have 11s"},
		{"POST", "/break", `{"duration":"0s"}`, "duration: want 1ms to 10s, have 0s"},
		{"POST", "/break", `{"duration":"-1s"}`, "duration: want "},
		{"POST", "/break", `{"millis":1}`, `unknown field \"millis\"`},
		{"PATCH", "/line", `{"mode":"9600n81"}`, "mode: want a mode like 8n1"},
		{"PATCH", "/line", `{"mode":"8x1"}`, "mode: want a line like"},
		{"PATCH", "/line", `{"flow":"dtr"}`, "flow: want none, rtscts or xonxoff"},
		{"PATCH", "/line", `{"baud":-1}`, "baud: want 1 to"},
		{"PATCH", "/line", `{"baud":300,"modem":{"cts":true}}`, "modem: the other side drives cts"},
		{"PATCH", "/line", `{"modem":{"bell":true}}`, "modem: want dtr, rts"},
		{"PATCH", "/line", `{"counters":{}}`, `unknown field \"counters\"`},
		{"PATCH", "/line", `{"mode":"` + strings.Repeat("8", bodyMax) + `"}`, "too large"},
	} {
		if status, got := r.ask(c.method, c.path, c.body); status != 400 || !strings.Contains(got, c.want) {
			t.Errorf("%s %s with %.100s: %d, %s; want 400 with %s", c.method, c.path, c.body, status, got, c.want)
		}
	}
	if after, _ := r.port.Line(t.Context()); after != before || r.port.broken() != 0 {
		t.Errorf("the line is set to %v, and there were %d breaks", after, r.port.broken())
	}
}

// What a port does only half is told as it is.
func TestALineThatIsSetHalf(t *testing.T) {
	r := newLineRig(t, "rfc2217+", "")
	r.port.mu.Lock()
	r.port.refuse = []int{7}
	r.port.mu.Unlock()
	if status, text := r.ask("PATCH", "/line", `{"baud":300,"mode":"7e1"}`); status != http.StatusBadGateway || !strings.Contains(text, "not set to 300e71") || !strings.Contains(text, "it is 300n81 now") {
		t.Errorf("%d: %s", status, text)
	}
	if got := r.events("line"); len(got) != 1 || !strings.Contains(got[0], "the line is set to 300n81") {
		t.Errorf("events %q", got)
	}
}

// A device without a line, and then one that is away.
func TestNoLine(t *testing.T) {
	r := newLineRig(t, "", "")
	for _, now := range []struct {
		status int
		why    string
	}{{501, "this kind of device has none"}, {409, "the device is down"}} {
		for _, c := range []struct{ method, path, body, what string }{
			{"POST", "/break", "", "it: no break was sent: "},
			{"GET", "/line", "", "it: the serial line: "},
			{"PATCH", "/line", `{"baud":300}`, "it: the line is not set: "},
			{"PATCH", "/line", `{"modem":{"dtr":true}}`, "it: the modem lines are not set: "},
		} {
			if status, got := r.ask(c.method, c.path, c.body); status != now.status || !strings.Contains(got, c.what+now.why) {
				t.Errorf("%s %s: %d, %s; want %d with %s", c.method, c.path, status, got, now.status, c.what+now.why)
			}
		}
		r.wall.Close()
		r.guest.Close()
		await(t, "the device to be down", func() bool { return r.hub.device.Load() == nil })
	}
	if got := append(r.events("break"), r.events("line")...); got != nil {
		t.Errorf("events %q", got)
	}
}

// A stuckPort is a port of this host whose adapter does not do all it should.
type stuckPort struct {
	*channel.PipeEnd
	port
}

func (*stuckPort) Modem(context.Context) (channel.ModemLines, error) {
	return 0, errors.New("modem lines: input/output error")
}

func (*stuckPort) LineCounters() (channel.LineCounters, error) {
	return channel.LineCounters{Frame: 1, CTS: 2}, nil
}

func (*stuckPort) SendBreak(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAPortThatIsStuck(t *testing.T) {
	b := newBench(t, 16<<10, "off")
	far, near := channel.Pipe(1 << 10)
	defer far.Close()
	b.wg.Add(1)
	go b.hub.session(b.ctx, channel.NewOutbox(&stuckPort{PipeEnd: near, port: port{line: channel.LineConfig{Baud: 300}}}), func(error) { b.wg.Done() })
	await(t, "the device to be up", func() bool { return b.hub.device.Load() != nil })

	info, err := b.hub.lineInfo(b.ctx)
	if err != nil || info.Baud != 300 || info.Modem != nil || info.Counters == nil || info.Counters.Frame != 1 || info.Counters.CTS != 2 || info.Error != "modem lines: input/output error" {
		t.Errorf("%+v, %v", info, err)
	}
	soon, cancel := context.WithTimeout(b.ctx, time.Millisecond)
	defer cancel()
	if err := b.hub.breakDevice(soon, theDaemon{}, time.Second); !errors.Is(err, errBreakLate) {
		t.Errorf("a break that does not begin: %v", err)
	}
	r := lineRig{hub: b.hub}
	if got := r.events("break"); got != nil {
		t.Errorf("events %q", got)
	}
}

// A break is no longer over a websocket than it is by a request.
func TestABreakEnds(t *testing.T) {
	r := newLineRig(t, "rfc2217+", `frontends = ["unix:a"]`)
	con := &console{hub: r.hub}
	var told []string
	c := &client{hub: r.hub, person: func(m Message) error { told = append(told, m.Text); return nil }}
	c.rights.Store(uint32(access.Read | access.Write | access.Control))
	for _, millis := range []string{"10001", "9223372036854775807"} {
		con.message(c, []byte(`{"type":"break","millis":`+millis+`}`))
	}
	if len(told) != 2 || !strings.Contains(told[0], "10s at most") || r.port.broken() != 0 {
		t.Errorf("told %q, %d breaks", told, r.port.broken())
	}
	if con.message(c, []byte(`{"type":"break","millis":1}`)); len(told) != 2 || r.port.broken() != 1 {
		t.Errorf("told %q, %d breaks", told, r.port.broken())
	}
}
