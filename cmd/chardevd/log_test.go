package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chardevd/chardev"
)

// log answers with what was asked, so that a test sees that, and with what the
// parameter grep stands for: its matches, "broken" breaks off.
func (d *testDaemon) log(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("grep") == "refused" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(chardev.Problem{Title: "Bad Request", Status: 400, Detail: "until=1 stands before since=2"})
		return
	}
	if r.Header.Get("Accept") == "text/event-stream" {
		d.followed(w, r)
		return
	}
	w.Header().Add("Trailer", chardev.TrailerNext)
	w.Header().Add("Trailer", chardev.TrailerLost)
	w.Header().Add("Trailer", chardev.TrailerFound)
	w.Header().Add("Trailer", chardev.TrailerError)
	fmt.Fprintf(w, "%s?%s\n", r.PathValue("name"), r.URL.RawQuery)
	w.Header().Set(chardev.TrailerNext, "1234")
	w.Header().Set(chardev.TrailerLost, "56")
	w.Header().Set(chardev.TrailerFound, "1")
	switch q.Get("grep") {
	case "nothing":
		w.Header().Set(chardev.TrailerFound, "0")
	case "damaged":
		w.Header().Set(chardev.TrailerError, "journal x: input/output error")
	case "broken":
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// followed is a daemon that is followed: it cuts the connection within a line, after a
// restart sees where one goes on, and then has the chardev no longer.
func (d *testDaemon) followed(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	begin, at := "", r.Header.Get("Last-Event-ID")
	if at == "" {
		at = "10@E"
	}
	w.Header().Set("Content-Type", "text/event-stream")
	line := func(id, text string) {
		if id != "" {
			fmt.Fprintf(w, "id: %s\n", id)
		}
		if q.Get("format") == "raw" {
			data, _ := json.Marshal(map[string]any{"offset": 5, "base64": []byte(text)})
			fmt.Fprintf(w, "data: %s\n\n", data)
		} else {
			fmt.Fprintf(w, "data: %q\n\n", text)
		}
	}
	switch {
	case at == "20":
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(chardev.Problem{Status: 404, Detail: "it is gone"})
		return
	case at == "15": // a second time, what was begun comes again
		begin = "tw"
	default:
		if q.Get("format") == "raw" {
			fmt.Fprintf(w, "event: gap\nid: 11\ndata: {\"offset\":5,\"gap\":6}\n\n")
		}
		line(at, r.PathValue("name")+"?"+r.URL.RawQuery+"\n")
		line("15", "one\n")
		if q.Get("format") != "raw" {
			line("", "t")
			line("", "w")
			fmt.Fprint(w, "data: \"not whole")
		}
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	if q.Get("format") != "raw" {
		line("15", "")
		line("", begin)
		line("20", "o\n")
	} else {
		line("20", "two\n")
	}
}

// Who follows goes on where the connection broke, within a line too, until the daemon
// refuses.
func TestLogFollows(t *testing.T) {
	d := newTestDaemon(t, nil)
	const away = "chardevd: log demo: the daemon went away, or cut the connection; going on where that was when it is there\n"
	for _, c := range []struct{ args, stdout, stderr string }{
		{"-f", "demo?follow=true&format=text&lines=10\none\ntwo\n", away + away + "chardevd: log demo: it is gone\n"},
		{"-f -n 0", "demo?follow=true&format=text&since=end\none\ntwo\n", away + away + "chardevd: log demo: it is gone\n"},
		{"-f --raw --since 0", "demo?follow=true&format=raw&since=0\none\ntwo\n", "chardevd: log demo: at most 6 bytes are missing at offset 5\n" + away + away + "chardevd: log demo: it is gone\n"},
	} {
		code, stdout, stderr := chardevd(append(strings.Fields("log demo --control "+d.path), strings.Fields(c.args)...)...)
		if code != 1 || stdout != c.stdout || stderr != c.stderr {
			t.Errorf("%s: exit %d\nstdout %q\n  want %q\nstderr %q\n  want %q", c.args, code, stdout, c.stdout, stderr, c.stderr)
		}
	}
}

func TestLogs(t *testing.T) {
	t.Setenv("TZ", "UTC")
	d := newTestDaemon(t, nil)
	const help = "; see \"chardevd %s --help\"\n"
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"log demo", 0, "demo?\n", ""},
		{"log demo --since 10m --until -64KiB -n 5 -t --offsets --events -g a+ -C 2 --colour always", 0,
			"demo?colour=true&context=2&events=true&grep=a%2B&lines=5&offsets=true&since=10m&timestamps=true&until=-64KiB\n", ""},
		{"log demo --json --since 2026-11-23T01:02:03+02:00", 0, "demo?format=json&since=2026-11-23T01%3A02%3A03%2B02%3A00\n", ""},
		{"log demo --raw", 0, "demo?format=raw\n", "chardevd: log demo: at most 56 bytes of it are missing\n"},
		{"log demo -f -g refused", 1, "", "chardevd: log demo: until=1 stands before since=2\n"},
		{"log demo -g nothing", 0, "demo?grep=nothing\n", ""},
		{"log demo -g damaged", 1, "demo?grep=damaged\n", "chardevd: log demo: journal x: input/output error\n"},
		{"log demo -g refused", 1, "", "chardevd: log demo: until=1 stands before since=2\n"},
		{"log demo -g broken", 1, "-", "chardevd: log demo: daemon on unix:" + d.path + " (from --control): unexpected EOF\n"},
		{"log dmeo", 1, "", "chardevd: log dmeo: no chardev \"dmeo\"; did you mean \"demo\"?\n"},
		{"log", 2, "", "chardevd: log wants the NAME of a chardev" + help},
		{"log demo --since yesterday", 2, "", `chardevd: invalid argument "yesterday" for "--since" flag: want ` + chardev.PlaceForms + `, have "yesterday"` + help},
		{"log demo -n 0", 2, "", "chardevd: --lines 0 shows nothing of what was: give --follow, too" + help},
		{"log demo -n 0 -f --since 5m", 2, "", "chardevd: --lines 0 shows nothing of what was: leave out --since" + help},
		{"log demo -n -1", 2, "", `chardevd: invalid argument "-1" for "-n, --lines" flag: want a number from 0 on, have "-1"` + help},
		{"log demo -g (", 2, "", "chardevd: invalid argument \"(\" for \"-g, --grep\" flag: error parsing regexp: missing closing ): `(`" + help},
		{"log demo --raw --json", 2, "", "chardevd: --raw is the bytes and nothing else: leave out --json, --timestamps, --offsets and --events" + help},
		{"log demo --json -t", 2, "", "chardevd: --json has times and offsets anyway: leave out --timestamps and --offsets" + help},
		{"log demo -C 3", 2, "", "chardevd: --context is of lines that match: give --grep, too" + help},
		{"log demo -C 1001 -g x", 2, "", "chardevd: --context: want 0 to 1000 lines" + help},
		{"log demo -f --until end", 2, "", "chardevd: --follow goes on with what comes: leave out --until" + help},

		{"search panic", 0, "demo?grep=panic&names=true\nshell?grep=panic&names=true\n", ""},
		{"search panic shell -n 1 --json", 0, "shell?format=json&grep=panic&lines=1&names=true\n", ""},
		{"search panic shell demo shell", 0, "shell?grep=panic&names=true\ndemo?grep=panic&names=true\n", ""},
		{"search nothing", 1, "demo?grep=nothing&names=true\nshell?grep=nothing&names=true\n", ""},
		{"search damaged demo x", 2, "demo?grep=damaged&names=true\n", "chardevd: search demo: journal x: input/output error\nchardevd: search x: no chardev \"x\"; there is demo, shell\n"},
		{"search panic -n 0", 2, "", `chardevd: invalid argument "0" for "-n, --lines" flag: want a number above 0, have "0"` + help},
		{"search", 2, "", "chardevd: search wants a REGEXP" + help},
		{"search [", 2, "", "chardevd: error parsing regexp: missing closing ]: `[`" + help},

		{"record demo", 0, "demo?format=asciicast&size=80x24\n", ""},
		{"record demo --since 5m --size 100x30 --events", 0, "demo?events=true&format=asciicast&since=5m&size=100x30\n", ""},
		{"record demo -f", 1, "demo?follow=true&format=asciicast&since=end&size=80x24\n", "chardevd: record demo: the daemon stopped: go on with --since 1234\n"},
		{"record demo --size big", 2, "", `chardevd: invalid argument "big" for "--size" flag: want COLUMNSxROWS like 80x24, have "big"` + help},
		{"record demo -f --until end", 2, "", "chardevd: --follow goes on with what comes: leave out --until" + help},
	} {
		args := append(strings.Fields(c.args), "--control", d.path)
		code, stdout, stderr := chardevd(args...)
		want := strings.ReplaceAll(c.stderr, "%s", args[0])
		if code != c.code || c.stdout != "-" && stdout != c.stdout || stderr != want {
			t.Errorf("chardevd %s: exit %d, want %d\nstdout %q\n  want %q\nstderr %q\n  want %q", c.args, code, c.code, stdout, c.stdout, stderr, want)
		}
	}
	code, stdout, _ := chardevd("__complete", "search", "--control", d.path, "x", "demo", "s")
	if code != 0 || !strings.HasPrefix(stdout, "shell\tdown") {
		t.Errorf("completion: exit %d, %q", code, stdout)
	}
}

// A recording goes to a file that was not there.
func TestRecordToAFile(t *testing.T) {
	d := newTestDaemon(t, nil)
	file := filepath.Join(t.TempDir(), "x.cast")
	for i, want := range []string{"", "chardevd: record: " + file + " is there already: remove it, or name another file\n"} {
		if code, stdout, stderr := chardevd("record", "demo", "-o", file, "--control", d.path); code != i || stdout != "" || stderr != want {
			t.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != "demo?format=asciicast&size=80x24\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// Only whole lines are written: what is recorded may end at any byte.
func TestWholeLines(t *testing.T) {
	var b strings.Builder
	w := &wholeLines{w: &b}
	for i, step := range []struct{ in, out string }{{"", ""}, {"ab", ""}, {"c\nd", "abc\n"}, {"\n", "abc\nd\n"}, {"e\nf\ng", "abc\nd\ne\nf\n"}} {
		if n, err := w.Write([]byte(step.in)); n != len(step.in) || err != nil || b.String() != step.out {
			t.Errorf("step %d: %d, %v, %q", i, n, err, b.String())
		}
	}
}

// Without a daemon there is no other one's journal to be read instead.
func TestNoDaemonNoJournal(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	config := filepath.Join(dir, "chardev.toml")
	if err := os.WriteFile(config, []byte("state = \"s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := chardevd("log", "demo", "--control", filepath.Join(dir, "none"))
	if code != 1 || !strings.Contains(stderr, "no daemon on") || strings.Contains(stderr, "reading the journals") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for _, args := range [][]string{{"log", "demo"}, {"search", "x"}, {"record", "demo"}} {
		code, _, stderr = chardevd(args...)
		if code == 0 || !strings.HasPrefix(stderr, "chardevd: no daemon runs: reading the journals in "+dir+"/s\n") || !strings.Contains(stderr, "no such file") {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
	}
}
