package integration

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// testssl.sh finds nothing wrong with a TLS frontend as it is by default, but what
// is about the certificate of this test: whom nobody trusts, and which names no
// place to ask about revocation. The long form tries all that it knows, in 3 minutes;
// the short one what a change here could get wrong.
func TestTestssl(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	ca.issue("server", x509.ExtKeyUsageServerAuth, 20, func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 90) })
	p := freePort(t)
	d := startDaemon(t, ca.credentials()+`
[[chardev]]
name = "vm"
device = "sim:boot"
log = false
frontends = ["tls://127.0.0.1:@port@?credentials=test"]
`, map[string]any{"port": p})
	report := d.path("report.json")
	args := []string{"--quiet", "--warnings", "off", "--color", "0", "--nodns", "min", "--jsonfile", report}
	if !long {
		args = append(args, "--protocols", "--std", "--server-defaults", "--renegotiation", "--heartbleed")
	}
	s := start(t, program(t, "testssl"), append(args, port(p))...)
	s.stdin.Close()
	s.exits(t, 10*time.Minute)
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatalf("%v: %s", err, last(text, 500))
	}
	own := []string{"cert_trust", "cert_chain_of_trust", "cert_crlDistributionPoints", "cert_ocspURL", "cert_revocation"}
	seen := map[string]bool{}
	for _, f := range findings {
		id, _, _ := strings.Cut(f.ID, " ") // with the certificate's number behind it
		seen[id] = true
		switch f.Severity {
		case "MEDIUM", "HIGH", "CRITICAL", "FATAL":
			if !slices.Contains(own, id) {
				t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
			}
		}
	}
	for _, id := range []string{"TLS1_3", "heartbleed", "cipherlist_NULL"} {
		if !seen[id] {
			t.Errorf("nothing about %s: testssl did not get through: %s", id, last([]byte(s.out.text()), 1000))
		}
	}
}
