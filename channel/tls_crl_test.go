package channel

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"path/filepath"
	"strings"
	"testing"
)

// Revocation lists that are wrong when they are loaded.
func TestRevocationListsAreChecked(t *testing.T) {
	ca := sign(t, nil, "ca", isCA)
	between := sign(t, ca, "between", isCA)
	other := sign(t, nil, "other", isCA)
	namesake := sign(t, nil, "ca", isCA)
	victim := sign(t, ca, "victim")
	numbered := sign(t, nil, "ca that may sign no lists", isCA, keyUsage(true, bitCertSign))
	signsAll := *numbered // CreateRevocationList refuses what we want to see refused
	lists := *numbered.Cert
	lists.KeyUsage |= x509.KeyUsageCRLSign
	signsAll.Cert = &lists
	critical := func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	}
	indirect := func(l *x509.RevocationList) {
		l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}
	}
	join := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	for _, test := range []struct {
		name string
		ca   []byte
		crl  []byte
		want string
	}{
		{"empty", certPEM(ca), ca.crl(t, nil), ""},
		{"with an entry", certPEM(ca), ca.crl(t, []*signer{victim}), ""},
		{"of an intermediate as well", certPEM(ca), join(between.crl(t, nil), ca.crl(t, nil)), ""},
		{"of one of two", certPEM(ca, other), ca.crl(t, nil), ""},
		{"the old one kept", certPEM(ca), join(ca.crl(t, nil, crlExpired), ca.crl(t, nil)), ""},
		{"none", certPEM(ca), certPEM(ca), "no revocation list in it, but a certificate"},
		{"no PEM", certPEM(ca), []byte("x"), "BEGIN X509 CRL"},
		{"half", certPEM(ca), ca.crl(t, nil)[:200], "0 are whole"},
		{"of another", certPEM(ca), other.crl(t, nil), "none of the authorities"},
		{"forged", certPEM(ca), namesake.crl(t, nil), "not signed by it"},
		{"by one who may not", certPEM(numbered), signsAll.crl(t, nil), "not signed by it"},
		{"expired", certPEM(ca), ca.crl(t, nil, crlExpired), "expired on"},
		{"not yet", certPEM(ca), ca.crl(t, nil, crlNotYet), "not valid before"},
		{"a delta", certPEM(ca), ca.crl(t, nil, critical), "partial"},
		{"an indirect one", certPEM(ca), ca.crl(t, []*signer{victim}, indirect), "unusual entries"},
		{"no authority", nil, ca.crl(t, nil), "neither client_ca nor ca"},
	} {
		t.Run(test.name, func(t *testing.T) {
			me := sign(t, nil, "me")
			dir := files(t, map[string][]byte{"ca.pem": test.ca, "crl.pem": test.crl, "c.pem": certPEM(me), "k.pem": me.KeyPEM(t)})
			f := CredentialFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem"), CRL: filepath.Join(dir, "crl.pem")}
			if test.ca != nil {
				f.ClientCA = filepath.Join(dir, "ca.pem")
			}
			c, err := LoadCredentials(f)
			loadsOrSays(t, c, err, test.want)
		})
	}
}

// loaded are credentials from PEM: of a server that wants certificates of ca, and of
// a client that trusts the same.
func loaded(t *testing.T, id *signer, ca, crl []byte) *Credentials {
	t.Helper()
	dir := files(t, map[string][]byte{"c.pem": certPEM(id), "k.pem": id.KeyPEM(t), "ca.pem": ca, "crl.pem": crl})
	in := func(name string) string { return filepath.Join(dir, name) }
	f := CredentialFiles{Cert: in("c.pem"), Key: in("k.pem"), ClientCA: in("ca.pem"), CA: in("ca.pem")}
	if crl != nil {
		f.CRL = in("crl.pem")
	}
	c, err := LoadCredentials(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// meet has a client and a server shake hands, and returns what each says. A side
// that is given a config has that one, made from its credentials by the test.
func meet(t *testing.T, client, server *tls.Config) (cerr, serr error) {
	t.Helper()
	a, b := Pipe(64 << 10)
	done := make(chan error, 1)
	go func() {
		s := tlsSide{conn: tls.Server, config: func() (*tls.Config, error) { return server, nil }}
		ch, err := s.handshake(testCtx(t), b)
		if err == nil {
			_, err = ch.Write([]byte("x"))
		}
		done <- err
		if ch != nil {
			ch.Close()
		}
	}()
	c := tlsSide{conn: tls.Client, config: func() (*tls.Config, error) { return client, nil }}
	ch, cerr := c.handshake(testCtx(t), a)
	if cerr == nil {
		_, cerr = ch.Read(make([]byte, 1)) // TLS 1.3: what the server thinks, and its tickets
		ch.Close()
	}
	return cerr, <-done
}

func serverConfig(c *Credentials) *tls.Config {
	config := tlsServerConfig(c.Server)
	c.listen(config)
	return config
}

func clientConfig(c *Credentials) *tls.Config {
	config := tlsConfig()
	config.ServerName = "localhost"
	c.dial(config)
	return config
}

// Who is revoked is refused, on either side, and so is everybody of whom nobody
// knows whether they are.
func TestRevoked(t *testing.T) {
	ca := sign(t, nil, "ca", isCA)
	between := sign(t, ca, "between", isCA)
	server, client, bad := sign(t, ca, "server"), sign(t, ca, "client"), sign(t, ca, "bad")
	deep := sign(t, between, "deep")
	list := ca.crl(t, []*signer{bad})
	both := append(ca.crl(t, nil), between.crl(t, nil)...)
	trust := loaded(t, client, certPEM(ca), nil)
	for _, test := range []struct {
		name                 string
		server               *Credentials
		client               *Credentials
		clientSays, otherSay string
	}{
		{"nobody", loaded(t, server, certPEM(ca), list), trust, "", ""},
		{"a client", loaded(t, server, certPEM(ca), list), &Credentials{Client: bad.pair(), RootCAs: trust.RootCAs}, "", `"CN=bad"`},
		{"a server", &Credentials{Server: bad.pair()}, loaded(t, client, certPEM(ca), list), "was revoked on", ""},
		{"a client without a list of its issuer", loaded(t, server, certPEM(ca), list), &Credentials{Client: deep.pair(between), RootCAs: trust.RootCAs}, "", `no revocation list of "CN=between"`},
		{"a client with both lists", loaded(t, server, certPEM(ca), both), &Credentials{Client: deep.pair(between), RootCAs: trust.RootCAs}, "", ""},
		{"an issuer", loaded(t, server, certPEM(ca), append(ca.crl(t, []*signer{between}), between.crl(t, nil)...)), &Credentials{Client: deep.pair(between), RootCAs: trust.RootCAs}, "", `"CN=between"`},
		// An authority that is trusted by itself does not undo that the root revoked it.
		{"an issuer that is named", loaded(t, server, certPEM(ca, between), append(ca.crl(t, []*signer{between}), between.crl(t, nil)...)), &Credentials{Client: deep.pair(between), RootCAs: trust.RootCAs}, "", "was revoked on"},
		{"an issuer that is named, without a list of the root's", loaded(t, server, certPEM(ca, between), between.crl(t, nil)), &Credentials{Client: deep.pair(between), RootCAs: trust.RootCAs}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cerr, serr := meet(t, clientConfig(test.client), serverConfig(test.server))
			says(t, "the client", cerr, test.clientSays, test.otherSay != "")
			says(t, "the server", serr, test.otherSay, test.clientSays != "")
		})
	}
}

// says holds the error of one side to what is wanted; where the other one says it,
// any error will do.
func says(t *testing.T, who string, err error, want string, other bool) {
	t.Helper()
	switch {
	case other && err == nil:
		t.Errorf("%s knows of no error", who)
	case !other && want == "" && err != nil:
		t.Errorf("%s says %v", who, err)
	case want != "" && !strings.Contains(errorText(err), want):
		t.Errorf("%s says %v, want %q", who, err, want)
	}
}

// A session that is resumed, which our listeners do not offer, is checked like a
// new one: revocation, the time and the authorities of today.
func TestResumedSessionsAreChecked(t *testing.T) {
	ca := sign(t, nil, "ca", isCA)
	server, client := sign(t, ca, "server"), sign(t, ca, "client")
	brief := sign(t, ca, "brief")
	now := loaded(t, server, certPEM(ca), ca.crl(t, nil))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name   string
			client *signer
			later  *Credentials // of the server
			want   string
		}{
			{"nothing new", client, now, ""},
			{"revoked", client, loaded(t, server, certPEM(ca), ca.crl(t, []*signer{client})), "was revoked on"},
			{"expired", brief, now, "expired"},
		} {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				key := [32]byte{1}
				of := func(c *Credentials) *tls.Config {
					config := serverConfig(c)
					config.SessionTicketsDisabled = false
					config.SetSessionTicketKeys([][32]byte{key})
					return config
				}
				cc := clientConfig(&Credentials{Client: test.client.pair(), RootCAs: now.RootCAs})
				cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				cc.MaxVersion = version
				if cerr, serr := meet(t, cc, of(now)); cerr != nil || serr != nil {
					t.Fatal(cerr, serr)
				}
				later := of(test.later)
				resumed := false
				verify := later.VerifyConnection
				later.VerifyConnection = func(cs tls.ConnectionState) error {
					resumed = cs.DidResume
					if test.client == brief { // crypto/tls has a clock of its own, and looks too
						cs.PeerCertificates = []*x509.Certificate{sign(t, ca, "brief", expired).Cert}
					}
					return verify(cs)
				}
				_, serr := meet(t, cc, later)
				says(t, "the server", serr, test.want, false)
				if !resumed {
					t.Error("the session was not resumed")
				}
			})
		}
	}
}

// crypto/tls resumes no session of an authority that is trusted no longer; nor does
// verify let one in.
func TestResumedSessionOfAnAuthorityReplaced(t *testing.T) {
	ca, other := sign(t, nil, "ca", isCA), sign(t, nil, "other", isCA)
	client := sign(t, ca, "client")
	state := tls.ConnectionState{DidResume: true, PeerCertificates: []*x509.Certificate{client.Cert}, VerifiedChains: [][]*x509.Certificate{{client.Cert, ca.Cert}}}
	for _, test := range []struct {
		trusted *signer
		want    string
	}{{ca, ""}, {other, "unknown authority"}} {
		config := serverConfig(loaded(t, sign(t, ca, "server"), certPEM(test.trusted), nil))
		says(t, "verify", config.VerifyConnection(state), test.want, false)
	}
}
