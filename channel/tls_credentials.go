package channel

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Credentials are a TLS identity and whom it trusts. They are not changed once
// they are in use.
type Credentials struct {
	// Certificates are what it shows, as a server or when a server asks; needed
	// to listen.
	Certificates []tls.Certificate

	// ClientCAs, if not nil, have signed every client that may connect: one
	// without such a certificate is refused in the handshake.
	ClientCAs *x509.CertPool

	// RootCAs are whom a client trusts; nil means the system's roots.
	RootCAs *x509.CertPool
}

// CredentialFiles are the PEM files of Credentials; "" is none. Cert is the
// chain, leaf first, and goes with Key.
type CredentialFiles struct{ Cert, Key, ClientCA, CA string }

// LoadCredentials reads the files and checks that each is there, is PEM of the
// right kind, is valid today, and that the key is the certificate's. The error
// names every file that is wrong, and why.
func LoadCredentials(f CredentialFiles) (*Credentials, error) {
	if f == (CredentialFiles{}) {
		return nil, errors.New("credentials without any file: give cert and key, ca or client_ca")
	}
	c := new(Credentials)
	var errs []error
	switch {
	case f.Cert != "" && f.Key != "":
		cert, err := loadKeyPair(f.Cert, f.Key)
		errs = append(errs, err)
		c.Certificates = []tls.Certificate{cert}
	case f.Cert != "":
		errs = append(errs, fmt.Errorf("cert %s has no key: give key, the file of its private key", f.Cert))
	case f.Key != "":
		errs = append(errs, fmt.Errorf("key %s has no certificate: give cert, the file of its certificate", f.Key))
	}
	var err error
	c.ClientCAs, err = loadPool("client_ca", f.ClientCA)
	errs = append(errs, err)
	c.RootCAs, err = loadPool("ca", f.CA)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func loadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	var none tls.Certificate
	certs, certErr := readCertificates("cert", certFile)
	if certErr == nil {
		certErr = checkValidity("cert", certFile, certs[0], time.Now())
	}
	key, keyErr := readPrivateKey(keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return none, err
	}
	pair, err := tls.X509KeyPair(encodeCertificates(certs), key)
	if err != nil {
		// Both files have been read alone, so it is the two together.
		return none, fmt.Errorf("key %s does not belong to the certificate in %s (%s)", keyFile, certFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return pair, nil
}

// loadPool reads the certificates of authorities; "" gives nil. One that has
// expired is an error only if no other in the file is valid: bundles keep old
// ones.
func loadPool(what, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	certs, err := readCertificates(what, file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	var invalid error
	valid := 0
	for _, c := range certs {
		if err := checkValidity(what, file, c, time.Now()); err != nil {
			invalid = err
			continue
		}
		pool.AddCert(c)
		valid++
	}
	if valid == 0 {
		return nil, invalid
	}
	return pool, nil
}

func checkValidity(what, file string, c *x509.Certificate, now time.Time) error {
	const day = "2006-01-02 15:04 MST"
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("%s %s: the certificate of %q expired on %s", what, file, c.Subject, c.NotAfter.Format(day))
	case now.Before(c.NotBefore):
		return fmt.Errorf("%s %s: the certificate of %q is not valid before %s; is the clock right?", what, file, c.Subject, c.NotBefore.Format(day))
	}
	return nil
}

// readCertificates reads all certificates of a PEM file: at least one.
func readCertificates(what, file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fileError(what, file, err)
	}
	var certs []*x509.Certificate
	other := ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s %s: a certificate in it cannot be read: %w", what, file, err)
		}
		certs = append(certs, c)
	}
	switch {
	case len(certs) > 0:
		return certs, nil
	case other != "":
		return nil, fmt.Errorf("%s %s: no certificate in it, but a %s", what, file, strings.ToLower(other))
	}
	return nil, fmt.Errorf("%s %s: no PEM in it (want -----BEGIN CERTIFICATE-----)", what, file)
}

// readPrivateKey returns the text of a PEM file that has a private key in it.
func readPrivateKey(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fileError("key", file, err)
	}
	other := ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, fmt.Errorf("key %s: the key is encrypted; write it without a password (openssl pkey -in … -out …)", file)
		case block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY"):
			return data, nil
		}
		other = block.Type
	}
	if other != "" {
		return nil, fmt.Errorf("key %s: no private key in it, but a %s", file, strings.ToLower(other))
	}
	return nil, fmt.Errorf("key %s: no PEM in it (want -----BEGIN PRIVATE KEY-----)", file)
}

func fileError(what, file string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("%s %s: %w", what, file, err)
}

func encodeCertificates(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		// A bytes.Buffer takes everything.
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

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
	if err := checkValidity("self-signed", file, pair.Leaf, now.Add(selfSignedRenew)); err != nil {
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
