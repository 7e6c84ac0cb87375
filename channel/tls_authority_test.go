package channel

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chardevd/channel/channeltest/testca"
)

// A signer is a certificate and its key; an authority if it is allowed to.
type signer struct{ testca.Signer }

// A change is what makes a certificate other than the usual one.
type change = func(*x509.Certificate)

// sign makes a certificate; by nil: that signs itself.
func sign(t testing.TB, by *signer, name string, changes ...change) *signer {
	t.Helper()
	if by == nil {
		return &signer{*testca.Sign(t, nil, name, changes...)}
	}
	return &signer{*testca.Sign(t, &by.Signer, name, changes...)}
}

// Changes.
func isCA(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

func noConstraints(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false }

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
}

func notYet(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
}

func until(d time.Duration) change {
	return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
}

// keyUsage sets the extension by its bits (RFC 5280 §4.2.1.3), first bit first;
// "" has none of them.
func keyUsage(critical bool, bits string) change {
	b := asn1.BitString{Bytes: make([]byte, (len(bits)+7)/8), BitLength: len(bits)}
	for i := range bits {
		if bits[i] == '1' {
			b.Bytes[i/8] |= 0x80 >> (i % 8)
		}
	}
	return extra(asn1.ObjectIdentifier{2, 5, 29, 15}, critical, b)
}

const (
	bitSign     = "1"      // digitalSignature
	bitCertSign = "000001" // keyCertSign
	bitBoth     = "100001"
)

var (
	forServer = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	forClient = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	forCode   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
)

func purpose(critical bool, of ...asn1.ObjectIdentifier) change {
	return extra(asn1.ObjectIdentifier{2, 5, 29, 37}, critical, of)
}

func extra(id asn1.ObjectIdentifier, critical bool, value any) change {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: der})
	}
}

// pair is the certificate with its chain as crypto/tls wants it.
func (s *signer) pair(chain ...*signer) *tls.Certificate {
	p := &tls.Certificate{Certificate: [][]byte{s.Cert.Raw}, PrivateKey: s.Key, Leaf: s.Cert}
	for _, c := range chain {
		p.Certificate = append(p.Certificate, c.Cert.Raw)
	}
	return p
}

// certPEM is the PEM of certificates.
func certPEM(of ...*signer) []byte {
	var certs []*x509.Certificate
	for _, s := range of {
		certs = append(certs, s.Cert)
	}
	return encodeCertificates(certs)
}

// crl is the PEM of a revocation list.
func (s *signer) crl(t testing.TB, revoked []*signer, changes ...func(*x509.RevocationList)) []byte {
	t.Helper()
	var serials []*big.Int
	for _, r := range revoked {
		serials = append(serials, r.Cert.SerialNumber)
	}
	return s.List(t, serials, changes...)
}

func crlExpired(l *x509.RevocationList) {
	l.ThisUpdate, l.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
}

func crlNotYet(l *x509.RevocationList) {
	l.ThisUpdate, l.NextUpdate = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
}

// files writes files into a new folder.
func files(t testing.TB, content map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, data := range content {
		put(t, filepath.Join(dir, name), data)
	}
	return dir
}

func put(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
