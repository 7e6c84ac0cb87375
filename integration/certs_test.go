package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// An authority is a certificate authority of one test, with a server's and a
// client's certificate in a folder, under the names that QEMU wants:
// ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem, client-key.pem.
// GnuTLS checks basicConstraints and the key usages, so they are all there.
type authority struct {
	dir   string
	roots *x509.CertPool
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	t     testing.TB
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: folder(t), roots: x509.NewCertPool(), t: t}
	a.key = a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.cert = a.sign("ca", template, template, a.key, a.key)
	a.roots.AddCert(a.cert)
	a.issue("server", x509.ExtKeyUsageServerAuth, 2)
	a.issue("client", x509.ExtKeyUsageClientAuth, 3)
	return a
}

func (a *authority) issue(name string, use x509.ExtKeyUsage, serial int64) {
	a.t.Helper()
	key := a.newKey()
	a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+"-key.pem", "PRIVATE KEY", der)
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) sign(name string, template, parent *x509.Certificate, key, with *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), with)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+"-cert.pem", "CERTIFICATE", der)
	return cert
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	write(a.t, a.file(name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// client is how to dial a server of this authority.
func (a *authority) client() *tls.Config {
	return &tls.Config{RootCAs: a.roots, ServerName: "localhost"}
}

// credentials is the [credentials.test] of a daemon: a server that asks for no
// certificate, and whom to trust when dialling.
func (a *authority) credentials() string {
	return expand(`
[credentials.test]
cert = "@dir@/server-cert.pem"
key = "@dir@/server-key.pem"
ca = "@dir@/ca-cert.pem"
`, map[string]any{"dir": a.dir})
}
