package channel

import (
	"crypto/x509"
	"encoding/asn1"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The cases of QEMU's tests/unit/test-crypto-tlscredsx509.c, by their names, in
// its layout of a folder. Where we differ it says so.
func TestSanityAsQEMU(t *testing.T) {
	critical, not := true, false
	usual := sign(t, nil, "ca", isCA)
	withServer := func(ca *signer) map[string]*signer {
		return map[string]*signer{dirCA: ca, dirServerCert: sign(t, ca, "qemu.org", keyUsage(critical, bitSign), purpose(critical, forServer))}
	}
	server := func(changes ...change) map[string]*signer {
		return map[string]*signer{dirCA: usual, dirServerCert: sign(t, usual, "qemu", changes...)}
	}
	client := func(changes ...change) map[string]*signer {
		return map[string]*signer{dirCA: usual, dirClientCert: sign(t, usual, "qemu", changes...)}
	}
	constraints := func(critical, ca bool) change {
		return extra(asn1.ObjectIdentifier{2, 5, 29, 19}, critical, struct {
			CA bool `asn1:"optional"`
		}{ca})
	}
	ca := func(changes ...change) *signer {
		// What x509 signs with must look like an authority; what is in the file is said by changes.
		return sign(t, nil, "qemu CA", append([]change{isCA}, changes...)...)
	}
	for _, test := range []struct {
		name string
		have map[string]*signer
		want string // in the error; "": none
	}{
		{"perfectserver", withServer(usual), ""},
		{"perfectclient", client(keyUsage(critical, bitSign), purpose(critical, forClient)), ""},
		{"goodca1", withServer(ca(constraints(critical, true))), ""},
		{"goodca2", withServer(ca(constraints(not, true))), ""},
		{"goodca3", withServer(ca(keyUsage(critical, bitCertSign))), ""},
		{"badca1", withServer(ca(keyUsage(not, bitSign))), "keyCertSign"},
		{"badca2", withServer(ca(noConstraints)), "no basic constraints"},
		{"badca3", withServer(ca(keyUsage(critical, bitSign))), "keyCertSign"},
		{"a CA that says that it is none", withServer(ca(constraints(critical, false))), "CA:FALSE"},

		{"goodserver1", server(), ""},
		{"goodserver2", server(keyUsage(critical, bitBoth)), ""},
		{"goodserver3", server(keyUsage(not, bitCertSign)), ""}, // with a warning
		{"goodserver4", server(purpose(critical, forServer)), ""},
		{"goodserver5", server(purpose(not, forServer)), ""},
		{"goodserver6", server(purpose(critical, forClient, forServer)), ""},
		{"goodserver7", server(purpose(not, forClient, forServer)), ""},
		{"badserver1", server(keyUsage(critical, bitCertSign)), "digitalSignature"},
		{"badserver2", server(purpose(critical, forClient)), "not for servers"},
		{"badserver3", server(keyUsage(critical, "")), "digitalSignature"},
		// QEMU takes it, but no client does: RFC 5280 §4.2.1.12.
		{"a server of another purpose", server(purpose(not, forClient)), "not for servers"},
		{"a server that is a CA", server(isCA), "CA:TRUE"},

		{"goodclient1", client(), ""},
		{"goodclient2", client(keyUsage(critical, bitBoth)), ""},
		{"goodclient3", client(keyUsage(not, bitCertSign)), ""},
		{"goodclient4", client(purpose(critical, forClient)), ""},
		{"goodclient5", client(purpose(not, forClient)), ""},
		{"goodclient6", client(purpose(critical, forClient, forServer)), ""},
		{"goodclient7", client(purpose(not, forClient, forServer)), ""},
		{"badclient1", client(keyUsage(critical, bitCertSign)), "digitalSignature"},
		{"badclient2", client(purpose(critical, forServer)), "not for clients"},
		{"badclient3", client(keyUsage(critical, "")), "digitalSignature"},

		{"expired1", withServer(ca(expired)), "expired on"},
		{"expired2", server(expired), "expired on"},
		{"expired3", client(expired), "expired on"},
		{"inactive1", withServer(ca(notYet)), "not valid before"},
		{"inactive2", server(notYet), "not valid before"},
		{"inactive3", client(notYet), "not valid before"},

		{"differentca", map[string]*signer{dirCA: sign(t, nil, "other", isCA), dirServerCert: sign(t, usual, "qemu")}, "does not lead to"},
		{"missingca", map[string]*signer{dirServerCert: sign(t, usual, "qemu")}, "no such file"},
		{"missingserver", map[string]*signer{dirCA: usual, dirServerKey: usual}, "no such file"},
		{"missingclient", map[string]*signer{dirCA: usual, dirClientKey: usual}, ""},
		{"missing key", map[string]*signer{dirCA: usual, dirClientCert: sign(t, usual, "qemu"), dirClientKey: nil}, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := map[string][]byte{}
			for name, s := range test.have {
				if strings.HasSuffix(name, "-key.pem") {
					if s != nil {
						content[name] = s.KeyPEM(t)
					}
					continue
				}
				content[name] = certPEM(s)
				key := strings.Replace(name, "-cert", "-key", 1)
				if _, said := test.have[key]; !said {
					content[key] = s.KeyPEM(t)
				}
			}
			dir := files(t, content)
			c, err := LoadCredentials(CredentialFiles{Dir: dir})
			loadsOrSays(t, c, err, test.want)
			if strings.HasPrefix(test.name, "good") && strings.HasSuffix(test.name, "3") && test.name != "goodca3" && len(c.Warnings) != 1 {
				t.Errorf("warnings %v, want one", c.Warnings)
			}
			if err == nil && ((c.Server != nil) != (test.have[dirServerCert] != nil) || (c.Client != nil) != (test.have[dirClientCert] != nil) || c.ClientCAs == nil || c.RootCAs == nil) {
				t.Errorf("loaded as %+v", c)
			}
		})
	}
}

func loadsOrSays(t *testing.T, c *Credentials, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("refused: %v", err)
	case want != "" && err == nil:
		t.Fatalf("taken, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Fatalf("error %q, want %q in it", err, want)
	case want != "" && c != nil:
		t.Fatal("credentials and an error")
	}
}

// The chains of QEMU's tests: intermediate authorities in ca-cert.pem, or in the
// file of the server.
func TestSanityOfChains(t *testing.T) {
	root := sign(t, nil, "root", isCA)
	level1a, level1b := sign(t, root, "1a", isCA), sign(t, root, "1b", isCA)
	level2a := sign(t, level1a, "2a", isCA)
	server, client := sign(t, level2a, "server", purpose(true, forServer)), sign(t, level1b, "client", purpose(true, forClient))
	other := sign(t, nil, "someone else", isCA)
	noCA := sign(t, root, "no authority", keyUsage(true, bitSign))
	gone := sign(t, root, "past", isCA, expired)
	who := func(s ...*signer) []*signer { return s }
	for _, test := range []struct {
		name          string
		ca            []*signer
		server, chain []*signer // the leaf, and all of the file
		want          string
	}{
		{"chain1", who(root, level1a, level1b, level2a), who(server), who(server), ""},
		{"chain2", who(root, level1a, level1b, level2a), nil, who(client), ""},
		{"serverchain", who(root), who(server), who(server, level2a, level1a), ""},
		{"with the root", who(root), who(server), who(server, level2a, level1a, root), ""},
		{"multiplecaswithchain", who(other, root), who(server), who(server, level2a, level1a), ""},
		{"clientchain", who(root), nil, who(client, level1b), ""},
		{"incompleteserverchain", who(root), who(server), who(server, level2a), "does not lead to"},
		{"incompleteclientchain", who(root), nil, who(client), "does not lead to"},
		{"unsortedserverchain", who(root), who(server), who(server, level1a, level2a), "not followed by its issuer"},
		{"the authority first", who(root), who(level2a), who(level2a, server), "CA:TRUE"},
		{"an issuer that is none", who(root), nil, who(sign(t, noCA, "client"), noCA), "CA:FALSE"},
		{"an issuer of the past", who(root), nil, who(sign(t, gone, "client"), gone), "expired on"},
		{"a bundle with one that is no authority", who(root, noCA), nil, who(client, level1b), "CA:FALSE"},
		{"a bundle with an old one", who(gone, root), nil, who(client, level1b), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert, key, leaf := dirClientCert, dirClientKey, test.chain[0]
			if test.server != nil {
				cert, key, leaf = dirServerCert, dirServerKey, test.server[0]
			}
			dir := files(t, map[string][]byte{dirCA: certPEM(test.ca...), cert: certPEM(test.chain...), key: leaf.KeyPEM(t)})
			c, err := LoadCredentials(CredentialFiles{Dir: dir})
			loadsOrSays(t, c, err, test.want)
		})
	}
}

// Of files that are named one by one, what a certificate is for decides which side
// shows it.
func TestSanityOfPurpose(t *testing.T) {
	ca := sign(t, nil, "ca", isCA)
	for _, test := range []struct {
		name           string
		cert           *signer
		server, client bool
		want           string
	}{
		{"neither said", sign(t, ca, "x"), true, true, ""},
		{"servers", sign(t, ca, "x", purpose(false, forServer)), true, false, ""},
		{"clients", sign(t, ca, "x", purpose(false, forClient)), false, true, ""},
		{"both", sign(t, ca, "x", purpose(false, forClient, forServer)), true, true, ""},
		{"any", sign(t, ca, "x", purpose(false, asn1.ObjectIdentifier{2, 5, 29, 37, 0})), true, true, ""},
		{"neither", sign(t, ca, "x", purpose(false, forCode)), false, false, "neither servers nor clients"},
		{"its own authority", ca, true, true, "digitalSignature"},
		{"its own authority that may do both", sign(t, nil, "x", isCA, keyUsage(true, bitBoth)), true, true, ""},
		{"its own authority without usage", sign(t, nil, "x", isCA, func(c *x509.Certificate) { c.KeyUsage = 0 }), true, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := files(t, map[string][]byte{"c.pem": certPEM(test.cert), "k.pem": test.cert.KeyPEM(t)})
			c, err := LoadCredentials(CredentialFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")})
			loadsOrSays(t, c, err, test.want)
			if err == nil && (c.Server != nil) != test.server || err == nil && (c.Client != nil) != test.client {
				t.Errorf("for servers: %t, for clients: %t", c.Server != nil, c.Client != nil)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	const day = 24 * time.Hour
	ca := sign(t, nil, "ca", isCA, until(100*day))
	old := sign(t, nil, "old ca", isCA, until(2*day))
	leaf := sign(t, ca, "leaf", until(40*day))
	dir := files(t, map[string][]byte{
		"ca.pem": certPEM(ca, old), "c.pem": certPEM(leaf), "k.pem": leaf.KeyPEM(t), "crl.pem": ca.crl(t, nil),
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	c, err := LoadCredentials(CredentialFiles{Cert: in("c.pem"), Key: in("k.pem"), CA: in("ca.pem"), CRL: in("crl.pem")})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Expiry().Equal(leaf.Cert.NotAfter) {
		t.Errorf("expires at %v, want %v", c.Expiry(), leaf.Cert.NotAfter)
	}
	now := time.Now()
	crlEnd := now.Add(day)
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() < 2*time.Minute }
	for _, test := range []struct {
		now  time.Time
		want string // in what is told
		next time.Time
	}{
		{now, "", crlEnd},
		{now.Add(2 * day), "revocation list", now.Add(10 * day)},
		{now.Add(9*day + 23*time.Hour), "revocation list", now.Add(10 * day)},
		{now.Add(10*day + time.Hour), `"CN=leaf" expires on`, now.Add(70 * day)},
		{now.Add(41 * day), `"CN=leaf" expired on`, now.Add(70 * day)},
		{now.Add(71 * day), `the authority "CN=ca" expires on`, time.Time{}},
	} {
		due, next := c.Expiring(test.now)
		var text strings.Builder
		for _, d := range due {
			text.WriteString(d.Error() + "\n")
		}
		if !strings.Contains(text.String(), test.want) || test.want == "" && len(due) > 0 {
			t.Errorf("in %v: told %q, want %q", test.now.Sub(now), &text, test.want)
		}
		if next.IsZero() != test.next.IsZero() || !next.IsZero() && !near(next, test.next) {
			t.Errorf("in %v: next in %v, want in %v", test.now.Sub(now), next.Sub(now), test.next.Sub(now))
		}
	}
}
