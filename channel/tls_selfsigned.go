package channel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// SelfSignedFile is the name, in its folder, of what SelfSigned keeps: the
// certificate and its private key, both PEM, in one file, so that the two are
// always of a kind. Clients on the same host can name it as the authority that
// they trust.
const SelfSignedFile = "self-signed.pem"

// How long a self-signed certificate is valid, and how long before its end it
// is made anew.
const (
	selfSignedYears = 10
	selfSignedRenew = 30 * 24 * time.Hour
)

// SelfSigned returns the self-signed certificate kept in dir, for localhost,
// 127.0.0.1 and ::1. The first call makes it; it is made anew when it is
// about to expire or cannot be read. The folder is made (0700) if it is missing;
// the file is 0600 and is put in place whole.
func SelfSigned(dir string) (*tls.Certificate, error) {
	file := filepath.Join(dir, SelfSignedFile)
	if cert, err := loadSelfSigned(file, time.Now()); err == nil {
		return cert, nil
	}
	text, err := makeSelfSigned(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make a self-signed certificate: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the self-signed certificate: %w", err)
	}
	if err := writeWhole(file, text); err != nil {
		return nil, fmt.Errorf("keep the self-signed certificate: %w", err)
	}
	return loadSelfSigned(file, time.Now())
}

func loadSelfSigned(file string, now time.Time) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	if err := checkValidity(pair.Leaf, now.Add(selfSignedRenew)); err != nil {
		return nil, err
	}
	return &pair, nil
}

// makeSelfSigned makes a certificate and its key, as PEM.
func makeSelfSigned(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280 §4.1.2.2
	if err != nil {
		return nil, err
	}
	// It is its own authority, too: GnuTLS, and so QEMU, takes nothing else as
	// the ca-cert.pem of a client.
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost"},
		NotBefore:             now.Add(-time.Hour), // clocks differ
		NotAfter:              now.AddDate(selfSignedYears, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), nil
}

// writeWhole puts a file of mode 0600 in place so that nobody ever sees half of
// it: a temporary one in the same folder, renamed (rename(2)).
func writeWhole(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
