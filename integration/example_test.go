package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The example config runs as it is, says how each frontend is reached, and what
// it says leads to a prompt. In a network of its own, as its ports are fixed.
func TestExampleConfig(t *testing.T) {
	text, err := os.ReadFile("../chardev.toml")
	if err != nil {
		t.Fatal(err)
	}
	n := newNamespace(t)
	d := newDaemon(t, folder(t), "", nil)
	write(t, d.config, string(text))
	d.control = "state/control"
	d.prefix = n.enter()
	d.serve()
	said := d.out.text()
	for _, want := range []string{"nc 127.0.0.1 7001", "openssl s_client -quiet -connect 127.0.0.1:7002", "ws://127.0.0.1:7003", "picocom ", "UNIX-CONNECT:", "chardevd attach demo"} {
		if !strings.Contains(said, want) {
			t.Errorf("serve does not print %q:\n%s", want, said)
		}
	}

	inside := func(name string, args ...string) *prog {
		enter := append(n.enter(), append([]string{program(t, name)}, args...)...)
		return startCmd(t, exec.Command(enter[0], enter[1:]...))
	}
	for name, reach := range map[string]func() *prog{
		"tcp":  func() *prog { return inside("socat", "STDIO", "TCP:127.0.0.1:7001") },
		"tls":  func() *prog { return inside("openssl", "s_client", "-quiet", "-connect", "127.0.0.1:7002") },
		"unix": func() *prog { return start(t, program(t, "socat"), "STDIO", "UNIX-CONNECT:"+d.path("state/demo.sock")) },
		"pty": func() *prog {
			return startTTY(t, program(t, "picocom"), "--quiet", "--nolock", d.path("state/demo.pty"))
		},
		"attach": func() *prog { return startTTY(t, chardevd(t), "attach", "demo", "-c", d.config) },
	} {
		p := reach()
		p.name = name
		d.has("demo", 1) // no keystroke before it is attached
		if name == "attach" {
			p.sees(t, "attached")
		}
		p.types(t, "help\r")
		p.sees(t, "help\r\n")
		p.sees(t, "demo# ")
		if name == "attach" {
			p.types(t, "\r~.")
			p.exits(t, patience)
		} else {
			p.kill()
		}
		d.has("demo", 0)
	}

	shell := startTTY(t, chardevd(t), "attach", "shell", "-c", d.config)
	shell.sees(t, "attached")
	shell.types(t, "echo $((6*7))\r")
	shell.sees(t, "\r\n42\r\n")
	shell.types(t, "\r~.")
	shell.exits(t, patience)
}
