package imports

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chardevd/chardev"
)

// A loader loads what was made, with chardevd's own.
type loader struct {
	dir string // short: UNIX paths below it have to fit
	pki string // a folder of credentials as QEMU has it
}

func newLoader(t testing.TB) loader {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := loader{dir, filepath.Join(dir, "pki")}
	l.makePKI(t)
	return l
}

// text is the config as it is written, with credentials that there are.
func (l loader) text(t testing.TB, c *Config) string {
	for i := range c.Credentials {
		one := &c.Credentials[i]
		one.PassphraseFile = ""
		if one.Dir != "" {
			one.Dir = l.pki
		} else {
			one.Cert, one.Key = filepath.Join(l.pki, "server-cert.pem"), filepath.Join(l.pki, "server-key.pem")
		}
	}
	var b strings.Builder
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// load loads the config; what it says of it is "" if it is right.
func (l loader) load(t testing.TB, text string) string {
	file := filepath.Join(l.dir, "c.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := chardev.Load(file); err != nil {
		return err.Error()
	}
	return ""
}

func (l loader) makePKI(t testing.TB) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(l.pki, 0o700))
	write := func(name, kind string, der []byte) {
		must(os.WriteFile(filepath.Join(l.pki, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	now := time.Now()
	var ca *x509.Certificate
	var caKey *ecdsa.PrivateKey
	for n, name := range []string{"ca", "server", "client"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour), BasicConstraintsValid: true,
		}
		switch name {
		case "ca":
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
			ca, caKey = c, key
		case "server":
			c.IPAddresses, c.KeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, x509.KeyUsageDigitalSignature
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		case "client":
			c.ExtKeyUsage, c.KeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, x509.KeyUsageDigitalSignature
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		must(err)
		write(name+"-cert.pem", "CERTIFICATE", der)
		der, err = x509.MarshalPKCS8PrivateKey(key)
		must(err)
		if name != "ca" {
			write(name+"-key.pem", "PRIVATE KEY", der)
		}
	}
}
