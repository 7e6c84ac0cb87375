package integration

import (
	"fmt"

	"strings"
	"syscall"
	"testing"
)

// Frontends that connect: the daemon dials programs that listen, and dials again
// when they come back, each on its own.
func TestConnectingFrontends(t *testing.T) {
	ca := newAuthority(t)
	tcp, tls := freePort(t), freePort(t)
	d, _ := newEcho(t, `
  [[chardev.frontend]]
  connect = "tcp://127.0.0.1:@tcp@"
  reconnect = { min = "50ms", max = "500ms" }
  [[chardev.frontend]]
  connect = "tls://localhost:@tls@?credentials=test"
  reconnect = { min = "50ms", max = "500ms" }
  [[chardev.frontend]]
  connect = "unix:collector"
`+ca.credentials(), map[string]any{"tcp": tcp, "tls": tls})
	for round := range 2 {
		ncat := start(t, program(t, "ncat"), "-l", "127.0.0.1", fmt.Sprint(tcp))
		ncatTLS := start(t, program(t, "ncat"), "-l", "--ssl", "--ssl-cert", ca.file("server-cert.pem"), "--ssl-key", ca.file("server-key.pem"), "127.0.0.1", fmt.Sprint(tls))
		socat := start(t, program(t, "socat"), "STDIO", "UNIX-LISTEN:"+d.path("collector")+",unlink-early")
		d.has("vm", 3)
		for i, p := range []*prog{ncat, ncatTLS, socat} {
			text := fmt.Sprintf("<round %d, number %d>", round, i)
			p.types(t, text)
			for _, other := range []*prog{ncat, ncatTLS, socat} {
				other.sees(t, text)
			}
		}
		ncat.kill()
		d.has("vm", 2)
		socat.echoes(t, "two are left")
		ncatTLS.kill()
		socat.kill()
		d.has("vm", 0)
		eventually(t, patience, func() error { // a client is gone before its frontend is down
			for _, f := range d.info("vm").Frontends {
				if f.State == "up" || f.Error == "" {
					return fmt.Errorf("nobody listens and frontend %s is %s: %q", f.Address, f.State, f.Error)
				}
			}
			return nil
		})
	}
}

// The server that it dials is not the one that the credentials trust: refused,
// and said.
func TestConnectVerifies(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	p := freePort(t)
	start(t, program(t, "openssl"), "s_server", "-quiet", "-accept", fmt.Sprint(p), "-cert", other.file("server-cert.pem"), "-key", other.file("server-key.pem"))
	d := startDaemon(t, ca.credentials()+`
[[chardev]]
name = "vm"
device = "tls://localhost:@port@?credentials=test"
`, map[string]any{"port": p})
	eventually(t, patience, func() error {
		var i struct{ State, Error string }
		if err := d.get("chardevs/vm", &i); err != nil {
			t.Fatal(err)
		}
		if i.State == "up" {
			t.Fatal("a server of another authority was taken")
		}
		if !strings.Contains(i.Error, "certificate") {
			return fmt.Errorf("the device is %s: %q", i.State, i.Error)
		}
		return nil
	})
}

// A guest that is frozen (SIGSTOP: its socket is there and nothing comes) is no
// break; what is typed meanwhile waits, which list, attach and the events tell, and gets there when it goes on.
func TestFrozenGuest(t *testing.T) {
	d, g := newEcho(t, `frontends = ["unix:front"]`, nil)
	u := dial(t, "unix", d.path("front"))
	u.echoes(t, "before")
	g.signal(t, syscall.SIGSTOP)
	u.types(t, "meanwhile")
	late := dial(t, "unix", d.path("front"))
	d.has("vm", 2)
	if i := d.info("vm"); i.State != "up" {
		t.Errorf("the device is %s", i.State)
	}
	const waits = "the device has not taken all that was typed"
	eventually(t, patience, func() error {
		if list, _, _ := d.cli("list"); !strings.Contains(list, waits) {
			return fmt.Errorf("list tells nothing of it:\n%s", list)
		}
		return nil
	})
	if _, said, code := d.cli("attach", "vm"); code != 0 || !strings.Contains(said, waits) {
		t.Errorf("attach tells nothing of it: exit %d: %s", code, said)
	}
	if v, err := d.events("events", nil).next(); err != nil || !strings.Contains(v.data, `"input_waits":true`) {
		t.Errorf("the events tell nothing of it: %v, %v", v, err)
	}
	g.signal(t, syscall.SIGCONT)
	u.sees(t, "meanwhile")
	late.sees(t, "meanwhile")
	if list, _, _ := d.cli("list"); strings.Contains(list, waits) {
		t.Errorf("list tells of a device that has taken all:\n%s", list)
	}
}

// Clients must show a certificate where client_ca asks for one.
func TestClientCertificates(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	p := freePort(t)
	d, _ := newEcho(t, `frontends = ["tls://127.0.0.1:@port@?credentials=mutual"]
[credentials.mutual]
cert = "@ca@/server-cert.pem"
key = "@ca@/server-key.pem"
client_ca = "@ca@/ca-cert.pem"
`, map[string]any{"port": p, "ca": ca.dir})
	client := func(certificate ...string) *prog {
		return start(t, program(t, "openssl"), append([]string{"s_client", "-quiet", "-verify_return_error", "-CAfile", ca.file("ca-cert.pem"), "-connect", port(p)}, certificate...)...)
	}
	good := client("-cert", ca.file("client-cert.pem"), "-key", ca.file("client-key.pem"))
	d.has("vm", 1)
	good.echoes(t, "let in")
	for name, bad := range map[string]*prog{
		"none":         client(),
		"a stranger's": client("-cert", stranger.file("client-cert.pem"), "-key", stranger.file("client-key.pem")),
		"a server's":   client("-cert", ca.file("server-cert.pem"), "-key", ca.file("server-key.pem")),
	} {
		if code := bad.exits(t, patience); code == 0 {
			t.Errorf("%s certificate: taken: %s", name, bad.stderr.text())
		}
	}
	d.has("vm", 1)
}
