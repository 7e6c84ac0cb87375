package integration

import (
	"encoding/json"
	"fmt"
	"os"
	osuser "os/user"
	"strings"
	"syscall"
	"testing"
)

// A deed is a line of the audit, with the fields that are promised.
type deed struct {
	Time, What, Peer, Chardev, Frontend, Client, Text, Why, Rule string

	Who      []string
	Operator bool
	Seconds  float64
	BytesIn  int `json:"bytes_in"`
	BytesOut int `json:"bytes_out"`
	Count    int
}

// audited waits for a line of the audit that is told by is, in the file of that name.
func (d *daemon) audited(file, what string, is func(deed) bool) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		text, err := os.ReadFile(d.path(file))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var one deed
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
			if one.What == what && one.Time != "" && is(one) {
				return nil
			}
		}
		return fmt.Errorf("no such %q in:\n%s", what, text)
	})
}

// Who comes, what is done, refused and by which rule, and who goes when, is in the
// audit; a file that is moved away is followed by a new one.
func TestAudit(t *testing.T) {
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	unix := "unix:" + me.Username
	v := map[string]any{"tcp": freePort(t), "tls": freePort(t), "me": unix}
	d := startDaemon(t, `
audit = "audit.log"
[[access]]
who = "@me@"
may = ["read", "write", "control"]
on = "vm"
[[access]]
who = "anyone"
may = []
on = "*"
[[chardev]]
name = "vm"
device = "sim:echo"
frontends = ["unix:front", "tcp://127.0.0.1:@tcp@", "tls://127.0.0.1:@tls@"]
  [[chardev.frontend]]
  listen = "unix:look"
  mode = "read-only"
`, v)
	d.is("vm", "up")
	const file = "audit.log"
	d.audited(file, "start", func(o deed) bool { return o.Text == d.config })
	isMe := func(o deed) bool {
		return len(o.Who) > 1 && o.Who[0] == unix && strings.Contains(o.Peer, "pid=") && o.Chardev == "vm"
	}

	w := dial(t, "unix", d.path("front"))
	w.echoes(t, "hello")
	d.audited(file, "attach", func(o deed) bool { return isMe(o) && o.Frontend == "unix:"+d.path("front") && o.Client == "1" })
	w.Close()
	d.audited(file, "detach", func(o deed) bool {
		return isMe(o) && o.Client == "1" && o.BytesIn == 5 && o.BytesOut == 5 && o.Seconds > 0 && o.Why != ""
	})

	rule := func(line int) string { return fmt.Sprintf("%s:%d:1", d.config, line) }
	tcp := dial(t, "tcp", port(v["tcp"].(int)))
	tcp.isCut(t, patience)
	d.audited(file, "refused", func(o deed) bool {
		return o.Who == nil && o.Peer == tcp.LocalAddr().String() && strings.HasPrefix(o.Frontend, "tcp:") && o.Rule == rule(9) && o.Why != ""
	})
	tls := dial(t, "tcp", port(v["tls"].(int)))
	tls.types(t, "no TLS at all")
	tls.isCut(t, patience)
	d.audited(file, "refused", func(o deed) bool {
		return o.Peer == tls.LocalAddr().String() && strings.HasPrefix(o.Frontend, "tls:") && strings.Contains(o.Why, "handshake")
	})

	look := dial(t, "unix", d.path("look"))
	look.types(t, "x")
	d.audited(file, "refused", func(o deed) bool { return isMe(o) && o.Client == "2" && o.Why == "read_only" })
	if _, stderr, code := d.cli("kick", "vm", "2"); code != 0 {
		t.Fatal(stderr)
	}
	look.isCut(t, patience)
	d.audited(file, "kick", func(o deed) bool { return isMe(o) && o.Operator && o.Text == "client 2" })
	d.audited(file, "detach", func(o deed) bool { return o.Client == "2" && strings.Contains(o.Why, "operator") })
	d.cli("log", "vm")
	d.audited(file, "api", func(o deed) bool { return isMe(o) && strings.HasSuffix(o.Text, "/chardevs/vm/log") })

	if err := os.Rename(d.path(file), d.path("old")); err != nil {
		t.Fatal(err)
	}
	stays := dial(t, "unix", d.path("front"))
	d.audited(file, "attach", func(o deed) bool { return o.Client == "3" })
	write(t, d.config, strings.Replace(d.text(t), `"read", `, "", 1))
	d.signal(t, syscall.SIGHUP)
	stays.isCut(t, patience)
	d.audited(file, "rules", func(o deed) bool { return strings.HasPrefix(o.Text, "2 ") })
	d.audited(file, "refused", func(o deed) bool { return isMe(o) && o.Client == "3" && o.Rule == rule(5) })
	d.stops()
	d.audited(file, "stop", func(deed) bool { return true })
	d.audited("old", "start", func(deed) bool { return true })
	if fi, err := os.Stat(d.path(file)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
}

// text is the daemon's config.
func (d *daemon) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
