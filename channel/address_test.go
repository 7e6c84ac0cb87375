package channel

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	tls, ws := []string{"tls"}, []string{"ws"}
	for _, c := range []struct {
		text string
		want Address
		long string // as String writes it; "" is as text
	}{
		{"tcp://127.0.0.1:7001", Address{Transport: "tcp", Where: "127.0.0.1:7001"}, ""},
		{"tcp://[::1]:7001", Address{Transport: "tcp", Where: "[::1]:7001"}, ""},
		{"tcp://[fe80::1%25eth0]:7001", Address{Transport: "tcp", Where: "[fe80::1%eth0]:7001"}, ""},
		{"tcp://:0", Address{Transport: "tcp", Where: ":0"}, ""},
		{"tcp://bücher.example:1", Address{Transport: "tcp", Where: "bücher.example:1"}, ""},
		{"unix:/run/x", Address{Transport: "unix", Where: "/run/x"}, ""},
		{"unix:run/x y?mode=0660&group=0", Address{Transport: "unix", Where: "run/x y", Options: []Option{{"mode", "0660"}, {"group", "0"}}}, ""},
		{"unix:/a%3Fb%25", Address{Transport: "unix", Where: "/a?b%"}, ""},
		{"unix:@abstract", Address{Transport: "unix", Where: "@abstract"}, ""},
		{"pty:/run/tty", Address{Transport: "pty", Where: "/run/tty"}, ""},
		{"exec:ls -l | grep '?a=b&c' %41", Address{Transport: "exec", Where: "ls -l | grep '?a=b&c' %41"}, ""},
		{"null:", Address{Transport: "null"}, ""},
		{"sim:boot", Address{Transport: "sim", Where: "boot"}, ""},
		{"tls://h:1?credentials=a&from=10.0.0.0/8&from=::1", Address{Layers: tls, Transport: "tcp", Where: "h:1", Options: []Option{{"credentials", "a"}, {"from", "10.0.0.0/8"}, {"from", "::1"}}}, "tls://h:1?credentials=a&from=10.0.0.0/8&from=::1"},
		{"tcp://h:1?", Address{Transport: "tcp", Where: "h:1"}, "tcp://h:1"},
		{"tls+pty:/x?servername=%26%3F=", Address{Layers: tls, Transport: "pty", Where: "/x", Options: []Option{{"servername", "&?="}}}, ""},
		{"ws://h:1/a%3Fb/c", Address{Layers: ws, Transport: "tcp", Where: "h:1", Path: "/a?b/c"}, "ws://h:1/a%3Fb/c"},
		{"ws://h:1/", Address{Layers: ws, Transport: "tcp", Where: "h:1", Path: "/"}, "ws://h:1/"},
		{"ws+unix:/run/x", Address{Layers: ws, Transport: "unix", Where: "/run/x"}, ""},
		{"wss://localhost:7002/console", Address{Layers: []string{"ws", "tls"}, Transport: "tcp", Where: "localhost:7002", Path: "/console"}, ""},
		{"wss+unix:/x", Address{Layers: []string{"ws", "tls"}, Transport: "unix", Where: "/x"}, "ws+tls+unix:/x"},
		{"ws+tls+unix:/run/x", Address{Layers: []string{"ws", "tls"}, Transport: "unix", Where: "/run/x"}, ""},
		{"ws+ws+tcp://h:1", Address{Layers: []string{"ws", "ws"}, Transport: "tcp", Where: "h:1"}, "ws+ws://h:1"},
		{"telnet://h:1", Address{Layers: []string{"telnet"}, Transport: "tcp", Where: "h:1"}, ""},
		{"rfc2217+tls+unix:/x", Address{Layers: []string{"rfc2217", "tls"}, Transport: "unix", Where: "/x"}, ""},
		{"tls+exec:x", Address{Layers: tls, Transport: "exec", Where: "x"}, ""},
	} {
		a, err := ParseAddress(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !reflect.DeepEqual(a, c.want) {
			t.Errorf("%s is\n %#v, want\n %#v", c.text, a, c.want)
		}
		if c.long == "" {
			c.long = c.text
		}
		if a.String() != c.long {
			t.Errorf("%s is written %s, want %s", c.text, a, c.long)
		}
	}
}

// Every error names the part that is wrong, in one line for each.
func TestParseAddressErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		says []string
	}{
		{"", []string{"no transport"}},
		{"/run/x", []string{"no transport"}},
		{"tpc://h:1", []string{`transport "tpc"`, `"tcp"`}},
		{"://h:1", []string{`transport ""`}},
		{"TCP://h:1", []string{`"TCP"`, `"tcp"`}},
		{"tsl+wx+unx:x", []string{`layer "tsl"`, `"tls"`, `layer "wx"`, `"ws"`, `transport "unx"`, `"unix"`}},
		{"unix+tcp://h:1", []string{`layer "unix"`}},
		{"tcp:h:1", []string{"//"}},
		{"tcp://h", []string{`"h"`}},
		{"tcp://::1:80", []string{"brackets"}},
		{"tcp://h:http", []string{`port "http"`}},
		{"tcp://h:65536", []string{`port "65536"`}},
		{"tcp://h:+1", []string{`port "+1"`}},
		{"tcp://h:007", []string{`port "007"`}},
		{"tcp://h:", []string{`port ""`}},
		{"tcp://a b:1", []string{`"a b"`}},
		{"tcp://me@h:1", []string{`"me@h"`}},
		{"tcp://[x:y]:1", []string{`"x:y"`}},
		{"tcp://h:1/p", []string{"path", `"/p"`}},
		{"tcp://%zz:1", []string{"% escape"}},
		{"tcp://h:1/%", []string{"% escape", "path"}},
		{"unix:", []string{"a path"}},
		{"unix:?mode=0600", []string{"a path"}},
		{"unix:%", []string{"% escape"}},
		{"unix:a%00b", []string{"NUL"}},
		{"exec:a\x00b", []string{"NUL"}},
		{"exec:", []string{"a command"}},
		{"pty:", []string{"a path"}},
		{"sim:", []string{"simulation"}},
		{"unix:x?mode", []string{`option "mode"`, "=value"}},
		{"unix:x?mode=%", []string{"option mode", "% escape"}},
		{"unix:x?moed=0600", []string{`option "moed"`, `"mode"`}},
		{"unix:x?a=1&b=2", []string{`option "a"`, `option "b"`}},
		{"unix:x?mode=0600&mode=0600", []string{"option mode", "twice"}},
		{"unix:x?mode=999", []string{"option mode", `"999"`}},
		{"unix:x?mode=01777", []string{"option mode", `"01777"`}},
		{"unix:x?owner=nobody-of-that-name", []string{"nobody-of-that-name"}},
		{"unix:x?owner=-1", []string{`"-1"`}},
		{"unix:x?group=-1", []string{`"-1"`}},
		{"tcp://h:1?insecure=yes", []string{"option insecure", `"yes"`}},
		{"tcp://h:1?max_clients=0", []string{"option max_clients", `"0"`}},
		{"tcp://h:1?from=10.0.0.0/33", []string{"option from", `"10.0.0.0/33"`}},
		{"tls://h:1?verify=maybe", []string{"option verify", `"maybe"`}},
		{"tls://h:1?credentials=", []string{"option credentials"}},
		{"tcp://h:1?servername=x", []string{`option "servername"`}},
		{"ws://h:1?orgin=http://x", []string{`option "orgin"`, `"origin"`}},
		{"ws://h:1/a?path=/b", []string{"option path", `"/a"`}},
	} {
		_, err := ParseAddress(c.text)
		if err == nil {
			t.Errorf("%q is taken", c.text)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: want %s in: %v", c.text, want, err)
			}
		}
		if strings.Contains(err.Error(), c.text) && len(c.text) > 9 {
			t.Errorf("%q: repeated in: %v", c.text, err)
		}
	}
}

func TestAddressIn(t *testing.T) {
	for _, c := range []struct{ text, dir, want string }{
		{"unix:x", "/d", "/d/x"},
		{"unix:../x", "/d/e", "/d/x"},
		{"unix:x", "", "x"},
		{"unix:x", ".", "x"},
		{"unix:/x", "/d", "/x"},
		{"unix:@x", "/d", "@x"},
		{"unix:./@x", "", "./@x"},
		{"unix:./@x", ".", "./@x"},
		{"unix:./@x", "/d", "/d/@x"},
		{"pty:@x", "/d", "/d/@x"},
		{"tcp://h:1", "/d", "h:1"},
		{"exec:x", "/d", "x"},
	} {
		if got := MustParseAddress(c.text).In(c.dir).Where; got != c.want {
			t.Errorf("%s in %q is %q, want %q", c.text, c.dir, got, c.want)
		}
	}
}

func TestAddressLoopback(t *testing.T) {
	for h, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.255.0.9": true, "[::1]": true, "[::ffff:127.0.0.1]": true,
		"": false, "0.0.0.0": false, "[::]": false, "128.0.0.1": false, "localhost.example": false, "127.1": false, "10.0.0.1": false,
	} {
		if got := MustParseAddress("tcp://" + h + ":1").Loopback(); got != want {
			t.Errorf("%q: loopback is %v", h, got)
		}
	}
}

func TestAddressNamed(t *testing.T) {
	for a, want := range map[string]bool{
		"tcp://h:1": true, "udp://h.example:1": true, "tcp://localhost:1": false, "tcp://127.0.0.1:1": false,
		"tcp://[::1]:1": false, "tcp://:1": false, "vsock://any:1": false, "unix:/h": false,
	} {
		if got := MustParseAddress(a).Named(); got != want {
			t.Errorf("%s: named is %v", a, got)
		}
	}
}

func TestAddressOptions(t *testing.T) {
	a := MustParseAddress("tls://h:9?from=10.0.0.1&insecure=true&from=10.0.0.2")
	if got := a.All("from"); !reflect.DeepEqual(got, []string{"10.0.0.1", "10.0.0.2"}) || a.Get("from") != "10.0.0.2" || a.Get("credentials") != "" {
		t.Errorf("from is %q", got)
	}
	if !a.Is("insecure") || a.Is("anonymous") || !a.Has("tls") || a.Has("ws") || !a.Network() || a.Host() != "h" || a.Port() != "9" || a.File() != "" {
		t.Errorf("%+v", a)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"history", "input", "log", "max_clients", ""}
	for name, want := range map[string]string{
		"histroy": "history", "History": "history", "imput": "input", "lg": "log", "maxclients": "max_clients", "max-client": "max_clients",
		"": "", "x": "", "lab": "", "frontend": "", strings.Repeat("history", 1<<16): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("nearest to %.20q is %q, want %q", name, got, want)
		}
	}
}

// FuzzAddress: any text gives an error, or an address that is the same again
// when it is written and read, also after its path was made absolute.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"tcp://127.0.0.1:1", "wss://[::1%25lo]:0/a%3Fb?origin=http://x&origin=y", "unix:@a", "unix:./@a", "pty:x?mode=600&owner=0", "exec:a?b=c", "null:", "sim:boot",
		"ws+tls+ws+unix:%2F?path=/x&host=h", "unix:" + strings.Repeat("0", 105), "tls+tcp://h:1?from=::/0&max_clients=2&&insecure=true", "unix:%00", "+:", "tcp://:1/", "tcp:////:1", "tls:",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatalf("%q: an error without words", text)
			}
			return
		}
		for i, a := range []Address{a, a.In("."), a.In("/d")} {
			if i > 0 && a.Transport == "unix" && len(a.Where) > MaxSocketPath {
				continue // it fitted before it was made absolute
			}
			b, err := ParseAddress(a.String())
			if err != nil || !reflect.DeepEqual(a, b) {
				t.Fatalf("%q: %#v is written %q, which is %#v, %v", text, a, a, b, err)
			}
			if (a.File() == "") != (b.File() == "") || a.Loopback() && !a.Network() {
				t.Fatalf("%q: %#v", text, a)
			}
		}
	})
}
