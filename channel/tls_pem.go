package channel

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPEM is how large a file of credentials may be, in bytes: revocation lists of
// large authorities have some MiB.
const maxPEM = 64 << 20

// read returns what is in a file, and takes it down as part of what was read.
func (l *credentialLoader) read(f credentialFile) ([]byte, bool) {
	data, err := readRegular(f.path)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		l.failf(f, "%w", err)
		return nil, false
	}
	fmt.Fprintf(l.digest, "%s %s %d\n", f.part, f.path, len(data))
	l.digest.Write(data)
	return data, true
}

// readRegular reads a file; a device or a pipe could block or never end.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case fi.IsDir():
		return nil, errors.New("is a folder, not a file")
	case !fi.Mode().IsRegular():
		return nil, errors.New("is no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if len(data) > maxPEM {
		return nil, errors.New("is larger than 64 MiB")
	}
	return data, err
}

// pemBlocks returns all PEM blocks of a file. One that is cut off is an error: the
// file may be in the middle of being written, and who is left out of a list of
// authorities or of revoked certificates makes a difference.
func pemBlocks(data []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if begun := bytes.Count(data, []byte("-----BEGIN ")); begun != len(blocks) {
		return nil, fmt.Errorf("of %d PEM blocks that begin in it %d are whole", begun, len(blocks))
	}
	return blocks, nil
}

// blocks returns the PEM blocks of a file of which at least one is of a kind; what
// is how that kind is called. Nil if something is wrong.
func (l *credentialLoader) blocks(f credentialFile, kind, what string, is func(string) bool) []*pem.Block {
	data, ok := l.read(f)
	if !ok {
		return nil
	}
	all, err := pemBlocks(data)
	if err != nil {
		l.failf(f, "%w", err)
		return nil
	}
	var found []*pem.Block
	for _, b := range all {
		if is(b.Type) {
			found = append(found, b)
		}
	}
	switch {
	case len(all) == 0:
		l.failf(f, "no PEM in it (want -----BEGIN %s-----)", kind)
	case found == nil:
		l.failf(f, "no %s in it, but a %s", what, strings.ToLower(all[0].Type))
	}
	return found
}

// certificates reads all certificates of a PEM file: at least one, or nil.
func (l *credentialLoader) certificates(f credentialFile) []*x509.Certificate {
	const kind = "CERTIFICATE"
	var certs []*x509.Certificate
	for _, b := range l.blocks(f, kind, "certificate", func(t string) bool { return t == kind }) {
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			l.failf(f, "a certificate in it cannot be read: %w", err)
			return nil
		}
		certs = append(certs, c)
	}
	return certs
}

// privateKey returns the first private key of a PEM file, decrypted, as PEM; nil
// if something is wrong.
func (l *credentialLoader) privateKey(f credentialFile) []byte {
	blocks := l.blocks(f, "PRIVATE KEY", "private key", func(t string) bool { return strings.HasSuffix(t, "PRIVATE KEY") })
	if blocks == nil {
		return nil
	}
	key := blocks[0]
	switch {
	case strings.Contains(key.Headers["Proc-Type"], "ENCRYPTED"):
		// RFC 1423 derives the key with one round of MD5 and protects nothing.
		l.failf(f, "the key is encrypted in the old way of PEM; convert it to PKCS #8 (openssl pkcs8 -topk8 -in … -out …)")
		return nil
	case key.Type == "ENCRYPTED PRIVATE KEY" && l.pass == nil:
		l.failf(f, "the key is encrypted; give passphrase_file = \"…\", or write it without a passphrase (openssl pkey -in … -out …)")
		return nil
	case key.Type == "ENCRYPTED PRIVATE KEY":
		der, err := decryptPKCS8(key.Bytes, l.pass)
		if errors.Is(err, errPassphrase) {
			l.failf(l.passFile, "%w: %s", err, f.path)
			return nil
		} else if err != nil {
			l.failf(f, "%w", err)
			return nil
		}
		key = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	return pem.EncodeToMemory(key)
}

func encodeCertificates(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		// A bytes.Buffer takes everything.
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// plainTLS is an error of crypto/tls without its name.
func plainTLS(err error) string { return strings.TrimPrefix(err.Error(), "tls: ") }
