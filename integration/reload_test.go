package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A reload under load: of 200 chardevs whose devices count, one is another each time, and
// the clients of the 199 others see no disconnect and no gap; nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	n, reloads := 40, 10
	if long {
		n, reloads = 200, 100
	}
	dir := folder(t)
	text := func(round int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "[[chardev]]\nname = \"vm%d\"\ndevice = \"unix:dev%d\"\n", i, i)
			if i == 0 {
				fmt.Fprintf(&b, "log = { keep = %d }\ninput = \"%s\"\nfrontends = [\"unix:front%d-%d\"]\n", 2+round, []string{"shared", "off"}[round%2], i, round%3)
			} else {
				fmt.Fprintf(&b, "frontends = [\"unix:front%d\"]\n", i)
			}
		}
		return b.String()
	}
	var counting, reading sync.WaitGroup
	over := make(chan struct{})
	for i := range n {
		l, err := net.Listen("unix", fmt.Sprintf("%s/dev%d", dir, i))
		if err != nil {
			t.Fatal(err)
		}
		counting.Go(func() {
			defer l.Close()
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for k := 0; ; k++ {
				if _, err := fmt.Fprintf(c, "%08d\n", k); err != nil {
					t.Errorf("device %d was closed: %v", i, err)
					return
				}
				select {
				case <-pace.C:
				case <-over:
					return
				}
			}
		})
	}
	d := newDaemon(t, dir, text(0), nil)
	d.serve()
	var clients []*net.UnixConn
	end := sync.OnceFunc(func() {
		for _, c := range clients {
			c.CloseWrite() // and the daemon gives what was printed so far
		}
		reading.Wait()
		close(over)
		counting.Wait()
	})
	t.Cleanup(end)
	seen := make([]int, n)
	for i := 1; i < n; i++ {
		c, err := net.Dial("unix", d.path(fmt.Sprintf("front%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c.(*net.UnixConn))
		reading.Go(func() {
			defer c.Close()
			lines := bufio.NewScanner(c)
			last := -1
			for lines.Scan() {
				var k int
				whole := len(lines.Text()) == 8 // the first may be the end of one, and the last the beginning
				if _, err := fmt.Sscanf(lines.Text(), "%08d", &k); err != nil || !whole {
					continue
				}
				if last >= 0 && k != last+1 {
					t.Errorf("chardev %d: %d came behind %d", i, k, last)
				}
				last = k
				seen[i]++
			}
		})
	}
	for i := 1; i < n; i++ {
		d.has(fmt.Sprintf("vm%d", i), 1)
	}
	head, _, _ := strings.Cut(d.text(t), "[[chardev]]")
	reload := func(round int) {
		t.Helper()
		write(t, d.config, head+text(round))
		stdout, stderr, code := d.cli("reload")
		if code != 0 || strings.Count(stdout, "\n") != 4 || strings.Count(stdout, "chardev vm0: ") != 4 {
			t.Fatalf("reload %d: %d\n%s%s", round, code, stdout, stderr)
		}
	}
	reload(1)
	fds, threads, resident, goroutines := d.fds(), d.threads(), d.resident(), d.metric("go_goroutines")
	for round := range reloads {
		reload(round + 2)
	}
	eventually(t, patience, func() error { // the last answer's connection, and a client's that was cut
		if have := d.fds(); have > fds {
			return fmt.Errorf("%d descriptors, and %d before", have, fds)
		}
		if have := d.metric("go_goroutines"); have > goroutines+5 { // of requests that end
			return fmt.Errorf("%d goroutines, and %d before", have, goroutines)
		}
		return nil
	})
	t.Logf("after %d reloads: %d goroutines (%d before), %d descriptors (%d before), %d threads (%d), %d KiB (%d)", reloads, d.metric("go_goroutines"), goroutines, d.fds(), fds, d.threads(), threads, d.resident()>>10, resident>>10)
	if have := d.resident(); have > resident+16<<20 && !raceEnabled { // whose own memory grows
		t.Errorf("%d bytes resident, and %d before", have, resident)
	}
	for i := 1; i < n; i++ {
		d.has(fmt.Sprintf("vm%d", i), 1) // nobody was cut
	}
	end()
	for i := 1; i < n; i++ {
		if seen[i] < reloads {
			t.Errorf("the client of chardev %d saw %d lines only", i, seen[i])
		}
	}
}

// A chardev that is added while the daemon runs is there at once and after a restart, until
// it is removed; what may not be, or is somebody else's, is refused, and a file with
// mistakes changes nothing.
func TestAddReplaceRemove(t *testing.T) {
	dir := folder(t)
	d := newDaemon(t, dir, "include = [\"conf.d/*.toml\"]\n[[chardev]]\nname = \"here\"\ndevice = \"null:\"\nfrontends = [\"unix:here\"]\n", nil)
	d.serve()
	does := func(want string, args ...string) {
		t.Helper()
		if stdout, stderr, code := d.cli(args...); code != 0 || !strings.Contains(stdout, want) {
			t.Fatalf("%q: %d\n%s%s", args, code, stdout, stderr)
		}
	}
	refuses := func(want string, args ...string) {
		t.Helper()
		if stdout, stderr, code := d.cli(args...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%q: %d\n%s%s\nwant %s", args, code, stdout, stderr, want)
		}
	}
	dial(t, "unix", d.path("here"))
	d.has("here", 1)
	does("+ chardev new: device sim:boot", "add", "new", "--device", "sim:boot", "--frontend", "unix:"+d.path("front"), "--set", "history=1MiB", "--set", "log=false")
	kept := d.path("conf.d/new.toml")
	if fi, err := os.Stat(kept); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	dial(t, "unix", d.path("front"))
	d.has("new", 1)
	refuses("is there already, at "+kept, "add", "new", "--device", "null:")
	refuses("is there already, at", "add", "here", "--device", "null:")
	does("~ chardev new: input shared → exclusive", "replace", "new", "--device", "sim:boot", "--frontend", "unix:"+d.path("front"), "--set", "history=1MiB", "--set", "log=false", "--set", "input=exclusive")
	d.has("new", 1) // the client stayed
	refuses("does not keep", "replace", "here", "--device", "null:")
	refuses("does not keep", "remove", "here")
	refuses("only a config file may have", "add", "bad", "--device", "exec:true")
	refuses("only a config file may have", "add", "bad", "--device", "null:", "--frontend", "{ connect = \"exec:true\" }")
	refuses("give the whole path", "add", "bad", "--device", "unix:x")
	refuses("want a name of 1 to 64", "add", "../bad", "--device", "null:")
	refuses("unknown key", "add", "bad", "--device", "null:", "--set", "histroy=1MiB")
	if _, err := os.Stat(d.path("conf.d/bad.toml")); err == nil {
		t.Error("what was refused is kept")
	}
	good := d.text(t)
	write(t, d.config, good+"[[chardev]]\nname = \"more\"\n")
	refuses("[[chardev]] has no device", "reload")
	write(t, d.config, good)
	does("nothing has changed", "reload")
	d.has("here", 1)
	d.stops()
	d.serve()
	d.is("new", "up")
	dial(t, "unix", d.path("here"))
	u := dial(t, "unix", d.path("front"))
	d.has("here", 1)
	d.has("new", 1)
	does("- chardev new", "remove", "new")
	u.isCut(t, patience)
	refuses("no chardev", "remove", "new")
	d.has("here", 1)
	d.stops()
	d.serve()
	if stdout, _, _ := d.cli("list"); strings.Contains(stdout, "new") || !strings.Contains(stdout, "here") {
		t.Errorf("after a restart there is\n%s", stdout)
	}
}
