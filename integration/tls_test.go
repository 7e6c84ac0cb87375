package integration

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"
)

// guardedConfig is a console that has said something, behind a frontend that asks
// for certificates of an authority in the folder @ca@ in QEMU's layout.
const guardedConfig = `
[credentials.guarded]
dir = "@ca@"
[[chardev]]
name = "vm"
device = "sim:boot"
log = false
  [[chardev.frontend]]
  listen = "tls://127.0.0.1:@port@?credentials=guarded"
  replay = "64KiB"
`

// Whoever has no certificate, or not the right one, is refused whatever he comes
// with. The log says why, and he gets not one byte of the console.
func TestWhoIsRefused(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	ca.issue("expired", x509.ExtKeyUsageClientAuth, 10, from(-10))
	ca.issue("future", x509.ExtKeyUsageClientAuth, 11, from(5))
	ca.issue("revoked", x509.ExtKeyUsageClientAuth, 12)
	ca.revoke(12)
	p := freePort(t)
	d := startDaemon(t, guardedConfig, map[string]any{"ca": ca.dir, "port": p})
	with := func(a *authority, name string) (cert, key string) {
		return a.file(name + "-cert.pem"), a.file(name + "-key.pem")
	}
	openssl := func(version string) func(cert, key string) *prog {
		return func(cert, key string) *prog {
			args := []string{"s_client", "-quiet", version, "-verify_return_error", "-CAfile", ca.file("ca-cert.pem"), "-connect", port(p)}
			if cert != "" {
				args = append(args, "-cert", cert, "-key", key)
			}
			return start(t, program(t, "openssl"), args...)
		}
	}
	for name, client := range map[string]func(cert, key string) *prog{
		"s_client of TLS 1.3": openssl("-tls1_3"),
		"s_client of TLS 1.2": openssl("-tls1_2"),
		"ncat": func(cert, key string) *prog {
			args := []string{"-4", "--ssl", "--ssl-verify", "--ssl-trustfile", ca.file("ca-cert.pem")}
			if cert != "" {
				args = append(args, "--ssl-cert", cert, "--ssl-key", key)
			}
			return start(t, program(t, "ncat"), append(args, "localhost", fmt.Sprint(p))...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			good := client(with(ca, "client"))
			good.sees(t, "kernel")
			good.kill()
			for _, bad := range []struct {
				why       string
				authority *authority
				name      string
				reason    string // in the log
			}{
				{"without a certificate", nil, "", "didn't provide a certificate"},
				{"of another authority", stranger, "client", "unknown authority"},
				{"expired", ca, "expired", "is after"},
				{"not yet valid", ca, "future", "is before"},
				{"revoked", ca, "revoked", `\"CN=revoked\" (serial number c) was revoked on`},
				{"a server's", ca, "server", "incompatible key usage"},
			} {
				var cert, key string
				if bad.authority != nil {
					cert, key = with(bad.authority, bad.name)
				}
				c := client(cert, key)
				if err := d.stderr.sees(patience, bad.reason); err != nil {
					t.Errorf("%s: the log: %v", bad.why, err)
				}
				c.stdin.Close()
				// ncat calls it a success when it was sent an alert.
				if code := c.exits(t, patience); code == 0 && name != "ncat" {
					t.Errorf("%s: taken: %s", bad.why, c.stderr.text())
				}
				if got := c.out.text(); got != "" {
					t.Errorf("%s: got %q of the console", bad.why, got)
				}
			}
		})
	}
	d.has("vm", 0)
}

// A server of another name than expected is refused by the client, who then was sent
// nothing either, and the log says who refused whom.
func TestWrongName(t *testing.T) {
	ca := newAuthority(t)
	p := freePort(t)
	d := startDaemon(t, guardedConfig, map[string]any{"ca": ca.dir, "port": p})
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		c := start(t, program(t, "openssl"), "s_client", "-quiet", version, "-verify_return_error", "-verify_hostname", "elsewhere.example",
			"-CAfile", ca.file("ca-cert.pem"), "-cert", ca.file("client-cert.pem"), "-key", ca.file("client-key.pem"), "-connect", port(p))
		if err := d.stderr.sees(patience, "the client does not trust this side's certificate"); err != nil {
			t.Errorf("%s: the log: %v", version, err)
		}
		if code := c.exits(t, patience); code == 0 || c.out.text() != "" {
			t.Errorf("%s: exit code %d, got %q", version, code, c.out.text())
		}
	}
	// ncat looks at the name when it is connected already: what it got it keeps from its user.
	ca.issue("server", x509.ExtKeyUsageServerAuth, 20, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"elsewhere.example"}, nil })
	if err := d.stderr.sees(patience, "credentials were replaced"); err != nil {
		t.Fatalf("the log: %v", err)
	}
	n := start(t, program(t, "ncat"), "-4", "--ssl", "--ssl-verify", "--ssl-trustfile", ca.file("ca-cert.pem"),
		"--ssl-cert", ca.file("client-cert.pem"), "--ssl-key", ca.file("client-key.pem"), "localhost", fmt.Sprint(p))
	if code := n.exits(t, patience); code == 0 || n.out.text() != "" {
		t.Errorf("ncat: exit code %d, got %q", code, n.out.text())
	}
}

// Who is revoked while the daemon runs does not come back, with or without his old
// session; the listener gives out nothing to resume one with.
func TestRevokedWithASession(t *testing.T) {
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			ca := newAuthority(t)
			ca.revoke()
			p := freePort(t)
			d := startDaemon(t, guardedConfig, map[string]any{"ca": ca.dir, "port": p})
			client := func(args ...string) *prog {
				return start(t, program(t, "openssl"), append([]string{"s_client", "-quiet", version, "-verify_return_error", "-CAfile", ca.file("ca-cert.pem"),
					"-cert", ca.file("client-cert.pem"), "-key", ca.file("client-key.pem"), "-connect", port(p)}, args...)...)
			}
			session := ca.file("session.pem")
			first := client("-sess_out", session)
			first.sees(t, "kernel")
			ca.revoke(3)
			if err := d.stderr.sees(patience, "credentials were replaced"); err != nil {
				t.Fatalf("the log: %v", err)
			}
			var again []string
			if _, err := os.Stat(session); err == nil {
				t.Error("the listener gave out a session")
				again = []string{"-sess_in", session}
			}
			later := client(again...)
			if err := d.stderr.sees(patience, "was revoked on"); err != nil {
				t.Errorf("the log: %v", err)
			}
			if code := later.exits(t, patience); code == 0 || later.out.text() != "" {
				t.Errorf("exit code %d, got %q", code, later.out.text())
			}
			if !first.running() {
				t.Error("the session that was there has been cut")
			}
		})
	}
}

// Servers that a frontend dials are held to the same: none with a certificate that
// is not right gets a byte.
func TestWhoIsDialledAndRefused(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	server := x509.ExtKeyUsageServerAuth
	ca.issue("expired", server, 10, from(-10))
	ca.issue("future", server, 11, from(5))
	ca.issue("revoked", server, 12)
	ca.issue("elsewhere", server, 13, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"elsewhere.example"}, nil })
	ca.revoke(12)
	type dialled struct {
		*prog
		why, reason string
	}
	var servers []*dialled
	config := `
[credentials.dials]
dir = "@ca@"
[[chardev]]
name = "vm"
device = "sim:boot"
log = false
`
	add := func(a *authority, name, reason string) {
		p := freePort(t)
		s := start(t, program(t, "openssl"), "s_server", "-quiet", "-accept", port(p), "-cert", a.file(name+"-cert.pem"), "-key", a.file(name+"-key.pem"))
		servers = append(servers, &dialled{s, name, reason})
		config += fmt.Sprintf("  [[chardev.frontend]]\n  connect = \"tls://localhost:%d?credentials=dials\"\n  replay = \"64KiB\"\n", p)
	}
	add(ca, "server", "")
	add(stranger, "server", "unknown authority")
	add(ca, "expired", "is after")
	add(ca, "future", "is before")
	add(ca, "revoked", "was revoked on")
	add(ca, "elsewhere", "elsewhere.example, not localhost")
	d := startDaemon(t, config, map[string]any{"ca": ca.dir})
	servers[0].sees(t, "kernel")
	for i, s := range servers[1:] {
		eventually(t, patience, func() error {
			f := d.info("vm").Frontends[i+1]
			if f.State == "up" || !strings.Contains(f.Error, s.reason) {
				return fmt.Errorf("%s: %s is %s: %q, want %q", s.why, f.Address, f.State, f.Error, s.reason)
			}
			return nil
		})
		if got := s.out.text(); got != "" {
			t.Errorf("%s: got %q of the console", s.why, got)
		}
	}
}
