package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// An upgrade that can not be leaves everything as it was: a guest that came, a frontend that
// connects, and a client. When it can be, they go on too.
func TestUpgradeThatCanNotBe(t *testing.T) {
	t.Parallel()
	at, front := freePort(t), freePort(t)
	dir := folder(t)
	logger := listenOnce(t, "unix", dir+"/logger")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = { listen = "tcp://127.0.0.1:@at@" }
frontends = ["tcp://127.0.0.1:@front@"]
  [[chardev.frontend]]
  connect = "unix:logger"
`, map[string]any{"at": at, "front": front})
	program := d.path("program")
	put := func(text string) { // as a package does
		t.Helper()
		if text == "" {
			if out, err := exec.Command("cp", chardevd(t), program+".new").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		} else if err := os.WriteFile(program+".new", []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
	}
	put("")
	d.prefix = []string{"sh", "-c", `shift; exec ` + program + ` "$@"`, "sh"}
	d.serve()
	d.prefix = nil
	guest := dialSilent(t, "tcp", port(at))
	d.is("vm", "up")
	client := dialSilent(t, "tcp", port(front))
	sink := acceptOne(t, logger)
	d.has("vm", 2)
	round := 0
	goesOn := func() {
		t.Helper()
		round++
		text := fmt.Sprintf("round %d\n", round)
		passes(t, guest.Conn, text, client.Conn, sink)
		passes(t, client.Conn, text, guest.Conn)
		d.has("vm", 2)
	}
	goesOn()
	refused := func(want string) {
		t.Helper()
		stdout, stderr, code := d.cli("upgrade")
		if code == 0 || !strings.Contains(stdout+stderr, want) {
			t.Errorf("code %d, %s%s; want %q", code, stdout, stderr, want)
		}
		goesOn()
	}

	put("#!/bin/sh\necho this is no daemon; exit 1\n")
	refused("this is no daemon")

	put("#!/bin/sh\n") // which has nothing against it
	refused("it answers nothing")
	put("#!/bin/sh\necho sure\n")
	refused(`it answers "sure"`)

	put("") // which knows the config, that is
	good := d.text(t)
	write(t, d.config, good+"\nwhat = [")
	refused("chardev.toml")
	write(t, d.config, good)

	put("#!/bin/sh\nchmod 0 " + program + "\n" + chardevd(t) + ` "$@"` + "\n") // can follow, it says, and can not be executed
	refused("permission denied")
	refused("permission denied") // nor now, and the one before has changed nothing

	put("")
	was, printed := d.info("vm"), d.metric(`chardevd_output_bytes_total{chardev="vm"}`)
	if stdout, stderr, code := d.cli("upgrade"); code != 0 {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	now := d.info("vm")
	if was.BytesIn == 0 || now.BytesIn != was.BytesIn || was.BytesOut == 0 || now.BytesOut != was.BytesOut || !now.Since.Equal(was.Since) {
		t.Errorf("in %d, out %d, since %v; before it was %d, %d, %v", now.BytesIn, now.BytesOut, now.Since, was.BytesIn, was.BytesOut, was.Since)
	}
	if n := d.metric(`chardevd_output_bytes_total{chardev="vm"}`); n != printed {
		t.Errorf("the metric of what was printed is %v, and was %v", n, printed)
	}
	goesOn()
	for _, e := range d.info("vm").Events {
		if e.Kind == "gap" || e.Kind == "down" {
			t.Errorf("%s %s", e.Kind, e.Text)
		}
	}
}

// passes writes a text and reads it at all others.
func passes(t *testing.T, from io.Writer, text string, to ...io.Reader) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	for i, r := range to {
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Fatalf("reader %d: %q, %v; want %q", i, got, err, text)
		}
	}
}
