package channel

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What is checked here is what peers will hold against a certificate, mostly in
// words that do not help: better it is told where the files are named. The cases
// are those that QEMU checks (crypto/tlscredsx509.c).

const stampForm = "2006-01-02 15:04 MST"

func checkValidity(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate of %q expired on %s", c.Subject, c.NotAfter.Format(stampForm))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate of %q is not valid before %s; is the clock right?", c.Subject, c.NotBefore.Format(stampForm))
	}
	return nil
}

// checkAuthority checks that a certificate may sign others (RFC 5280 §4.2.1.9
// and §4.2.1.3).
func checkAuthority(c *x509.Certificate) error {
	_, limited := extension(c, oidKeyUsage)
	switch {
	case !c.BasicConstraintsValid:
		return fmt.Errorf("the certificate of %q is no authority's: it has no basic constraints", c.Subject)
	case !c.IsCA:
		return fmt.Errorf("the certificate of %q is no authority's (basic constraints: CA:FALSE)", c.Subject)
	case limited && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("the certificate of %q may not sign others (its key usage lacks keyCertSign)", c.Subject)
	}
	return nil
}

var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

// extension finds one of a certificate's extensions.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) (critical, ok bool) {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Critical, true
		}
	}
	return false, false
}

// checkChain checks an identity's certificates: the leaf, and that each is followed
// by its issuer.
func (l *credentialLoader) checkChain(f credentialFile, chain []*x509.Certificate) {
	for _, c := range chain {
		if err := checkValidity(c, l.now); err != nil {
			l.failf(f, "%w", err)
		}
	}
	leaf := chain[0]
	// An authority's certificate here would mean that its private key is, too. One
	// that is its own authority is what openssl req -x509 makes.
	if leaf.IsCA && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
		l.failf(f, "the certificate of %q is that of an authority (basic constraints: CA:TRUE); the first in the file must be that of a server or client", leaf.Subject)
	}
	// TLS 1.3, and what TLS 1.2 still has here, signs with the key (RFC 8446 §4.4.2.2).
	if critical, limited := extension(leaf, oidKeyUsage); limited && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		err := fmt.Errorf("the key of %q may not be used for TLS (its key usage lacks digitalSignature)", leaf.Subject)
		if critical {
			l.failf(f, "%w", err)
		} else {
			l.to.Warnings = append(l.to.Warnings, &CredentialError{f.part, f.path, fmt.Errorf("%w; many peers will refuse it", err)})
		}
	}
	for i, issuer := range chain[1:] {
		if err := checkAuthority(issuer); err != nil {
			l.failf(f, "%w", err)
			return
		}
		if err := chain[i].CheckSignatureFrom(issuer); err != nil {
			l.failf(f, "the certificate of %q is not followed by its issuer's, but by that of %q: %w", chain[i].Subject, issuer.Subject, err)
			return
		}
	}
}

// fit says whether the extended key usage of a certificate lets it be used for a
// purpose; a certificate without any may be used for all.
func fit(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// leadsTo checks that the chain of an identity ends at an authority of pool.
func leadsTo(pair *tls.Certificate, pool *x509.CertPool, use x509.ExtKeyUsage, now time.Time) error {
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(c)
	}
	_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

// An ending is when something of the credentials ends.
type ending struct {
	file   credentialFile
	what   string
	at     time.Time
	notice time.Duration // how long before it is told
}

// ExpiryNotice is how long before its end a certificate is warned of.
const ExpiryNotice = 30 * 24 * time.Hour

// expires takes down when a certificate ends.
func (l *credentialLoader) expires(f credentialFile, at time.Time, what string) {
	l.to.endings = append(l.to.endings, ending{f, what, at, ExpiryNotice})
}

// Expiry is when the first of the certificates ends; of a file of authorities, when
// the last one in it does. Zero if there is none.
func (c *Credentials) Expiry() time.Time {
	var first time.Time
	for _, d := range c.endings {
		if d.notice > 0 && (first.IsZero() || d.at.Before(first)) {
			first = d.at
		}
	}
	return first
}

// Expiring returns what has ended or ends soon, to be warned of: certificates within
// ExpiryNotice, revocation lists when they are out of date. next is when there will
// be more of it; zero: never.
func (c *Credentials) Expiring(now time.Time) (due []*CredentialError, next time.Time) {
	for _, d := range c.endings {
		from := d.at.Add(-d.notice)
		if now.Before(from) {
			if next.IsZero() || from.Before(next) {
				next = from
			}
			continue
		}
		text := fmt.Sprintf("%s expires on %s, in %d days: renew it", d.what, d.at.Format(stampForm), int(d.at.Sub(now).Hours())/24)
		if !now.Before(d.at) {
			text = fmt.Sprintf("%s expired on %s: renew it, connections are refused because of it", d.what, d.at.Format(stampForm))
		}
		due = append(due, &CredentialError{d.file.part, d.file.path, errors.New(text)})
	}
	return due, next
}
