package integration

import (
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chardevd/channel/channeltest/testca"
)

// An authority is a certificate authority of one test, with a server's and a
// client's certificate in a folder, under the names that QEMU wants:
// ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem, client-key.pem.
// GnuTLS checks basicConstraints and the key usages, so they are all there.
type authority struct {
	*testca.Signer
	dir   string
	roots *x509.CertPool
	t     testing.TB
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: folder(t), roots: x509.NewCertPool(), t: t}
	a.Signer = testca.Sign(t, nil, "authority of a test", func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature|x509.KeyUsageCRLSign
	})
	a.write("ca-cert.pem", a.CertPEM())
	a.roots.AddCert(a.Cert)
	a.issue("server", x509.ExtKeyUsageServerAuth, 2)
	a.issue("client", x509.ExtKeyUsageClientAuth, 3)
	return a
}

// issue makes NAME-cert.pem and NAME-key.pem.
func (a *authority) issue(name string, use x509.ExtKeyUsage, serial int64, changes ...func(*x509.Certificate)) {
	a.t.Helper()
	usual := func(c *x509.Certificate) {
		c.SerialNumber, c.KeyUsage, c.ExtKeyUsage = big.NewInt(serial), x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{use}
	}
	s := testca.Sign(a.t, a.Signer, name, append([]func(*x509.Certificate){usual}, changes...)...)
	a.write(name+"-cert.pem", s.CertPEM())
	a.write(name+"-key.pem", s.KeyPEM(a.t))
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
	var list []*big.Int
	for _, n := range serials {
		list = append(list, big.NewInt(n))
	}
	a.write("ca-crl.pem", a.List(a.t, list))
}

// write puts a file in place whole: a daemon may be watching it.
func (a *authority) write(name string, text []byte) {
	a.t.Helper()
	write(a.t, a.file("new"), string(text))
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
