package channel

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"
)

// revocations are the revocation lists (CRLs, RFC 5280 §5) of some authorities.
type revocations struct {
	file  string
	lists []*revocationList
}

type revocationList struct {
	*x509.RevocationList
	entries map[string]*x509.RevocationListEntry // by serial number

	signer atomic.Pointer[x509.Certificate] // by whom it was found to be signed; nil: not looked yet
}

// signedBy says whether an authority signed the list. Large ones have some MiB to be
// hashed, so that what is found is kept.
func (l *revocationList) signedBy(issuer *x509.Certificate) error {
	if known := l.signer.Load(); known != nil && known.Equal(issuer) {
		return nil
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return err
	}
	l.signer.Store(issuer)
	return nil
}

func serialKey(n *big.Int) string { return n.Text(62) }

// revocations loads the lists in a file. Those of an authority in trusted must be
// signed by it, and there must be one of them: all peers would be refused else.
func (l *credentialLoader) revocations(f credentialFile, trusted []*x509.Certificate) {
	const kind = "X509 CRL"
	r := &revocations{file: f.path}
	for _, b := range l.blocks(f, kind, "revocation list", func(t string) bool { return t == kind }) {
		list, err := newRevocationList(b.Bytes)
		if err != nil {
			l.failf(f, "%w", err)
			return
		}
		r.lists = append(r.lists, list)
	}
	if r.lists == nil || trusted == nil { // of which is told already
		return
	}
	l.to.crl = r
	known := false
	for _, issuer := range trusted {
		lists, err := r.of(issuer, l.now)
		if err != nil {
			l.failf(f, "%w", err)
			return
		}
		known = known || lists != nil
	}
	if !known {
		l.failf(f, "it is the list of %q, which is none of the authorities that sign peers (%q)", r.lists[0].Issuer, trusted[0].Subject)
		return
	}
	for _, list := range r.lists {
		newer := func(o *revocationList) bool {
			return bytes.Equal(o.RawIssuer, list.RawIssuer) && o.NextUpdate.After(list.NextUpdate)
		}
		if !list.NextUpdate.IsZero() && !slices.ContainsFunc(r.lists, newer) {
			l.to.endings = append(l.to.endings, ending{file: f, what: fmt.Sprintf("the revocation list of %q", list.Issuer), at: list.NextUpdate})
		}
	}
}

func newRevocationList(der []byte) (*revocationList, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("a revocation list in it cannot be read: %w", err)
	}
	// Deltas and lists of a part of the certificates say so in critical extensions;
	// who does not know one must not rely on the list (RFC 5280 §5.2).
	for _, e := range crl.Extensions {
		if e.Critical {
			return nil, fmt.Errorf("the revocation list of %q is a partial or unusual one (extension %s); give a complete one", crl.Issuer, e.Id)
		}
	}
	list := &revocationList{RevocationList: crl, entries: map[string]*x509.RevocationListEntry{}}
	for i := range crl.RevokedCertificateEntries {
		entry := &crl.RevokedCertificateEntries[i]
		for _, e := range entry.Extensions {
			if e.Critical {
				return nil, fmt.Errorf("the revocation list of %q has unusual entries (extension %s); give one of this authority alone", crl.Issuer, e.Id)
			}
		}
		list.entries[serialKey(entry.SerialNumber)] = entry
	}
	return list, nil
}

// of returns the lists of an issuer that are in force: nil, without an error, if
// there is none of it at all.
func (r *revocations) of(issuer *x509.Certificate, now time.Time) (current []*revocationList, err error) {
	for _, list := range r.lists {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
			continue
		}
		if serr := list.signedBy(issuer); serr != nil {
			err = fmt.Errorf("the revocation list of %q is not signed by it: %w", issuer.Subject, serr)
			continue
		}
		switch {
		case now.Before(list.ThisUpdate):
			err = fmt.Errorf("the revocation list of %q is not valid before %s; is the clock right?", issuer.Subject, list.ThisUpdate.Format(stampForm))
		case !list.NextUpdate.IsZero() && now.After(list.NextUpdate):
			err = fmt.Errorf("the revocation list of %q expired on %s; get the next one", issuer.Subject, list.NextUpdate.Format(stampForm))
		default:
			current = append(current, list)
		}
	}
	if current != nil {
		return current, nil
	}
	return nil, err
}

// check refuses a peer one of whose chains has a revoked certificate, or who has
// none of which all is known: where a list is missing or out of date nobody can say
// who was revoked.
func (r *revocations) check(chains [][]*x509.Certificate, now time.Time) error {
	unknown := errors.New("the peer's certificate leads to no authority")
	known := false
	for _, chain := range chains {
		complete := true
		for i, issuer := range chain[1:] {
			c := chain[i]
			lists, err := r.of(issuer, now)
			if lists == nil {
				complete = false
				if unknown = err; err == nil {
					unknown = fmt.Errorf("there is no revocation list of %q, which issued the certificate of %q", issuer.Subject, c.Subject)
				}
				continue
			}
			for _, list := range lists {
				if e := list.entries[serialKey(c.SerialNumber)]; e != nil {
					return fmt.Errorf("the certificate of %q (serial number %x) was revoked on %s", c.Subject, c.SerialNumber, e.RevocationTime.Format(stampForm))
				}
			}
		}
		known = known || complete
	}
	if !known {
		return fmt.Errorf("%w (crl %s)", unknown, r.file)
	}
	return nil
}

// verify checks, for tls.Config.VerifyConnection, what crypto/tls does not: that
// nothing of the peer's chains is revoked and, as nothing of this is done when a
// session is resumed, everything then: who was let in once may since have expired,
// or its authority may be trusted no longer. o are the options of x509 for such peers.
func (c *Credentials) verify(cs tls.ConnectionState, o x509.VerifyOptions) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the peer has no certificate")
	}
	chains := cs.VerifiedChains
	o.CurrentTime = time.Now()
	if cs.DidResume {
		o.Intermediates = x509.NewCertPool()
		for _, between := range cs.PeerCertificates[1:] {
			o.Intermediates.AddCert(between)
		}
		var err error
		if chains, err = cs.PeerCertificates[0].Verify(o); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
		}
	}
	if c.crl == nil {
		return nil
	}
	return c.crl.check(chains, o.CurrentTime)
}
