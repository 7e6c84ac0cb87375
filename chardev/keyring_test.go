package chardev

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/channel/channeltest/testca"
)

// newPair makes the PEM of a certificate that signs itself, and of its key.
func newPair(t testing.TB, name string, lives time.Duration, changes ...func(*x509.Certificate)) (cert, key []byte) {
	t.Helper()
	all := append([]func(*x509.Certificate){isAuthority(lives)}, changes...)
	s := testca.Sign(t, nil, name, all...)
	return s.CertPEM(), s.KeyPEM(t)
}

// isAuthority makes an authority, for so long from now; negative: it was one.
func isAuthority(lives time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.IsCA = true
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(lives)
	}
}

// A linesLog hands out each line that is logged.
type linesLog chan string

func (l linesLog) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

// says waits for the next line, which must have all of the words in it.
func (l linesLog) says(t *testing.T, words ...string) {
	t.Helper()
	select {
	case line := <-l:
		for _, w := range words {
			if !strings.Contains(line, w) {
				t.Fatalf("logged %q, want %q in it", line, w)
			}
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("not logged: %q", words)
	}
}

// A keptPair follows the files of one [credentials.x] in a folder.
type keptPair struct {
	t    *testing.T
	dir  string
	keys *keys
	log  linesLog
}

const year = 365 * 24 * time.Hour

// keepPair follows dir/c.pem and dir/k.pem, which hold old.
func keepPair(t *testing.T, dir string) *keptPair {
	t.Helper()
	f := channel.CredentialFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}
	loaded, err := channel.LoadCredentials(f)
	if err != nil {
		t.Fatal(err)
	}
	k := &keptPair{t: t, dir: dir, log: make(linesLog, 100)}
	ring := newKeyring(map[string]*CredentialsConfig{"x": {f, loaded}}, slog.New(slog.NewTextHandler(k.log, nil)))
	k.keys = ring.named()["x"]
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	ring.start(ctx, &wg)
	t.Cleanup(func() { cancel(); wg.Wait() })
	return k
}

// put replaces a file whole, by a rename, as all do that mean it well.
func (k *keptPair) put(name string, data []byte) {
	k.t.Helper()
	tmp := filepath.Join(k.dir, "."+name)
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(k.dir, name)); err != nil {
		k.t.Fatal(err)
	}
}

// is says whose certificate is in force.
func (k *keptPair) is(name string) {
	k.t.Helper()
	if have := k.keys.now.Load().Server.Leaf.Subject.CommonName; have != name {
		k.t.Fatalf("the certificate of %s is in force, not that of %s", have, name)
	}
}

// pairIn writes a pair into a folder.
func pairIn(t *testing.T, dir, name string) {
	t.Helper()
	cert, key := newPair(t, name, year)
	for file, data := range map[string][]byte{"c.pem": cert, "k.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A pair is taken when both files are there; what is in between is told to nobody.
func TestKeyringReplaced(t *testing.T) {
	dir := t.TempDir()
	pairIn(t, dir, "old")
	k := keepPair(t, dir)
	k.is("old")
	for _, name := range []string{"first", "second"} {
		cert, key := newPair(t, name, year)
		k.put("c.pem", cert)
		k.put("k.pem", key)
		k.log.says(t, "INFO", "replaced", "credentials=x")
		k.is(name)
	}
	// Written in place, too.
	pairIn(t, dir, "third")
	k.log.says(t, "INFO", "replaced")
	k.is("third")
}

// Files that are wrong leave the old ones in force, and are told once.
func TestKeyringReplacedWrongly(t *testing.T) {
	dir := t.TempDir()
	pairIn(t, dir, "old")
	k := keepPair(t, dir)
	cert, key := newPair(t, "new", year)
	for _, bad := range [][]byte{[]byte("garbage"), cert[:100]} {
		k.put("c.pem", bad)
		k.log.says(t, "ERROR", "old ones stay in force", "c.pem")
		k.is("old")
	}
	k.put("c.pem", cert) // without its key
	k.log.says(t, "ERROR", "does not belong")
	if err := os.Remove(filepath.Join(dir, "c.pem")); err != nil {
		t.Fatal(err)
	}
	k.log.says(t, "ERROR", "no such file")
	k.is("old")
	past, pastKey := newPair(t, "past", -time.Hour)
	k.put("k.pem", pastKey)
	k.put("c.pem", past)
	k.log.says(t, "ERROR", "expired on")
	k.put("k.pem", key)
	k.put("c.pem", cert)
	k.log.says(t, "INFO", "replaced")
	k.is("new")
	if len(k.log) > 0 {
		t.Errorf("also logged: %s", <-k.log)
	}
}

// A volume of Kubernetes: the files are links by way of ..data, a link that is
// replaced as a whole.
func TestKeyringInAVolume(t *testing.T) {
	dir := t.TempDir()
	version := func(name string) {
		t.Helper()
		folder := filepath.Join(dir, "..v-"+name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		pairIn(t, folder, name)
		tmp := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink("..v-"+name, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("one")
	for _, file := range []string{"c.pem", "k.pem"} {
		if err := os.Symlink("..data/"+file, filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	k := keepPair(t, dir)
	k.is("one")
	for _, name := range []string{"two", "three"} {
		version(name)
		k.log.says(t, "INFO", "replaced")
		k.is(name)
	}
	if err := os.RemoveAll(filepath.Join(dir, "..v-one")); err != nil {
		t.Fatal(err)
	}
}

// In a folder of QEMU's layout a file may be missing, but not one that was there:
// without its revocation list the revoked would be back.
func TestKeyringLosesAFile(t *testing.T) {
	dir := t.TempDir()
	cert, _ := newPair(t, "ca", year)
	for name, data := range map[string][]byte{"ca-cert.pem": cert} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := channel.CredentialFiles{Dir: dir}
	bare, err := channel.LoadCredentials(f)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := bare.Reload(f); err != nil || same != bare {
		t.Errorf("nothing has changed, yet there are others (%v)", err)
	}
	crl := filepath.Join(dir, "ca-crl.pem")
	list := newList(t)
	if err := os.WriteFile(filepath.Join(dir, "ca-cert.pem"), list.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(crl, list.crl, 0o600); err != nil {
		t.Fatal(err)
	}
	with, err := bare.Reload(f)
	if err != nil || with == bare {
		t.Fatalf("the list is not there: %v", err)
	}
	if err := os.Remove(crl); err != nil {
		t.Fatal(err)
	}
	if _, err := with.Reload(f); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("without its list: %v", err)
	}
}

// A revocationFiles is an authority and its list.
type revocationFiles struct{ ca, crl []byte }

func newList(t *testing.T) revocationFiles {
	t.Helper()
	ca := testca.Sign(t, nil, "ca", isAuthority(year), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign })
	return revocationFiles{ca.CertPEM(), ca.List(t, nil)}
}

// What expires within 30 days is told once a day, by a timer that is set for then.
func TestKeyringExpires(t *testing.T) {
	const day = 24 * time.Hour
	cert, key := newPair(t, "soon", 40*day+time.Hour)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"c.pem": cert, "k.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := channel.CredentialFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}
	loaded, err := channel.LoadCredentials(f)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ring := newKeyring(map[string]*CredentialsConfig{"x": {f, loaded}}, slog.New(slog.NewTextHandler(&log, nil)))
	start := time.Now()
	for _, test := range []struct {
		at, next time.Duration
		want     string // "": nothing is told
	}{
		{0, 10 * day, ""},
		{10*day + 2*time.Hour, 11*day + 2*time.Hour, "expires on"},
		{10*day + 3*time.Hour, 11*day + 2*time.Hour, ""},
		{11*day + 2*time.Hour, 12*day + 2*time.Hour, "in 28 days"},
		{41 * day, 42 * day, "expired on"},
	} {
		log.Reset()
		next := ring.warn(start.Add(test.at)).Sub(start)
		if (next - test.next).Abs() > 2*time.Hour {
			t.Errorf("at %v: the next after %v, want %v", test.at, next, test.next)
		}
		if !strings.Contains(log.String(), test.want) || test.want == "" && log.Len() > 0 {
			t.Errorf("at %v: logged %q, want %q", test.at, &log, test.want)
		}
	}
}
