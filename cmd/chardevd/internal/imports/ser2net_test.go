package imports

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chardevd/chardev"
)

// loads has the daemon's own loader read what was imported, and returns what was written.
func loads(t *testing.T, c *Config) string {
	t.Helper()
	var text bytes.Buffer
	if err := c.Write(&text); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chardev.toml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := chardev.Load(file); err != nil {
		t.Errorf("the daemon does not read what was imported: %v\n%s", err, &text)
	}
	return text.String()
}

// one is a connection with an accepter, a connector and options, one a line.
func one(accepter, connector string, options ...string) string {
	text := fmt.Sprintf("connection: &it\n  accepter: %s\n  connector: %s\n", accepter, connector)
	if len(options) > 0 {
		text += "  options:\n    " + strings.Join(options, "\n    ") + "\n"
	}
	return text
}

const dev, acc = "serialdev,/dev/ttyS0,local", "tcp,localhost,2000"

// What connections become: the device, and the frontends.
func TestSer2netConnections(t *testing.T) {
	const plain = "serial:/dev/ttyS0?baud=9600&hangup=false"
	const here = "tcp://localhost:2000?max_clients=1"
	serial := func(parameters string) string { return one(acc, "serialdev,/dev/ttyS0,"+parameters) }
	for _, c := range []struct {
		text   string
		device string
		front  string // all of them, with a blank between
	}{
		{one(acc, dev), plain, here},
		{one(acc, "serialdev,\n    /dev/ttyS0,\n    9600n81,local"), plain, here},
		{one(acc, "/dev/ttyS0,9600,local"), plain, here},
		{serial("115200"), "serial:/dev/ttyS0?baud=115200&hangup=false", here},
		{serial("19200e71"), "serial:/dev/ttyS0?baud=19200&mode=7e1&hangup=false", here},
		{serial("speed=1200O82"), "serial:/dev/ttyS0?baud=1200&mode=8o2&hangup=false", here},
		{serial("9600 EVEN 2STOPBITS 7DATABITS -XONXOFF LOCAL"), "serial:/dev/ttyS0?baud=9600&mode=7e2&hangup=false", here},
		{serial("9600m 5DATABITS"), "serial:/dev/ttyS0?baud=9600&mode=5m1&hangup=false", here},
		{serial("xonxoff"), "serial:/dev/ttyS0?baud=9600&flow=xonxoff&hangup=false", here},
		{serial("RTSCTS nobreak"), "serial:/dev/ttyS0?baud=9600&flow=rtscts&hangup=false", here},
		{serial("rtscts=false,custspeed,250000"), "serial:/dev/ttyS0?baud=250000&hangup=false", here},
		{serial("rts=off,dtr=on"), "serial:/dev/ttyS0?baud=9600&rts=off&dtr=on&hangup=false", here},
		{serial("hangup-when-done"), "serial:/dev/ttyS0?baud=9600", here},
		{serial("HANGUP_WHEN_DONE"), "serial:/dev/ttyS0?baud=9600", here},
		{serial("rs485=off"), plain, here},
		{serial("rs485=5:10:rts_after_send:rx_during_tx"), "serial:/dev/ttyS0?baud=9600&rs485=inverted&rs485_before=5ms&rs485_after=10ms&rs485_echo=true&hangup=false", here},
		{serial("rs485=0:0:rts_on_send"), "serial:/dev/ttyS0?baud=9600&rs485=on&hangup=false", here},
		{serial("rs485=200:1"), "serial:/dev/ttyS0?baud=9600&rs485=on&rs485_before=100ms&rs485_after=1ms&hangup=false", here},
		{one(acc, "'serialdev,/dev/a?b,local'"), "serial:/dev/a%3Fb?baud=9600&hangup=false", here},
		{one(acc, "tcp,192.0.2.1,4001"), "tcp://192.0.2.1:4001?insecure=true", here},
		{one(acc, "telnet(rfc2217),tcp,localhost,4001"), "rfc2217://localhost:4001", here},
		{one(acc, "keepopen(retry-time=1000,discard-badwrites),telnet,tcp,ipv6,::1,4001"), "telnet://[::1]:4001", here},
		{one(acc, "telnet,ssl,tcp,example.org,4001"), "telnet+tls://example.org:4001", here},
		{one(acc, "unix,/run/vm1.serial"), "unix:/run/vm1.serial", here},
		{one(acc, "udp(laddr='127.0.0.1,4000'),127.0.0.1,4001"), "udp://127.0.0.1:4001?local=127.0.0.1:4000", here},
		{one(acc, "'pty,ssh -t ''host one'''"), "exec:ssh -t 'host one'", here},
		{one(acc, "stdio(stderr-to-stdout),cat /etc/motd"), "command:cat /etc/motd 2>&1", here},
		{one(acc, "pty(link=/run/it,raw,umode=6,gmode=rw,omode=0,group=dialout)"), "pty:/run/it?group=dialout&mode=0660", here},
		{one(acc, "echo"), "sim:echo", here},
		{one(acc, "echo(noecho)"), "null:", here},
		{one(acc, "file(infile=/var/log/messages)"), "file:/var/log/messages?mode=follow", here},

		{one("tcp,2000", dev), plain, "tcp://0.0.0.0:2000?max_clients=1&insecure=true"},
		{one("tcp,0.0.0.0,2000", dev), plain, "tcp://0.0.0.0:2000?max_clients=1&insecure=true"},
		{one("'tcp(nodelay,reuseaddr=true),ipv6,::1,2000'", dev), plain, "tcp://[::1]:2000?max_clients=1"},
		{one("tcp,localhost,2000,192.0.2.1,2001,2002", dev), plain, here + " tcp://192.0.2.1:2001?max_clients=1&insecure=true tcp://0.0.0.0:2002?max_clients=1&insecure=true"},
		{one("telnet,"+acc, dev), plain, "telnet://localhost:2000?max_clients=1"},
		{one("telnet(rfc2217),"+acc, dev), plain, "rfc2217://localhost:2000?max_clients=1"},
		{one("telnet(rfc2217=true),"+acc, dev), plain, "rfc2217://localhost:2000?max_clients=1"},
		{one("telnet(rfc2217=false,mode=server),"+acc, dev), plain, "telnet://localhost:2000?max_clients=1"},
		{one("unix(delsock,perm=660,owner=root),/run/it", dev), plain, "unix:/run/it?max_clients=1&owner=root&mode=0660"},
		{one("conacc(retry-time=1),pty(link=/run/it,forcelink)", dev), plain, "pty:/run/it"},
		{one("udp,127.0.0.1,2000", dev), plain, "udp://127.0.0.1:2000?max_clients=1"},
		{one("dummy", dev), plain, ""},

		{one(acc, dev, "max-connections: 10"), plain, "tcp://localhost:2000?max_clients=10"},
		{one(acc, dev, "kickolduser: true"), plain, "tcp://localhost:2000"},
		{one(acc, dev, "kickolduser: true", "max-connections: 3"), plain, "tcp://localhost:2000?max_clients=3"},
		{one(acc, dev, "kickolduser: false"), plain, here},
		{one(acc, dev, "no-acc-to-con: true"), plain, here + " read-only"},
		{one(acc, dev, "remaddr: 127.0.0.1,0;tcp,ipv6,::1,4000"), plain, "tcp://localhost:2000?max_clients=1&from=127.0.0.1&from=::1"},

		{"default: {name: speed, value: 115200e72, class: serialdev}\n" + one(acc, "serialdev,/dev/ttyS0,local"), "serial:/dev/ttyS0?baud=115200&mode=7e2&hangup=false", here},
		{"default: {name: speed, value: 115200e72}\n" + serial("9600"), plain, here},
		{"default: {name: max-connections, value: 4, class: ser2net}\n" + one(acc, dev), plain, "tcp://localhost:2000?max_clients=4"},
		{"default: {name: max-connections, value: 4}\ndefault: {name: rfc2217, value: true}\n" + one("telnet,"+acc, dev, "max-connections: 2"), plain, "rfc2217://localhost:2000?max_clients=2"},
		{"default: {name: hangup_when_done, value: true, class: serialdev}\n" + one(acc, dev), "serial:/dev/ttyS0?baud=9600", here},
		{"default: {name: xonxoff, value: true, class: serialdev}\ndelete_default: {name: xonxoff, class: serialdev}\n" + one(acc, dev), plain, here},
		{"define: &port 2000\ndefine: &there /dev/ttyS0\n" + one("tcp,localhost,*(port)", `"serialdev,*(there),local"`), plain, here},
		{"define: &there serialdev,/dev/ttyS0,local\n" + one(acc, "*there"), plain, here},
	} {
		got, err := Ser2net("x.yaml", c.text)
		if err != nil {
			t.Errorf("%s\n%v", c.text, err)
			continue
		}
		if len(got.Chardevs) != 1 || got.Chardevs[0].Name != "it" {
			t.Errorf("%s\nbecomes %+v", c.text, got)
			continue
		}
		var fronts []string
		for _, f := range got.Chardevs[0].Frontends {
			fronts = append(fronts, strings.TrimSpace(f.Address.String()+" "+f.Mode))
		}
		if device, front := got.Chardevs[0].Device.Address.String(), strings.Join(fronts, " "); device != c.device || front != c.front {
			t.Errorf("%s\nhas the device   %s\nand the frontends %s\nwant %s\nand %s", c.text, device, front, c.device, c.front)
		}
		if text := loads(t, got); strings.Contains(text, "insecure=true") && !strings.Contains(text, "# insecure=true") {
			t.Errorf("nothing tells what insecure=true is for:\n%s", text)
		}
	}
}

// Every option that the manuals have does something, is told of, or is one that changes
// nothing here; and so is a default of it.
func TestSer2netOptions(t *testing.T) {
	needsValue := map[string]string{
		"max-connections": "2", "remaddr": "127.0.0.1,0", "connback": "tcp,localhost,1", "kickolduser": "true",
		"laddr": "localhost,1", "speed": "1200", "rs485": "1:1", "perm": "600", "umode": "6", "gmode": "6", "omode": "6",
		"owner": "root", "group": "root", "link": "/run/other", "infile": "/x", "outfile": "/x", "mode": "client",
		"CA": "/x/ca.pem", "key": "/x/key.pem", "cert": "/x/cert.pem", "rts": "off", "dtr": "on", "local": "false", "noecho": "true",
		"mdns-interface": "-1", "accepter-retry-time": "3",
	}
	with := map[string]func(option string) string{
		"tcp":      func(o string) string { return one("tcp("+o+"),localhost,2000", dev) },
		"udp":      func(o string) string { return one(acc, "udp("+o+"),localhost,2000") },
		"unix":     func(o string) string { return one("unix("+o+"),/run/it", dev) },
		"telnet":   func(o string) string { return one("telnet("+o+"),"+acc, dev) },
		"ssl":      func(o string) string { return one(acc, "ssl("+o+"),tcp,localhost,1") },
		"keepopen": func(o string) string { return one(acc, "keepopen("+o+"),tcp,localhost,1") },
		"conacc":   func(o string) string { return one("conacc("+o+"),pty(link=/run/it)", dev) },
		"pty":      func(o string) string { return one(acc, "pty(link=/run/it,"+o+")") },
		"stdio":    func(o string) string { return one(acc, "stdio("+o+"),cat") },
		"echo":     func(o string) string { return one(acc, "echo("+o+")") },
		"file":     func(o string) string { return one(acc, "file(infile=/run/it,"+o+")") },
		"serialdev": func(o string) string {
			if o == "" || strings.HasPrefix(o, "nouucplock") || strings.Contains(o, "drain") || strings.HasPrefix(o, "readbuf") {
				return one(acc, "serialdev("+o+"),/dev/ttyS0,local")
			}
			return one(acc, "serialdev,/dev/ttyS0,"+strings.TrimPrefix(o, "local,"))
		},
		"ser2net": func(o string) string {
			if o == "" {
				return one(acc, dev)
			}
			return one(acc, dev, strings.Replace(o, "=", ": ", 1))
		},
	}
	// What is so here whatever they say.
	nothing := []string{"custspeed", "reuseaddr", "delsock", "forcelink", "nobreak", "nodelay", "raw", "clientauth"}
	always := []string{"link", "infile", "local"} // the texts below have them, so no default does anything
	read := func(text string) (string, bool) {
		c, err := Ser2net("x.yaml", text)
		if err != nil {
			return "", true
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String(), len(c.Notices) > 0
	}
	for class, names := range optionsOf {
		before, _ := read(with[class](""))
		for _, name := range names {
			value := needsValue[name]
			if value == "" {
				value = "true"
			}
			for _, text := range []string{
				with[class](name + "=" + value),
				fmt.Sprintf("default: {name: %s, value: '%s', class: %s}\n", name, value, class) + with[class](""),
			} {
				after, told := read(text)
				if told || slices.Contains(nothing, name) || strings.HasPrefix(text, "default") && slices.Contains(always, name) {
					continue
				}
				strip := func(s string) string { _, rest, _ := strings.Cut(s, "\n"); return rest } // the comment with the line
				if strip(after) == strip(before) {
					t.Errorf("%s %s is neither of effect nor told of:\n%s", class, name, text)
				}
			}
		}
	}
}

// TLS: the files are credentials, which connections share.
func TestSer2netTLS(t *testing.T) {
	c, err := Ser2net("x.yaml", `
connection: &a
  accepter: telnet(rfc2217),ssl(key=k.pem,cert=c.pem),tcp,2000
  connector: serialdev,/dev/ttyS0,local
connection: &b
  accepter: ssl(key=k.pem,cert=c.pem,CA=ca.pem,clientauth),tcp,2001
  connector: ssl(CA=ca.pem),tcp,example.org,1
connection: &c
  accepter: ssl(cert=c.pem key=k.pem),tcp,localhost,2002
  connector: serialdev,/dev/ttyS1,local
connection: &d
  accepter: ssl,tcp,2003
  connector: serialdev,/dev/ttyS2,local
`)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	c.Write(&text)
	for _, want := range []string{
		"[credentials.ser2net]\ncert = \"c.pem\"\nkey = \"k.pem\"\n",
		"[credentials.ser2net-2]\nca = \"ca.pem\"\n",
		"[credentials.ser2net-3]\ncert = \"c.pem\"\nkey = \"k.pem\"\nclient_ca = \"ca.pem\"\n",
		"[credentials.ser2net-4]\ncert = \"/etc/ser2net/ser2net.crt\"\nkey = \"/etc/ser2net/ser2net.key\"\n",
		`"rfc2217+tls://0.0.0.0:2000?credentials=ser2net&max_clients=1&anonymous=true"`,
		`"tls://0.0.0.0:2001?credentials=ser2net-3&max_clients=1"`,
		`"tls://example.org:1?credentials=ser2net-2"`,
		`"tls://localhost:2002?credentials=ser2net&max_clients=1"`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s is not in\n%s", want, &text)
		}
	}
}

// Connections to one port share it, if they set it the same. Names are what a chardev may
// be called.
func TestSer2netSharedPort(t *testing.T) {
	c, err := Ser2net("x.yaml", `
connection: &_a
  accepter: tcp,localhost,2000
  connector: serialdev,/dev/ttyS0,9600n81,local
connection: &b
  accepter: telnet,tcp,localhost,2001
  connector: serialdev,/dev/ttyS0,local
connection: &c
  accepter: tcp,localhost,2002
  connector: serialdev,/dev/ttyS0,19200,local
  options: { banner: hello }
connection: &d
  accepter: tcp,localhost,2003
  connector: serialdev,/dev/ttyS1,19200
  enable: off
connection: &a
  accepter: tcp,localhost,2004
  connector: serialdev,/dev/ttyS2,local
`)
	if err != nil {
		t.Fatal(err)
	}
	loads(t, c)
	if len(c.Chardevs) != 2 || c.Chardevs[0].Name != "a" || c.Chardevs[1].Name != "a-2" || len(c.Chardevs[0].Frontends) != 2 {
		t.Errorf("%+v", c.Chardevs)
	}
	var told []string
	for _, n := range c.Notices {
		told = append(told, n.String())
	}
	for i, want := range []string{
		"x.yaml:2:1: connection _a is chardev a:",
		"x.yaml:5:1: connection b leads to a,",
		"x.yaml:8:1: connection c is left out: /dev/ttyS0 is a's already,",
		"x.yaml:12:1: connection d is off",
		"x.yaml:16:1: connection a is chardev a-2:",
	} {
		if i >= len(told) || !strings.HasPrefix(told[i], want) {
			t.Errorf("want %s in\n%s", want, strings.Join(told, "\n"))
		}
	}
}

// A connection has any name that YAML has for it, and its chardev one that a chardev has.
func TestSer2netNames(t *testing.T) {
	c, err := Ser2net("x.yaml", `
connection: &my/port:1
  accepter: tcp,localhost,2000
  connector: serialdev,/dev/ttyS0
connection: &.a
  accepter: tcp,localhost,2001
  connector: serialdev,/dev/ttyS1
`)
	if err != nil {
		t.Fatal(err)
	}
	loads(t, c)
	for i, want := range []string{"my_port_1", "a"} {
		if i >= len(c.Chardevs) || c.Chardevs[i].Name != want {
			t.Errorf("want %s in %+v", want, c.Chardevs)
		}
	}
}

// What can not be had is refused, with its place, all at once.
func TestSer2netMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: want a ser2net.yaml"},
		{"- a\n", "1:1: want a ser2net.yaml"},
		{"just a text\n", "1:1: want a ser2net.yaml"},
		{"%YAML 1.1\n---\n", "want a ser2net.yaml"},
		{"connection: &a\n\tx: y\n", "2:1: "},
		{"connection: &a\n  accepter: *nope\n", "2:13: unknown anchor 'nope' referenced"},
		{"define: &x 1\n---\ndefine: &y 2\n", "2:1: ser2net reads one document"},
		{"conection: &a {}\n", `1:1: unknown key "conection", did you mean "connection"?`},
		{"connection: {accepter: tcp}\n", "1:13: it has no name: write &NAME before it"},
		{"connection: &a here\n", "1:13: want a mapping here"},
		{"connection: &a {accepter: 'tcp,1'}\n", "1:1: connection a has no connector"},
		{"connection: &a {connector: 'echo'}\n", "1:1: connection a has no accepter"},
		{one(acc, dev) + "  conector: x\n", `4:3: unknown key "conector", did you mean "connector"?`},
		{one(acc, dev) + "  accepter: x\n", "4:3: accepter is there already"},
		{one(acc, dev) + "  timeout: soon\n", "4:12: timeout: want a number"},
		{one(acc, dev) + "  enable: perhaps\n", "4:11: enable: want on or off"},
		{one(acc, dev) + "  options: 7\n", "4:12: options: want a mapping"},
		{one(acc, dev, "banned: x"), `5:5: unknown option "banned", did you mean "banner"?`},
		{one(acc, dev, "kickolduser: maybe"), "5:5: kickolduser: want true or false"},
		{one(acc, dev, "max-connections: many"), "5:5: max-connections: want a number"},
		{one(acc, dev, "connback: 'tcp,host,1'"), "5:5: connback:"},
		{one(acc, dev, "no-con-to-acc: true"), "5:5: no-con-to-acc:"},
		{one(acc, dev, "remaddr: '!192.0.2.1,1'"), "5:5: remaddr:"},
		{one("unix,/run/it", dev, "remaddr: '127.0.0.1,0'"), "5:5: remaddr: by unix nobody"},
		{one("conacc,pty(link=/run/it)", dev, "remaddr: '127.0.0.1,0'"), "5:5: remaddr: by pty nobody"},
		{one(acc, dev, "remaddr: 'host,0'"), `5:5: remaddr: who may come is known by address here, and "host" is none`},
		{one(acc, dev, "banner: [a]"), "5:13: want a text"},
		{one("tcp,localhost", dev), "2:13: tcp: want HOST,PORT or PORT"},
		{one("tcp,localhost,70000", dev), "2:13: tcp: want HOST,PORT or PORT"},
		{one("tcp", dev), "2:13: tcp: want HOST,PORT or PORT"},
		{one("tcp(nodelay,localhost,1", dev), "2:16: tcp( is not closed"},
		{one("telnet(rfc2117),tcp,1", dev), `2:20: unknown option "rfc2117", did you mean "rfc2217"?`},
		{one("telnet", dev), "2:13: telnet: want a comma, and what it stands on"},
		{one("telnet,sctp,1", dev), "2:20: sctp: there is no SCTP here: use tcp"},
		{one("telnet(rfc2217),mux,certauth,ssl,tcp,1", dev), "2:29: mux: gensio's mux is not spoken here"},
		{one("ssl(clientauth),tcp,1", dev), "2:13: ssl: certificates of users are not read from authdir"},
		{one("ssl(CA=/etc/ca/),tcp,1", dev), "2:17: CA: a folder of certificates can not be read here"},
		{one("'ssl(CA=/x,clientauth),tcp,1'", dev, "allowed-users: alice bob"), "5:5: allowed-users:"},
		{one("telnet(mode=client),tcp,1", dev), "2:20: mode: this side is the server here"},
		{one("serialdev,/dev/ttyS1", dev), "2:13: serialdev: users can not come by it"},
		{one("pty(link=/x)", dev), "2:13: pty: want conacc"},
		{one("unix,relative?", dev) + "x: y\n", `4:1: unknown key "x"`},
		{one("unix("+"umode=9),/x", dev), "2:18: umode: want a digit"},
		{one(acc, "ipmisol,lan -U u -P p host,9600"), "3:14: ipmisol: give the chardev device ="},
		{one(acc, "serialdev"), "3:14: serialdev: want the path of a serial port"},
		{one(acc, "serialdev,/dev/ttyS0,9600n81,loco"), `3:43: unknown option "loco", did you mean "local"?`},
		{one(acc, "serialdev,\n     /dev/ttyS0,\n     9600n81 wrongly"), `5:14: unknown option "wrongly"`},
		{one(acc, "serialdev,/dev/ttyS0,9600n91"), `3:35: unknown option "9600n91"`},
		{one(acc, "serialdev,/dev/ttyS0,speed=fast"), "3:35: speed: want a speed"},
		{one(acc, "serialdev,/dev/ttyS0,rs485=1"), "3:35: rs485: want off or BEFORE:AFTER"},
		{one(acc, "serialdev,/dev/ttyS0,rs485=1:1:terminate_bus"), "3:35: rs485: terminate_bus: there is no such setting here"},
		{one(acc, "serialdev,/dev/ttyS0,xonxoff,rtscts"), "3:14: xonxoff and rtscts"},
		{one(acc, "serialdev,/dev/ttyS0,wronly"), "3:35: wronly: a device is read here"},
		{one(acc, "serialdev,/dev/ttyS0,dtr=high"), "3:35: dtr: want on or off"},
		{one(acc, "tcp,4000"), "3:14: tcp: want HOST,PORT, once"},
		{one(acc, "tcp,localhost,0"), "3:14: tcp: want HOST,PORT, once"},
		{one(acc, "unix,/"+strings.Repeat("x", 107)), "3:14: unix: a path has at most 107 bytes"},
		{one(acc, "echo") + strings.ReplaceAll(one(acc, "echo"), "&it", "&other"), "5:13: connection it is at localhost:2000 already"},
		{one(acc, "stdio,'cat"), "3:14: stdio: want a program"},
		{one(acc, "pty"), "3:14: pty: want link=PATH, or a program"},
		{one("tcp,*(nope)", dev), "2:17: *(nope: nothing of that name is defined before"},
		{one("tcp,*{/etc/port}", dev), "2:17: *{…}: the text of another file is not read"},
		{"default: {value: 7}\n" + one(acc, dev), "1:10: default: it has no name"},
		{"default: x\n" + one(acc, dev), "1:10: default: want a mapping"},
		{"delete_default: {name: speed}\n" + one(acc, dev), "1:17: delete_default: it has no class"},
		{"default: {name: max-connections, value: x}\n" + one(acc, dev), "1:41: max-connections: want a number"},
		{"rotator: &r {accepter: 'tcp,1', connections: [a]}\n" + one(acc, dev), "1:1: rotator:"},
		{"include: other.yaml\n" + one(acc, dev), "1:1: include:"},
		{one(acc, dev) + "  enable: off\n", "1:1: no connection is in it"},
		{"# old\nBANNER:b:hello\n3001:telnet:600:/dev/ttyS0:9600 NONE LOCAL\n",
			`3:1: this is ser2net.conf, of version 3; write each line of it in YAML (man ser2net.yaml): connection: &port3001 { accepter: "telnet,tcp,3001", timeout: 600, connector: "serialdev,/dev/ttyS0,9600 NONE LOCAL" }`},
	} {
		got, err := Ser2net("x.yaml", c.text)
		bad, ok := errors.AsType[*Mistakes](err)
		if !ok || got != nil {
			t.Errorf("%s\nis taken, or fails with %v", c.text, err)
			continue
		}
		if !slices.ContainsFunc(bad.List, func(n Notice) bool {
			return strings.HasPrefix(n.String(), "x.yaml:"+c.want) || !strings.Contains("0123456789", c.want[:1]) && strings.Contains(n.Text, c.want)
		}) {
			t.Errorf("%s\nwant x.yaml:%s in\n%v", c.text, c.want, err)
		}
	}
	_, err := Ser2net("x.yaml", one("tcp,x", "ipmisol,lan", "kickolduser: maybe")+"rotator: &r {}\n")
	if have := strings.Count(err.Error(), "\n") + 1; have != 4 {
		t.Errorf("of 4 mistakes %d are told:\n%v", have, err)
	}
}

// Nothing panics; and what is taken is right for the daemon.
func FuzzSer2net(f *testing.F) {
	f.Add(one(acc, dev, "kickolduser: true", "remaddr: '127.0.0.1,0'"))
	f.Add("define: &b hi \\d\ndefault: {name: speed, value: 1200e71, class: serialdev}\n" + one("telnet(rfc2217),tcp,2000", "serialdev,/dev/ttyS0,rs485=1:2:rx_during_tx,rts=off", "banner: *b"))
	f.Add(one("conacc,pty(link=/run/x,perm=660)", "'stdio(stderr-to-stdout),sh -c \"echo \\\"a b\\\"\"'"))
	f.Add(one("ssl(key=/k,cert=/c,CA=/a,clientauth),tcp,ipv6,::1,2000", "udp(laddr='localhost,1'),localhost,2"))
	f.Add("3001:telnet:0:/dev/ttyS0\n")
	f.Add("a: &a [*a, {b: *a}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Ser2net("x.yaml", text)
		if err != nil {
			for _, n := range err.(*Mistakes).List {
				if n.Line < 1 || n.Column < 1 || n.Line > strings.Count(text, "\n")+2 || strings.ContainsAny(n.Text, "\r\n") {
					t.Errorf("a mistake at a place that is none: %q", n)
				}
			}
			return
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "chardev.toml")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := chardev.Load(file); err != nil && len(c.Credentials) == 0 {
			t.Errorf("the daemon does not read what was imported: %v\n%s", err, &b)
		}
	})
}
