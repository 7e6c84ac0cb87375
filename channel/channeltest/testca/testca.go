// Package testca makes certificates, their keys and revocation lists for tests.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// A Signer is a certificate and its key; an authority if it is allowed to.
type Signer struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Sign makes a certificate of localhost that is valid for a year, or as changes have
// it, and a key; by nil: that signs itself.
func Sign(t testing.TB, by *Signer, name string, changes ...func(*x509.Certificate)) *Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)), // 0 is none (RFC 5280 section 4.1.2.2)
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
	if by == nil {
		by = &Signer{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, key.Public(), by.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Signer{cert, key}
}

// CertPEM is the certificate.
func (s *Signer) CertPEM() []byte { return encode("CERTIFICATE", s.Cert.Raw) }

// KeyPEM is the key in PKCS #8 (RFC 5208).
func (s *Signer) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PRIVATE KEY", der)
}

// List is a revocation list of these serial numbers that is valid for a day, or as
// changes have it. The Signer must have the key usage for that.
func (s *Signer) List(t testing.TB, revoked []*big.Int, changes ...func(*x509.RevocationList)) []byte {
	t.Helper()
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	for _, n := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: now.Add(-time.Minute)})
	}
	for _, c := range changes {
		c(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.Cert, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("X509 CRL", der)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
