package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const quietConfig = `
[[chardev]]
name = "vm"
device = "null:"
`

// admin runs one of the commands that change accounts; stdin is what it is given.
func (d *daemon) admin(stdin string, args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	p := startCmd(d.t, d.command(append(args, "-c", d.config)...))
	p.types(d.t, stdin)
	p.stdin.Close()
	code = p.exits(d.t, patience)
	return p.out.text(), p.stderr.text(), code
}

// makes is admin that must be a success.
func (d *daemon) makes(stdin string, args ...string) (stdout string) {
	d.t.Helper()
	stdout, stderr, code := d.admin(stdin, args...)
	if code != 0 {
		d.t.Fatalf("%q: exit %d: %s", args, code, stderr)
	}
	return stdout
}

// logs waits for words in a line of the daemon's log, behind what was seen before.
func (d *daemon) logs(words ...string) {
	d.t.Helper()
	for _, w := range words {
		if err := d.stderr.sees(patience, w); err != nil {
			d.t.Fatalf("the log: %v", err)
		}
	}
}

// Each change is seen by the daemon at once; what is printed is the secret and nothing
// else, and what is kept has it not.
func TestAccountCommands(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), quietConfig, nil)
	early := d.makes("", "token", "add", "early") // before there is a state folder
	d.serve()
	d.logs("new=token:early", "tokens=1 users=0")
	ci := d.makes("", "token", "add", "ci", "--expires", "90d", "--group", "build", "--group", "ops")
	d.logs("new=token:ci", "tokens=2 users=0")
	for _, secret := range []string{early, ci} {
		if len(secret) != len("cdt_")+32+1 || !strings.HasPrefix(secret, "cdt_") {
			t.Errorf("token add prints %q", secret)
		}
	}
	d.makes("correct horse\n", "user", "add", "alice", "--group", "ops")
	d.logs("new=user:alice", "users=1")
	d.makes("battery staple", "user", "passwd", "alice") // no line's end
	d.logs("new=user:alice", "gone=user:alice")

	var tokens []map[string]any
	if err := json.Unmarshal([]byte(d.makes("", "token", "list", "--json")), &tokens); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 || tokens[0]["name"] != "early" || tokens[1]["name"] != "ci" || fmt.Sprint(tokens[1]["groups"]) != "[build ops]" || tokens[1]["expires"] == nil {
		t.Errorf("token list --json: %v", tokens)
	}
	if list := d.makes("", "user", "list"); !strings.Contains(list, "alice") || !strings.Contains(list, "ops") {
		t.Errorf("user list: %s", list)
	}
	for _, c := range []struct{ args, stdin, says string }{
		{"token add ci", "", "already"},
		{"token revoke cj", "", "there is early, ci"},
		{"user add bob", "", "no password"},
		{"user add bob", "short\n", "too short"},
		{"user passwd bob", "correct horse\n", "there is alice"},
	} {
		if stdout, stderr, code := d.admin(c.stdin, strings.Fields(c.args)...); code != 1 || stdout != "" || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d, %q, %q; want %q", c.args, code, stdout, stderr, c.says)
		}
	}
	d.makes("", "user", "remove", "alice")
	d.logs("gone=user:alice", "tokens=2 users=0")
	d.makes("", "token", "revoke", "ci")
	d.logs("gone=token:ci", "tokens=1")

	err := filepath.WalkDir(d.path("state"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), strings.TrimSpace(early)) {
			t.Errorf("%s has the token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.stops()
	for _, secret := range []string{early, ci, "correct horse", "battery staple"} {
		if strings.Contains(d.stderr.text(), strings.TrimSpace(secret)) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// On a terminal a password is typed twice and not shown; ^C gives the terminal back.
func TestPasswordOnATerminal(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, folder(t), quietConfig, nil)
	before := cooked(t)
	asks := func(args ...string) *prog {
		t.Helper()
		p := startTTY(t, chardevd(t), append(args, "-c", d.config)...)
		p.sees(t, "new password for alice: ")
		return p
	}
	silent := func(p *prog) {
		t.Helper()
		if m := p.modes(t); m.Lflag&unix.ECHO != 0 {
			t.Error("the terminal echoes")
		}
	}
	p := asks("user", "add", "alice")
	silent(p)
	p.types(t, "correct horse\r")
	p.sees(t, "again: ")
	silent(p)
	p.types(t, "correct horse\r")
	p.sees(t, "user alice is made")
	if code := p.exits(t, patience); code != 0 || strings.Contains(p.out.text(), "correct") || p.modes(t) != before {
		t.Errorf("exit %d, said %q, the terminal %+v, was %+v", code, p.out.text(), p.modes(t), before)
	}

	p = asks("user", "passwd", "alice")
	p.types(t, "correct horse\r")
	p.sees(t, "again: ")
	p.types(t, "correct house\r")
	p.sees(t, "not the same")
	if code := p.exits(t, patience); code != 1 {
		t.Errorf("exit %d after two that differ", code)
	}

	for _, s := range []string{"\x03", ""} {
		p = asks("user", "passwd", "alice")
		silent(p)
		if s == "" {
			p.signal(t, syscall.SIGTERM)
		} else {
			p.types(t, s)
		}
		if code := p.exits(t, patience); code != 1 || p.modes(t) != before {
			t.Errorf("%q: exit %d, the terminal %+v, was %+v", s, code, p.modes(t), before)
		}
	}
}

// Commands at once lose nothing, those that are killed lose at most what they had not
// told yet, and the daemon never sees half a file.
func TestAccountsChangedAtOnce(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, quietConfig, nil)
	const writers, each = 4, 6
	var all sync.WaitGroup
	var mu sync.Mutex
	told := map[string]bool{}
	for w := range writers {
		all.Go(func() {
			for i := range each {
				name := fmt.Sprintf("t%d-%d", w, i)
				cmd := d.command("token", "add", name, "-c", d.config)
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				if err := cmd.Start(); err != nil {
					t.Error(err)
					continue
				}
				kill := time.AfterFunc(time.Duration(w*each+i)*4*time.Millisecond, func() { cmd.Process.Kill() })
				err := cmd.Wait()
				kill.Stop()
				if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() < 0 {
					continue // killed: it may be there or not
				} else if err != nil {
					t.Errorf("%s: %v: %s", name, err, &out)
				}
				mu.Lock()
				told[name] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	list := d.makes("", "token", "list")
	for name := range told {
		if !strings.Contains(list, "\n"+name+" ") {
			t.Errorf("%s was made and is not in the list:\n%s", name, list)
		}
	}
	d.makes("", "token", "add", "last")
	d.logs("token:last", fmt.Sprintf("tokens=%d ", strings.Count(list, "\n")))
	if log := d.stderr.text(); strings.Contains(log, "is wrong") {
		t.Errorf("the daemon saw a file that was wrong: %s", log)
	}
}
