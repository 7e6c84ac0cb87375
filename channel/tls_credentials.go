package channel

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Credentials are a TLS identity and whom it trusts. They are not changed once
// they are in use.
type Credentials struct {
	// Server is what a listener shows; nil: there is nothing to listen with.
	Server *tls.Certificate

	// Client is what is shown to a server that asks; nil: nothing. One that is
	// for servers only (RFC 5280 §4.2.1.12) is not shown, because it would be
	// refused where none at all may be welcome.
	Client *tls.Certificate

	// ClientCAs, if not nil, have signed every client that may connect: one
	// without such a certificate is refused in the handshake.
	ClientCAs *x509.CertPool

	// RootCAs are whom a client trusts; nil means the system's roots.
	RootCAs *x509.CertPool

	// Warnings are what was found odd when they were loaded, but works.
	Warnings []*CredentialError

	crl     *revocations // nil: revocation is not checked
	endings []ending
	digest  [sha256.Size]byte // of all files
	present []string          // the files of Dir that were there
}

// CredentialFiles are the PEM files of Credentials; "" is none.
type CredentialFiles struct {
	Cert     string // the chain: the leaf first, each followed by its issuer; goes with Key
	Key      string // PKCS #8, PKCS #1 or SEC 1; PKCS #8 may be encrypted
	ClientCA string
	CA       string

	// CRL has the revocation lists of the authorities that sign peers: of each
	// that a chain leads through, else the peer is refused. They are complete ones
	// (RFC 5280 §5), neither deltas nor indirect.
	CRL string

	// Passphrase is the file with the passphrase of encrypted keys: its first line.
	Passphrase string

	// Dir is a folder in QEMU's layout, instead of all others but Passphrase:
	// ca-cert.pem, which is both ClientCA and CA, and, where they are there,
	// server-cert.pem and server-key.pem, client-cert.pem and client-key.pem,
	// ca-crl.pem.
	Dir string
}

// What is in Dir (docs/system/tls.rst of QEMU).
const (
	dirCA         = "ca-cert.pem"
	dirCRL        = "ca-crl.pem"
	dirServerCert = "server-cert.pem"
	dirServerKey  = "server-key.pem"
	dirClientCert = "client-cert.pem"
	dirClientKey  = "client-key.pem"
)

// Paths are all files that make a difference, whether or not they are there.
func (f CredentialFiles) Paths() []string {
	paths := []string{f.Cert, f.Key, f.ClientCA, f.CA, f.CRL, f.Passphrase}
	if f.Dir != "" {
		for _, name := range []string{dirCA, dirCRL, dirServerCert, dirServerKey, dirClientCert, dirClientKey} {
			paths = append(paths, filepath.Join(f.Dir, name))
		}
	}
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// A CredentialError is what is wrong with one of CredentialFiles.
type CredentialError struct {
	Part string // which one, by its key in a config: cert, client_ca, dir, …; "" is all
	File string // "": none is given
	Err  error
}

func (e *CredentialError) Error() string {
	switch {
	case e.Part == "":
		return e.Err.Error()
	case e.File == "":
		return e.Part + ": " + e.Err.Error()
	}
	return e.Part + " " + e.File + ": " + e.Err.Error()
}

func (e *CredentialError) Unwrap() error { return e.Err }

// LoadCredentials reads the files and checks that each is there, is PEM of the
// right kind, is valid today and may be used for what it is given for, and that
// the parts fit. The error joins a *CredentialError for each that is wrong.
func LoadCredentials(f CredentialFiles) (*Credentials, error) {
	l := &credentialLoader{now: time.Now(), digest: sha256.New(), to: new(Credentials)}
	l.passphrase(f)
	if f.Dir != "" {
		l.folder(f)
	} else {
		l.single(f)
	}
	if err := errors.Join(l.errs...); err != nil {
		return nil, err
	}
	l.digest.Sum(l.to.digest[:0])
	return l.to, nil
}

// Reload reads the files again. It returns c itself if they are as they were, and
// an error too if a file of Dir is gone that was there.
func (c *Credentials) Reload(f CredentialFiles) (*Credentials, error) {
	next, err := LoadCredentials(f)
	if err != nil {
		return nil, err
	}
	for _, file := range c.present {
		if !slices.Contains(next.present, file) {
			return nil, &CredentialError{"dir", file, errors.New("it was there and is gone; restart if it is to be without")}
		}
	}
	if next.digest == c.digest {
		return c, nil
	}
	return next, nil
}

// A credentialLoader is one LoadCredentials.
type credentialLoader struct {
	now      time.Time
	digest   hash.Hash // of what was read
	pass     []byte    // nil: no passphrase
	passFile credentialFile
	to       *Credentials
	errs     []error
}

// A credentialFile is a file and its key in a config.
type credentialFile struct{ part, path string }

// failf notes a mistake.
func (l *credentialLoader) failf(f credentialFile, format string, args ...any) {
	l.errs = append(l.errs, &CredentialError{f.part, f.path, fmt.Errorf(format, args...)})
}

// single loads files that are named one by one.
func (l *credentialLoader) single(f CredentialFiles) {
	cert, key := credentialFile{"cert", f.Cert}, credentialFile{"key", f.Key}
	switch {
	case cmp.Or(f.Cert, f.Key, f.ClientCA, f.CA) == "":
		l.failf(credentialFile{}, "names no file; give it cert and key, ca, client_ca, or dir")
	case f.Cert == "" && f.Key != "":
		l.failf(cert, `there is a key, but no cert; give cert = "…", the file of its certificate`)
	case f.Key == "" && f.Cert != "":
		l.failf(key, `there is a cert, but no key; give key = "…", the file of its private key`)
	case f.Passphrase != "" && f.Key == "":
		l.failf(l.passFile, "there is no key that it could open")
	}
	if f.Cert != "" && f.Key != "" {
		if pair := l.identity(cert, key); pair != nil {
			if fit(pair.Leaf, x509.ExtKeyUsageServerAuth) {
				l.to.Server = pair
			}
			if fit(pair.Leaf, x509.ExtKeyUsageClientAuth) {
				l.to.Client = pair
			}
			if l.to.Server == nil && l.to.Client == nil {
				l.failf(cert, "the certificate of %q is for neither servers nor clients (its extended key usage)", pair.Leaf.Subject)
			}
		}
	}
	var trusted []*x509.Certificate
	pool := func(part, path string) (pool *x509.CertPool) {
		if path != "" {
			var certs []*x509.Certificate
			certs, pool = l.authorities(credentialFile{part, path})
			trusted = append(trusted, certs...)
		}
		return pool
	}
	l.to.ClientCAs = pool("client_ca", f.ClientCA)
	l.to.RootCAs = pool("ca", f.CA)
	if crl := (credentialFile{"crl", f.CRL}); f.CRL != "" {
		if f.ClientCA == "" && f.CA == "" {
			l.failf(crl, "there is neither client_ca nor ca whose list it could be")
			return
		}
		l.revocations(crl, trusted)
	}
}

// folder loads a folder in QEMU's layout.
func (l *credentialLoader) folder(f CredentialFiles) {
	if cmp.Or(f.Cert, f.Key, f.ClientCA, f.CA, f.CRL) != "" {
		l.failf(credentialFile{"dir", f.Dir}, "a folder has all files in it; give either dir, or cert, key, client_ca, ca and crl")
		return
	}
	in := func(name string) credentialFile { return credentialFile{"dir", filepath.Join(f.Dir, name)} }
	there := func(name string) bool {
		_, err := os.Stat(in(name).path)
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		l.to.present = append(l.to.present, in(name).path)
		return true
	}
	trusted, pool := l.authorities(in(dirCA))
	l.to.ClientCAs, l.to.RootCAs = pool, pool
	identity := func(cert, key string, use x509.ExtKeyUsage, forWhom string) *tls.Certificate {
		pair := l.identity(in(cert), in(key))
		if pair == nil || pool == nil {
			return nil
		}
		if !fit(pair.Leaf, use) {
			l.failf(in(cert), "the certificate of %q is not for %s (its extended key usage)", pair.Leaf.Subject, forWhom)
			return nil
		}
		if err := leadsTo(pair, pool, use, l.now); err != nil {
			l.failf(in(cert), "the certificate of %q does not lead to one of %s: %w", pair.Leaf.Subject, dirCA, err)
			return nil
		}
		return pair
	}
	// As for QEMU, a key without a certificate is a mistake of a server, whose
	// certificate is missing, but not of a client, which may do without.
	if cert, key := there(dirServerCert), there(dirServerKey); cert || key {
		l.to.Server = identity(dirServerCert, dirServerKey, x509.ExtKeyUsageServerAuth, "servers")
	}
	if there(dirClientCert) {
		l.to.Client = identity(dirClientCert, dirClientKey, x509.ExtKeyUsageClientAuth, "clients")
	}
	if there(dirCRL) {
		l.revocations(in(dirCRL), trusted)
	}
}

// identity loads a certificate with its chain, and its private key; nil if
// something is wrong with them.
func (l *credentialLoader) identity(cert, key credentialFile) *tls.Certificate {
	before := len(l.errs)
	chain := l.certificates(cert)
	der := l.privateKey(key)
	if chain != nil {
		l.checkChain(cert, chain)
	}
	if len(l.errs) > before {
		return nil
	}
	pair, err := tls.X509KeyPair(encodeCertificates(chain), der)
	if err != nil {
		// Both files have been read alone, so it is the two together.
		l.failf(key, "does not belong to the certificate in %s (%s)", cert.path, plainTLS(err))
		return nil
	}
	for _, c := range chain {
		l.expires(cert, c.NotAfter, fmt.Sprintf("the certificate of %q", c.Subject))
	}
	return &pair
}

// authorities loads the certificates of authorities, and what they are as a pool;
// nil if something is wrong with them. One that has expired is an error only if no
// other in the file is valid: bundles keep old ones.
func (l *credentialLoader) authorities(f credentialFile) ([]*x509.Certificate, *x509.CertPool) {
	all := l.certificates(f)
	if all == nil {
		return nil, nil
	}
	pool := x509.NewCertPool()
	var valid []*x509.Certificate
	var invalid error
	for _, c := range all {
		if err := checkValidity(c, l.now); err != nil {
			invalid = err
			continue
		}
		if err := checkAuthority(c); err != nil {
			l.failf(f, "%w", err)
			return nil, nil
		}
		pool.AddCert(c)
		valid = append(valid, c)
	}
	if valid == nil {
		l.failf(f, "%w", invalid)
		return nil, nil
	}
	last := slices.MaxFunc(valid, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	l.expires(f, last.NotAfter, fmt.Sprintf("the authority %q", last.Subject))
	return valid, pool
}

// passphrase reads the first line of the passphrase's file.
func (l *credentialLoader) passphrase(f CredentialFiles) {
	if f.Passphrase == "" {
		return
	}
	l.passFile = credentialFile{"passphrase_file", f.Passphrase}
	data, ok := l.read(l.passFile)
	if !ok {
		return
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if l.pass = bytes.TrimSuffix(line, []byte("\r")); len(l.pass) == 0 {
		l.failf(l.passFile, "its first line is empty; write the passphrase of the key there")
	}
}
