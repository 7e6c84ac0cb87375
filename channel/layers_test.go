package channel

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

// limit is how long a test waits for what must happen at all.
const limit = 20 * time.Second

// testCtx ends long after anything in these tests has happened.
func testCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// testIdentity is a self-signed certificate and a pool that trusts it.
var testIdentity = sync.OnceValues(func() (*tls.Certificate, *x509.CertPool) {
	text, err := makeSelfSigned(time.Now())
	if err != nil {
		panic(err)
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return &cert, pool
})

// testEnv listens with testIdentity and knows it as credentials=test.
func testEnv() *Env {
	cert, pool := testIdentity()
	return &Env{
		SelfSigned: func() (*tls.Certificate, error) { return cert, nil },
		Credentials: func(name string) (*Credentials, error) {
			if name != "test" {
				return nil, errors.New("not configured")
			}
			return &Credentials{Server: cert, Client: cert, RootCAs: pool}, nil
		},
	}
}

// layersOf are the layers of two addresses: the client's and the server's.
func layersOf(t testing.TB, client, server string) (cl, sl Layer) {
	t.Helper()
	e := testEnv()
	side := func(address string, side func(*layerDef) func(*Env, Address) (Layer, error)) Layer {
		ls, err := e.layers(MustParseAddress(address), side)
		if err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context, under Channel) (Channel, error) { return stack(ctx, under, ls) }
	}
	cl = side(client, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.client })
	sl = side(server, func(d *layerDef) func(*Env, Address) (Layer, error) { return d.server })
	return cl, sl
}

// testStack is the two layers of a stack like "ws+tls".
func testStack(t testing.TB, names string) (client, server Layer) {
	options := ""
	if bytes.Contains([]byte(names), []byte("tls")) {
		options = "?credentials=test&servername=localhost"
	}
	cl, _ := layersOf(t, names+"+unix:/x"+options, "unix:/x")
	_, sl := layersOf(t, "unix:/x", names+"+unix:/x")
	return cl, sl
}

// For the conformance suite.
var (
	StackLayers = testStack
	Shake       = shake
)

// shake runs both handshakes over two ends.
func shake(t testing.TB, client, server Layer, a, b Channel) (Channel, Channel) {
	t.Helper()
	var cc, sc Channel
	var cerr, serr error
	var wg sync.WaitGroup
	ctx := testCtx(t)
	wg.Go(func() { cc, cerr = client(ctx, a) })
	wg.Go(func() { sc, serr = server(ctx, b) })
	wg.Wait()
	if err := errors.Join(cerr, serr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close(); sc.Close() })
	return cc, sc
}

// layeredPair is a pair over a pipe of the given size.
func layeredPair(t testing.TB, names string, size int) (client, server Channel, under, serverUnder *PipeEnd) {
	t.Helper()
	a, b := Pipe(size)
	cl, sl := testStack(t, names)
	cc, sc := shake(t, cl, sl, a, b)
	return cc, sc, a, b
}

// within fails the test when f takes far too long.
func ends(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s took more than %v", what, d)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

var stacks = []string{"tls", "ws", "tls+ws", "ws+tls", "ws+ws", "tls+tls"}

func TestStacksCarryBothWaysAtOnce(t *testing.T) {
	for _, names := range stacks {
		t.Run(names, func(t *testing.T) {
			// A small pipe: everybody waits for everybody.
			a, b, _, _ := layeredPair(t, names, 512)
			want := randomBytes(1 << 20)
			var wg sync.WaitGroup
			for _, c := range []Channel{a, b} {
				wg.Go(func() {
					n, err := c.Writev([][]byte{want[:10], nil, want[10:11], want[11:300000], want[300000:]})
					if n != int64(len(want)) || err != nil {
						t.Errorf("Writev = %d, %v", n, err)
					}
				})
				wg.Go(func() {
					got := make([]byte, len(want))
					if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
						t.Errorf("other bytes came out; %v", err)
					}
				})
			}
			ends(t, 2*limit, "the transfer", wg.Wait)
		})
	}
}

func TestStacksEndOrderly(t *testing.T) {
	for _, names := range stacks {
		t.Run(names, func(t *testing.T) {
			a, b, _, _ := layeredPair(t, names, 64<<10)
			if _, err := a.Write([]byte("last words")); err != nil {
				t.Fatal(err)
			}
			a.Close()
			got, err := io.ReadAll(b)
			if string(got) != "last words" || err != nil {
				t.Fatalf("read %q, %v", got, err)
			}
			if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("after the end: %d, %v; want io.EOF again", n, err)
			}
		})
	}
}

func TestStacksTellATruncatedStream(t *testing.T) {
	for _, names := range stacks {
		t.Run(names, func(t *testing.T) {
			a, b, under, _ := layeredPair(t, names, 64<<10)
			if _, err := a.Write([]byte("first ")); err != nil {
				t.Fatal(err)
			}
			under.Close() // between two records, where crypto/tls alone would say io.EOF
			got, err := io.ReadAll(b)
			if string(got) != "first " || err != io.ErrUnexpectedEOF {
				t.Fatalf("read %q, %v; want io.ErrUnexpectedEOF", got, err)
			}
		})
	}
}

// awaitFull waits until n bytes wait to be read, which is when a write of more waits in
// a pipe of that size.
func awaitFull(t *testing.T, p *PipeEnd, n int) {
	t.Helper()
	for end := time.Now().Add(limit); p.Buffered() < n; yield(t) {
		if time.Now().After(end) {
			t.Fatal("the pipe is never full")
		}
	}
}

func TestStacksCloseInTimeWhateverThePeerDoes(t *testing.T) {
	for _, names := range stacks {
		t.Run(names, func(t *testing.T) {
			a, _, _, peer := layeredPair(t, names, 512)
			reads, writes := make(chan error, 1), make(chan error, 1)
			go func() { _, err := a.Read(make([]byte, 10)); reads <- err }()
			go func() { _, err := a.Write(make([]byte, 1<<20)); writes <- err }()
			awaitFull(t, peer, 512)
			start := time.Now()
			ends(t, 5*time.Second, "Close", func() { a.Close() })
			if err := <-reads; err == nil || !isClosed(err) {
				t.Errorf("the blocked read: %v", err)
			}
			if err := <-writes; err == nil || !isClosed(err) {
				t.Errorf("the blocked write: %v", err)
			}
			t.Logf("Close took %v", time.Since(start))
		})
	}
}

func TestStacksHandshakeEndsWithContext(t *testing.T) {
	for _, names := range stacks {
		cl, sl := testStack(t, names)
		for side, layer := range map[string]Layer{"client": cl, "server": sl} {
			t.Run(names+"/"+side, func(t *testing.T) {
				a, _ := Pipe(64)
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				defer cancel()
				ends(t, limit, "the handshake with nobody", func() {
					if _, err := layer(ctx, a); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("error %v; want the context's", err)
					}
				})
				if _, err := a.Read(make([]byte, 1)); !isClosed(err) {
					t.Errorf("the channel below is not closed: %v", err)
				}
			})
		}
	}
}

func TestStacksHandshakeWithGarbageAndEOF(t *testing.T) {
	for _, names := range stacks {
		cl, sl := testStack(t, names)
		for side, layer := range map[string]Layer{"client": cl, "server": sl} {
			for what, input := range map[string][]byte{
				"EOF": nil, "garbage": randomBytes(50000), "zeroes": make([]byte, 50000),
				"half": []byte("GET / HTTP/1.1\r\nHost: local"), "ssh": []byte("SSH-2.0-x\r\n\r\n"),
			} {
				t.Run(names+"/"+side+"/"+what, func(t *testing.T) {
					a, b := Pipe(64 << 10)
					b.Discard()
					b.Write(input)
					b.CloseWrite()
					ends(t, limit, "the handshake", func() {
						if _, err := layer(testCtx(t), a); err == nil {
							t.Error("the handshake succeeded")
						}
					})
					if _, err := a.Write([]byte("x")); !isClosed(err) {
						t.Errorf("the channel below is not closed: %v", err)
					}
				})
			}
		}
	}
}

func TestStacksReadDeadlinesLoseNothing(t *testing.T) {
	for _, names := range stacks {
		t.Run(names, func(t *testing.T) {
			a, b, _, _ := layeredPair(t, names, 1<<20)
			want := randomBytes(100000)
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; i < len(want); i += 1000 {
					a.Write(want[i : i+1000])
					yield(t)
				}
			})
			var got []byte
			timeouts := 0
			buf := make([]byte, 777)
			for len(got) < len(want) {
				b.SetReadDeadline(time.Now().Add(20 * time.Microsecond))
				n, err := b.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					if te, ok := err.(interface{ Timeout() bool }); !ok || !te.Timeout() {
						t.Fatal(err)
					}
					timeouts++
				}
			}
			wg.Wait()
			if !bytes.Equal(got, want) {
				t.Fatal("other bytes came out")
			}
			t.Logf("%d timeouts", timeouts)
		})
	}
}

func TestStacksAreUnwrapped(t *testing.T) {
	a, b, under, serverUnder := layeredPair(t, "ws+tls", 64<<10)
	for _, c := range []Channel{a, b} {
		if s, ok := As[Secured](c); !ok || !s.ConnectionState().HandshakeComplete {
			t.Errorf("no TLS state is found through the layers")
		}
	}
	if p, ok := As[*PipeEnd](a); !ok || p != under {
		t.Error("the pipe is not found")
	}
	if p, ok := As[*PipeEnd](b); !ok || p != serverUnder {
		t.Error("the pipe is not found")
	}
	if a.RemoteAddr().String() != "b" || a.LocalAddr().String() != "a" {
		t.Errorf("addresses %v, %v", a.LocalAddr(), a.RemoteAddr())
	}
}
