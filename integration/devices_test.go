package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each way in which QEMU can give its console away, QEMU as the server and QEMU
// as the client: what is typed comes back from the guest.
func TestDevices(t *testing.T) {
	ca := newAuthority(t)
	creds := func(endpoint, verify string) []string {
		// QEMU wants the folder and the names of the files in it.
		return []string{"-object", "tls-creds-x509,id=tls0,verify-peer=" + verify + ",endpoint=" + endpoint + ",dir=" + ca.dir}
	}
	ca.revoke()
	for _, test := range []struct {
		name    string
		device  string // of the config; @port@ and @pty@ are QEMU's
		backend string
		dials   bool // QEMU dials us: it starts when the daemon listens
		more    []string
	}{
		{name: "unix", device: `"unix:@dir@/guest"`, backend: "socket,path=@dir@/guest,server=on,wait=off"},
		{name: "tcp", device: `"tcp://127.0.0.1:@port@"`, backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off"},
		{name: "pty", device: `"pty:@pty@"`, backend: "pty"},
		{name: "telnet", device: `"telnet://127.0.0.1:@port@"`, backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,telnet=on"},
		{name: "websocket", device: `"ws://127.0.0.1:@port@"`, backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,websocket=on"},
		{name: "tls", device: `"tls://localhost:@port@?credentials=test"`, backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,tls-creds=tls0", more: creds("server", "off")},
		{name: "wss", device: `"wss://localhost:@port@?credentials=test"`, backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,websocket=on,tls-creds=tls0", more: creds("server", "off")},
		{name: "unix, QEMU dials", device: `{ listen = "unix:@dir@/guest" }`, backend: "socket,path=@dir@/guest,reconnect=1", dials: true},
		{name: "tcp, QEMU dials", device: `{ listen = "tcp://127.0.0.1:@port@" }`, backend: "socket,host=127.0.0.1,port=@port@,reconnect=1", dials: true},
		{name: "tls, QEMU dials", device: `{ listen = "tls://127.0.0.1:@port@?credentials=test" }`, backend: "socket,host=localhost,port=@port@,reconnect=1,tls-creds=tls0", more: creds("client", "on"), dials: true},
		// Both have the same folder, and ask each other for a certificate.
		{name: "tls of one folder", device: `"tls://localhost:@port@?credentials=folder"`, backend: "socket,host=127.0.0.1,port=@port@,server=on,wait=off,tls-creds=tls0", more: creds("server", "on")},
		{name: "tls of one folder, QEMU dials", device: `{ listen = "tls://127.0.0.1:@port@?credentials=folder" }`, backend: "socket,host=localhost,port=@port@,reconnect=1,tls-creds=tls0", more: creds("client", "on"), dials: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t)
			values := map[string]any{"dir": dir, "port": freePort(t), "ca": ca.dir}
			backend := expand(test.backend, values)
			var g *guest
			if !test.dials {
				g = startGuest(t, echoImage(t), backend, test.more...)
				values["pty"] = g.where()
			}
			d := newDaemon(t, dir, ca.credentials()+`
[credentials.folder]
dir = "@ca@"
[[chardev]]
name = "vm"
device = `+test.device+`
frontends = ["unix:front"]
`, values)
			d.serve()
			if test.dials {
				g = startGuest(t, echoImage(t), backend, test.more...)
			}
			d.is("vm", "up")
			u := dial(t, "unix", d.path("front"))
			d.has("vm", 1)
			g.cont()
			u.sees(t, "ECHO READY\r\n")
			// A byte at a time, each after the last one's echo: QEMU before 10.0 leaves
			// the tail of a TLS record or a websocket frame where it is when the UART's
			// FIFO is full.
			for _, c := range "through " + strings.ReplaceAll(test.name, ",", "") {
				u.echoes(t, string(c))
			}
			if strings.Contains(test.backend, "tls") || strings.Contains(test.backend, "websocket") {
				return
			}
			text := strings.Repeat("a longer text than the FIFO holds ", 20)
			u.echoes(t, text)
		})
	}
}

// Where the daemon waits for the guest, a newer guest takes the older one's place.
func TestNewerGuestReplacesOlder(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:guest" }
frontends = ["unix:front"]
`, nil)
	u := dial(t, "unix", d.path("front"))
	backend := fmt.Sprintf("socket,path=%s", d.path("guest"))
	older := startGuest(t, echoImage(t), backend)
	d.is("vm", "up")
	older.cont()
	u.sees(t, "ECHO READY")
	u.echoes(t, "older")
	t0 := time.Now()
	newer := startGuest(t, echoImage(t), backend)
	d.event("vm", "up", t0)
	newer.cont()
	u.sees(t, "ECHO READY")
	u.echoes(t, "newer")
	older.qmp("query-status", nil) // it still runs, only nobody hears it
}

// port is host:port on loopback.
func port(n int) string { return "127.0.0.1:" + strconv.Itoa(n) }
