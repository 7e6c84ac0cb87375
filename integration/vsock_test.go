package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// vsockConfig has a console that is reached by vsock, and others whose devices are that
// console, in each way.
const vsockConfig = `
state = "/state"
[defaults]
log = false
[[chardev]]
name = "echo"
device = "sim:echo"
frontends = ["vsock://local:700?from=local", "tls+vsock://local:701", "ws+vsock://local:702", "ws+tls+vsock://1:703"]
[[chardev]]
name = "plain"
device = "vsock://1:700"
[[chardev]]
name = "tls"
device = "tls+vsock://local:701?verify=false"
[[chardev]]
name = "ws"
device = "ws+vsock://local:702"
[[chardev]]
name = "both"
device = "ws+tls+vsock://local:703?verify=false"
`

// A vsock connects a guest with its host, or a machine with itself, for which its kernel has
// to have vsock_loopback: Debian's has it, that of the machine that tests may not. So the
// tests of package channel run in a guest, and the daemon with it.
func TestVsockInAGuest(t *testing.T) {
	l := startLinux(t, map[string]file{
		"bin/chardevd":     {staticProgram(t, "../cmd/chardevd"), aProgram},
		"bin/channel.test": {staticTests(t, "../channel"), aProgram},
		"etc/vsock.toml":   {[]byte(vsockConfig), aPlainFile},
	})
	t.Run("channel", func(t *testing.T) {
		out := l.sh("channel.test -test.v -test.run 'Vsock|Conformance$/^vsock$'; echo exit $?")
		for _, name := range []string{"TestVsockParked", "TestVsockFrom", "TestConformance/vsock/order", "TestConformance/vsock/close_write", "TestConformance/vsock/nothing_left"} {
			if !strings.Contains(out, "--- PASS: "+name+" (") {
				t.Errorf("%s did not pass", name)
			}
		}
		if !strings.Contains(out, "\nexit 0\n") || strings.Contains(out, "NO LOCAL VSOCK") {
			t.Errorf("in the guest: %s", out)
		}
	})
	t.Run("daemon", func(t *testing.T) {
		l.sh("export CHARDEVD_CONTROL=unix:/state/control; chardevd serve -c /etc/vsock.toml >/tmp/log 2>&1 & until grep -q ^ready /tmp/log; do usleep 10000; done")
		var pid string
		ways := []string{"plain", "tls", "ws", "both"}
		echo := func(when string) {
			for _, name := range ways {
				word := name + "-" + when
				l.sh(fmt.Sprintf("until chardevd list | grep -q '^%s .* up '; do usleep 50000; done; echo %s | chardevd attach %s", name, word, name))
				l.sh(fmt.Sprintf("until chardevd log %s | grep -q %s; do usleep 50000; done", name, word))
			}
		}
		echo("first")
		pid = l.sh("pidof chardevd")
		if out := l.sh("chardevd clients echo"); strings.Count(out, "vsock:1:") != len(ways) {
			t.Errorf("the clients: %s", out)
		}
		if out := l.sh("chardevd upgrade"); !strings.HasPrefix(out, "upgraded: process "+strings.TrimSpace(pid)) {
			t.Errorf("upgrade: %s", out)
		}
		echo("second")
		if out := l.sh("chardevd log --events plain"); strings.Contains(out, "down") || !strings.Contains(out, "up") {
			t.Errorf("what goes by vsock alone is not to notice an upgrade: %s", out)
		}
		if t.Failed() {
			t.Log(l.sh("cat /tmp/log"))
		}
	})
}

// staticTests builds the tests of a package as a program for the guest.
func staticTests(t testing.TB, pkg string) []byte {
	t.Helper()
	file := filepath.Join(built, "tests-"+filepath.Base(pkg))
	cmd := exec.Command("go", "test", "-c", "-buildvcs=false", "-ldflags=-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := combined(cmd); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
