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
	"os"
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
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
	}
	a.cert = a.sign("ca", template, template, a.key, a.key)
	a.roots.AddCert(a.cert)
	a.issue("server", x509.ExtKeyUsageServerAuth, 2)
	a.issue("client", x509.ExtKeyUsageClientAuth, 3)
	return a
}

// issue makes NAME-cert.pem and NAME-key.pem.
func (a *authority) issue(name string, use x509.ExtKeyUsage, serial int64, changes ...func(*x509.Certificate)) {
	a.t.Helper()
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, change := range changes {
		change(template)
	}
	a.sign(name, template, a.cert, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+"-key.pem", "PRIVATE KEY", der)
}

// from sets when a certificate is valid: for two days that begin so many from now.
func from(days int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.NotBefore = time.Now().AddDate(0, 0, days)
		c.NotAfter = c.NotBefore.AddDate(0, 0, 2)
	}
}

// revoke makes ca-crl.pem, the list of those that are revoked.
func (a *authority) revoke(serials ...int64) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("ca-crl.pem", "X509 CRL", der)
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

// write puts a file in place whole: a daemon may be watching it.
func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	write(a.t, a.file("new"), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	if err := os.Rename(a.file("new"), a.file(name)); err != nil {
		a.t.Fatal(err)
	}
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
