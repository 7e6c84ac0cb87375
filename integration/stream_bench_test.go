package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// What a pass-through carries, from a server of TCP to a client, side by side with socat
// and websockify, and without anything between ("direct"). To be run with
//
//	go test -run '^$' -bench Stream -benchtime 1x -count 5 ./integration
func BenchmarkStream(b *testing.B) {
	const size = 512 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for p := make([]byte, 256<<10); ; {
					if _, err := c.Write(p); err != nil {
						return
					}
				}
			}()
		}
	}()
	server, dir, web, other := l.Addr().String(), folder(b), freePort(b), freePort(b)
	passes, socat := filepath.Join(dir, "in"), filepath.Join(dir, "socat")
	startDaemon(b, `
[[stream]]
name = "unix"
listen = "unix:@in@"
connect = "tcp://@server@"
[[stream]]
name = "web"
listen = "ws://127.0.0.1:@web@"
connect = "tcp://@server@"
`, map[string]any{"in": passes, "server": server, "web": web})
	start(b, program(b, "socat"), "-b", "65536", "UNIX-LISTEN:"+socat+",fork", "TCP:"+server)
	start(b, program(b, "websockify"), fmt.Sprintf("127.0.0.1:%d", other), server)
	for _, one := range []struct {
		name, network, address string
		web                    bool
	}{
		{"direct", "tcp", server, false},
		{"unix/chardevd", "unix", passes, false},
		{"unix/socat", "unix", socat, false},
		{"ws/chardevd", "tcp", port(web), true},
		{"ws/websockify", "tcp", port(other), true},
	} {
		b.Run(one.name, func(b *testing.B) {
			var c net.Conn
			eventually(b, patience, func() (err error) { c, err = net.Dial(one.network, one.address); return err })
			defer c.Close()
			r := bufio.NewReaderSize(c, 256<<10)
			if one.web {
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: binary\r\n\r\n", one.address)
				for line := ""; line != "\r\n"; {
					if line, err = r.ReadString('\n'); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.SetBytes(size)
			p := make([]byte, 256<<10)
			for range b.N {
				for n := 0; n < size; n += len(p) {
					if _, err := io.ReadFull(r, p); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
