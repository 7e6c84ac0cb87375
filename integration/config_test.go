package integration

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Mistakes of every kind: check names the place and the thing, serve refuses the
// same, and nothing is started by halves.
func TestBadConfigs(t *testing.T) {
	p1, p2 := freePort(t), freePort(t)
	good := `
[[chardev]]
name = "good"
device = "null:"
frontends = ["unix:good"]
`
	for _, test := range []struct {
		name string
		text string // after good; >>> marks the line that is named
		says []string
	}{
		{"unknown key", ">>>stat = \"x\"\n", []string{"stat", "state"}},
		{"unknown key of a chardev", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>fronteds = []\n", []string{"fronteds", "frontends"}},
		{"unknown key of a frontend", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n[[chardev.frontend]]\nlisten = \"unix:x\"\n>>>repaly = \"1KiB\"\n", []string{"repaly", "replay"}},
		{"wrong type", "[[chardev]]\n>>>name = 5\ndevice = \"null:\"\n", []string{"name"}},
		{"wrong type of a list", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>frontends = \"unix:x\"\n", []string{"frontends"}},
		{"no TOML", "[[chardev]]\n>>>name = \n", []string{"value"}},
		{"bad address", "[[chardev]]\nname = \"x\"\n>>>device = \"tcp:127.0.0.1\"\n", []string{"//"}},
		{"unknown transport", "[[chardev]]\nname = \"x\"\n>>>device = \"tpc://127.0.0.1:1\"\n", []string{"tpc", "tcp"}},
		{"unknown layer", "[[chardev]]\nname = \"x\"\n>>>device = \"tsl+unix:x\"\n", []string{"tsl", "tls"}},
		{"bad port", "[[chardev]]\nname = \"x\"\n>>>device = \"tcp://127.0.0.1:70000\"\n", []string{"70000"}},
		{"unknown layer option", "[[chardev]]\nname = \"x\"\n>>>device = \"ws://127.0.0.1:1?orgin=x\"\n", []string{"orgin", "origin"}},
		{"option of another transport", "[[chardev]]\nname = \"x\"\n>>>device = \"unix:x?origin=y\"\n", []string{"origin"}},
		{"two frontends on one port", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\nfrontends = [\"tcp://127.0.0.1:@p1@\"]\n[[chardev]]\nname = \"y\"\ndevice = \"null:\"\n>>>frontends = [\"tcp://127.0.0.1:@p1@\"]\n", []string{"@p1@"}},
		{"two frontends on one path", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>frontends = [\"unix:good\"]\n", []string{"good"}},
		{"two chardevs of one name", "[[chardev]]\n>>>name = \"good\"\ndevice = \"null:\"\n", []string{"good"}},
		{"bad name", "[[chardev]]\n>>>name = \"a b\"\ndevice = \"null:\"\n", []string{"a b"}},
		{"no name", ">>>[[chardev]]\ndevice = \"null:\"\n", []string{"name"}},
		{"no device", ">>>[[chardev]]\nname = \"x\"\n", []string{"device"}},
		{"missing certificate", "[credentials.c]\n>>>cert = \"no-such.pem\"\nkey = \"no-such-key.pem\"\n", []string{"no-such.pem"}},
		{"unknown credentials", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>frontends = [\"tls://127.0.0.1:@p1@?credentials=nobody\"]\n", []string{"nobody"}},
		{"not a word for input", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>input = \"sahred\"\n", []string{"sahred", "shared"}},
		{"not a word for on_lag", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n[[chardev.frontend]]\nlisten = \"unix:x\"\n>>>on_lag = \"wait\"\n", []string{"wait", "block"}},
		{"bad size", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>history = \"64 kilos\"\n", []string{"64 kilos"}},
		{"bad duration", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n[[chardev.frontend]]\nconnect = \"tcp://127.0.0.1:1\"\n>>>reconnect = { min = \"soon\" }\n", []string{"soon"}},
		{"listen and connect", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n[[chardev.frontend]]\nlisten = \"unix:x\"\n>>>connect = \"unix:y\"\n", []string{"connect"}},
		{"what cannot listen", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n[[chardev.frontend]]\n>>>listen = \"exec:cat\"\n", []string{"exec"}},
		{"a long UNIX path", "[[chardev]]\nname = \"x\"\n>>>device = \"unix:/tmp/" + strings.Repeat("x", 110) + "\"\n", []string{"107"}},
		{"beyond loopback without TLS", "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>frontends = [\"tcp://192.0.2.1:@p1@\"]\n", []string{"insecure=true"}},
		{"dialling beyond loopback without TLS", "[[chardev]]\nname = \"x\"\n>>>device = \"tcp://192.0.2.1:1\"\n", []string{"insecure=true"}},
		{"TLS for anybody beyond loopback", "[credentials.c]\ncert = \"@ca@/server-cert.pem\"\nkey = \"@ca@/server-key.pem\"\n[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n>>>frontends = [\"tls://192.0.2.1:@p1@?credentials=c\"]\n", []string{"anonymous=true"}},
		{"a missing include", ">>>include = [\"no-such.toml\"]\n", []string{"no-such.toml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			values := map[string]any{"p1": p1, "p2": p2}
			if strings.Contains(test.text, "@ca@") {
				values["ca"] = newAuthority(t).dir
			}
			text := test.text
			// a key of the file's top must stand before its first table
			if after := strings.TrimPrefix(text, ">>>"); strings.HasPrefix(after, "[") {
				text = good + text
			} else {
				text += good
			}
			d := newDaemon(t, folder(t), strings.Replace(text, ">>>", "", 1), values)
			line := 3 + strings.Count(text[:strings.Index(text, ">>>")], "\n")
			place := regexp.MustCompile(`(?m)^(chardevd: )?\S*chardev\.toml:` + fmt.Sprint(line) + `:\d+: `)
			for _, command := range []string{"check", "serve"} {
				stdout, stderr, code := execute(t, d.command(command, "-c", d.config))
				if code != 1 {
					t.Errorf("%s: exit %d, want 1; %q", command, code, stdout)
				}
				if !place.MatchString(stderr) {
					t.Errorf("%s: want %q in:\n%s", command, place, stderr)
				}
				for _, want := range test.says {
					if want = expand(want, values); !strings.Contains(stderr, want) {
						t.Errorf("%s: want %q in:\n%s", command, want, stderr)
					}
				}
				if strings.Contains(stdout, "ready") {
					t.Errorf("%s: it says ready", command)
				}
			}
			entries, err := os.ReadDir(d.dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != 1 {
				t.Errorf("something was made: %v", entries)
			}
		})
	}
}

// All mistakes are told at once, each with its place.
func TestAllMistakesAtOnce(t *testing.T) {
	d := newDaemon(t, folder(t), `
[[chardev]]
name = "a b"
device = "tpc://127.0.0.1:1"
input = "sahred"
nonsense = 1
[[chardev]]
name = "x"
device = "null:"
frontends = ["unix:x?mode=9", "tcp://127.0.0.1:x"]
`, nil)
	_, stderr, code := execute(t, d.command("check", "-c", d.config))
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{":5:", ":6:", ":7:", ":8:", ":12:"} {
		if !strings.Contains(stderr, "chardev.toml"+want) {
			t.Errorf("nothing about line %s in:\n%s", want, stderr)
		}
	}
	if n := strings.Count(stderr, "chardev.toml:12:"); n != 2 {
		t.Errorf("%d mistakes told of line 12, want 2:\n%s", n, stderr)
	}
}

// A good config is said to be good, and the example in the root is one.
func TestGoodConfig(t *testing.T) {
	d := newDaemon(t, folder(t), "[[chardev]]\nname = \"x\"\ndevice = \"null:\"\n", nil)
	if stdout, stderr, code := execute(t, d.command("check", "-c", d.config)); code != 0 {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := execute(t, d.command("check", "-c", "../chardev.toml")); code != 0 {
		t.Errorf("chardev.toml: exit %d: %s%s", code, stdout, stderr)
	}
	if _, stderr, code := execute(t, d.command("check", "-c", d.path("none.toml"))); code != 1 || !strings.Contains(stderr, "none.toml") {
		t.Errorf("no such file: exit %d: %s", code, stderr)
	}
}

// A port that is taken at the start: its frontend says so and comes up when the
// port is free; everything else runs meanwhile. The same for a path on which
// another process listens, which is never taken from it.
func TestTakenAtStart(t *testing.T) {
	t.Parallel()
	p := freePort(t)
	taken, err := net.Listen("tcp", port(p))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := folder(t)
	takenPath, err := net.Listen("unix", dir+"/taken")
	if err != nil {
		t.Fatal(err)
	}
	defer takenPath.Close()
	g := unixGuest(t, echoImage(t), dir+"/guest")
	d := newDaemon(t, dir, `
[[chardev]]
name = "vm"
device = "unix:guest"
frontends = ["unix:front", "tcp://127.0.0.1:@port@", "unix:taken"]
`, map[string]any{"port": p})
	d.serve()
	d.is("vm", "up")
	u := dial(t, "unix", d.path("front"))
	d.has("vm", 1)
	g.cont()
	u.sees(t, "ECHO READY")
	for _, f := range d.info("vm").Frontends {
		if wrong := strings.Contains(f.Address, "front") != (f.State == "up" && f.Error == ""); wrong {
			t.Errorf("frontend %s is %s: %q", f.Address, f.State, f.Error)
		}
		if strings.Contains(f.Address, "tcp") && !strings.Contains(f.Error, "in use") {
			t.Errorf("frontend %s does not say why: %q", f.Address, f.Error)
		}
	}
	if stdout, _, code := d.cli("list"); code != 0 || !strings.Contains(stdout, "in use") {
		t.Errorf("list does not say that the port is in use: %s", stdout)
	}
	taken.Close()
	takenPath.Close() // which removes its file
	eventually(t, 2*patience, func() error {
		for _, f := range d.info("vm").Frontends {
			if f.State != "up" || f.Error != "" {
				return fmt.Errorf("frontend %s is %s: %q", f.Address, f.State, f.Error)
			}
		}
		return nil
	})
	dial(t, "tcp", port(p)).echoes(t, "by the port")
	dial(t, "unix", d.path("taken")).echoes(t, "by the path")
}
