package imports

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// malformed are command lines that are refused: "^" is where, and word what the message
// names.
func malformed() (cases []struct{ text, word string }) {
	add := func(word string, texts ...string) {
		for _, t := range texts {
			cases = append(cases, struct{ text, word string }{t, word})
		}
	}
	// Values of the wrong kind, for each key that has one.
	for _, key := range chardevKeys.names() {
		var bad []string
		switch chardevKeys[key] {
		case onOff:
			bad = []string{"", "1", "ON", "yess"}
		case aNumber:
			bad = []string{"", "x", "-1", "1k", "0x", "99999999999999999999"}
		case aSize:
			bad = []string{"", "k", "1.5", "-1", "64KiB"}
		}
		for _, v := range bad {
			add(key+": want", fmt.Sprintf("-chardev socket,id=c0,path=/r/a,server=on,%s=^%s", key, v))
		}
	}
	// Keys that are none.
	for _, key := range []string{"sever", "paht", "Path", "hosts", "tls", "tls_creds", "x", "id2", "chardevs.4", "reconnect_ms", " server", "web-socket", "log", "кey"} {
		add(quoted(key), fmt.Sprintf("-chardev 'socket,id=c0,path=/r/a,^%s=on'", key))
	}
	for _, flag := range []string{"serve", "nowaitt", "path2", "nopath2", "on"} {
		add(quoted(flag), "-chardev socket,id=c0,path=/r/a,^"+flag)
	}
	add("key is missing", "-chardev socket,id=c0,^=on", "-chardev socket,server,^,,id=c0,path=/r/a")
	// IDs.
	for _, id := range []string{"", "0", "-a", "c/0", "c:0", "ä", "a@", "_x", ".x"} {
		add("id: want", "-chardev socket,path=/r/a,id=^"+id)
	}
	add("id is missing", "-chardev ^socket,path=/r/a", "-chardev ^null", "-chardev ^pty,path=/r/a", "-chardev ^socket,ids", "-chardev ''^")
	add("id: there is one", "-chardev pty,id=a,path=/r/a -chardev pty,id=^a,path=/r/b", "-chardev pty,id=serial0,path=/r/a -serial ^pty:/r/b")
	// Backends.
	for _, b := range []string{"sockt", "unix", "tcp", "Socket", "ptty", "fil", "seriall", "x"} {
		add("backend", "-chardev ^"+b+",id=c0,path=/r/a")
	}
	add("backend: it is missing", "-chardev ^id=c0,path=/r/a", "-chardev backend=^,id=c0")
	add("JSON", `-chardev '^{"id":"c0"}'`)
	// What a backend must have.
	add("path", "-chardev ^file,id=c0", "-chardev ^pipe,id=c0", "-chardev ^socket,id=c0", "-chardev ^socket,id=c0,server=on", "-chardev socket,id=c0,path=^,server=on", "-chardev pty,id=c0,path=^",
		"-chardev socket,id=c0,path=^/"+strings.Repeat("x", 107), "-chardev socket,id=c0,abstract=on,path=^"+strings.Repeat("x", 107), "-serial file:^", "-serial pipe:^", "-serial pty:^")
	add("port", "-chardev ^udp,id=c0,host=h", "-chardev socket,id=c0,^host=h", "-chardev socket,id=c0,host=h,port=^", "-chardev socket,id=c0,host=h,port=^65536", "-chardev socket,id=c0,host=h,port=^no-such-service",
		"-chardev socket,id=c0,port=^0,server=on", "-chardev socket,id=c0,port=^-1", "-chardev socket,id=c0,port=^0x10", "-chardev udp,id=c0,port=^", "-chardev udp,id=c0,port=^0", "-chardev udp,id=c0,port=^1x", "-chardev udp,id=c0,port=1,localport=^1x")
	add("host", "-chardev 'socket,id=c0,port=1,host=^a b'", "-chardev socket,id=c0,port=1,server=on,host=^*", "-chardev socket,id=c0,port=1,host=^[::1]", "-chardev socket,id=c0,port=1,host=^1:2:3", "-chardev socket,id=c0,port=1,host=^a/b", "-chardev 'udp,id=c0,port=1,host=^a b'", "-chardev 'udp,id=c0,port=1,localport=2,localaddr=^a b'")
	// What can not be together.
	for _, pair := range [][2]string{{"path=/r/a", "host=h,port=1"}, {"host=h,port=1", "path=/r/a"}, {"path=/r/a", "fd=3"}, {"fd=3", "path=/r/a"}, {"fd=3", "host=h,port=1"}, {"host=h,port=1", "fd=3"},
		{"path=/r/a,delay=on", "nodelay=on"}, {"path=/r/a,nodelay=on", "delay=on"}, {"path=/r/a,reconnect=1", "reconnect-ms=1"}, {"path=/r/a,reconnect-ms=1", "reconnect=1"}} {
		key, _, _ := strings.Cut(pair[1], "=")
		add(key+": ", "-chardev socket,id=c0,"+pair[0]+",^"+pair[1])
	}
	add("reconnect", "-chardev socket,id=c0,path=/r/a,server=on,^reconnect=1", "-chardev socket,id=c0,^reconnect=0,path=/r/a,server=on", "-serial unix:/r/a,server=on,^reconnect=1", "-serial tcp::1,server,^reconnect=1")
	add("reconnect-ms", "-chardev socket,id=c0,path=/r/a,server=on,^reconnect-ms=1", "-chardev socket,id=c0,host=h,port=1,server=on,^reconnect-ms=100")
	add("wait", "-chardev socket,id=c0,path=/r/a,^wait=off", "-chardev socket,id=c0,path=/r/a,^nowait", "-chardev socket,id=c0,path=/r/a,server=off,^wait=on", "-serial tcp:h:1,^nowait", "-serial unix:/r/a,^wait=on")
	add("websocket", "-chardev socket,id=c0,host=h,port=1,^websocket=on", "-serial ^websocket:h:1")
	add("tn3270", "-chardev socket,id=c0,port=1,server=on,^tn3270=on", "-serial ^tn3270:h:1,server=on")
	add("tight", "-chardev socket,id=c0,path=a,abstract=on,^tight=off")
	add("fd", "-chardev socket,id=c0,^fd=3", "-chardev socket,id=c0,server=on,^fd=name")
	// TLS.
	const onTLS = "-chardev socket,id=c0,port=1,server=on,tls-creds=^t0"
	add("tls-authz", "-chardev socket,id=c0,port=1,server=on,^tls-authz=a0", serverTLS+"-chardev socket,id=c0,port=1,server=on,tls-creds=t0,tls-authz=^a0", serverTLS+"-object authz-pam,id=a0,service=x -chardev socket,id=c0,port=1,server=on,tls-creds=t0,tls-authz=^a0", serverTLS+"-object secret,id=a0,file=/x -chardev socket,id=c0,port=1,server=on,tls-creds=t0,tls-authz=^a0")
	add("tls-creds", onTLS, clientTLS+onTLS, "-object tls-creds-psk,id=t0,dir=/pki,endpoint=server "+onTLS, "-object tls-creds-anon,id=t0,endpoint=server "+onTLS, "-object secret,id=t0,file=/x "+onTLS, "-object tls-creds-x509,id=t0,dir=/pki "+onTLS,
		serverTLS+"-chardev socket,id=c0,path=/r/a,server=on,^tls-creds=t0", serverTLS+"-chardev socket,id=c0,host=h,port=1,tls-creds=^t0")
	plain := strings.ReplaceAll(onTLS, "^", "")
	add("dir", "-object ^tls-creds-x509,id=t0,endpoint=server "+plain, "-object tls-creds-x509,id=t0,endpoint=server,^dir= "+plain)
	add("endpoint", "-object tls-creds-x509,id=t0,dir=/pki,endpoint=srv "+strings.Replace(onTLS, "^", "^", 1))
	add("verify-peer", "-object tls-creds-x509,id=t0,dir=/pki,endpoint=server,^verify-peer=1 "+plain)
	add("sanity-check", "-object tls-creds-x509,id=t0,dir=/pki,endpoint=server,^sanity-check=x "+plain)
	add("dirs", "-object tls-creds-x509,id=t0,dir=/pki,endpoint=server,^dirs=x "+plain)
	const secretive = "-object tls-creds-x509,id=t0,dir=/pki,endpoint=server,passwordid=s0 "
	add("passwordid", strings.Replace(secretive, "=s0", "=^s0", 1)+plain, strings.Replace(secretive, "=s0", "=^t0", 1)+plain)
	add("data", secretive+"-object secret,id=s0,^data=x "+plain)
	add("keyid", secretive+"-object secret,id=s0,file=/x,^keyid=k "+plain)
	add("format", secretive+"-object secret,id=s0,file=/x,^format=base64 "+plain)
	add("file", secretive+"-object ^secret,id=s0 "+plain)
	authorized := serverTLS + "-chardev socket,id=c0,port=1,server=on,tls-creds=t0,tls-authz=a0 -object "
	add("identity", authorized+"^authz-simple,id=a0")
	add("policy", authorized+"authz-list,id=a0,^policy=perhaps", authorized+"authz-list,id=a0,^rules.0.match=CN=x", authorized+"authz-list,id=a0,^rules.0.match=x,rules.0.policy=x")
	add("match", authorized+"^authz-list,id=a0,rules.0.policy=allow", authorized+"authz-list,id=a0,^rules.0.match=a*,rules.0.policy=allow")
	add("rules.1", authorized+"authz-list,id=a0,^rules.1.match=x,rules.1.policy=allow")
	add("filename", authorized+"^authz-list-file,id=a0", authorized+"authz-list-file,id=a0,^filename=/no/such/file", authorized+"authz-list-file,id=a0,^filename=/")
	add("-object", "-object ''^", "-object ^id=x -serial pty:/r/a", "-object ^secret", "-object secret,id=x -object secret,^id=x", "-object '{^x}'", `-object '{"a":1'^`, `-object '{"a":^nul}'`)
	// References.
	add("no chardev", "-serial chardev:^c0", "-serial chardev:^", "-device isa-serial,chardev=^c0", "-chardev pty,id=c1,path=/r/a -serial chardev:^c0", `-device '{"driver":"isa-serial","chardev":^"c0"}'`,
		"-chardev mux,id=m,chardev=^c0", "-chardev hub,id=h,chardevs.0=^c0")
	add("chardev is missing", "-chardev ^mux,id=m")
	add("chardevs.0", "-chardev ^hub,id=h", "-chardev pty,id=a,path=/r/a -chardev hub,id=h,^chardevs.1=a")
	add("itself", "-chardev pty,id=a,path=/r/a -chardev mux,id=m,chardev=a -chardev hub,id=h,chardevs.0=^m")
	add("already", "-chardev pty,id=a,path=/r/a -chardev mux,id=m,chardev=a -chardev hub,id=h,chardevs.0=^a")
	add("as well as", "-chardev socket,id=a,path=/r/a -chardev ^socket,id=b,path=/r/a", "-chardev socket,id=a,host=localhost,port=1 -chardev ^socket,id=b,host=127.0.0.1,port=1")
	// Backends that nobody can be the other end of.
	for _, b := range []string{"stdio", "vc", "console", "ringbuf", "pty", "parallel,path=/dev/parport0", "null", "msmouse", "wctablet", "braille", "testdev", "spicevmc,name=x", "spiceport,name=x", "qemu-vdagent", "dbus,name=x"} {
		name, _, _ := strings.Cut(b, ",")
		add(name, "-chardev ^"+b+",id=c0")
	}
	add("path", "-chardev serial,id=c0,path=^/dev/ttyS0", "-chardev tty,id=c0,path=^/dev/ttyS0", "-serial ^/dev/ttyS0")
	for _, s := range []string{"stdio", "mon:stdio", "vc", "vc:80Cx24C", "pty", "null", "COM1", "con:", "braille", "/dev/parport0", "mon:", "foo:x"} {
		at := strings.TrimPrefix(s, "mon:")
		add("-serial (serial0)", "-serial "+strings.TrimSuffix(s, at)+"^"+at)
	}
	add("-serial", "-serial tcp:^", "-serial tcp:h^", "-serial tcp:h:^", "-serial tcp::^,server=on", "-serial telnet:h^", "-serial udp:^", "-serial udp::^", "-serial udp::1@^", "-serial udp::1@h:^", "-serial udp::1^,x=y", "-serial tcp:^[::1]:4444,server=on",
		"-serial tcp:^"+strings.Repeat("h", 65)+":1", "-serial tcp:h:^"+strings.Repeat("1", 33), "-serial stdio:^x", "-serial null:^x", "-serial tcp::1,^sever=on", "-serial unix:/r/a,^sever=on", "-serial unix:/r/a,server=^x")
	// The line itself.
	add("value is missing", "^-chardev", "^-serial", "-serial pty:/r/a ^-object", "^--chardev")
	add("quote", "-chardev ^'socket,id=c0", `-chardev socket,id=c0,path=^"/r`)
	add("variable", "-chardev socket,id=c0,path=^$DIR/a", `-chardev "socket,id=c0,path=/r/^$X"`, "-serial unix:^$X,server=on")
	add("did you mean -chardev", "^-chardv socket,id=c0,path=/r/a", "^--chrdev socket,id=c0,path=/r/a")
	add("no character device", "^", "^-m 2", "^qemu-system-x86_64 -nodefaults")
	return cases
}

func TestMalformedOnesAreRefused(t *testing.T) {
	cases := malformed()
	if len(cases) < 200 {
		t.Errorf("want 200 cases at least, have %d", len(cases))
	}
	for _, m := range cases {
		before, after, ok := strings.Cut(m.text, "^")
		if !ok {
			t.Fatalf("%s: it has no ^", m.text)
		}
		column := utf8.RuneCountInString(before) + 1
		_, err := Qemu("options", before+after, false)
		mistakes, ok := errors.AsType[*Mistakes](err)
		if !ok {
			t.Errorf("%s: want a refusal, have %v", m.text, err)
			continue
		}
		found := false
		for _, one := range mistakes.List {
			found = found || one.Line == 1 && one.Column == column && strings.Contains(one.Text, m.word)
		}
		if !found {
			t.Errorf("%s: want %q at column %d, have\n%s", m.text, m.word, column, err)
		}
	}
	t.Logf("%d cases", len(cases))
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := Qemu("vm.sh", "qemu \\\n -chardev sockt,id=a \\\n -serial tcp:x \\\n -chardev socket,id=b,path=/r/b,sever=on", false)
	want := []string{
		`vm.sh:2:11: chardev a: backend: QEMU has no "sockt", did you mean "socket"?`,
		`vm.sh:3:15: -serial: want host:port here, or :port`,
		`vm.sh:4:33: -chardev: unknown option "sever", did you mean "server"?`,
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("want\n%s\nhave\n%v", strings.Join(want, "\n"), err)
	}
}
