package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A numberedDevice is one that prints numbered lines, for ever, until its test ends.
func numberedDevice(t *testing.T, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		wg.Go(func() { <-ctx.Done(); c.Close() })
		tick := time.NewTicker(5 * time.Millisecond) // 200 kB/s
		defer tick.Stop()
		for n := 0; ; <-tick.C {
			var lines []byte
			for range 100 {
				lines = fmt.Appendf(lines, "%09d\n", n)
				n++
			}
			if _, err := c.Write(lines); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
}

// A session is a TLS client that follows the numbered device.
type session struct {
	conn *tls.Conn
	done chan struct{}
	n    int   // lines; after done
	err  error // why it ended; after done
}

func follow(t *testing.T, address string, config *tls.Config) *session {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{conn: c, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.n, s.err = countLines(c)
	}()
	t.Cleanup(func() { c.Close(); <-s.done })
	return s
}

// countLines reads numbered lines, of which none may be missing.
func countLines(r io.Reader) (n int, err error) {
	br := bufio.NewReader(r)
	if _, err := br.ReadString('\n'); err != nil { // where it came in
		return 0, err
	}
	for last := -1; ; n++ {
		line, err := br.ReadString('\n')
		if err != nil {
			return n, err
		}
		have, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || last >= 0 && have != last+1 {
			return n, fmt.Errorf("after line %d came %q", last, line)
		}
		last = have
	}
}

// Certificates are replaced 100 times under load, in the two ways that are usual,
// with 50 sessions open: none is cut and none misses a line, and each new
// certificate is the one that new clients see.
func TestCertificatesReplaced(t *testing.T) {
	ca := newAuthority(t)
	dir := folder(t)
	volume := filepath.Join(dir, "volume")
	// publish is how Kubernetes replaces what is in a volume: the link ..data.
	publish := func(version int) {
		t.Helper()
		to := fmt.Sprintf("..v%d", version)
		tmp := filepath.Join(volume, "..data_tmp")
		if err := os.MkdirAll(filepath.Join(volume, to), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"server-cert.pem", "server-key.pem", "ca-cert.pem"} {
			data, err := os.ReadFile(ca.file(name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(volume, to, name), string(data))
		}
		if err := os.Symlink(to, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(volume, "..data")); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(volume, fmt.Sprintf("..v%d", version-1)))
	}
	publish(0)
	for _, name := range []string{"server-cert.pem", "server-key.pem", "ca-cert.pem"} {
		if err := os.Symlink("..data/"+name, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	at := map[string]any{"files": freePort(t), "volume": freePort(t), "ca": ca.dir}
	numberedDevice(t, filepath.Join(dir, "guest"))
	d := newDaemon(t, dir, `
[credentials.files]
dir = "@ca@"
[credentials.volume]
cert = "volume/server-cert.pem"
key = "volume/server-key.pem"
client_ca = "volume/ca-cert.pem"
[[chardev]]
name = "vm"
device = "unix:guest"
log = false
frontends = ["tls://127.0.0.1:@files@?credentials=files", "tls://127.0.0.1:@volume@?credentials=volume"]
`, at)
	d.serve()
	client := ca.client()
	pair, err := tls.LoadX509KeyPair(ca.file("client-cert.pem"), ca.file("client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	client.Certificates = []tls.Certificate{pair}
	address := func(which string) string { return port(at[which].(int)) }
	var sessions []*session
	for range 25 {
		sessions = append(sessions, follow(t, address("files"), client), follow(t, address("volume"), client))
	}
	d.has("vm", 50)

	// shown is the serial number that a new client sees.
	shown := func(which string) int64 {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address(which), client)
		if err != nil {
			t.Fatalf("%s: a new client: %v", which, err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	var took []time.Duration
	for i := range 100 {
		serial := int64(1000 + i)
		ca.issue("server", x509.ExtKeyUsageServerAuth, serial)
		which := "files"
		t0 := time.Now()
		if i%2 == 1 {
			which = "volume"
			publish(i)
		}
		eventually(t, patience, func() error {
			if have := shown(which); have != serial {
				return fmt.Errorf("%s: a new client sees certificate %d, not %d", which, have, serial)
			}
			return nil
		})
		took = append(took, time.Since(t0))
		for range 2 { // and not the old one again
			if have := shown(which); have != serial {
				t.Fatalf("%s: then a new client sees certificate %d, not %d", which, have, serial)
			}
		}
	}
	slices.Sort(took)
	t.Logf("a new certificate was seen after %v (median), %v (worst)", took[50], took[99])

	// What is wrong changes nothing.
	write(t, ca.file("server-cert.pem"), "garbage")
	if err := d.stderr.sees(patience, "old ones stay in force"); err != nil {
		t.Errorf("the log: %v", err)
	}
	if have := shown("files"); have != 1098 && have != 1099 {
		t.Errorf("with wrong files a new client sees certificate %d", have)
	}
	d.has("vm", 50)
	for i, s := range sessions {
		select {
		case <-s.done:
			t.Errorf("session %d ended after %d lines: %v", i, s.n, s.err)
		default:
		}
		s.conn.Close()
		<-s.done
		if s.n < 1000 || strings.Contains(s.err.Error(), "came") {
			t.Errorf("session %d: %d lines, %v", i, s.n, s.err)
		}
	}
	if strings.Contains(d.stderr.text(), "does not belong") {
		t.Error("a certificate and a key that were replaced one after the other were told as wrong")
	}
}
