package channel_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"chardevd/channel"
)

// Cases of QEMU's tests/unit that no other test here has as they are; QEMU.md has them all.

// Both ends write vectors, and read them, over each kind of socket (test-io-channel-socket.c:
// ipv4, ipv6, unix), and by a name.
func TestSocketsPingPong(t *testing.T) {
	for _, c := range []struct{ name, listen, dial string }{
		{"ipv4", "tcp://127.0.0.1:0", "tcp://127.0.0.1:%s"},
		{"ipv6", "tcp://[::1]:0", "tcp://[::1]:%s"},
		{"a name", "tcp://localhost:0", "tcp://localhost:%s"},
		{"unix", "unix:" + t.TempDir() + "/s", ""},
		{"abstract", fmt.Sprintf("unix:@chardevd-ping-%d", os.Getpid()), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			l, err := channel.Listen(ctx, channel.MustParseAddress(c.listen))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			at := c.listen
			if c.dial != "" {
				_, port, _ := net.SplitHostPort(l.Addr().String())
				at = fmt.Sprintf(c.dial, port)
			}
			answered := make(chan error, 1)
			go func() {
				s, err := l.Accept(ctx)
				if err == nil {
					defer s.Close()
					err = pong(s, "ping, in parts", "pong, in parts")
				}
				answered <- err
			}()
			d, err := channel.Dial(ctx, channel.MustParseAddress(at))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			d.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := d.Writev([][]byte{[]byte("ping"), nil, []byte(", in"), []byte(" parts")}); err != nil {
				t.Fatal(err)
			}
			if err := pong(d, "pong, in parts", ""); err != nil {
				t.Error(err)
			}
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}

// pong reads a text and writes another one, byte by byte of a vector.
func pong(c channel.Channel, want, answer string) error {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		return fmt.Errorf("%q, %v", got, err)
	}
	var parts [][]byte
	for _, b := range []byte(answer) {
		parts = append(parts, []byte{b})
	}
	_, err := c.Writev(parts)
	return err
}

// The path of a UNIX socket goes with its listener (test-io-channel-socket.c:
// unix-listen-cleanup). Unlike QEMU's, a listener takes the place of a socket that somebody
// left behind, and of none that somebody listens on.
func TestUnixListenCleanup(t *testing.T) {
	path := t.TempDir() + "/s"
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	a := channel.MustParseAddress("unix:" + path)
	l, err := channel.Listen(t.Context(), a)
	if err != nil {
		t.Fatalf("where a socket was left: %v", err)
	}
	if second, err := channel.Listen(t.Context(), a); err == nil {
		second.Close()
		t.Error("a second one listens where one does")
	} else if !strings.Contains(err.Error(), "somebody else listens on this socket") {
		t.Errorf("the second one is told %q", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path after the listener is closed: %v", err)
	}
}
