package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"chardevd/chardev"
)

// line answers whatever is asked of a line or a break, and keeps what that was.
func (d *testDaemon) line(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.asked = append(d.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, strings.TrimPrefix(r.URL.Path, "/api/v1/chardevs/"), body)))
	d.mu.Unlock()
	switch {
	case r.PathValue("name") == "shell":
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(w, `{"detail":"shell: it has none"}`)
	case strings.HasSuffix(r.URL.Path, "/break"):
		w.WriteHeader(http.StatusNoContent)
	default:
		d.answer(w, chardev.LineInfo{
			LineSettings: chardev.LineSettings{Baud: 9600, Mode: "8n1", Flow: "none", Modem: map[string]bool{"dtr": true, "rts": false, "cts": true}},
			Counters:     &chardev.LineCounters{Frame: 1, Parity: 2, Overrun: 3, BufferOverrun: 4, Break: 5, Received: 6, Sent: 7, CTS: 8, DSR: 9, RI: 10, DCD: 11},
			OtherUser:    "process 4711 (cat)",
			Error:        "some\x1b",
		})
	}
}

const shownLine = `baud      9600
mode      8n1
flow      none
on        dtr cts
off       rts dsr ri dcd
received  bytes 6, breaks 5
sent      bytes 7
errors    framing 1, parity 2, overrun 3, buffer overrun 4
changes   cts 8, dsr 9, ri 10, dcd 11
shared    process 4711 (cat) has the port open, too, and may get some of its bytes
not told  some` + "\uFFFD\n"

func TestLineAndBreak(t *testing.T) {
	d := newTestDaemon(t, nil)
	const help = "; see \"chardevd line --help\"\n"
	for _, c := range []struct {
		args   string
		code   int
		stdout string // all of it; "-" anything
		stderr string // all of it
		asked  string
	}{
		{"break demo", 0, "", "", "POST demo/break {}"},
		{"break demo 500ms", 0, "", "", `POST demo/break {"duration":"500ms"}`},
		{"break demo 2s", 0, "", "", `POST demo/break {"duration":"2s"}`},
		{"break shell", 1, "", "chardevd: shell: it has none\n", "POST shell/break {}"},
		{"break dmeo", 1, "", "chardevd: no chardev \"dmeo\"; did you mean \"demo\"?\n", ""},
		{"line demo", 0, shownLine, "", "GET demo/line"},
		{"line demo --json", 0, "-", "", "GET demo/line"},
		{"line demo 9600,8n1", 0, shownLine, "", `PATCH demo/line {"baud":9600,"mode":"8n1"}`},
		{"line demo 115200e71 rtscts rts=on DTR=off", 0, shownLine, "", `PATCH demo/line {"baud":115200,"mode":"7e1","flow":"rtscts","modem":{"dtr":false,"rts":true}}`},
		{"line demo none", 0, shownLine, "", `PATCH demo/line {"flow":"none"}`},
		{"line demo dtr=on", 0, shownLine, "", `PATCH demo/line {"modem":{"dtr":true}}`},
		{"line shell 300", 1, "", "chardevd: shell: it has none\n", `PATCH shell/line {"baud":300}`},

		{"break", 2, "", "chardevd: break wants the NAME of a chardev; see \"chardevd break --help\"\n", ""},
		{"break demo 11s", 2, "", "chardevd: a break lasts 1ms to 10s, not 11s; see \"chardevd break --help\"\n", ""},
		{"break demo 1s 2s", 2, "", "chardevd: break does not know what to do with \"2s\"; see \"chardevd break --help\"\n", ""},
		{"line", 2, "", "chardevd: line wants the NAME of a chardev" + help, ""},
		{"line demo cts=on", 2, "", `chardevd: want dtr=on, dtr=off, rts=on or rts=off, have "cts=on"` + help, ""},
		{"line demo dtr=1", 2, "", `chardevd: want dtr=on, dtr=off, rts=on or rts=off, have "dtr=1"` + help, ""},
		{"line demo dtr=on dtr=off", 2, "", "chardevd: dtr is set twice" + help, ""},
		{"line demo 8x1", 2, "", `chardevd: want a line like 115200n81, 9600,8n1 or 8n1, have "8x1"` + help, ""},
		{"line demo 9600 300", 2, "", `chardevd: "9600 300" says the same thing twice` + help, ""},
	} {
		d.asked = nil
		code, stdout, stderr := chardevd(append(strings.Fields(c.args), "--control", d.path)...)
		if code != c.code || c.stdout != "-" && stdout != c.stdout || stderr != c.stderr {
			t.Errorf("%s: exit %d, want %d\nstdout %q, want %q\nstderr %q, want %q", c.args, code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
		if want := strings.Fields(c.asked); !slices.Equal(strings.Fields(strings.Join(d.asked, "\n")), want) {
			t.Errorf("%s: the daemon was asked %q, want %q", c.args, d.asked, c.asked)
		}
	}
}

// Names are completed, what comes behind them is not.
func TestLineAndBreakComplete(t *testing.T) {
	d := newTestDaemon(t, nil)
	for _, c := range []string{"break", "line"} {
		if _, got, _ := chardevd("__complete", c, "--control", d.path, "d"); !strings.HasPrefix(got, "demo\tup, sim:boot\n") {
			t.Errorf("%s completes to %q", c, got)
		}
	}
}
