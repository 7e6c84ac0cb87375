package integration

import (
	"fmt"
	"strings"
	"testing"
)

// The command lines of QEMUs that run, as their /proc has them, are all it takes to be at
// the other end of each of their consoles.
func TestImportOfQEMUsThatRun(t *testing.T) {
	ca := newAuthority(t)
	dir := folder(t)
	values := func() map[string]any { return map[string]any{"dir": dir, "port": freePort(t)} }
	guests := []struct {
		name, backend string
		more          []string
		g             *guest
	}{
		{name: "unix", backend: "socket,path=@dir@/a,,b,server=on,wait=off"},
		{name: "unix-dials", backend: "socket,path=@dir@/c,reconnect=1"},
		{name: "tcp", backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off"},
		{name: "telnet", backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,telnet=on"},
		{name: "telnet-dials", backend: "socket,host=127.0.0.1,port=@port@,reconnect=1,telnet=on"},
		{name: "websocket", backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,websocket=on"},
		{name: "tls", backend: "socket,host=localhost,port=@port@,server=on,wait=off,tls-creds=tls0", more: []string{"-object", "tls-creds-x509,id=tls0,endpoint=server,dir=" + ca.dir}},
	}
	var config strings.Builder
	for i := range guests {
		g := &guests[i]
		g.g = startGuest(t, echoImage(t), expand(g.backend, values()), append(g.more, "-name", "guest="+g.name)...)
		cmd := (&daemon{t: t}).command("import", "qemu", fmt.Sprintf("/proc/%d/cmdline", g.g.cmd.Process.Pid))
		made, told, code := execute(t, cmd)
		if code != 0 || !strings.Contains(told, "chardev monitor is left out") {
			t.Fatalf("%s: import ended with %d:\n%s%s", g.name, code, told, made)
		}
		name := fmt.Sprintf("name = %q\n", g.name+"-c0")
		if strings.Count(made, name) != 1 {
			t.Fatalf("%s: want one chardev with %s, have\n%s", g.name, name, made)
		}
		config.WriteString(strings.Replace(made, name, fmt.Sprintf("%sfrontends = [\"unix:%s\"]\n", name, g.name), 1))
	}
	d := newDaemon(t, dir, config.String(), nil)
	if out, told, code := execute(t, d.command("check", "-c", d.config)); code != 0 {
		t.Fatalf("check ended with %d:\n%s%s", code, out, told)
	}
	d.serve()
	for _, g := range guests {
		d.is(g.name+"-c0", "up")
		u := dial(t, "unix", d.path(g.name))
		d.has(g.name+"-c0", 1)
		g.g.cont()
		u.sees(t, "ECHO READY\r\n")
		// A byte at a time, as this QEMU forgets the tail of a record or a frame.
		for _, c := range "through " + g.name {
			u.echoes(t, string(c))
		}
		g.g.kill()
	}
}

func TestImportEndsAsOtherCommandsDo(t *testing.T) {
	d := &daemon{t: t}
	for _, test := range []struct {
		args []string
		code int
		told string
	}{
		{[]string{"qemu", "-chardev socket,id=c0,path=/r/a,server=on,wait=off"}, 0, ""},
		{[]string{"qemu", "--", "-serial", "unix:/r/a,server=on"}, 0, ""},
		{[]string{"qemu", "--as-written", "-serial", "pty"}, 0, ""},
		{[]string{"qemu", "-chardev", "socket,id=c0,path=/r/a,sever=on"}, 1, `options:1:33: -chardev: unknown option "sever", did you mean "server"?` + "\n"},
		{[]string{"qemu", "/no/such/file"}, 1, "chardevd: open /no/such/file: no such file or directory\n"},
		{[]string{"qemu", "--as-writen", "-serial", "pty"}, 2, ""},
		{[]string{"qemu", "--as-written=x"}, 2, ""},
		{[]string{"qemu"}, 2, ""},
		{[]string{"libvirt"}, 2, ""},
		{[]string{"libvirt", "--as-writen", "x"}, 2, ""},
		{[]string{"qmu"}, 2, ""},
	} {
		out, told, code := execute(t, d.command(append([]string{"import"}, test.args...)...))
		if code != test.code || test.told != "" && told != test.told || (code == 0) != strings.Contains(out, "[[chardev]]") || (code == 0) == (told != "") {
			t.Errorf("import %q: ended with %d:\n%s%s", test.args, code, out, told)
		}
	}
}
