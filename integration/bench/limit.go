package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed limit.c
var limitSource []byte

// A limit is the C program that does nothing else: what all others are
// measured against.
type limit struct{ binary, cert, key string }

func (l limit) name() string   { return limitName }
func (l limit) can(j job) bool { return !j.lossy || j.front == "tcp" || j.front == "unix" }

// logOf is the file that a target keeps what a console prints in, if it is told
// one.
func logOf(dir string, con *console) string { return filepath.Join(dir, con.name+logSuffix) }

const logSuffix = ".log"

const limitName = "limit"

// buildLimit compiles it into dir.
func buildLimit(dir string, cert, key string) (limit, error) {
	l := limit{filepath.Join(dir, "limit"), cert, key}
	src := l.binary + ".c"
	if err := os.WriteFile(src, limitSource, 0o600); err != nil {
		return l, err
	}
	out, err := exec.Command("gcc", "-O2", "-o", l.binary, src, "-lssl", "-lcrypto").CombinedOutput()
	if err != nil {
		return l, fmt.Errorf("gcc of the limit program (Debian packages gcc, libc6-dev and libssl-dev): %w\n%s", err, out)
	}
	return l, nil
}

func (l limit) start(dir string, j job, consoles []*console) (*instance, error) {
	var b strings.Builder
	for _, con := range consoles {
		log := "-"
		if j.log != "" {
			log = logOf(dir, con)
		}
		fmt.Fprintf(&b, "%s:%s %s:%s %s\n", con.dev.kind, con.dev.addr, con.front.kind, con.front.addr, log)
	}
	list := filepath.Join(dir, "limit.list")
	if err := os.WriteFile(list, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	var args []string
	if j.lossy {
		args = append(args, "-d")
	}
	if j.front == "tls" {
		args = append(args, "-c", l.cert, "-k", l.key)
	}
	p, err := start(dir, l.binary, append(args, list)...)
	if err != nil {
		return nil, err
	}
	return &instance{procs: []*process{p}}, nil
}

// makeCertificate makes a self-signed one for the targets, of the kind that
// chardevd makes for itself.
func makeCertificate(dir string) (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		return "", "", err
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder}), 0o600)
}
