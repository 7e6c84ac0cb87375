package channel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A signer is a certificate and its key; an authority if it is allowed to.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// A change is what makes a certificate other than the usual one.
type change func(*x509.Certificate)

var lastSerial int64 // of what sign signs; tests that use it are not parallel

// sign makes a certificate; by nil: that signs itself.
func sign(t testing.TB, by *signer, name string, changes ...change) *signer {
	t.Helper()
	lastSerial++
	s := &signer{key: newTestKey(t)}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(lastSerial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, c := range changes {
		c(template)
	}
	parent, key := template, s.key
	if by != nil {
		parent, key = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, s.key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
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
	p := &tls.Certificate{Certificate: [][]byte{s.cert.Raw}, PrivateKey: s.key, Leaf: s.cert}
	for _, c := range chain {
		p.Certificate = append(p.Certificate, c.cert.Raw)
	}
	return p
}

// certPEM is the PEM of certificates.
func certPEM(of ...*signer) []byte {
	var certs []*x509.Certificate
	for _, s := range of {
		certs = append(certs, s.cert)
	}
	return encodeCertificates(certs)
}

func (s *signer) keyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// A crlChange is what makes a revocation list other than the usual one.
type crlChange func(*x509.RevocationList)

// crl is the PEM of a revocation list.
func (s *signer) crl(t testing.TB, revoked []*signer, changes ...crlChange) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	for _, c := range changes {
		c(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
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
