package channel

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// credentialFiles writes PEM files for TestLoadCredentials and returns the folder.
func credentialFiles(t *testing.T) string {
	dir := t.TempDir()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	split := func(name string, at time.Time) {
		text, err := makeSelfSigned(at)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(text, []byte("-----BEGIN PRIVATE"))
		put(name+".pem", text[:i])
		put(name+"-key.pem", text[i:])
	}
	split("good", time.Now())
	split("other", time.Now())
	split("old", time.Now().AddDate(-selfSignedYears-1, 0, 0))
	split("future", time.Now().AddDate(1, 0, 0))
	put("text.pem", []byte("hello\n"))
	put("encrypted.pem", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	put("broken.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	good, _ := os.ReadFile(filepath.Join(dir, "good.pem"))
	old, _ := os.ReadFile(filepath.Join(dir, "old.pem"))
	put("bundle.pem", append(old, good...))
	return dir
}

func TestLoadCredentials(t *testing.T) {
	dir := credentialFiles(t)
	for _, test := range []struct {
		files CredentialFiles
		want  []string // in the error; none: it loads
	}{
		{CredentialFiles{Cert: "good.pem", Key: "good-key.pem", ClientCA: "other.pem", CA: "bundle.pem"}, nil},
		{CredentialFiles{CA: "good.pem"}, nil},
		{CredentialFiles{}, []string{"names no file"}},
		{CredentialFiles{Cert: "good.pem"}, []string{"key: there is a cert, but no key"}},
		{CredentialFiles{Key: "good-key.pem"}, []string{"cert: there is a key, but no cert"}},
		{CredentialFiles{Cert: "gone.pem", Key: "good-key.pem"}, []string{"cert ", "gone.pem", "no such file"}},
		{CredentialFiles{Cert: "good.pem", Key: "gone.pem"}, []string{"key ", "gone.pem", "no such file"}},
		{CredentialFiles{Cert: "text.pem", Key: "text.pem"}, []string{"cert ", "key ", "no PEM", "BEGIN CERTIFICATE", "BEGIN PRIVATE KEY"}},
		{CredentialFiles{Cert: "good-key.pem", Key: "good.pem"}, []string{"no certificate in it, but a private key", "no private key in it, but a certificate"}},
		{CredentialFiles{Cert: "good.pem", Key: "other-key.pem"}, []string{"other-key.pem: does not belong", "good.pem"}},
		{CredentialFiles{Cert: "old.pem", Key: "old-key.pem"}, []string{"old.pem", "expired on"}},
		{CredentialFiles{Cert: "future.pem", Key: "future-key.pem"}, []string{"future.pem", "not valid before"}},
		{CredentialFiles{Cert: "good.pem", Key: "encrypted.pem"}, []string{"encrypted"}},
		{CredentialFiles{CA: "broken.pem", ClientCA: "old.pem"}, []string{"ca ", "broken.pem", "cannot be read", "client_ca ", "old.pem", "expired on"}},
		{CredentialFiles{CA: "."}, []string{"ca ", "is a folder"}},
	} {
		f := test.files
		for _, p := range []*string{&f.Cert, &f.Key, &f.ClientCA, &f.CA} {
			if *p != "" {
				*p = filepath.Join(dir, *p)
			}
		}
		c, err := LoadCredentials(f)
		if test.want == nil {
			if err != nil || c.Server == nil && test.files.Cert != "" || (c.RootCAs == nil) != (test.files.CA == "") {
				t.Errorf("%+v: %v, %v", test.files, c, err)
			}
			continue
		}
		for _, w := range test.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: error %v; want %q in it", test.files, err, w)
			}
		}
	}
}

func TestBundleLeavesTheExpiredOut(t *testing.T) {
	dir := credentialFiles(t)
	c, err := LoadCredentials(CredentialFiles{CA: filepath.Join(dir, "bundle.pem")})
	if err != nil {
		t.Fatal(err)
	}
	want := x509.NewCertPool()
	good, err := os.ReadFile(filepath.Join(dir, "good.pem"))
	if err != nil || !want.AppendCertsFromPEM(good) {
		t.Fatal(err)
	}
	if !c.RootCAs.Equal(want) {
		t.Error("the pool is not just the valid certificate")
	}
}
