package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func yield(testing.TB) { runtime.Gosched() }

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// A countingChannel counts the writes that reach a channel, and their bytes.
type countingChannel struct {
	Channel
	mu    sync.Mutex
	sizes []int
}

func (c *countingChannel) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.sizes = append(c.sizes, len(p))
	c.mu.Unlock()
	return c.Channel.Write(p)
}

func TestTLSWritevFillsRecords(t *testing.T) {
	a, b := Pipe(1 << 20)
	count := &countingChannel{Channel: a}
	cl, sl := testStack(t, "tls")
	c, s := shake(t, cl, sl, count, b)
	for _, test := range []struct {
		what    string
		bufs    []int
		records int // each is 22 bytes more than its data (RFC 8446 §5.2)
		writes  int
	}{
		{"3000 small slices", slicesOfSize(3000, 5), 1, 1},
		{"a head and 64 KiB", []int{10, 64 << 10}, 5, 3},
		{"62 KiB alone", []int{62 << 10}, 4, 1},
		{"64 KiB alone", []int{64 << 10}, 5, 2},
		{"nothing", []int{0, 0}, 0, 0},
		{"four halves of a record", []int{8 << 10, 8 << 10, 8 << 10, 8 << 10}, 2, 2},
	} {
		count.sizes = nil
		var bufs [][]byte
		for _, n := range test.bufs {
			bufs = append(bufs, randomBytes(n))
		}
		want := bytes.Join(bufs, nil)
		keep := make([][]byte, len(bufs))
		for i := range bufs {
			keep[i] = bytes.Clone(bufs[i])
		}
		if n, err := c.Writev(bufs); n != int64(len(want)) || err != nil {
			t.Fatalf("%s: %d, %v", test.what, n, err)
		}
		for i := range bufs {
			if !bytes.Equal(bufs[i], keep[i]) {
				t.Errorf("%s: a slice was changed", test.what)
			}
		}
		size := len(want) + 22*test.records
		for _, n := range count.sizes {
			size -= n
		}
		if len(count.sizes) != test.writes || size != 0 {
			t.Errorf("%s: the writes are %v, want %d, %d bytes more in all, for %d records", test.what, count.sizes, test.writes, size, test.records)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes came out; %v", test.what, err)
		}
	}
}

func slicesOfSize(count, size int) []int {
	s := make([]int, count)
	for i := range s {
		s[i] = size
	}
	return s
}

func TestTLSHalfClose(t *testing.T) {
	a, b, _, _ := layeredPair(t, "tls", 64<<10)
	a.Write([]byte("question"))
	for range 2 {
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	if q, err := io.ReadAll(b); string(q) != "question" || err != nil {
		t.Fatalf("%q, %v", q, err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("a write after CloseWrite succeeded")
	}
	b.Write([]byte("answer"))
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}

// After CloseWrite crypto/tls leaves a write deadline in the past on the channel
// below; a websocket there must still be able to answer pings.
func TestTLSHalfCloseLeavesTheChannelBelowAlone(t *testing.T) {
	a, b := Pipe(64 << 10)
	cl, sl := testStack(t, "tls")
	c, s := shake(t, cl, sl, a, b)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("still alive")); err != nil {
		t.Fatalf("the channel below: %v", err)
	}
}

func TestTLSWriteErrorIsFinal(t *testing.T) {
	a, _, _, peer := layeredPair(t, "tls", 512)
	peer.Stall()
	a.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	n, err := a.Write(make([]byte, 1<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 1<<20 {
		t.Fatalf("%d, %v", n, err)
	}
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		t.Errorf("%T is not a net.Error of a timeout", err)
	}
	a.SetWriteDeadline(time.Time{})
	peer.Resume()
	for range 2 {
		if _, err := a.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the write side came back: %v", err)
		}
		if err := a.CloseWrite(); err == nil {
			t.Fatal("CloseWrite on a dead write side")
		}
	}
}

// A client that only writes must not be left with unread tickets: closing a
// socket with unread bytes resets it.
func TestTLSServerSendsNothingUnasked(t *testing.T) {
	_, sl := testStack(t, "tls")
	_, pool := testIdentity()
	a, b := Pipe(64 << 10)
	cache := ticketCounter{}
	client := func(ctx context.Context, under Channel) (Channel, error) {
		// A client that keeps tickets is the one that is sent some.
		config := &tls.Config{ServerName: "localhost", RootCAs: pool, ClientSessionCache: cache}
		return tlsSide{conn: tls.Client, config: func() (*tls.Config, error) { return config, nil }}.handshake(ctx, under)
	}
	c, s := shake(t, client, sl, a, b)
	s.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err != nil || len(cache) != 0 {
		t.Fatalf("%d tickets came with the first byte (%v)", len(cache), err)
	}
}

// A ticketCounter keeps the names of the servers that sent tickets.
type ticketCounter map[string]bool

func (c ticketCounter) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (c ticketCounter) Put(key string, _ *tls.ClientSessionState)  { c[key] = true }

func TestTLSVerification(t *testing.T) {
	cert, pool := testIdentity()
	member, other := clientIdentity(t), clientIdentity(t)
	members := x509.NewCertPool()
	members.AddCert(member.Leaf)
	withCA := &Credentials{Server: cert, ClientCAs: members}
	asMember := &Credentials{Client: &member, RootCAs: pool}
	onlyCA := &Credentials{RootCAs: pool}
	stranger := &Credentials{Client: &other, RootCAs: pool}
	var log bytes.Buffer
	env := &Env{
		SelfSigned: func() (*tls.Certificate, error) { return cert, nil },
		Credentials: func(name string) (*Credentials, error) {
			return map[string]*Credentials{"mutual": withCA, "member": asMember, "ca": onlyCA, "stranger": stranger, "none": {}}[name], nil
		},
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	for _, test := range []struct {
		client, server string
		clientErr      string // or the server's, when that is what says it
		serverErr      string
	}{
		{"tls://localhost:1?credentials=ca", "tls://localhost:1", "", ""},
		{"tls://127.0.0.1:1?credentials=ca", "tls://localhost:1", "", ""},
		{"tls://[::1]:1?credentials=ca", "tls://localhost:1", "", ""},
		{"tls://example.com:1?credentials=ca", "tls://localhost:1", "servername=", ""},
		{"tls://example.com:1?credentials=ca&servername=localhost", "tls://localhost:1", "", ""},
		{"tls://localhost:1?credentials=none", "tls://localhost:1", "verify=false", ""},
		{"tls://localhost:1", "tls://localhost:1", "ca of credentials=", ""},
		{"tls://example.com:1?verify=false", "tls://localhost:1", "", ""},
		{"tls+unix:/x?verify=false", "tls+unix:/x", "", ""},
		{"tls+unix:/x?credentials=member&servername=localhost", "tls+unix:/x?credentials=mutual", "", ""},
		{"tls+unix:/x?credentials=ca&servername=localhost", "tls+unix:/x?credentials=mutual", "", "client didn't provide a certificate"},
		{"tls+unix:/x?credentials=stranger&servername=localhost", "tls+unix:/x?credentials=mutual", "", "unknown authority"},
	} {
		t.Run(test.client, func(t *testing.T) {
			cl, err := tlsClientLayer(env, MustParseAddress(test.client))
			if err != nil {
				t.Fatal(err)
			}
			sl, err := tlsServerLayer(env, MustParseAddress(test.server))
			if err != nil {
				t.Fatal(err)
			}
			a, b := Pipe(64 << 10)
			var wg sync.WaitGroup
			var cerr, serr error
			shut := func(c Channel, err error) error {
				if err == nil {
					c.Close()
				}
				return err
			}
			wg.Go(func() {
				c, err := cl(testCtx(t), a)
				if err == nil && test.serverErr != "" {
					// TLS 1.3: a client hears of its certificate by its first read.
					_, err = c.Read(make([]byte, 1))
					if err == nil || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "authority") {
						t.Errorf("the refused client reads %v", err)
					}
					err = nil
				}
				cerr = shut(c, err)
			})
			wg.Go(func() { c, err := sl(testCtx(t), b); serr = shut(c, err) })
			wg.Wait()
			if got := errorText(cerr); test.clientErr != "" && !strings.Contains(got, test.clientErr) || test.clientErr == "" && got != "" {
				t.Errorf("the client says %q, want %q", got, test.clientErr)
			}
			if got := errorText(serr); test.serverErr != "" && !strings.Contains(got, test.serverErr) || test.serverErr == "" && test.clientErr == "" && got != "" {
				t.Errorf("the server says %q, want %q", got, test.serverErr)
			}
		})
	}
	if !strings.Contains(log.String(), "verify=false") {
		t.Errorf("verify=false is not in the log: %s", &log)
	}
}

// clientIdentity is a self-signed certificate of somebody who connects.
func clientIdentity(t *testing.T) tls.Certificate {
	t.Helper()
	return *sign(t, nil, t.Name(), purpose(false, forClient)).pair()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTLSAddressesThatCannotWork(t *testing.T) {
	env := testEnv()
	bare := &Env{}
	none := &Env{Credentials: func(string) (*Credentials, error) { return new(Credentials), nil }}
	for _, test := range []struct {
		env     *Env
		address string
		side    func(*Env, Address) (Layer, error)
		want    string
	}{
		{env, "tls+unix:/x", tlsClientLayer, "servername="},
		{env, "tls+unix:/x?credentials=nobody&servername=x", tlsClientLayer, `credentials "nobody"`},
		{bare, "tls://localhost:1?credentials=x", tlsClientLayer, "none are configured"},
		{bare, "tls://localhost:1", tlsServerLayer, "credentials=NAME"},
		{env, "tls://0.0.0.0:1", tlsServerLayer, "beyond loopback"},
		{env, "tls://:1", tlsServerLayer, "beyond loopback"},
		{env, "tls://example.com:1", tlsServerLayer, "beyond loopback"},
		{none, "tls://localhost:1?credentials=x", tlsServerLayer, "cert and key"},
		{env, "tls://localhost:1?verify=true", tlsServerLayer, "client_ca"},
		{env, "tls://localhost:1?servername=x", tlsServerLayer, "dialling"},
	} {
		if _, err := test.side(test.env, MustParseAddress(test.address)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.address, err, test.want)
		}
	}
}

func TestTLSSpeaksNothingOld(t *testing.T) {
	_, sl := testStack(t, "tls")
	a, b := Pipe(64 << 10)
	go func() {
		c := tls.Client(a, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
		c.Handshake()
		c.Close()
	}()
	if _, err := sl(testCtx(t), b); err == nil {
		t.Fatal("TLS 1.1 was accepted")
	}
}

func TestSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := SelfSigned(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, SelfSignedFile): 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode() != mode {
			t.Errorf("%s has mode %v, want %v (%v)", path, fi.Mode(), mode, err)
		}
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := first.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	again, err := SelfSigned(dir)
	if err != nil || !again.Leaf.Equal(first.Leaf) {
		t.Errorf("the second call made another one (%v)", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}

	expired, err := makeSelfSigned(time.Now().AddDate(-selfSignedYears, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{"about to expire": expired, "garbage": []byte("x"), "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, SelfSignedFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		renewed, err := SelfSigned(dir)
		if err != nil || time.Until(renewed.Leaf.NotAfter) < 365*24*time.Hour {
			t.Errorf("%s: not made anew (%v)", what, err)
		}
	}
	if _, err := SelfSigned("/proc/nowhere"); err == nil {
		t.Error("no error for a folder that cannot be")
	}
}

// The TLS of others, through Env.Dial and Env.Listen's own layers, is in the
// integration tests; here is one that everybody has.
func TestTLSCloseWhileHandshaking(t *testing.T) {
	_, sl := testStack(t, "tls")
	a, b := Pipe(64)
	defer a.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := sl(ctx, b); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
