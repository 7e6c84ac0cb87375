package channel_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

// A command on a terminal of its own is a device like any other.
func ExampleDial() {
	at, err := channel.ParseAddress("exec:echo booted")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	console, err := channel.Dial(ctx, at) // ctx is for dialling; the channel lives on
	if err != nil {
		log.Fatal(err)
	}
	defer console.Close()
	out, err := io.ReadAll(console)
	fmt.Printf("%q %v\n", out, err)
	// Output: "booted\r\n" <nil>
}

// A listener on a port that the kernel chooses, and somebody who dials it.
func ExampleListen() {
	ctx := context.Background()
	l, err := channel.Listen(ctx, channel.MustParseAddress("tcp://127.0.0.1:0"))
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	client, err := channel.Dial(ctx, channel.MustParseAddress("tcp://"+l.Addr().String()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client.Write([]byte("hello"))
	client.CloseWrite() // the end of what the client says; it can still listen
	said, _ := io.ReadAll(server)
	server.Writev([][]byte{said, []byte(", too")})
	server.Close()
	answer, _ := io.ReadAll(client)
	fmt.Printf("%s\n", answer)
	// Output: hello, too
}

// A mistake in an address is told before anything is opened.
func ExampleParseAddress() {
	for _, s := range []string{"wss+unix:/run/x?path=/console", "tsl://localhost:7001", "tcp://localhost"} {
		a, err := channel.ParseAddress(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(a.Layers, a.Transport, a.Where, a.Get("path"))
	}
	// Output:
	// [ws tls] unix /run/x /console
	// unknown transport "tsl"; did you mean "tls"?
	// want host:port, have "localhost" (an IPv6 address stands in brackets)
}

// What a function writes to a channel is kept in memory, without another goroutine.
func ExamplePipe() {
	ch, kept := channel.Pipe(1 << 20)
	defer ch.Close()
	ch.Writev([][]byte{[]byte("uptime\r\n"), []byte("up 3 days\r\n")})
	fmt.Println(kept.Buffered(), "bytes")
	ch.CloseWrite()
	all, err := io.ReadAll(kept)
	fmt.Printf("%q, %v\n", all, err)
	// Output:
	// 19 bytes
	// "uptime\r\nup 3 days\r\n", <nil>
}

// TLS over a UNIX socket, with the certificate that an Env makes for itself. The
// client trusts exactly that one.
func ExampleEnv() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	env := &channel.Env{
		Dir:        dir, // of relative paths
		SelfSigned: func() (*tls.Certificate, error) { return channel.SelfSigned(dir) },
		Credentials: func(name string) (*channel.Credentials, error) { // for credentials=
			return channel.LoadCredentials(channel.CredentialFiles{CA: filepath.Join(dir, channel.SelfSignedFile)})
		},
	}
	ctx := context.Background()
	l, err := env.Listen(ctx, channel.MustParseAddress("tls+unix:console"))
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(ctx); err == nil {
			io.WriteString(c, "login: ")
			c.Close()
		}
	}()
	c, err := env.Dial(ctx, channel.MustParseAddress("tls+unix:console?credentials=own&servername=localhost"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	prompt, err := io.ReadAll(c) // no error: close_notify came, nothing was cut
	fmt.Printf("%q %v\n", prompt, err)
	<-done
	// Output: "login: " <nil>
}

// As finds what stands beside the stream, in whichever layer that is.
func ExampleAs() {
	client, server, err := over(channel.MustParseAddress("telnet+null:"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	defer server.Close()
	_, secured := channel.As[channel.Secured](server)
	fmt.Println("TLS:", secured)

	notifier, _ := channel.As[channel.Notifier](server)
	notifier.Notify(channel.EventBreak, func(channel.Event) { fmt.Println("a break") })
	breaker, _ := channel.As[channel.Breaker](client)
	io.WriteString(client, "before ")
	breaker.SendBreak(context.Background(), 0)
	io.WriteString(client, "behind")
	client.Close()
	for buf := make([]byte, 100); ; {
		n, err := server.Read(buf) // tells of the break in its place
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q\n", buf[:n])
	}
	// Output:
	// TLS: false
	// "before "
	// a break
	// "behind"
	// EOF
}

// over puts both sides of an address's layers on the ends of a pipe.
func over(a channel.Address) (client, server channel.Channel, err error) {
	near, far := channel.Pipe(64 << 10)
	env := new(channel.Env)
	dial, err := env.DialLayers(a)
	if err != nil {
		return nil, nil, err
	}
	listen, err := env.ListenLayers(a)
	if err != nil {
		return nil, nil, err
	}
	var both sync.WaitGroup
	var clientErr, serverErr error
	both.Go(func() { client, clientErr = dial(context.Background(), near) })
	both.Go(func() { server, serverErr = listen(context.Background(), far) })
	both.Wait()
	return client, server, errors.Join(clientErr, serverErr)
}

// A websocket over a connection of somebody else's: net.Pipe here, an ssh channel or
// a proxy's connection elsewhere. The layers of an address stand on anything.
func ExampleEnv_DialLayers() {
	near, far := net.Pipe()
	at := channel.MustParseAddress("ws://console.example:80/vm1") // is not dialled
	server, err := new(channel.Env).ListenLayers(channel.MustParseAddress("ws+null:?path=/vm1&host=console.example"))
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := server(context.Background(), channel.FromConn(far)); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	client, err := new(channel.Env).DialLayers(at)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client(context.Background(), channel.FromConn(near))
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(c, "echo")
	buf := make([]byte, 4)
	io.ReadFull(c, buf)
	fmt.Printf("%s\n", buf)
	c.Close()
	<-done
	// Output: echo
}

// rot13 is a layer of one's own. What it does not touch, the embedded Channel does;
// it must turn the bytes in every method that carries them.
type rot13 struct {
	channel.Channel
	channel.NoFiles // which would go around it
}

func newRot13(_ context.Context, under channel.Channel) (channel.Channel, error) {
	return rot13{Channel: under}, nil
}

// Unwrap lets As find what the channels below can do.
func (r rot13) Unwrap() channel.Channel { return r.Channel }

func (r rot13) Read(p []byte) (int, error) {
	n, err := r.Channel.Read(p)
	copy(p, turned(p[:n]))
	return n, err
}

func (r rot13) Write(p []byte) (int, error) { return r.Channel.Write(turned(p)) }

func (r rot13) Writev(bufs [][]byte) (int64, error) {
	out := make([][]byte, len(bufs))
	for i, b := range bufs {
		out[i] = turned(b) // a caller's buffer is never changed
	}
	return r.Channel.Writev(out)
}

func turned(p []byte) []byte {
	const lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	out := bytes.Clone(p)
	for i, c := range out {
		for _, of := range []string{lower, upper} {
			if at := strings.IndexByte(of, c); at >= 0 {
				out[i] = of[(at+13)%26]
			}
		}
	}
	return out
}

// A layer of one's own, on a pipe.
func ExampleLayer() {
	near, far := channel.Pipe(1024)
	defer far.Close()
	c, err := channel.Layer(newRot13)(context.Background(), near)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(c, "Uryyb")
	c.Close()
	out, err := io.ReadAll(far)
	fmt.Printf("%s %v\n", out, err)
	// Output: Hello <nil>
}

// TestOwnLayer is how a layer is held to the promises of Channel.
func TestOwnLayer(t *testing.T) {
	channeltest.RunLayer(t, newRot13, newRot13, channeltest.Traits{
		NoHandshake: "both ends turn from the first byte on",
		NoEndMark:   "it adds nothing to the stream",
	})
}

// A queue is a transport of one's own: it moves its bytes by a connection of somebody
// else's, and has addresses of its own. One that does not stand on a net.Conn
// implements all of Channel itself.
type queue struct {
	channel.Channel
	name string
}

// A queueName is its address.
type queueName string

func (queueName) Network() string  { return "queue" }
func (n queueName) String() string { return string(n) }

func (q queue) LocalAddr() net.Addr  { return queueName(q.name) }
func (q queue) RemoteAddr() net.Addr { return queueName(q.name) }

// newQueue makes both ends of one. (The struct hides all but the net.Conn.)
func newQueue(name string) (a, b channel.Channel) {
	x, y := channel.Pipe(64 << 10)
	return queue{channel.FromConn(struct{ net.Conn }{x}), name}, queue{channel.FromConn(struct{ net.Conn }{y}), name}
}

// A transport of one's own, with layers of this package on it.
func Example_ownTransport() {
	a, b := newQueue("q1")
	at := channel.MustParseAddress("telnet+null:")
	done := make(chan struct{})
	go func() {
		defer close(done)
		listen, err := new(channel.Env).ListenLayers(at)
		if err != nil {
			log.Fatal(err)
		}
		if c, err := listen(context.Background(), b); err == nil {
			io.WriteString(c, "from "+c.LocalAddr().String()+"\xff")
			c.Close()
		}
	}()
	dial, err := new(channel.Env).DialLayers(at)
	if err != nil {
		log.Fatal(err)
	}
	c, err := dial(context.Background(), a)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Printf("%q %v\n", text, err)
	<-done
	// Output: "from q1\xff" <nil>
}

// TestOwnTransport is how a transport is held to the promises of Channel.
func TestOwnTransport(t *testing.T) {
	channeltest.Run(t, func(testing.TB) (a, b channel.Channel) { return newQueue("q") }, channeltest.Traits{
		NoHalfClose: "its net.Conn has none",
		NoTry:       "net.Conn has no way to write without waiting",
	})
}
