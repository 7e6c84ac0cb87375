package integration

import (
	"strings"
	"testing"
)

// The commands reach a daemon at an address of its [http], with the credentials of the
// config file that they find; what is wrong with TLS is not a daemon that is not there.
func TestCommandsOverTLS(t *testing.T) {
	t.Parallel()
	ca, p := newAuthority(t), freePort(t)
	d := startDaemon(t, `
[http]
listen = ["tls://127.0.0.1:@port@?credentials=office"]

[credentials.office]
cert = "@ca@/server-cert.pem"
key = "@ca@/server-key.pem"
ca = "@ca@/ca-cert.pem"

[[access]]
who = "token:ci"
may = ["read"]
on = "*"

[[chardev]]
name = "demo"
device = "null:"
`, map[string]any{"ca": ca.dir, "port": p})
	secret, stderr, code := execute(t, d.command("token", "add", "ci", "-c", d.config))
	if code != 0 {
		t.Fatalf("code %d, %s", code, stderr)
	}
	host := strings.Replace(port(p), "127.0.0.1", "localhost", 1)
	for _, c := range []struct {
		at     string
		code   int
		stdout string
		stderr string
	}{
		{"tls://" + host + "?credentials=office", 0, "demo", ""},
		{"https://" + host + "/?credentials=office", 0, "demo", ""},
		{"https://" + host + "/?verify=false", 0, "demo", "chardevd: tls: the server's certificate is not checked (verify=false), address tls://" + host + "?verify=false\n"},
		{"tls://" + host, 1, "", "chardevd: daemon on tls://" + host + " (from --control): tls handshake: "},
		{"tls://" + host + "?credentials=offcie", 1, "", "chardevd: tls://" + host + "?credentials=offcie: there is no [credentials.offcie] in " + d.config + "\n"},
	} {
		cmd := d.command("list", "-c", d.config, "--control", c.at)
		cmd.Env = append(cmd.Env, "CHARDEVD_TOKEN="+strings.TrimSpace(secret))
		stdout, stderr, code := execute(t, cmd)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.HasPrefix(stderr, c.stderr) || c.stderr == "" && stderr != "" || strings.Count(stderr, "\n") > 1 {
			t.Errorf("%s: code %d, %q, %q", c.at, code, stdout, stderr)
		}
	}
}
