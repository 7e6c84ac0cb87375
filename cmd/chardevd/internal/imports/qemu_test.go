package imports

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	serverTLS = "-object tls-creds-x509,id=t0,dir=/pki,endpoint=server "
	clientTLS = "-object tls-creds-x509,id=t0,dir=/pki,endpoint=client "
)

// The forms of QEMU's documentation (-chardev, -serial, -monitor of qemu-options), with
// values of their own, and what comes of them: the device of the peer, and, if it is as
// written, the one frontend. "" is one that is refused.
var qemuForms = []struct{ text, peer, same string }{
	// socket, of UNIX
	{"-chardev socket,id=c0,path=/r/a", `{ listen = "unix:/r/a" }`, `connect = "unix:/r/a"`},
	{"-chardev socket,id=c0,path=/r/a,server=on", `"unix:/r/a"`, `frontends = ["unix:/r/a"]`},
	{"-chardev socket,id=c0,path=/r/a,server=on,wait=off", `"unix:/r/a"`, `frontends = ["unix:/r/a"]`},
	{"-chardev socket,path=/r/a,server,nowait,id=c0", `"unix:/r/a"`, `frontends = ["unix:/r/a"]`},
	{"-chardev backend=socket,id=c0,path=/r/a,,b=c?,server=yes", `"unix:/r/a,b=c%3F"`, `frontends = ["unix:/r/a,b=c%3F"]`},
	{"-chardev socket,id=c0,path=a,server=on", `"unix:a"`, `frontends = ["unix:a"]`},
	{"-chardev socket,id=c0,path=@a,server=on", `"unix:./@a"`, `frontends = ["unix:./@a"]`},
	{"-chardev socket,id=c0,path=a/b,abstract=on,server=on", `"unix:@a/b"`, `frontends = ["unix:@a/b"]`},
	{"-chardev socket,id=c0,path=ab,abstract=on,tight=on", `{ listen = "unix:@ab" }`, `connect = "unix:@ab"`},
	{"-chardev socket,id=c0,path=ab,abstract=on,tight=off", "", ""},
	{"-chardev socket,id=c0,path=/r/a,reconnect=5", `{ listen = "unix:/r/a" }`, `reconnect = { min = "5s", max = "5s" }`},
	{"-chardev socket,id=c0,path=/r/a,reconnect-ms=0x64", `{ listen = "unix:/r/a" }`, `reconnect = { min = "100ms", max = "100ms" }`},
	{"-chardev socket,id=c0,path=/r/a,path=/r/b,server=on", `"unix:/r/b"`, `frontends = ["unix:/r/b"]`},
	{"-chardev socket,id=c0,fd=7", "", ""},
	{"-chardev socket,id=c0,fd=mon,server=on", "", ""},

	// socket, of TCP
	{"-chardev socket,id=c0,port=4444,server=on", `"tcp://127.0.0.1:4444"`, `frontends = ["tcp://0.0.0.0:4444?insecure=true"]`},
	{"-chardev socket,id=c0,host=,port=4444,server=on", `"tcp://127.0.0.1:4444"`, `frontends = ["tcp://0.0.0.0:4444?insecure=true"]`},
	{"-chardev socket,id=c0,port=4444,server=on,ipv6=on", `"tcp://[::1]:4444"`, `frontends = ["tcp://[::]:4444?insecure=true"]`},
	{"-chardev socket,id=c0,host=::,port=4444,server=on,wait=off", `"tcp://[::1]:4444"`, `frontends = ["tcp://[::]:4444?insecure=true"]`},
	{"-chardev socket,id=c0,host=0.0.0.0,port=4444,server=on,to=4450", `"tcp://127.0.0.1:4444"`, `frontends = ["tcp://0.0.0.0:4444?insecure=true"]`},
	{"-chardev socket,id=c0,host=0::,port=4444,reconnect=1", `{ listen = "tcp://[::1]:4444" }`, `connect = "tcp://[::1]:4444"`},
	{"-chardev socket,id=c0,host=192.0.2.7,port=4444,server=on,ipv4=on,nodelay=on", `"tcp://192.0.2.7:4444?insecure=true"`, `frontends = ["tcp://192.0.2.7:4444?insecure=true"]`},
	{"-chardev socket,id=c0,host=2001:db8::7,port=4444,server=on", `"tcp://[2001:db8::7]:4444?insecure=true"`, `frontends = ["tcp://[2001:db8::7]:4444?insecure=true"]`},
	{"-chardev socket,id=c0,host=localhost,port=telnet", `{ listen = "tcp://localhost:23" }`, `connect = "tcp://localhost:23"`},
	{"-chardev socket,id=c0,host=vm.example,port=4444,nodelay", `{ listen = "tcp://vm.example:4444?insecure=true" }`, `connect = "tcp://vm.example:4444?insecure=true"`},
	{"-chardev socket,id=c0,host=::1,port=4444,telnet=on,server=on", `"telnet://[::1]:4444"`, `frontends = ["telnet://[::1]:4444"]`},
	{"-chardev socket,id=c0,host=127.0.0.1,port=4444,telnet=on", `{ listen = "tcp://127.0.0.1:4444" }`, `connect = "tcp://127.0.0.1:4444"`},
	{"-chardev socket,id=c0,host=127.0.0.1,port=4444,websocket=on,server=on", `"ws://127.0.0.1:4444"`, `frontends = ["ws://127.0.0.1:4444"]`},
	{"-chardev socket,id=c0,host=127.0.0.1,port=4444,websocket=on,telnet=on,server=on", `"telnet+ws://127.0.0.1:4444"`, `frontends = ["telnet+ws://127.0.0.1:4444"]`},
	{"-chardev socket,id=c0,host=127.0.0.1,port=4444,tn3270=on,server=on", "", ""},
	{"-chardev socket,id=c0,host=127.0.0.1,port=0,server=on", "", ""},
	{serverTLS + "-chardev socket,id=c0,host=192.0.2.7,port=4444,server=on,tls-creds=t0", `"tls://192.0.2.7:4444?credentials=t0"`, `frontends = ["tls://192.0.2.7:4444?credentials=t0"]`},
	{"-chardev socket,id=c0,host=192.0.2.7,port=4444,server=on,tls-creds=t0,websocket=on " + serverTLS, `"wss://192.0.2.7:4444?credentials=t0"`, `frontends = ["wss://192.0.2.7:4444?credentials=t0"]`},
	{serverTLS + "-chardev socket,id=c0,port=4444,server=on,tls-creds=t0,websocket=on,telnet=on", `"telnet+ws+tls://127.0.0.1:4444?credentials=t0"`, `frontends = ["telnet+ws+tls://0.0.0.0:4444?credentials=t0"]`},
	{clientTLS + "-chardev socket,id=c0,host=192.0.2.7,port=4444,tls-creds=t0", `{ listen = "tls://192.0.2.7:4444?credentials=t0" }`, `connect = "tls://192.0.2.7:4444?credentials=t0"`},
	{strings.TrimSpace(serverTLS) + ",verify-peer=off -chardev socket,id=c0,port=4444,server=on,tls-creds=t0", `"tls://127.0.0.1:4444?credentials=t0"`, `frontends = ["tls://0.0.0.0:4444?credentials=t0&anonymous=true"]`},
	{strings.TrimSpace(clientTLS) + ",verify-peer=off -chardev socket,id=c0,host=192.0.2.7,port=4444,tls-creds=t0", `{ listen = "tls://192.0.2.7:4444?credentials=t0" }`, `connect = "tls://192.0.2.7:4444?credentials=t0&verify=false"`},
	{`-object '{"qom-type":"tls-creds-x509","id":"t0","dir":"/pki","endpoint":"server","verify-peer":true}' -chardev socket,id=c0,host=192.0.2.7,port=4,server=on,tls-creds=t0`, `"tls://192.0.2.7:4?credentials=t0"`, `frontends = ["tls://192.0.2.7:4?credentials=t0"]`},

	// the others
	{"-chardev udp,id=c0,port=4555", `{ listen = "udp://127.0.0.1:4555" }`, `connect = "udp://127.0.0.1:4555"`},
	{"-chardev udp,id=c0,host=127.0.0.1,port=4555,localaddr=127.0.0.1,localport=4556", `"udp://127.0.0.1:4556?local=127.0.0.1:4555"`, `connect = "udp://127.0.0.1:4555?local=127.0.0.1:4556"`},
	{"-chardev udp,id=c0,host=192.0.2.7,port=4555,localaddr=192.0.2.8,localport=4556,ipv4=on", `"udp://192.0.2.8:4556?local=192.0.2.7:4555&insecure=true"`, `connect = "udp://192.0.2.7:4555?local=192.0.2.8:4556&insecure=true"`},
	{"-chardev udp,id=c0,host=192.0.2.7,port=4555,localport=4556", `{ listen = "udp://192.0.2.7:4555?insecure=true" }`, `connect = "udp://192.0.2.7:4555?local=0.0.0.0:4556&insecure=true"`},
	{"-chardev pty,id=c0,path=/r/tty", `"pty:/r/tty"`, `frontends = ["pty:/r/tty"]`},
	{"-chardev pty,id=c0", "", `frontends = ["pty:c0.pty"]`},
	{"-chardev file,id=c0,path=/r/log", `"file:/r/log?mode=follow"`, `frontends = ["file:/r/log?mode=truncate"]`},
	{"-chardev file,id=c0,path=/r/log,append=on,input-path=/r/in", `"file:/r/log?mode=follow"`, `frontends = ["file:/r/log?mode=append"]`},
	{"-chardev pipe,id=c0,path=/r/p", `"pipe:/r/p"`, `frontends = ["pipe:/r/p"]`},
	{"-chardev serial,id=c0,path=/dev/ttyS0", "", `frontends = ["serial:/dev/ttyS0?baud=115200"]`},
	{"-chardev tty,id=c0,path=/dev/ttyS0", "", `frontends = ["serial:/dev/ttyS0?baud=115200"]`},
	{"-chardev parallel,id=c0,path=/dev/parport0", "", ""},
	{"-chardev parport,id=c0,path=/dev/parport0", "", ""},
	{"-chardev null,id=c0", "", ""},
	{"-chardev msmouse,id=c0", "", ""},
	{"-chardev vc,id=c0,width=640,height=480", "", ""},
	{"-chardev vc,id=c0,cols=80,rows=24,encoding=utf8", "", ""},
	{"-chardev ringbuf,id=c0,size=64K", "", ""},
	{"-chardev memory,id=c0", "", ""},
	{"-chardev console,id=c0", "", ""},
	{"-chardev stdio,id=c0,signal=off", "", ""},
	{"-chardev braille,id=c0", "", ""},
	{"-chardev spicevmc,id=c0,debug=0,name=vdagent", "", ""},
	{"-chardev spiceport,id=c0,debug=0,name=org.example.0", "", ""},
	{"-chardev qemu-vdagent,id=c0,mouse=on,clipboard=on", "", ""},

	// several of one console
	{"-chardev socket,id=c0,path=/r/a,server=on,wait=off,mux=on -mon chardev=c0,mode=readline -serial chardev:c0 -serial chardev:c0", `"unix:/r/a"`, `frontends = ["unix:/r/a"]`},
	{"-chardev pty,path=/r/a,id=p0 -chardev mux,id=c0,chardev=p0", `"pty:/r/a"`, `frontends = ["pty:/r/a"]`},
	{"-chardev pty,path=/r/a,id=p0 -chardev socket,id=p1,path=/r/b,server=on -chardev hub,id=c0,chardevs.0=p0,chardevs.1=p1", `"pty:/r/a"`, `frontends = ["pty:/r/a", "unix:/r/b"]`},

	// the short forms
	{"-serial vc", "", ""}, {"-serial vc:800x600", "", ""}, {"-serial vc:80Cx24C", "", ""},
	{"-serial pty", "", `frontends = ["pty:serial0.pty"]`},
	{"-serial none", "", ""}, {"-serial null", "", ""}, {"-serial stdio", "", ""}, {"-serial mon:stdio", "", ""},
	{"-serial msmouse", "", ""}, {"-serial braille", "", ""},
	{"-serial /dev/ttyUSB0", "", `frontends = ["serial:/dev/ttyUSB0?baud=115200"]`},
	{"-serial /dev/parport0", "", ""},
	{"-parallel none", "", ""},
	{"-serial file:/r/log", `"file:/r/log?mode=follow"`, `frontends = ["file:/r/log?mode=truncate"]`},
	{"-serial pipe:/r/p", `"pipe:/r/p"`, `frontends = ["pipe:/r/p"]`},
	{"-serial pty:/r/tty", `"pty:/r/tty"`, `frontends = ["pty:/r/tty"]`},
	{"-serial udp::4555", `{ listen = "udp://127.0.0.1:4555" }`, `connect = "udp://127.0.0.1:4555"`},
	{"-serial udp::4555@:4556", `"udp://127.0.0.1:4556?local=127.0.0.1:4555"`, `connect = "udp://127.0.0.1:4555?local=0.0.0.0:4556"`},
	{"-serial udp:192.0.2.7:4555@192.0.2.8:4556", `"udp://192.0.2.8:4556?local=192.0.2.7:4555&insecure=true"`, `connect = "udp://192.0.2.7:4555?local=192.0.2.8:4556&insecure=true"`},
	{"-serial tcp:192.168.0.2:4444", `{ listen = "tcp://192.168.0.2:4444?insecure=true" }`, `connect = "tcp://192.168.0.2:4444?insecure=true"`},
	{"-serial tcp::4444,server=on", `"tcp://127.0.0.1:4444"`, `frontends = ["tcp://0.0.0.0:4444?insecure=true"]`},
	{"-serial tcp:192.168.0.100:4444,server=on,wait=off", `"tcp://192.168.0.100:4444?insecure=true"`, `frontends = ["tcp://192.168.0.100:4444?insecure=true"]`},
	{"-serial tcp::4444,reconnect=3", `{ listen = "tcp://127.0.0.1:4444" }`, `connect = "tcp://127.0.0.1:4444"`},
	{"-serial telnet::4444,server,nowait", `"telnet://127.0.0.1:4444"`, `frontends = ["telnet://0.0.0.0:4444?insecure=true"]`},
	{"-serial websocket:127.0.0.1:4444,server=on", `"ws://127.0.0.1:4444"`, `frontends = ["ws://127.0.0.1:4444"]`},
	{"-serial tn3270::4444,server=on", "", ""},
	{"-serial unix:/r/a,server=on,wait=off", `"unix:/r/a"`, `frontends = ["unix:/r/a"]`},
	{"-serial unix:/r/a,reconnect=1", `{ listen = "unix:/r/a" }`, `connect = "unix:/r/a"`},
	{"-serial mon:telnet::4444,server=on,wait=off", `"telnet://127.0.0.1:4444"`, `frontends = ["telnet://0.0.0.0:4444?insecure=true"]`},
	{"-debugcon file:/r/log", `"file:/r/log?mode=follow"`, `frontends = ["file:/r/log?mode=truncate"]`},
	{"-parallel file:/r/log", `"file:/r/log?mode=follow"`, `frontends = ["file:/r/log?mode=truncate"]`},

	// monitors are no consoles
	{"-monitor unix:/r/m,server=on,wait=off", "", ""},
	{"-qmp tcp:localhost:4444,server=on,wait=off", "", ""},
	{"-qmp-pretty unix:/r/m,server=on,wait=off", "", ""},
	{"-chardev socket,id=c0,path=/r/m,server=on -mon c0,mode=control,pretty=on", "", ""},
	{"-chardev socket,id=c0,path=/r/m,server=on -device virtserialport,chardev=c0,name=org.qemu.guest_agent.0", "", ""},
	{"-chardev socket,id=c0,path=/r/m -netdev vhost-user,id=n0,chardev=c0", "", ""},
	{"-chardev socket,id=c0,path=/r/m -object rng-egd,id=r0,chardev=c0", "", ""},
	{"-chardev socket,id=c0,path=/r/m,server=on -device virtconsole,chardev=c0", `"unix:/r/m"`, `frontends = ["unix:/r/m"]`},
	{`-chardev socket,id=c0,path=/r/m,server=on -device '{"driver":"isa-serial","chardev":"c0","index":0}'`, `"unix:/r/m"`, `frontends = ["unix:/r/m"]`},
}

func TestFormsOfQemusDocumentation(t *testing.T) {
	l := newLoader(t)
	for _, form := range qemuForms {
		for _, asWritten := range []bool{false, true} {
			want := form.same
			if !asWritten && form.peer != "" {
				want = "device = " + form.peer
			}
			if !asWritten && form.peer == "" {
				want = ""
			}
			c, err := Qemu("options", form.text, asWritten)
			if want == "" {
				if err == nil {
					t.Errorf("%s (as written: %v): want a refusal", form.text, asWritten)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", form.text, err)
				continue
			}
			text := l.text(t, c)
			if !strings.Contains(text, want+"\n") {
				t.Errorf("%s: want %s, have\n%s", form.text, want, text)
			}
			if len(c.Chardevs) != 1 {
				t.Errorf("%s: want one chardev, have %d", form.text, len(c.Chardevs))
			}
			if wrong := l.load(t, text); wrong != "" {
				t.Errorf("%s: what comes of it does not load: %s\n%s", form.text, wrong, text)
			}
		}
	}
}

func TestWholeCommandLineOfQemu(t *testing.T) {
	l := newLoader(t)
	args := []string{"/usr/bin/qemu-system-x86_64", "-name", "guest=vm1,debug-threads=on", "-m", "2", "-append", "-serial /x console=ttyS0",
		"-chardev", "socket,id=c0,path=/r/a b,server=on,wait=off", "-device", "isa-serial,chardev=c0,id=s0",
		"-chardev", "socket,id=m,fd=3", "-mon", "chardev=m,mode=control", "-serial", "tcp::4444,server=on"}
	nul := strings.Join(args, "\x00") + "\x00"
	script := "#!/bin/sh\n# my 'guest\nexec \\\n  " + Join(args[:9]) + " \\\n " + Join(args[9:]) + "\n"
	for _, text := range []string{Join(args), nul, script} {
		c, err := Qemu("vm", text, false)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		made := l.text(t, c)
		for _, want := range []string{"# c0 of QEMU (socket), of isa-serial\n", `name = "vm1-c0"`, `"unix:/r/a b"`, `name = "vm1-serial0"`} {
			if !strings.Contains(made, want) {
				t.Errorf("%q: want %s, have\n%s", text, want, made)
			}
		}
		if len(c.Chardevs) != 2 || len(c.Notices) != 1 || !strings.Contains(c.Notices[0].Text, "belongs to a monitor") {
			t.Errorf("want 2 chardevs and a word about the monitor, have %d and %v", len(c.Chardevs), c.Notices)
		}
		if wrong := l.load(t, made); wrong != "" {
			t.Error(wrong)
		}
	}
}

func TestCredentialsOfQemu(t *testing.T) {
	l := newLoader(t)
	c, err := Qemu("options", `-object secret,id=s,file=/etc/x,format=raw
-object tls-creds-x509,id=t.0,dir=/pki,endpoint=server,passwordid=s,priority=NORMAL,sanity-check=no
-object tls-creds-x509,id=t1,dir=pki,endpoint=client
-chardev socket,id=a,host=127.0.0.1,port=1,server=on,tls-creds=t.0
-chardev socket,id=b,host=127.0.0.1,port=2,server=on,tls-creds=t.0
-chardev socket,id=c,host=127.0.0.1,port=3,reconnect=1,tls-creds=t1`, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Credentials) != 2 || c.Credentials[0].Dir != "/pki" || c.Credentials[0].PassphraseFile != "/etc/x" || c.Credentials[1].Dir != "pki" {
		t.Errorf("want those of both folders, have %+v", c.Credentials)
	}
	if len(c.Notices) != 3 || c.Notices[2].Line != 3 {
		t.Errorf("want a word on priority, sanity-check and the relative folder, have %v", c.Notices)
	}
	made := l.text(t, c)
	if wrong := l.load(t, made); wrong != "" {
		t.Errorf("%s\n%s", wrong, made)
	}
}

func TestAccessOfQemu(t *testing.T) {
	l := newLoader(t)
	file := filepath.Join(l.dir, "list.json")
	text := `{"policy":"deny","rules":[{"match":"CN=bob,O=x","policy":"deny","format":"exact"},{"match":"CN=*,O=x","policy":"allow","format":"glob"}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const bob, all = `who = ["cert:CN=bob,O=x"]` + "\nmay = []\n" + `on = ["c0"]`, `who = ["cert:CN=*,O=x"]` + "\n" + `may = ["read", "write"]`
	for object, wants := range map[string][]string{
		"authz-simple,id=a0,identity=CN=alice,,O=x": {`who = ["cert:CN=alice,O=x"]` + "\n" + `may = ["read", "write"]`},
		"authz-list,id=a0,rules.0.match=CN=bob,,O=x,rules.0.policy=deny,rules.1.match=CN=*,,O=x,rules.1.policy=allow,rules.1.format=glob": {bob, all},
		"authz-list,id=a0,policy=allow,rules.0.match=CN=bob,,O=x,rules.0.policy=deny":                                                     {bob, `who = ["cert:*"]`},
		`{"qom-type":"authz-list","id":"a0","rules":[{"match":"CN=bob,O=x","policy":"deny"}]}`:                                            {bob},
		"authz-list-file,id=a0,filename=" + file:                                                                                          {bob, all},
	} {
		line := serverTLS + "-object " + Join([]string{object}) + " -chardev socket,id=c0,host=192.0.2.7,port=4,server=on,tls-creds=t0,tls-authz=a0"
		for _, asWritten := range []bool{false, true} {
			c, err := Qemu("options", line, asWritten)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			made, from := l.text(t, c), 0
			for _, want := range wants { // in that order
				i := strings.Index(made[from:], want)
				if i < 0 {
					t.Errorf("%s: want %s behind byte %d of\n%s", line, want, from, made)
					break
				}
				from += i
			}
			if wrong := l.load(t, made); wrong != "" {
				t.Errorf("%s: %s", line, wrong)
			}
		}
	}
}

// The behaviours of QEMU's own tests of option strings (tests/unit/test-qemu-opts.c).
func TestOptionStrings(t *testing.T) {
	for text, want := range map[string]string{
		"":                "",
		"a":               "first=a",
		"a=":              "a=",
		"a=b=c":           "a=b=c",
		"a,b=c":           "first=a b=c",
		"a,,b,c=d,,,e=f,": "first=a,b c=d, e=f",
		"x,on,nooff":      "first=x on=on off=off",
		",a=1":            "first= a=1",
		"a=,,":            "a=,",
	} {
		var s source
		s.text = text
		at := make([]int, len(text)+1)
		for i := range at {
			at[i] = i
		}
		var have []string
		for _, i := range s.options("-x", word{text, at, -1}, "first", nil).items {
			have = append(have, i.key+"="+i.value)
			if i.at > len(text) || i.keyAt > i.at {
				t.Errorf("%q: %s is at %d and %d", text, i.key, i.keyAt, i.at)
			}
		}
		if got := strings.Join(have, " "); got != want || len(s.mistakes) > 0 {
			t.Errorf("%q: want %s, have %s %v", text, want, got, s.mistakes)
		}
	}
	for text, want := range map[string]string{
		"0": "0", "255": "255", "0x20": "32", "010": "8", "18446744073709551615": "18446744073709551615",
		"18446744073709551616": "", "-1": "", "": "", "08": "", "1k": "", "0x": "",
	} {
		got := ""
		if n, ok := parseNumber(text); ok {
			got = fmt.Sprint(n)
		}
		if got != want {
			t.Errorf("number %q: want %q, have %q", text, want, got)
		}
	}
	for text, want := range map[string]string{
		"0": "0", "8B": "8", "1k": "1024", "64K": "65536", "1.5M": "1572864", "2G": "2147483648", "3T": "3298534883328",
		"0x10": "16", "": "", "K": "", "16E": "", "1.5": "", "-1K": "", "12z": "", "1 K": "",
	} {
		got := ""
		if n, ok := parseSize(text); ok {
			got = fmt.Sprint(n)
		}
		if got != want {
			t.Errorf("size %q: want %q, have %q", text, want, got)
		}
	}
}
